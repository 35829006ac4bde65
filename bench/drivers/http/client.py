"""HTTP as an application uses it: an aiohttp session with a pool of kept connections, TLS included.

Requests are those of the wire engine, in the pieces that an HTTP library takes: method, URL, headers,
body. Nothing is done behind the caller's back: no cookies, no redirects, no second try, no
decompression. Waiting for a connection ends at planned + deadline, the time for the answer at sent +
deadline.
"""

import asyncio
import contextlib
import errno
import io
import os
import ssl
from dataclasses import dataclass

import aiohttp
from aiohttp import (
    ClientError,
    ClientHandlerType,
    ClientRequest,
    ClientResponse,
    ClientSession,
    ClientTimeout,
    DummyCookieJar,
    StreamReader,
)
from yarl import URL

from bench.core.errors import TargetError
from bench.core.outcome import Outcome
from bench.core.sanitize import redacted
from bench.drivers.http.pool import Opened, Passage, WatchedConnector, compile_scanner, tracing
from bench.drivers.http.wire import WITH_LENGTH, body_of, headers_of
from bench.drivers.templates import Draws, TemplateWriter, Vocabulary, Words
from bench.engine.api import ClientDriver
from bench.engine.client.pool import CURRENT, RETURNING, PendingRequest, PoolMonitor, RunClock, limit_s
from bench.engine.wire.layout import NATURAL
from bench.plan.plan import WorkloadPlan
from bench.protocols.http.state import missing_text
from bench.protocols.state import CLOSED_EARLY, CONNECTION_RESET, TEXT_BYTES, TEXTS
from bench.scenario.model import Workload
from bench.scenario.operations import Request
from bench.stack.target import Target
from bench.stack.tls import failure_of

LARGE_BODY_BYTES = 1 << 20
"""aiohttp wants a longer one as a file, which it sends in pieces."""


@dataclass(frozen=True)
class PlannedRequest:
    """One operation's request, and what its answer must be."""

    method: str
    url: Words
    headers: dict[str, Words]
    body: Words | None
    statuses: frozenset[int]
    contains: bytes
    fixed_url: URL | None
    """Where every arrival has the same."""

    def url_for(self, ticket: PendingRequest) -> URL:
        """As it stands in the scenario: nothing is encoded once more."""
        if self.fixed_url is not None:
            return self.fixed_url
        return URL(self.url.render(ticket).decode(), encoded=True)

    def headers_for(self, ticket: PendingRequest) -> dict[str, str]:
        """All but the body's length, which the library counts."""
        return {name: words.render(ticket).decode() for name, words in self.headers.items()}

    def body_for(self, ticket: PendingRequest) -> bytes | io.BytesIO | None:
        """The body; None where there is none."""
        if self.body is None:
            return None
        content = self.body.render(ticket)
        return io.BytesIO(content) if len(content) > LARGE_BODY_BYTES else content


def requests_of(
    workload: Workload, target: Target, vocabulary: Vocabulary, draws: Draws
) -> list[PlannedRequest]:
    """The request of each operation, in order."""
    requests = []
    for operation in workload.operations.values():
        assert operation.request is not None
        requests.append(_planned(operation.request, workload.headers, target, vocabulary, draws))
    return requests


def _planned(
    request: Request, common: dict[str, str], target: Target, vocabulary: Vocabulary, draws: Draws
) -> PlannedRequest:
    def words(text: str, before: str = "") -> Words:
        writer = TemplateWriter(vocabulary)
        writer.literal(before.encode())
        writer.text(text, NATURAL)
        return Words(writer, draws)

    url = words(request.path, target.url)
    body = body_of(request, vocabulary)
    return PlannedRequest(
        request.method,
        url,
        {name: words(text) for name, text in headers_of(request, common, target).items()},
        Words(body, draws) if body is not None else None,
        frozenset(request.expect.status),
        (request.expect.contains or "").encode(),
        URL(url.constant.decode(), encoded=True) if url.constant is not None else None,
    )


