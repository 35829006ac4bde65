"""aiohttp's connection pool as an application has it, watched.

Only public methods are extended, but for what makes a connection's receiving side. aiohttp's tracing says
when a request has been given a place in the pool and when its head goes out; `connect` is where the
connection is known, and a connection's own call-back where it comes back.
"""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from aiohttp import TCPConnector, ThreadedResolver, TraceConfig
from aiohttp.client_proto import ResponseHandler

from bench.drivers.client_numbers import ConnectionNumbers
from bench.drivers.http.client_answers import AnswerProtocol
from bench.engine.client.request import CONNECTING, CURRENT, NEVER, SENT, PendingRequest

if TYPE_CHECKING:
    from aiohttp import ClientRequest, ClientTimeout
    from aiohttp.connector import Connection
    from aiohttp.tracing import Trace

    from bench.engine.client.pool_monitor import PoolMonitor
    from bench.engine.client.request import RunClock

NEVER_IDLE_S = 1e7
"""A connection is kept until the server closes it, so that every loss is the server's doing."""


class Opened(Exception):  # noqa: N818 - no error: how a request ends that was only to open a connection
    """The connections are open; nothing was sent."""


@dataclass(frozen=True)
class Passage:
    """A request on its way: its ticket, and the limit of time that begins when it is sent."""

    ticket: PendingRequest
    limit: asyncio.Timeout


class WatchedConnector(TCPConnector):
    """A pool of fixed size, which tells a PoolMonitor what happens to its connections."""

    def __init__(self, watch: PoolMonitor) -> None:
        # Made here and not when aiohttp is imported: SSL_CERT_FILE is read now.
        super().__init__(
            limit=watch.size,
            keepalive_timeout=NEVER_IDLE_S,
            ssl=ssl.create_default_context(),
            # A name is looked up whenever a connection is opened, as the other engines do: it may lead
            # elsewhere after a failover.
            use_dns_cache=False,
            resolver=ThreadedResolver(),
        )
        self._factory = cast(
            "partial[ResponseHandler]", partial(AnswerProtocol, asyncio.get_running_loop(), watch)
        )
        self._watch = watch
        self._pool_numbers = ConnectionNumbers[ResponseHandler](watch, ResponseHandler.is_connected)
        self._gate: asyncio.Barrier | None = None
        self.closed_after_answer = 0

    def hold_back(self, count: int) -> None:
        """The next `count` requests open a connection each, wait for one another, and send nothing."""
        self._gate = asyncio.Barrier(count)

    def let_go(self) -> None:
        """Requests are sent from now on."""
        self._gate = None

    async def connect(self, req: ClientRequest, traces: list[Trace], timeout: ClientTimeout) -> Connection:
        """A connection for a request, from the pool or new."""
        ticket = CURRENT.get()
        assert ticket is not None
        try:
            connection = await super().connect(req, traces, timeout)
        except BaseException:
            if ticket.stage == CONNECTING:
                self._watch.on_returned()
                if ticket.lane != NEVER:
                    self._pool_numbers.unopened(ticket.lane)
            raise
        protocol = connection.protocol
        assert protocol is not None
        if ticket.lane == NEVER:
            ticket.lane = self._pool_numbers.number_of(protocol)
        else:
            self._pool_numbers.opened(ticket.lane, protocol)
        connection.add_callback(self._watch.on_returned)
        if self._gate is not None:
            try:
                await self._gate.wait()
            finally:
                connection.release()
            raise Opened
        return connection

    def on_place(self, ticket: PendingRequest, *, is_new: bool) -> None:
        """A request was given a place in the pool; the connection in it is to be opened, or open."""
        ticket.stage = CONNECTING
        if is_new:
            ticket.lane = self._pool_numbers.take()
        self._watch.on_acquired()

    def on_answered(self, ticket: PendingRequest) -> None:
        """Its answer was read to the end. A connection that was closed for it is no loss."""
        protocol = self._pool_numbers.connection(ticket.lane)
        if protocol is None or protocol.is_connected():
            return
        if isinstance(protocol, AnswerProtocol) and protocol.has_strayed:
            self._pool_numbers.lost(ticket.lane, protocol)
        else:
            self._pool_numbers.parted(ticket.lane, protocol)
            self.closed_after_answer += 1

    def on_failed(self, ticket: PendingRequest) -> None:
        """It broke off: so did its connection."""
        protocol = self._pool_numbers.connection(ticket.lane)
        if protocol is not None and not protocol.is_connected():
            self._pool_numbers.lost(ticket.lane, protocol)


def tracing(connector: WatchedConnector, clock: RunClock, deadline_s: float) -> TraceConfig:
    """What aiohttp calls on each request's way; requests carry their Passage as `trace_request_ctx`."""

    async def on_new(session: Any, context: Any, facts: Any) -> None:  # noqa: ARG001 - aiohttp's form
        connector.on_place(context.trace_request_ctx.ticket, is_new=True)

    async def on_reused(session: Any, context: Any, facts: Any) -> None:  # noqa: ARG001 - aiohttp's form
        connector.on_place(context.trace_request_ctx.ticket, is_new=False)

    async def on_sent(session: Any, context: Any, facts: Any) -> None:  # noqa: ARG001 - aiohttp's form
        passage: Passage = context.trace_request_ctx
        passage.limit.reschedule(asyncio.get_running_loop().time() + deadline_s)
        passage.ticket.sent_ns = clock.now_ns()
        passage.ticket.stage = SENT

    found = TraceConfig()
    found.on_connection_create_start.append(on_new)
    found.on_connection_reuseconn.append(on_reused)
    found.on_request_headers_sent.append(on_sent)
    return found
