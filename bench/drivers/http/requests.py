"""HTTP requests in the pieces that a library takes, what is looked for in answers, and log-ins of lanes.

The wire engine has the same requests as bytes, and looks into answers with the same code.

A lane logs in as the rows of its feeds say that have its number, the same each time. What is captured of the
answer goes into the lane's cells. A log-in is no arrival: its time and its status are counted apart.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable
from dataclasses import dataclass

import aiohttp
import numpy as np
from aiohttp import ClientResponse
from numpy.typing import NDArray
from yarl import URL

from bench.core.clock import monotonic_ns
from bench.core.errors import TargetError
from bench.core.outcome import Outcome
from bench.core.sanitize import known_secrets, redacted
from bench.drivers.http.wire import body_of, headers_of
from bench.drivers.templates import Draws, Encode, TemplateWriter, Vocabulary, Words, as_it_is, in_path
from bench.engine.api import LaneLogIn, LoggedIn, LogIns
from bench.engine.client.pool import PendingRequest, RunClock
from bench.engine.wire.layout import NATURAL, T_NAME, T_WANT_END, T_WANT_FIRST
from bench.engine.wire.recording import hide
from bench.engine.wire.render import captured_size, write_captured
from bench.plan.plan import WorkloadPlan
from bench.plan.program import Program, WantTables
from bench.protocols.http.state import BODY_BYTES, IDENTITY, missing_text, pack_encoding
from bench.protocols.state import TEXT_BYTES
from bench.protocols.wants.search import begin_search, look_in_body, look_in_head, settle, write_unmet
from bench.protocols.wants.state import CELL_ROOM, CLASS, HEADER, KIND, PROGRESS_COLUMNS, SIZE, TEXT, Search
from bench.scenario.operations import Request
from bench.stack.target import Target

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
    wants: NDArray[np.int64]
    """Rows of the program's wants."""
    name: int
    """What it is counted as, of the program's names; -1: its operation."""

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


def requests_of(plan: WorkloadPlan, target: Target, draws: Draws) -> list[list[PlannedRequest]]:
    """The requests of each operation, in order."""
    vocabulary, program = Vocabulary(plan.workload, plan.seed), plan.program
    common = plan.workload.headers
    steps = iter(program.steps)  # one for each request
    return [
        [
            planned_request(one.request, common, target, vocabulary, draws, program, next(steps))
            for one in operation.all_steps
        ]
        for operation in plan.workload.operations.values()
    ]


def planned_request(
    request: Request,
    common: dict[str, str],
    target: Target,
    vocabulary: Vocabulary,
    draws: Draws,
    program: Program,
    row: NDArray[np.int64],
) -> PlannedRequest:
    """A request with the headers that are `common` to all; `row`: its step of the program."""

    def words(text: str, before: str = "", encode: Encode = as_it_is) -> Words:
        writer = TemplateWriter(vocabulary)
        writer.literal(before.encode())
        writer.text(text, NATURAL, encode)
        return Words(writer, draws)

    url = words(request.path, target.url, in_path)
    body = body_of(request, vocabulary)
    return PlannedRequest(
        request.method,
        url,
        {name: words(text) for name, text in headers_of(request, common, target).items()},
        Words(body, draws) if body is not None else None,
        frozenset(request.expect.status),
        (request.expect.contains or "").encode(),
        URL(url.constant.decode(), encoded=True) if url.constant is not None else None,
        program.wants.wants[row[T_WANT_FIRST] : row[T_WANT_END]],
        int(row[T_NAME]),
    )


NOT_ADDED = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")
"""Headers that aiohttp would add of its own."""


class Unexpected(Exception):  # noqa: N818 - the answer is what it is, and not what the scenario expects
    """An answer that the scenario does not take for a success."""

    def __init__(self, text: str, body: bytes, status: int) -> None:
        super().__init__(text)
        self.status = status
        self.body = body
        """Its beginning, without what was captured."""


def search_in(tables: WantTables, wants: NDArray[np.int64]) -> Search:
    """An empty place for what some of a program's wants find."""
    return Search(
        wants,
        tables.parts,
        tables.texts,
        tables.links,
        np.zeros(PROGRESS_COLUMNS, dtype=np.int64),
        np.zeros((tables.cells, CELL_ROOM), dtype=np.uint8),
        np.zeros((tables.cells, 2), dtype=np.int64),
    )


async def looked_at(response: ClientResponse, wanted: bytes, search: Search | None) -> tuple[bool, bytes]:
    """Whether a body has a text in it, and its beginning. It is read to its end, and nothing else is kept but
    what is wanted.
    """
    start = b""
    if search is not None:
        begin_search(search)
        lines = b"".join(name + b": " + value + b"\r\n" for name, value in response.raw_headers)
        if lines:
            look_in_head(search, np.frombuffer(lines, dtype=np.uint8), 0, len(lines))
    is_found, tail = not wanted, b""
    async for piece in response.content.iter_any():
        start += piece[: BODY_BYTES - len(start)]
        if not is_found:
            window = tail + piece
            is_found = wanted in window
            tail = window[max(len(window) - len(wanted) + 1, 0) :]
        if search is not None:
            look_in_body(search, np.frombuffer(piece, dtype=np.uint8), 0, len(piece))
    return is_found, start


def _hidden(start: bytes, search: Search | None) -> bytes:
    """The beginning of a body without what was captured."""
    text = np.frombuffer(bytearray(start), dtype=np.uint8)
    for cell, (kind, size) in enumerate(search.facts if search is not None else ()):
        if search is not None and kind == TEXT:
            hide(text, len(text), search.cells[cell], size)
    return text.tobytes()


