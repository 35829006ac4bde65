"""One client's connection with its counterpart to upstream: two flows, and how they end together."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from chaos.proxy.endpoint import Endpoint
from chaos.proxy.flow import Flow
from chaos.proxy.loop import Timer, now_ns
from chaos.proxy.toxic import DOWN, UP

if TYPE_CHECKING:
    from chaos.proxy.relay import Relay
    from chaos.proxy.traffic import Traffic

LINGER_NS = 1_000_000_000


class Connection:
    """It is over when both flows have passed their ends on, or with the first reset."""

    def __init__(
        self,
        traffic: Traffic,
        live: dict[int, Connection],
        number: int,
        client: socket.socket,
        server: socket.socket,
    ) -> None:
        """live: all connections by their number, this one among them as long as it lasts."""
        self.traffic = traffic
        self.number = number
        self._live = live
        self.is_closed = False
        self._client, self._server = Endpoint(traffic.loop, client), Endpoint(traffic.loop, server)
        self.up = Flow(self, traffic, UP, self._client, self._server)
        self.down = Flow(self, traffic, DOWN, self._server, self._client)
        self._lingers = False
        self._drained = 0
        self._linger_timer = Timer(traffic.loop, self.close)
        live[number] = self
        self._is_offered = False
        is_traffic = traffic.lending.is_for_traffic(self)
        self._client.watch(self.up, self.down, is_traffic=is_traffic)
        self._server.watch(self.down, self.up, is_traffic=is_traffic)
        traffic.lending.connected(self)

    @property
    def _ends(self) -> tuple[tuple[Endpoint, Flow], tuple[Endpoint, Flow]]:
        """Each side with the flow of what it sends to us."""
        return (self._client, self.up), (self._server, self.down)

    @property
    def flows(self) -> tuple[Flow, Flow]:
        """Both of them."""
        return self.up, self.down

    @property
    def descriptors(self) -> tuple[int, int]:
        """Of both sides."""
        return self._client.fd, self._server.fd

    @property
    def sockets(self) -> tuple[socket.socket, socket.socket]:
        """Of both sides."""
        return self._client.socket, self._server.socket

    @property
    def is_plain(self) -> bool:
        """Whether nothing is under way on it but bytes that are to come."""
        return (
            self.up.is_plain and self.down.is_plain and self._client.is_watched_plainly
        ) and self._server.is_watched_plainly

    def offer(self) -> None:
        """Nothing may be under way any more: the relay may have it, when this turn is over."""
        if not self._is_offered:
            self._is_offered = True
            self.traffic.loop.after_turn(self._offer)

    def _offer(self) -> None:
        self._is_offered = False
        if not self.is_closed:
            self.traffic.lending.offer(self)

    def watch_in(self, *, is_traffic: bool) -> None:
        """Have both sides watched there."""
        self._client.watch_in(is_traffic=is_traffic)
        self._server.watch_in(is_traffic=is_traffic)

    def take_unsent(self, relay: Relay) -> None:
        """The relay stands still: what it has not sent is for the flows to send."""
        ends = self._ends
        for end, outgoing in ends:
            outgoing.take_unsent(relay.take_unsent(end.fd))
        for end, _ in ends:
            end.note_mask()

    def take_back(self, relay: Relay, fd: int, reason: int) -> None:
        """The relay has let go of it, because of what it saw at a descriptor."""
        self.take_unsent(relay)
        ends = self._ends
        for end, _ in ends:
            end.take_back()
        for end, outgoing in ends:
            if end.fd == fd and not self.is_closed:
                outgoing.see(reason)

    def add_passed(self, fd: int, count: int) -> None:
        """The relay, which has passed so much on from a descriptor, has it no more."""
        for end, outgoing in self._ends:
            if end.fd == fd:
                outgoing.passed_bytes += count

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
        counters = self.traffic.counters
        counters.up_bytes += self.up.all_passed_bytes
        counters.down_bytes += self.down.all_passed_bytes
        self.traffic.lending.ended(self)
        self._linger_timer.drop()
        for flow in self.flows:
            flow.close()
        del self._live[self.number]
        self.traffic.loop.after_turn(self._dismantle)
        return True

    def _dismantle(self) -> None:
        # Cycles would need the collector, whose pauses would be in a client's latency.
        for end in (self._client, self._server):
            del end.outgoing, end.incoming
        del self.up, self.down
