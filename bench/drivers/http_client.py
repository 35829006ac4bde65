"""HTTP as an application uses it: an aiohttp session with a pool of kept connections, TLS included.

Requests are those of the wire engine. Nothing is done behind the caller's back: no cookies, no redirects,
no second try, no decompression. Waiting for a connection ends at planned + deadline, the answer's time at
sent + deadline.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import aiohttp
from aiohttp import ClientError, ClientSession, ClientTimeout, DummyCookieJar

from bench.clock import NS_PER_S
from bench.drivers.client_words import Draws
from bench.drivers.http_client_pool import Opened, Passage, WatchedConnector, tracing
from bench.drivers.http_client_requests import PlannedRequest, requests_of
from bench.drivers.writer import Vocabulary
from bench.engine.client_ticket import CURRENT, RETURNING, SENT, Ticket
from bench.errors import TargetError
from bench.outcome import Outcome
from bench.wire.state import TEXT_BYTES

if TYPE_CHECKING:
    from aiohttp import ClientHandlerType, ClientRequest, ClientResponse

    from bench.engine.client_ticket import RunClock
    from bench.engine.client_watch import PoolWatch
    from bench.plan.plan import WorkloadPlan
    from bench.stack.target import Target

START_S = 10.0
OPENED_AT_ONCE = 100
NO_TIME_S = 0.001
NO_CEILING_S = 1e9
"""aiohttp rounds longer times than this up to whole seconds."""

NOT_ADDED = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")
"""Headers that aiohttp would add of its own."""


class Unexpected(Exception):  # noqa: N818 - the answer is what it is, and not what the scenario expects
    """An answer that the scenario does not take for a success."""


class Broken(ClientError):
    """A connection that broke under a request: aiohttp sends a request again after its own errors only."""


def check(target: Target, plan: WorkloadPlan) -> None:
    """Nothing is put in place; whether the target listens shows when the pool is opened."""
    assert target.kind == "http", (target.kind, plan.name)


async def once(request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
    """Send a request one time only, and let it end as it ended."""
    try:
        return await handler(request)
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        if isinstance(error, aiohttp.ClientConnectorError):
            raise
        raise Broken(str(error) or type(error).__name__) from error


class HttpApplication:
    """One aiohttp session."""

    def __init__(self, target: Target, plan: WorkloadPlan, watch: PoolWatch, clock: RunClock) -> None:
        workload = plan.workload
        self._target = target
        self._clock = clock
        self._deadline_ns = workload.deadline_ns
        self._size = workload.pool
        self._requests = requests_of(
            workload, target, Vocabulary(workload, plan.seed), Draws(plan, clock)
        )
        self.pool = WatchedConnector(watch)
        self._session = ClientSession(
            connector=self.pool,
            cookie_jar=DummyCookieJar(),
            skip_auto_headers=NOT_ADDED,
            auto_decompress=False,
            middlewares=(once,),
            trace_configs=[tracing(self.pool, clock, workload.deadline_ns / NS_PER_S)],
        )

    async def open(self) -> None:
        """Open every connection of the pool, TLS included; nothing is asked on them."""
        try:
            async with asyncio.timeout(START_S):
                await self._open_all()
        except TimeoutError:
            raise self._unopened(f"fewer after {START_S:.0f} s") from None
        except (ClientError, OSError) as error:
            raise self._unopened(f"'{self.text_of(error)}'") from None

    async def _open_all(self) -> None:
        self.pool.hold_back(self._size)
        room = asyncio.Semaphore(OPENED_AT_ONCE)
        tasks = [asyncio.ensure_future(self._knock(room)) for _ in range(self._size)]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self.pool.let_go()

    async def _knock(self, room: asyncio.Semaphore) -> None:
        raise NotImplementedError

    def _unopened(self, found: str) -> TargetError:
        advice = "check the address and the server's limit of connections"
        if self._target.tls:
            advice += "; a certificate of one's own is trusted when SSL_CERT_FILE names it"
        return TargetError(
            self._target.name,
            self._target.address,
            f"a pool of {self._size} connections to be opened",
            found,
            advice,
        )
