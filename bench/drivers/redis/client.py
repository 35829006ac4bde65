"""Redis as an application uses it: redis-py's asyncio client with a blocking pool.

Nothing is tried again inside redis-py, so that an outcome is what happened and not what happened in
the end; a broken connection is opened again when it is used next. The deadline is given to redis-py
as an application would give it: as the timeout of its sockets and of its pool.
"""

import asyncio
import os
import ssl
from collections.abc import Sequence
from errno import ECONNRESET, EPIPE
from typing import Any

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.connection import (
    AbstractConnection,
    Connection,
    SSLConnection,
    UnixDomainSocketConnection,
)
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    NoPermissionError,
    RedisError,
    ResponseError,
)
from redis.exceptions import ConnectionError as BrokenConnection
from redis.exceptions import TimeoutError as SocketTimeoutError

from bench.core.clock import NS_PER_S
from bench.core.errors import TargetError
from bench.core.outcome import Outcome
from bench.core.sanitize import redacted
from bench.drivers.redis.commands import CommandWords, found_by, lookup_of
from bench.drivers.redis.replies import NoAnswer, ScannedReplies, UnkeptReply, compile_scanner
from bench.drivers.redis.wire import advice_for_refusal
from bench.drivers.templates import Draws, Vocabulary
from bench.engine.api import ClientDriver
from bench.engine.client.pool import (
    CONNECTING,
    CURRENT,
    RETURNING,
    SENT,
    PendingRequest,
    PoolMonitor,
    RunClock,
)
from bench.engine.wire.layout import NO_LOOKUP
from bench.plan.plan import WorkloadPlan
from bench.protocols.state import TEXT_BYTES, why_lost
from bench.stack.addresses import SILENCE_S, Places
from bench.stack.target import Target, address_of
from bench.stack.tls import failure_of

OPENED_AT_ONCE = 100
START_S = 10.0
TOO_SLOW = (
    "see what keeps the server, give the workload a longer deadline, or free this machine of other work "
    "(bench doctor)"
)
AWAY = "check the address, and look into the server's log and at its limit of clients"


class _ReadyContext:
    """Stands where redis-py would make a context of file names for each connection."""

    def __init__(self, context: ssl.SSLContext | None) -> None:
        self._context = context

    def get(self) -> ssl.SSLContext | None:
        return self._context


class FileConnection(UnixDomainSocketConnection):
    """At a socket file, and like every other greeted once; redis-py's own would be greeted twice."""

    async def _connect(self) -> None:
        async with asyncio.timeout(self.socket_connect_timeout):
            self._reader, self._writer = await asyncio.open_unix_connection(self.path)


