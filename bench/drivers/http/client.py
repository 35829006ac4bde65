"""HTTP as an application uses it: an aiohttp session with a pool of kept connections, TLS included.

Requests are those of the wire engine, in the pieces that an HTTP library takes: method, URL, headers,
body. Nothing is done behind the caller's back: no cookies, no redirects, no second try, no
decompression. Waiting for a connection ends at planned + deadline, the time for the answer at sent +
deadline.
"""

import asyncio
import contextlib
import errno
import os
import ssl

import aiohttp
from aiohttp import (
    ClientError,
    ClientHandlerType,
    ClientRequest,
    ClientResponse,
    ClientSession,
    ClientTimeout,
    DummyCookieJar,
)
from yarl import URL

from bench.core.errors import TargetError
from bench.core.outcome import Outcome
from bench.core.sanitize import beginning, redacted
from bench.drivers.http.pool import Opened, Passage, WatchedConnector, compile_scanner, tracing
from bench.drivers.http.requests import (
    NOT_ADDED,
    LogIn,
    PlannedRequest,
    Unexpected,
    check_answer,
    compile_search,
    looked_at,
    requests_of,
    search_in,
)
from bench.drivers.http.wire import WITH_LENGTH
from bench.drivers.templates import Draws
from bench.engine.api import ClientDriver, LoggedIn
from bench.engine.client.pool import (
    CONNECTING,
    CURRENT,
    RETURNING,
    SENT,
    Leg,
    PendingRequest,
    PoolMonitor,
    RunClock,
    limit_s,
)
from bench.plan.plan import WorkloadPlan
from bench.protocols.state import TEXT_BYTES, why_lost
from bench.protocols.wants.state import CELL, Search
from bench.stack.target import Target
from bench.stack.tls import failure_of

UNAUTHORIZED = 401
START_S = 10.0
NO_CEILING_S = 1e9
"""aiohttp rounds longer times than this up to whole seconds."""


class Broken(ClientError):  # noqa: N818 - what happened is the name
    """A connection that broke under a request: aiohttp sends a request again after its own errors only."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error) or type(error).__name__)
        below = error if isinstance(error, ssl.SSLError) else error.__cause__
        is_reset = getattr(error, "errno", None) in (errno.ECONNRESET, errno.EPIPE)
        self.why = why_lost(below if isinstance(below, ssl.SSLError) else error if is_reset else None)


def check(target: Target, plan: WorkloadPlan) -> None:
    """Nothing is put in place; whether the target listens shows when the pool is opened."""
    assert target.kind == "http", (target.kind, plan.name)


async def once(request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
    """Send a request one time only, and let it end as it ended."""
    if request.method not in WITH_LENGTH and request.headers.get("Content-Length") == "0":
        del request.headers["Content-Length"]
    try:
        return await handler(request)
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        if isinstance(error, aiohttp.ClientConnectorError):
            raise
        raise Broken(error) from error


class Identity:
    """Somebody who can log in. There are as many as connections, and an arrival has one from its first
    request to its last, as it has a lane of the wire engine.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self.found: Search | None = None
        """What was captured; None where it must log in, for the first time or again."""


