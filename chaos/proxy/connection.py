"""One client's connection with its counterpart to upstream: two flows, and how they end together."""

from __future__ import annotations

import contextlib
import socket
from typing import TYPE_CHECKING

from chaos.proxy.endpoint import Endpoint
from chaos.proxy.flow import Flow
from chaos.proxy.loop import Timer, now_ns
from chaos.proxy.toxin import DOWN, UP

if TYPE_CHECKING:
    from chaos.proxy.traffic import Traffic

LINGER_NS = 1_000_000_000


class Connection:
    """It is over when both flows have passed their ends on, or with the first reset."""

    def __init__(self, traffic: Traffic, number: int, client: socket.socket, server: socket.socket) -> None:
        self.traffic = traffic
        self.number = number
        self.is_closed = False
        self._client, self._server = Endpoint(traffic.loop, client), Endpoint(traffic.loop, server)
        self.up = Flow(self, UP, self._client, self._server)
        self.down = Flow(self, DOWN, self._server, self._client)
        self._lingers = False
        self._drained = 0
        self._linger_timer = Timer(traffic.loop, self.close)
        traffic.connections[number] = self
        self._client.watch(self.up, self.down)
        self._server.watch(self.down, self.up)

    @property
    def flows(self) -> tuple[Flow, Flow]:
        """Both of them."""
        return self.up, self.down

    def shut_down(self, sink: Endpoint) -> None:
        """Pass an orderly end on."""
        with contextlib.suppress(OSError):  # it has gone, and its own flow will tell
            sink.socket.shutdown(socket.SHUT_WR)

    def end_by_limit(self, limited: Flow) -> None:
        """Close both sides in order, after what is under way."""
        self._lingers = True
        for flow in self.flows:
            if flow is not limited:
                flow.end_now()
        self.after_end()

    def after_end(self) -> None:
        """A flow has passed its end on: close when both have."""
        if self.is_closed or not (self.up.is_done and self.down.is_done):
            return
        if not self._lingers:
            self.close()
        elif self._linger_timer.due_ns is None:
            # Closed with bytes unread, the kernel would throw away what it still has to send.
            self._linger_timer.set(now_ns() + LINGER_NS)
            for end in (self._client, self._server):
                end.drain(self._after_drain)

    def close(self) -> None:
        """Close both sides in order."""
        if self._forget():
            self._client.close()
            self._server.close()

    def reset(self) -> None:
        """Close both sides with a TCP reset; bytes under way are lost."""
        if self._forget():
            self._client.reset()
            self._server.reset()

    def _after_drain(self) -> None:
        self._drained += 1
        if self._drained == 2:
            self.close()

    def _forget(self) -> bool:
        if self.is_closed:
            return False
        self.is_closed = True
        accounts = self.traffic.accounts
        accounts.up_bytes += self.up.passed_bytes
        accounts.down_bytes += self.down.passed_bytes
        self._linger_timer.drop()
        for flow in self.flows:
            flow.close()
        del self.traffic.connections[self.number]
        self.traffic.loop.after_turn(self._dismantle)
        return True

    def _dismantle(self) -> None:
        # Cycles would need the collector, whose pauses would be in somebody's latency.
        for end in (self._client, self._server):
            del end.outgoing, end.incoming
        del self.up, self.down