class WatchedPool(BlockingConnectionPool):
    """redis-py's pool, which also tells a PoolMonitor and the running task's ticket what it does.

    Only public methods are extended. `ensure_connection` is where one has been given out,
    `release` where it comes back.
    """

    def __init__(
        self,
        watch: PoolMonitor,
        clock: RunClock,
        deadline_ns: int,
        target: Target,
        begin_with: Sequence[Sequence[str]] = (),
        **options: Any,
    ) -> None:
        self._places = Places(target)
        self._tls = target.named_tls_context()
        self._begin_with = begin_with
        if target.socket_file is not None:
            options |= {"connection_class": FileConnection, "path": target.socket_file}
        elif self._tls is not None:
            options["connection_class"] = SSLConnection
        self._watch = watch
        self._clock = clock
        self._deadline_ns = deadline_ns
        self._numbers: dict[object, int] = {}
        self._parsers: dict[object, ScannedReplies] = {}
        super().__init__(max_connections=watch.size, redis_connect_func=self._greet, **options)

    @property
    def timeout(self) -> float:
        """Seconds that a caller may wait now: what is left of its arrival's deadline."""
        ticket = CURRENT.get()
        left = self._deadline_ns
        if ticket is not None:
            left -= self._clock.now_ns() - ticket.planned_ns
        return max(left, 0) / NS_PER_S

    @timeout.setter
    def timeout(self, value: float | None) -> None:
        """The base class sets one for all; ours is each arrival's own."""

    def make_connection(self) -> AbstractConnection:
        """A new one, numbered."""
        made: AbstractConnection = super().make_connection()  # type: ignore[no-untyped-call]  # redis-py's
        if isinstance(made, SSLConnection):
            made.ssl_context = _ReadyContext(self._tls)  # type: ignore[assignment]  # all that it asks is get()
        self._numbers[made] = self._watch.on_created()
        # Set here and not by the option `parser_class`, so that we have it: it counts.
        self._parsers[made] = made._parser = ScannedReplies(made._socket_read_size)
        return made

    async def _greet(self, connection: AbstractConnection) -> None:
        try:
            await connection.on_connect()
        except NoPermissionError:
            if connection.client_name is None:
                raise
            connection.client_name = None  # a user whose ACL has no CLIENT can still be measured, unnamed
            await connection.on_connect()
        for index, words in enumerate(self._begin_with):
            try:
                await connection.send_command(*words)
                await connection.read_response()
            except ResponseError as error:
                raise ResponseError(f"connect[{index}] ({words[0]}): {error}") from None
        inner: Any = connection
        self._watch.on_address(inner._writer.transport)
        self._watch.on_opened(self._numbers[connection])

    async def ensure_connection(self, connection: AbstractConnection) -> None:
        """Open it if need be. From then on the command is about to be written."""
        self._watch.on_acquired()
        ticket = CURRENT.get()
        if ticket is None:
            await self._connect(connection)
            return
        ticket.lane = self._numbers[connection]
        ticket.stage = CONNECTING
        try:
            await self._connect(connection)
        except BaseException:
            self._watch.on_lost(ticket.lane)
            raise
        ticket.sent_ns = self._clock.now_ns()
        ticket.stage = SENT

    async def _connect(self, connection: AbstractConnection) -> None:
        """Have it dial the places of this moment, unless it is open."""
        if connection.is_connected or not isinstance(connection, Connection):
            await super().ensure_connection(connection)
            return
        async with asyncio.timeout(self.timeout):
            places = await self._places.now()
        for number, place in enumerate(places, start=1):
            connection.host, connection.port = place.address, place.port
            is_last = number == len(places)
            patience_s = self._deadline_ns / NS_PER_S
            connection.socket_connect_timeout = patience_s if is_last else min(patience_s, SILENCE_S)
            try:
                await super().ensure_connection(connection)
            except SocketTimeoutError:
                self._places.left(str(place))
                if is_last:
                    raise
            except BrokenConnection as error:
                if is_last or _below(error) is None:
                    raise
            else:
                self._places.took(place)
                return

    async def aclose(self) -> None:
        """Close every connection, that to a Sentinel too."""
        await super().aclose()
        self._places.close()

    async def release(self, connection: AbstractConnection) -> None:
        """Take it back."""
        ticket = CURRENT.get()
        if ticket is not None and ticket.stage == SENT:
            ticket.stage = RETURNING
            await self._settle(connection)
            if not connection.is_connected:
                self._watch.on_lost(ticket.lane)
            elif self._parsers[
                connection
            ].is_read_only:  # a replica by now: the next one may find the primary
                self._watch.left_read_only += 1
                if isinstance(connection, Connection):
                    self._places.left(address_of(connection.host, connection.port))
                self._watch.on_parted(ticket.lane)
                await connection.disconnect(nowait=True)
        await super().release(connection)
        self._watch.on_returned()

    async def _settle(self, connection: AbstractConnection) -> None:
        """After an answer: if more came, the next one could no longer be distinguished from it."""
        parser = self._parsers[connection]
        self._watch.broken_replies += parser.broken
        parser.broken = 0
        if connection.is_connected and parser.has_more:
            self._watch.stray_replies += 1
            await connection.disconnect(nowait=True)