def _unmet_text(search: Search, number: int, encoding: str | None) -> str:
    """Why an answer is not what it should be, in the words of the wire engine."""
    if search.wants[number, KIND] != HEADER and pack_encoding(encoding or "") not in (0, IDENTITY):
        return missing_text(encoding)
    text = np.zeros(TEXT_BYTES, dtype=np.uint8)
    return text[: int(write_unmet(search, number, text))].tobytes().decode(errors="replace")


def compile_search(search: Search) -> None:
    """Before the run: the first answer would wait for it."""
    piece = np.frombuffer(b" ", dtype=np.uint8)  # read-only, as pieces of an answer are
    begin_search(search)
    look_in_head(search, piece, 0, 0)
    look_in_body(search, piece, 0, 0)
    settle(search)
    text = np.zeros(TEXT_BYTES, dtype=np.uint8)
    if len(search.wants):
        write_unmet(search, 0, text)
    hide(text, 0, search.cells[0], search.facts[0, 1])
    write_captured(text, 0, search.cells[0], captured_size(search.cells[0], 0, 0, 0), 0, 0)


def check_answer(
    request: PlannedRequest, response: ClientResponse, search: Search | None, is_found: bool, start: bytes
) -> None:
    """Raise Unexpected for an answer, read to its end, that is not what it must be."""
    text, encoding = None, response.headers.get("Content-Encoding")
    if response.status not in request.statuses:
        text = f"HTTP {response.status}"
    elif not is_found:
        text = missing_text(encoding)
    elif search is not None and (unmet := int(settle(search))) >= 0:
        text = _unmet_text(search, unmet, encoding)
    if text is not None:
        raise Unexpected(text, _hidden(start, search), response.status)


LOG_IN_S = 10.0
"""At the start; later the connection that waits for it has its own limit."""
REFUSED_PAUSE_S = 0.1
"""Before a refused log-in is tried again: nothing is won by asking sooner."""
FIRST_REFUSAL = 400
ADVICE = "check the request under login and its credentials, and what the server logs"


class LogIn(LaneLogIn):
    """Logs lanes in to a target; used in one event loop. `record` is told of each log-in."""

    def __init__(
        self, target: Target, plan: WorkloadPlan, run_label: int, record: Callable[[LoggedIn], None]
    ) -> None:
        assert plan.workload.login is not None
        clock = RunClock()
        clock.run_label = run_label
        self._target, self._record = target, record
        self._wants, self._draws, program = plan.program.wants, Draws(plan, clock), plan.program
        vocabulary = Vocabulary(plan.workload, plan.seed)
        common = plan.workload.login_headers
        self._request: PlannedRequest = planned_request(
            plan.workload.login.request, common, target, vocabulary, self._draws, program, program.steps[-1]
        )
        self._key = program.key_variable
        self.made = LogIns()
        compile_search(search_in(self._wants, self._request.wants))

    async def log_in(self, lane: int) -> Search:
        """Log a lane in, by its number of all lanes; what was captured. Raises TargetError, OSError."""
        began_ns, status, outcome = monotonic_ns(), 0, Outcome.ERROR
        search = search_in(self._wants, self._request.wants)
        ticket = self._ticket(lane)
        try:
            async with (
                self._opened() as session,
                session.request(
                    self._request.method,
                    self._request.url_for(ticket),
                    headers=self._request.headers_for(ticket),
                    data=self._request.body_for(ticket),
                    allow_redirects=False,
                ) as response,
            ):
                status = response.status
                is_found, start = await looked_at(response, self._request.contains, search)
                check_answer(self._request, response, search, is_found, start)
            outcome = Outcome.OK
        except Unexpected as unexpected:
            await asyncio.sleep(REFUSED_PAUSE_S)
            raise self._refused(unexpected) from None
        except aiohttp.ClientConnectorError as error:
            raise error.os_error from None
        except aiohttp.ClientConnectorCertificateError as error:
            raise error.certificate_error from None
        except aiohttp.ClientError as error:
            raise ConnectionError(f"{type(error).__name__} at its log-in") from None
        finally:
            self.made.count += 1
            self.made.refused += outcome != Outcome.OK
            self._record(LoggedIn(began_ns, monotonic_ns(), outcome, status))
        for kind, size, cell in zip(search.facts[:, CLASS], search.facts[:, SIZE], search.cells, strict=True):
            if kind == TEXT:
                self.made.secrets.add(cell[:size].tobytes().decode(errors="replace"))
        return search

    def _refused(self, unexpected: Unexpected) -> TargetError:
        # An answer that lets somebody in holds what must not be shown.
        said = unexpected.body.decode(errors="replace") if unexpected.status >= FIRST_REFUSAL else ""
        found = f"{unexpected}: {said}" if said else str(unexpected)
        found = redacted(found, {self._target.password, *self.made.secrets, *known_secrets()})
        return self._target.error("a log-in that succeeds", found, ADVICE)

    def _ticket(self, lane: int) -> PendingRequest:
        """The lane as an arrival of its own number."""
        key = self._draws.drawn(self._key, lane) if self._key >= 0 else 0
        return PendingRequest(0, 0, 0, key, lane)

    def _opened(self) -> aiohttp.ClientSession:
        """A session of its own for each log-in: nothing of one, such as a cookie, is left for another."""
        connector = aiohttp.TCPConnector(
            ssl=self._target.tls_context() or True, use_dns_cache=False, resolver=aiohttp.ThreadedResolver()
        )
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=NOT_ADDED,
            auto_decompress=False,
            timeout=aiohttp.ClientTimeout(total=LOG_IN_S),
        )
