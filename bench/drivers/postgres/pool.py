"""asyncpg's pool as an application has it, watched.

The pool is full before the run, and nothing but the server or a deadline takes a connection out of it:
none is closed for its age. One that is gone is opened again when it is needed, as asyncpg does it; the
floor that newer versions hold up in the background is left out, so that every attempt to connect
belongs to an arrival. asyncpg resets a connection that it takes back, which is one more round trip;
an application pays for it too, so its time counts.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any

import asyncpg
from asyncpg.exceptions import InterfaceError, InternalClientError

from bench.core.sanitize import redacted
from bench.core.sql_splitter import literals
from bench.drivers.postgres.answers import ScannedAnswers, compile_scanner
from bench.drivers.postgres.dials import Dials, dialled
from bench.engine.client.pool import (
    CONNECTING,
    CURRENT,
    NEVER,
    WAITING,
    ConnectionNumbers,
    PendingRequest,
    PoolMonitor,
)
from bench.scenario.workloads import Workload
from bench.stack.addresses import Place, Places
from bench.stack.probes.postgres import libpq_parameters
from bench.stack.target import Target

OPENED_AT_ONCE = 100
RECOVERY_S = 1.0
"""How long a connection whose call was given up has to come to rest before it is closed."""

GOODBYE_S = 1.0
NO_LIMIT = 1 << 62
USUAL_STATEMENTS = 100
"""Statements that asyncpg keeps prepared on each connection."""


class NumberedConnection(asyncpg.Connection):
    """A connection that knows its number in the pool."""

    number = NEVER
    place: Place
    answers: ScannedAnswers
    keeps_settings = False
    """Whether asyncpg is to leave the settings as they are when the connection is given back."""

    def get_reset_query(self) -> str:
        """asyncpg's own, without what would undo the settings."""
        query: str = super().get_reset_query()
        return query.replace("RESET ALL;", "") if self.keeps_settings else query


class Lease:
    """A connection in an arrival's hands, and the transaction that it has begun there."""

    def __init__(self, connection: Any, number: int) -> None:
        self.connection = connection
        """What the pool gives out: asyncpg's proxy of a NumberedConnection."""
        self.answers: ScannedAnswers = connection.answers
        self.number = number
        self.transaction: Any = None


def connect_options(target: Target, workload: Workload, statements: int) -> dict[str, Any]:
    """The options of asyncpg for a target, and for the settings that every connection has from its start."""
    said = libpq_parameters(target)
    settings = {"application_name": f"holdfast-{workload.name}", **workload.session}
    if "options" in said:
        settings["options"] = said["options"]
    options: dict[str, Any] = {
        "user": target.username,
        "password": target.password,
        "database": target.database or None,
        "server_settings": settings,
        # asyncpg prepares without a name, and sends no Sync until it has executed, where it keeps none.
        "statement_cache_size": max(USUAL_STATEMENTS, statements) if target.pooler == "none" else 0,
    }
    if "connect_timeout" in said:
        options["timeout"] = float(said["connect_timeout"])
    return options