class HttpApplication(ClientDriver):
    """One aiohttp session."""

    def __init__(self, target: Target, plan: WorkloadPlan, watch: PoolMonitor, clock: RunClock) -> None:
        workload = plan.workload
        self._target = target
        self._clock = clock
        self._deadline_ns = workload.deadline_ns
        self._size = workload.pool
        self._requests = requests_of(plan, target, Draws(plan, clock))
        self._wants = plan.program.wants
        self._identities: list[Identity] = []
        self._free: asyncio.Queue[Identity] = asyncio.Queue()
        """Those that no arrival has, the one that has been free for longest first."""
        self._log_ins: list[LoggedIn] = []
        self._renewed = 0
        self._log_in: LogIn | None = None
        if workload.login is not None:
            self._log_in = LogIn(target, plan, clock.run_label, self._log_ins.append)
            self._identities = [Identity(number) for number in range(self._size)]
            for identity in self._identities:
                self._free.put_nowait(identity)
        compile_scanner()
        if self._wants.cells:
            compile_search(search_in(self._wants, self._wants.wants))
        self.pool = WatchedConnector(watch, target.tls_context())
        self._session = ClientSession(
            connector=self.pool,
            cookie_jar=DummyCookieJar(),
            skip_auto_headers=NOT_ADDED,
            auto_decompress=False,
            middlewares=(once,),
            trace_configs=[tracing(self.pool, clock, limit_s(workload.deadline_ns))],
        )

    async def open(self) -> None:
        """Open every connection of the pool, TLS included; nothing is asked on them."""
        try:
            async with asyncio.timeout(START_S):
                await asyncio.gather(*map(self._logged_in, self._identities))
                await self._open_all()
        except TimeoutError:
            raise self._unopened(f"fewer after {START_S:.0f} s") from None
        except (ClientError, OSError) as error:
            raise self._unopened(f"'{self.text_of(error)}'", _tls_failure(error)) from None

    async def _open_all(self) -> None:
        self.pool.hold_back(self._size)
        tasks = [asyncio.ensure_future(self._open_one()) for _ in range(self._size)]
        try:
            # All of them, even after one has failed: a handshake that is given up halfway still fails later,
            # and nothing is left to take its error.
            for opened in await asyncio.gather(*tasks, return_exceptions=True):
                if opened is not None:
                    raise opened
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self.pool.let_go()

    async def _open_one(self) -> None:
        ticket = PendingRequest(0, 0, 0, 0, 0)
        CURRENT.set(ticket)
        passage = Passage(ticket, asyncio.timeout(None))
        with contextlib.suppress(Opened):
            await self._session.get(URL(self._target.url, encoded=True), trace_request_ctx=passage)

    def _unopened(self, found: str, of_tls: tuple[str, str] | None = None) -> TargetError:
        found, advice = of_tls or (found, "check the address and the server's limit of connections")
        return self._target.error(f"a pool of {self._size} connections to be opened", found, advice)

    async def call(self, ticket: PendingRequest) -> None:
        """Each request of an arrival, its answer read to the end and looked at."""
        limit = asyncio.timeout(None)
        requests = self._requests[ticket.operation]
        if self._wants.cells:
            ticket.captured = search_in(self._wants, self._wants.wants)
        if self._log_in is None:
            await self._ask_all(ticket, requests, limit, None)
            return
        async with asyncio.timeout(self._left_s(ticket)):
            identity = await self._free.get()
        try:
            await self._assume(identity, ticket)
            await self._ask_all(ticket, requests, limit, identity)
        except Unexpected as unexpected:
            if unexpected.status == UNAUTHORIZED:
                self._forget(identity)
            raise
        except (ClientError, OSError, asyncio.CancelledError):
            identity.found = None  # as a lane logs in again with its next connection
            raise
        finally:
            self._free.put_nowait(identity)

    async def _assume(self, identity: Identity, ticket: PendingRequest) -> None:
        """Give an arrival what was captured when an identity logged in, which does so again where it must."""
        try:
            await self._logged_in(identity)
        except (TargetError, OSError):
            ticket.stage = CONNECTING
            raise
        self._take_over(identity, ticket)

    async def _logged_in(self, identity: Identity) -> None:
        if identity.found is None:
            assert self._log_in is not None
            identity.found = await self._log_in.log_in(identity.number)

    def _forget(self, identity: Identity) -> None:
        """Its log-in was refused."""
        self._renewed += 1
        identity.found = None

    def _take_over(self, identity: Identity, ticket: PendingRequest) -> None:
        assert ticket.captured is not None
        assert identity.found is not None
        for cell in identity.found.wants[:, CELL]:
            ticket.captured.cells[cell] = identity.found.cells[cell]
            ticket.captured.facts[cell] = identity.found.facts[cell]

    async def _ask_all(
        self,
        ticket: PendingRequest,
        requests: list[PlannedRequest],
        limit: asyncio.Timeout,
        identity: Identity | None,
    ) -> None:
        """Each request after the other. The first that is refused for its log-in is sent once more after
        another one; where that does not come in time, the refusal is the outcome.
        """
        refused: Unexpected | None = None
        is_renewing = False
        try:
            async with limit:
                for number, request in enumerate(requests):
                    try:
                        await self._ask_next(request, ticket, limit if number == 0 else None)
                    except Unexpected as unexpected:
                        if identity is None or refused is not None or unexpected.status != UNAUTHORIZED:
                            raise
                        refused, is_renewing = unexpected, True
                        if ticket.legs:
                            ticket.legs[-1].is_refused = True
                        self._forget(identity)
                        await self._logged_in(identity)
                        self._take_over(identity, ticket)
                        is_renewing = False
                        await self._ask_next(request, ticket, None)
        except (TargetError, OSError):
            if is_renewing and refused is not None:
                raise refused from None
            raise
        ticket.stage = RETURNING

    async def _ask_next(
        self, request: PlannedRequest, ticket: PendingRequest, limit: asyncio.Timeout | None
    ) -> None:
        """`limit`: of the first request of an arrival, which is its own way through the pool."""
        if request.name >= 0:
            ticket.legs.append(Leg(request.name))
        if limit is not None:
            await self._ask(request, ticket, ticket, limit)
            return
        # The library's pool sees a request of its own; what was sent stays sent.
        ticket.stage = SENT
        leg = PendingRequest(ticket.planned_ns, ticket.row, ticket.operation, ticket.key, ticket.arrival)
        CURRENT.set(leg)
        await self._ask(request, ticket, leg, None)

    def _left_s(self, ticket: PendingRequest) -> float:
        """How long an arrival may still wait for a connection."""
        return limit_s(self._deadline_ns - (self._clock.now_ns() - ticket.planned_ns))

    async def _ask(
        self,
        request: PlannedRequest,
        ticket: PendingRequest,
        leg: PendingRequest,
        limit: asyncio.Timeout | None,
    ) -> None:
        """One request of an arrival; `leg` is its way through the pool."""
        # Ends the wait for a connection; what limits the answers begins when the first request is sent.
        connect_s = None if limit is None else self._left_s(ticket)
        patience = ClientTimeout(total=None, connect=connect_s, ceil_threshold=NO_CEILING_S)
        search = ticket.captured._replace(wants=request.wants) if ticket.captured is not None else None
        try:
            async with self._session.request(
                request.method,
                request.url_for(ticket),
                headers=request.headers_for(ticket),
                data=request.body_for(ticket),
                allow_redirects=False,
                timeout=patience,
                trace_request_ctx=Passage(leg, limit),
            ) as response:
                is_found, start = await looked_at(response, request.contains, search)
        except BaseException:
            if ticket.legs:
                ticket.legs[-1].sent_ns = leg.sent_ns
            self.pool.on_failed(leg)
            raise
        leg.stage = RETURNING
        if ticket.legs:
            last = ticket.legs[-1]
            last.sent_ns, last.done_ns, last.status = leg.sent_ns, self._clock.now_ns(), response.status
        else:
            ticket.answers = (*ticket.answers, response.status)
        self.pool.on_answered(leg)
        check_answer(request, response, search, is_found, start)

    def outcome_of(self, error: BaseException) -> Outcome:
        """ERROR for an answer that is not what it should be, or that aiohttp cannot make sense of."""
        if isinstance(error, Unexpected | aiohttp.ClientResponseError):
            return Outcome.ERROR
        if isinstance(error, TimeoutError):
            return Outcome.TIMEOUT
        if isinstance(error, ClientError | OSError | asyncio.CancelledError):
            return Outcome.RESET
        return Outcome.ERROR

    def is_expected(self, error: BaseException) -> bool:
        """All that aiohttp raises, and what the network does."""
        return isinstance(error, ClientError | OSError | asyncio.CancelledError | TargetError)

    def text_of(self, error: BaseException) -> str:
        """In words that are equal for equal errors: the URL, which every arrival has its own, is left out."""
        if isinstance(error, TimeoutError):
            text = type(error).__name__
        elif isinstance(error, TargetError):
            text = f"no log-in: {error.found}"
        elif isinstance(error, aiohttp.ClientResponseError):
            text = f"{error.status} {error.message}"
        elif isinstance(error, aiohttp.ClientConnectorCertificateError):
            text = f"cannot connect: {error.certificate_error}"
        elif isinstance(error, aiohttp.ClientConnectorError):
            text = f"cannot connect: {_reason(error.os_error)}"
        elif isinstance(error, Broken):
            text = error.why
        else:
            text = str(error) or type(error).__name__
            if not isinstance(error, ClientError | OSError | Unexpected):
                text = f"{type(error).__name__}: {text}"
        text = " ".join(text.split())
        text = redacted(text, [self._target.password])
        return text.encode()[:TEXT_BYTES].decode(errors="ignore")

    def body_of(self, error: BaseException) -> str | None:
        """Of an answer that is not what was expected."""
        captured = self._log_in.made.secrets if self._log_in is not None else ()
        secrets = [self._target.password, *captured]
        return beginning(error.body, secrets) if isinstance(error, Unexpected) else None

    def take_log_ins(self) -> list[LoggedIn]:
        """Those of all identities."""
        taken = self._log_ins[:]
        self._log_ins.clear()
        return taken

    def anomalies(self, workload: str) -> list[tuple[str, ...]]:
        """A note where identities had to log in again."""
        return self._log_in.made.anomalies(workload, self._renewed) if self._log_in is not None else []

    def counters(self) -> dict[str, int]:
        """As the wire engine names it."""
        log_ins = self._log_in.made.counters() if self._log_in is not None else {}
        return {"closed_after_answer": self.pool.closed_after_answer, **log_ins}

    async def close(self) -> None:
        """Close the session and every connection."""
        await self._session.close()


def _tls_failure(error: BaseException) -> tuple[str, str] | None:
    """(what was found, the advice) for a handshake that failed; None for any other error."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return failure_of(error.certificate_error)
    return failure_of(error.os_error) if isinstance(error, aiohttp.ClientConnectorError) else None


def _reason(error: OSError) -> str:
    """The system's own words where it has some: asyncio's name the address again."""
    is_known = error.errno is not None and error.errno > 0 and not isinstance(error, ssl.SSLError)
    return os.strerror(error.errno or 0) if is_known else str(error)


application = HttpApplication
"""The client, not yet open."""