START_S = 10.0
NO_CEILING_S = 1e9
"""aiohttp rounds longer times than this up to whole seconds."""

NOT_ADDED = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")
"""Headers that aiohttp would add of its own."""


class Unexpected(Exception):  # noqa: N818 - the answer is what it is, and not what the scenario expects
    """An answer that the scenario does not take for a success."""


class Broken(ClientError):  # noqa: N818 - what happened is the name
    """A connection that broke under a request: aiohttp sends a request again after its own errors only."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error) or type(error).__name__)
        self.is_reset = getattr(error, "errno", None) in (errno.ECONNRESET, errno.EPIPE)


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


class HttpApplication(ClientDriver):
    """One aiohttp session."""

    def __init__(self, target: Target, plan: WorkloadPlan, watch: PoolMonitor, clock: RunClock) -> None:
        workload = plan.workload
        self._target = target
        self._clock = clock
        self._deadline_ns = workload.deadline_ns
        self._size = workload.pool
        self._requests = requests_of(workload, target, Vocabulary(workload, plan.seed), Draws(plan, clock))
        compile_scanner()
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
        """One request, its answer read to the end and looked at."""
        request = self._requests[ticket.operation]
        left_ns = self._deadline_ns - (self._clock.now_ns() - ticket.planned_ns)
        # Ends the wait for a connection; what limits the answer begins when the request is sent.
        patience = ClientTimeout(total=None, connect=limit_s(left_ns), ceil_threshold=NO_CEILING_S)
        limit = asyncio.timeout(None)
        try:
            async with (
                limit,
                self._session.request(
                    request.method,
                    request.url_for(ticket),
                    headers=request.headers_for(ticket),
                    data=request.body_for(ticket),
                    allow_redirects=False,
                    timeout=patience,
                    trace_request_ctx=Passage(ticket, limit),
                ) as response,
            ):
                is_found = await _contains(response.content, request.contains)
        except BaseException:
            self.pool.on_failed(ticket)
            raise
        ticket.stage = RETURNING
        ticket.answers = (response.status,)
        self.pool.on_answered(ticket)
        if response.status not in request.statuses:
            raise Unexpected(f"HTTP {response.status}")
        if not is_found:
            raise Unexpected(missing_text(response.headers.get("Content-Encoding")))

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
        return isinstance(error, ClientError | OSError | asyncio.CancelledError)

    def text_of(self, error: BaseException) -> str:
        """In words that are equal for equal errors: the URL, which every arrival has its own, is left out."""
        if isinstance(error, TimeoutError):
            text = type(error).__name__
        elif isinstance(error, aiohttp.ClientResponseError):
            text = f"{error.status} {error.message}"
        elif isinstance(error, aiohttp.ClientConnectorCertificateError):
            text = f"cannot connect: {error.certificate_error}"
        elif isinstance(error, aiohttp.ClientConnectorError):
            text = f"cannot connect: {_reason(error.os_error)}"
        elif isinstance(error, Broken):
            text = TEXTS[CONNECTION_RESET if error.is_reset else CLOSED_EARLY]
        else:
            text = str(error) or type(error).__name__
            if not isinstance(error, ClientError | OSError | Unexpected):
                text = f"{type(error).__name__}: {text}"
        text = " ".join(text.split())
        text = redacted(text, [self._target.password])
        return text.encode()[:TEXT_BYTES].decode(errors="ignore")

    def counters(self) -> dict[str, int]:
        """As the wire engine names it."""
        return {"closed_after_answer": self.pool.closed_after_answer}

    async def close(self) -> None:
        """Close the session and every connection."""
        await self._session.close()


async def _contains(content: StreamReader, wanted: bytes) -> bool:
    """Whether a body has a text in it; it is read to its end, and nothing of it is kept."""
    is_found, tail = not wanted, b""
    async for piece in content.iter_any():
        if not is_found:
            window = tail + piece
            is_found = wanted in window
            tail = window[max(len(window) - len(wanted) + 1, 0) :]
    return is_found


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
