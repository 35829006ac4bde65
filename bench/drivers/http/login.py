"""Log-ins of lanes: one request for each, by an HTTP library, before its connection carries arrivals.

A lane logs in as the rows of its feeds say that have its number, the same each time. What is captured of the
answer goes into the lane's cells. A log-in is no arrival: its time and its status are counted apart.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import aiohttp

from bench.core.clock import monotonic_ns
from bench.core.errors import TargetError
from bench.core.outcome import Outcome
from bench.core.sanitize import known_secrets, redacted
from bench.drivers.http.requests import (
    NOT_ADDED,
    PlannedRequest,
    Unexpected,
    check_answer,
    compile_search,
    looked_at,
    planned_request,
    search_in,
)
from bench.drivers.templates import Draws, Vocabulary
from bench.engine.api import LaneLogIn, LoggedIn, LogIns
from bench.engine.client.pool import PendingRequest, RunClock
from bench.plan.plan import WorkloadPlan
from bench.protocols.wants.state import CLASS, SIZE, TEXT, Search
from bench.stack.target import Target

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