class RedisApplication(ClientDriver):
    """One redis-py client on one pool."""

    def __init__(self, target: Target, plan: WorkloadPlan, watch: PoolMonitor, clock: RunClock) -> None:
        workload = plan.workload
        self._target = target
        self._clock = clock
        compile_scanner()
        vocabulary, draws = Vocabulary(workload, plan.seed), Draws(plan, clock)
        written = [operation.all_commands for operation in workload.operations.values()]
        self._lookups = [tuple(map(lookup_of, commands)) for commands in written]
        self._commands = [
            tuple(CommandWords.of(command, vocabulary, draws) for command in commands) for commands in written
        ]
        self._null_replies = 0
        self._make(plan, watch)

    async def settle(self) -> None:
        """Nothing to do: a connection is back before its call ends."""

    def _make(self, plan: WorkloadPlan, watch: PoolMonitor) -> None:
        """The client, which opens nothing yet."""
        workload, target, clock = plan.workload, self._target, self._clock
        deadline_s = workload.deadline_ns / NS_PER_S
        # Any: redis-py leaves the methods that we call untyped.
        self.pool: Any = WatchedPool(
            watch,
            clock,
            workload.deadline_ns,
            target,
            workload.first_commands,
            db=target.db,
            username=target.username,
            password=target.password,
            protocol=workload.resp,
            socket_timeout=deadline_s,
            socket_connect_timeout=deadline_s,
            retry=Retry(NoBackoff(), 0),
            client_name=f"holdfast-{workload.name}",
        )
        self._client: Any = Redis(connection_pool=self.pool)

    async def open(self) -> None:
        """Open every connection of the pool, so that no connecting falls into the run."""
        held: list[AbstractConnection] = []
        wanted = self.pool.max_connections
        try:
            async with asyncio.timeout(START_S):
                while len(held) < wanted:
                    count = min(OPENED_AT_ONCE, wanted - len(held))
                    found = await asyncio.gather(
                        *(self.pool.get_connection() for _ in range(count)), return_exceptions=True
                    )
                    held += [one for one in found if not isinstance(one, BaseException)]
                    failures = [one for one in found if isinstance(one, BaseException)]
                    if failures:
                        raise failures[0]
        except TimeoutError:
            raise self._unopened(wanted, f"{len(held)} after {START_S:.0f} s", TOO_SLOW) from None
        except (RedisError, OSError) as error:
            said = self.text_of(error)
            if isinstance(error, SocketTimeoutError):
                advice = TOO_SLOW
            else:
                advice = advice_for_refusal(said) if self.outcome_of(error) is Outcome.ERROR else AWAY
            raise self._unopened(wanted, said, advice) from None
        finally:
            for connection in held:
                await self.pool.release(connection)

    def _unopened(self, wanted: int, found: str, advice: str) -> TargetError:
        return self._target.error(f"a pool of {wanted} connections to be opened", found, advice)

    async def call(self, ticket: PendingRequest) -> None:
        """One command by itself, several in a pipeline without MULTI."""
        commands = [command.render(ticket) for command in self._commands[ticket.operation]]
        replies = await self._replies(commands)
        lookups = self._lookups[ticket.operation]
        for reply, lookup in zip(replies, lookups, strict=True):
            if isinstance(reply, Exception):
                raise reply
            self._null_replies += reply is None
            if lookup != NO_LOOKUP:
                is_kept = not isinstance(reply, UnkeptReply)
                ticket.answers += found_by(reply, lookup) if is_kept else reply.found(lookup)

    async def _replies(self, commands: list[list[str | bytes]]) -> list[Any]:
        if len(commands) == 1:
            return [await self._client.execute_command(*commands[0])]
        pipeline = self._client.pipeline(transaction=False)
        for command in commands:
            pipeline.pipeline_execute_command(*command)
        replies: list[Any] = await pipeline.execute(raise_on_error=False)
        return replies

    def outcome_of(self, error: BaseException) -> Outcome:
        """What redis-py takes for a broken connection (LOADING, NOAUTH) is an answer all the same."""
        if isinstance(error, ResponseError | BusyLoadingError | AuthenticationError):
            return Outcome.ERROR
        if isinstance(error, SocketTimeoutError | TimeoutError):
            return Outcome.TIMEOUT
        if isinstance(error, RedisError | OSError | asyncio.CancelledError):
            return Outcome.RESET
        return Outcome.ERROR  # redis-py could not make sense of the answer

    def is_expected(self, error: BaseException) -> bool:
        """All that redis-py raises, and what the network does."""
        return isinstance(error, RedisError | OSError | asyncio.CancelledError)

    def text_of(self, error: BaseException) -> str:
        """The first bytes of the message; some servers quote what they were sent."""
        if (said := getattr(error, "said", None)) is not None:
            text = str(said)  # as the server said it
        elif isinstance(error, NoAnswer):
            text = str(error)
        elif isinstance(error, BrokenConnection) and (inner := _below(error)) is not None:
            text = _reason(inner)
        else:
            text = self._in_redis_pys_words(error)
        text = redacted(text, [self._target.password])
        return text.encode()[:TEXT_BYTES].decode(errors="ignore")

    def _in_redis_pys_words(self, error: BaseException) -> str:
        text = " ".join(str(error).split())
        if code := getattr(error, "status_code", None):
            text = f"{code} {text}"  # redis-py takes the word away that says what it is
        text = text or type(error).__name__
        if not isinstance(error, RedisError | OSError):
            text = f"{type(error).__name__}: {text}"
        return text

    def counters(self) -> dict[str, int]:
        """Replies that were null."""
        return {"null_replies": self._null_replies}

    async def close(self) -> None:
        """Close the pool, leaked connections too."""
        await self.pool.aclose()


def _below(error: BaseException) -> OSError | None:
    """What happened in the system or in TLS, where redis-py put words of its own around it."""
    inner = error.__cause__ or error.__context__
    return inner if isinstance(inner, OSError) and inner.errno else None


def _reason(error: OSError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError) and (found := failure_of(error)):
        return found[0]
    if isinstance(error, ssl.SSLError) or error.errno in (ECONNRESET, EPIPE):
        return why_lost(error)
    return os.strerror(error.errno or 0).lower()