class WatchedPool:
    """A pool of fixed size, which tells a PoolMonitor what happens to its connections."""

    def __init__(
        self,
        target: Target,
        options: dict[str, Any],
        watch: PoolMonitor,
        deadline_s: float,
        begin_with: Sequence[str] = (),
    ) -> None:
        self._target = target
        self._places = Places(target)
        self._dials = Dials(self._dial, self._places, deadline_s)
        self._options = options
        self._begin_with = begin_with
        self._watch = watch
        self._numbers = ConnectionNumbers[NumberedConnection](watch, lambda one: not one.is_closed())
        self._uses: dict[int, int] = {}
        self._is_closing = False
        self._recovering: set[asyncio.Task[None]] = set()
        self.pool: Any = None
        """asyncpg's own, once it is open."""

    async def open(self) -> None:
        """Open every connection. Raises what asyncpg raises."""
        compile_scanner()
        self.pool = await asyncpg.create_pool(
            min_size=0,
            max_size=self._watch.size,
            max_queries=NO_LIMIT,
            max_inactive_connection_lifetime=0,
            connect=self._connect,
            connection_class=NumberedConnection,
            **self._options,
        )
        held: list[Any] = []
        try:
            while len(held) < self._watch.size:
                count = min(OPENED_AT_ONCE, self._watch.size - len(held))
                found = await asyncio.gather(
                    *(self.pool.acquire() for _ in range(count)), return_exceptions=True
                )
                held += [one for one in found if not isinstance(one, BaseException)]
                for one in found:
                    if isinstance(one, BaseException):
                        raise one
        finally:
            self._dials.is_starting = False
            for connection in held:
                await self.pool.release(connection, timeout=GOODBYE_S)

    async def _dial(self) -> tuple[NumberedConnection, Place]:
        connection, place = await dialled(
            self._target, self._places, connection_class=NumberedConnection, **self._options
        )
        assert isinstance(connection, NumberedConnection)
        await self._begin(connection)
        return connection, place

    async def _connect(self, *_: Any, **__: Any) -> NumberedConnection:
        """Called by the pool in the course of an `acquire`."""
        number = self._numbers.take()
        ticket = CURRENT.get()
        if ticket is not None:
            ticket.stage = CONNECTING
            ticket.lane = number
            self._begin_use(number)
        try:
            connection, place = await self._dials.connection()
        except BaseException:
            self._numbers.unopened(number)
            raise
        connection.number, connection.place = number, place
        # Whatever was agreed on TLS and log-in: from here on its answers are looked at first.
        inner: Any = connection
        connection.answers = ScannedAnswers(inner._protocol, inner._transport, self._watch)
        inner._transport.set_protocol(connection.answers)
        # asyncpg hands its listeners a proxy that has lost its connection by then.
        connection.add_termination_listener(lambda _: self._on_terminated(connection))
        self._watch.on_address(inner._transport)
        self._numbers.opened(number, connection)
        return connection

    async def _begin(self, connection: NumberedConnection) -> None:
        """What the workload does on each new connection; what it sets there stays set."""
        connection.keeps_settings = bool(self._begin_with)
        for index, step in enumerate(self._begin_with):
            try:
                await connection.execute(step)
            except asyncpg.PostgresError as error:
                connection.terminate()
                said = redacted(str(error), literals(step))
                raise type(error)(f"connect[{index}]: {said}") from None
            except BaseException:
                connection.terminate()
                raise

    def _on_terminated(self, connection: NumberedConnection) -> None:
        if not self._is_closing:
            self._numbers.lost(connection.number, connection)

    async def acquire(self, ticket: PendingRequest, timeout_s: float) -> Lease:
        """A connection within that time. Raises TimeoutError, or why none could be opened."""
        try:
            connection = await self.pool.acquire(timeout=timeout_s)
        except BaseException:
            if ticket.stage == CONNECTING:
                self._end_use(ticket.lane)
            raise
        ticket.lane = connection.number
        if ticket.stage == WAITING:
            self._begin_use(ticket.lane)
        return Lease(connection, ticket.lane)

    def _begin_use(self, number: int) -> None:
        """asyncpg may hand a connection on before its last user hears that it was taken back; it is in use
        once all the same.
        """
        users = self._uses.get(number, 0)
        self._uses[number] = users + 1
        if users == 0:
            self._watch.on_acquired()

    def _end_use(self, number: int) -> None:
        self._uses[number] -= 1
        if self._uses[number] == 0:
            self._watch.on_returned()

    async def give_back(self, lease: Lease, timeout_s: float) -> None:
        """Return it to the pool. asyncpg closes one that it cannot reset in that time, and raises."""
        try:
            await self.pool.release(lease.connection, timeout=timeout_s)
        except InternalClientError:
            # One that ended behind its answer is the pool's again without our doing.
            if not lease.answers.has_ended:
                raise
        finally:
            self._end_use(lease.number)

    def part_with(self, lease: Lease) -> None:
        """Close a connection whose server takes no writes: the next one may find the primary."""
        connection = self._numbers.connection(lease.number)
        if connection is not None:
            self._watch.left_read_only += 1
            self._places.left(str(connection.place))
            self._numbers.parted(lease.number, connection)
            connection.terminate()

    def give_up(self, lease: Lease) -> None:
        """Return it behind the caller's back: something may still run on it.

        asyncpg has asked the server to cancel that, as it does for an application, and knows when the
        server has.
        """
        task = asyncio.get_running_loop().create_task(self._recover(lease))
        self._recovering.add(task)
        task.add_done_callback(self._recovering.discard)

    async def _recover(self, lease: Lease) -> None:
        connection = lease.connection
        try:
            if lease.transaction is not None:
                async with asyncio.timeout(RECOVERY_S):
                    await lease.transaction.rollback()
            await self.pool.release(connection, timeout=RECOVERY_S)
        except (asyncpg.PostgresError, InterfaceError, InternalClientError, OSError):
            with contextlib.suppress(InterfaceError):  # it is the pool's again
                connection.terminate()
        finally:
            self._end_use(lease.number)

    async def settle(self) -> None:
        """Wait for all that was given up."""
        if self._recovering:
            await asyncio.wait(self._recovering, timeout=3 * RECOVERY_S)

    async def close(self) -> None:
        """Close every connection; those that are held or do not answer, the hard way."""
        self._is_closing = True
        if self.pool is None:
            return
        try:
            async with asyncio.timeout(GOODBYE_S):
                await self._dials.close()
                await self.pool.close()
        except (asyncpg.PostgresError, InterfaceError, InternalClientError, OSError):
            self.pool.terminate()
