"""One direction of one connection: bytes from a source to a sink, as the toxics in force let them."""

from __future__ import annotations

import sys
from fcntl import ioctl
from termios import FIONREAD
from typing import TYPE_CHECKING, Any, Protocol

from chaos.proxy.delay_queue import FIN, RST, DelayQueue
from chaos.proxy.endpoint import IN, OUT
from chaos.proxy.loop import Timer, now_ns

if TYPE_CHECKING:
    from chaos.proxy.delay_queue import Pacer
    from chaos.proxy.endpoint import Endpoint
    from chaos.proxy.traffic import Traffic

SOURCE_RESET, SINK_GONE = 1, 2
"""As in bench.engine.wire.relay, which needs packages that this file does without."""
PIECES_PER_TURN = 64
"""Then the other connections get their turn."""


class Owner(Protocol):
    """The connection of which a flow is one direction (`chaos.proxy.connection.Connection`)."""

    number: int
    is_closed: bool

    def offer(self) -> None:
        """Nothing may be under way any more: the relay may have it."""

    def end_by_limit(self, limited: Flow) -> None:
        """Close both sides in order, after what is under way."""

    def after_end(self) -> None:
        """A flow has passed its end on."""

    def reset(self) -> None:
        """Close both sides with a TCP reset."""


class Flow:
    """Plain: a read is sent immediately, from a shared buffer. Else it goes through a line of its own.

    A toxic comes into force for all flows by one assignment (`Traffic.paths`); a flow compares one
    number before it touches a byte, so none passes by the old rules afterwards.
    """

    __slots__ = (
        "_connection",
        "_direction",
        "_discards",
        "_generation",
        "_is_plain",
        "_line",
        "_path",
        "_read_ahead_bytes",
        "_recv_into",
        "_send",
        "_sink",
        "_source",
        "_stages",
        "_timer",
        "_traffic",
        "_unsent",
        "has_ended",
        "is_done",
        "is_held",
        "passed_bytes",
    )

    def __init__(
        self, connection: Owner, traffic: Traffic, direction: str, source: Endpoint, sink: Endpoint
    ) -> None:
        self._connection = connection
        self._traffic = traffic
        self._direction = direction
        self._source, self._sink = source, sink
        self._recv_into, self._send = source.socket.recv_into, sink.socket.send
        self._generation = 0
        self._path = traffic.paths[direction]
        self._is_plain = True
        self.is_held = False
        """In a black hole."""
        self._discards = False
        self._read_ahead_bytes = 0
        self._line = DelayQueue()
        self._stages: dict[int, Any] = {}
        """State of the toxics in force, by their numbers."""
        self._timer = Timer(self._traffic.loop, self.pump)
        self._unsent: memoryview | None = None
        """What has left the line and the kernel has not taken."""
        self.has_ended = False
        """The source's bytes have come to their end."""
        self.is_done = False
        """And that end has been passed on."""
        self.passed_bytes = 0

    @property
    def held_bytes(self) -> int:
        """Bytes that have been read and not sent."""
        return self._line.held_bytes + (len(self._unsent) if self._unsent is not None else 0)

    @property
    def has_unsent(self) -> bool:
        """Whether the sink is waited for."""
        return self._unsent is not None

    @property
    def is_plain(self) -> bool:
        """Whether it only has to pass on what comes."""
        return not self.is_waiting and not self.has_ended and not self._discards

    @property
    def all_passed_bytes(self) -> int:
        """With those that the relay has passed on."""
        return self.passed_bytes + self._traffic.lending.passed_bytes(self._source.fd)

    @property
    def all_held_bytes(self) -> int:
        """With those that the relay holds."""
        return self.held_bytes + self._traffic.lending.unsent_bytes(self._source.fd)

    def take_unsent(self, data: bytes) -> None:
        """The relay has read these and not sent them."""
        if data:
            self._unsent = memoryview(data)

    def see(self, reason: int) -> None:
        """What the kernel reported to the relay, which it does only once."""
        if reason == SOURCE_RESET:
            self.on_source_reset()
        elif reason == SINK_GONE:
            self._on_sink_refusal()

    @property
    def is_waiting(self) -> bool:
        """Whether something waits for a time, a toxic's end or a reader."""
        return self.is_held or self._unsent is not None or not self._line.is_empty

    def unread_bytes(self) -> int:
        """Bytes that wait in the kernel."""
        return int.from_bytes(ioctl(self._source.fd, FIONREAD, bytes(4)), sys.byteorder)

    def on_readable(self) -> None:
        """The source has bytes, or their end."""
        traffic = self._traffic
        if self._generation != traffic.generation:
            self.adopt()
        if self.is_held or self.has_ended:
            self._source.want(IN, False)
            return
        try:
            size = self._recv_into(traffic.buffer)
        except BlockingIOError:
            return
        except OSError:
            self.on_source_reset()
            return
        if size == 0:
            self._on_source_end()
        elif self._discards:
            pass
        elif self._is_plain:
            self._pass_on(traffic.view[:size])
        else:
            self._hold(traffic.view[:size])

    def on_writable(self) -> None:
        """The sink takes bytes again."""
        if self._generation != self._traffic.generation:
            self.adopt()
        if self.is_held:
            self._sink.want(OUT, False)
            return
        unsent, self._unsent = self._unsent, None
        if unsent is not None:
            self._line.resume(now_ns())
            self._pass_on(unsent)
        if self._unsent is None and not self.is_done:
            self._sink.want(OUT, False)
            self.pump()

    def on_source_reset(self) -> None:
        """The source's peer has broken the connection: so does the sink's, in its order with the bytes."""
        self._source.was_reset = True
        if not self._connection.is_closed and self._line.end != RST:
            self._end(RST)

    def on_sink_gone(self) -> None:
        """The sink's peer has broken the connection: bytes to it are lost. Its own flow carries the reset."""
        self._discards = True
        self._unsent = None
        self._line.clear()
        self._timer.cancel()
        self._sink.want(OUT, False)
        if self.has_ended:
            self.is_done = True
            self._connection.after_end()
        else:
            self._source.want(IN, not self.is_held)

    def end_now(self) -> None:
        """Take no more from the source; what is under way still arrives, then the end."""
        if not self.has_ended:
            self._end(FIN)

    def adopt(self) -> None:
        """Go on by the toxics that are in force now."""
        path = self._path = self._traffic.path(self._direction, self._connection.number)
        self._generation = path.generation
        stages: dict[int, Any] = {}
        number, direction = self._connection.number, self._direction
        for toxic in (path.limit_data, path.latency, path.bandwidth, path.slicer):
            if toxic is not None:
                stages[toxic.number] = self._stages.get(toxic.number) or toxic.stage(number, direction)
        self._stages = stages
        delays = stages[path.latency.number] if path.latency else None
        pacers: tuple[Pacer, ...] = tuple(
            stages[toxic.number] for toxic in (path.bandwidth, path.slicer) if toxic is not None
        )
        self._line.follow(delays, pacers, path.slow_close.delay_ns if path.slow_close else 0)
        self._read_ahead_bytes = path.read_ahead_bytes
        self._is_plain = path.is_plain and self._line.is_empty
        if self.is_held and path.black_hole is None:
            self._line.resume(now_ns())
        if not self.is_held and path.black_hole is not None and not self.is_done:
            path.black_hole.count += 1
            path.black_hole.bytes += self.held_bytes
        self.is_held = path.black_hole is not None and not self.is_done
        self._sink.want(OUT, self._unsent is not None and not self.is_held)
        if not self.is_done:
            self.pump()

    def pump(self) -> None:
        """Send what is due, and arrange for what is not."""
        if self._generation != self._traffic.generation:
            self.adopt()
            return
        line = self._line
        if not self.is_held:
            at_ns = now_ns()
            for _ in range(PIECES_PER_TURN):
                if self._unsent is not None:
                    break
                piece = line.take(at_ns)
                if piece is None:
                    break
                if isinstance(piece, str):
                    self._pass_end_on(piece)
                    return
                self._pass_on(piece)
                if self._connection.is_closed:
                    return
            cut_off_ns = line.cut_off_ns
            if self._unsent is not None and cut_off_ns is not None and cut_off_ns <= at_ns:
                self._pass_end_on(RST)
                return
            # A reader that takes nothing sets the pace, but for a reset.
            next_ns = line.ready_ns() if self._unsent is None else line.cut_off_ns
            if next_ns is not None:
                self._timer.set(next_ns)
            if line.is_empty:
                self._is_plain = self._path.is_plain
                if self._is_plain and self._traffic.lending.is_running:
                    self._connection.offer()
        self._want_bytes()

    def close(self) -> None:
        """The connection is over; nothing refers to it any more."""
        self.is_done = self.has_ended = True
        self._unsent = None
        self._line.clear()
        self._timer.drop()
        self._stages.clear()

    def _pass_on(self, data: memoryview) -> None:
        try:
            sent = self._send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._on_sink_refusal()
            return
        self.passed_bytes += sent
        if sent < len(data):
            # The shared buffer is about to be read into again.
            self._unsent = memoryview(bytes(data[sent:]))
            self._sink.want(OUT, True)
            self._want_bytes()

    def _on_sink_refusal(self) -> None:
        self._sink.was_reset = True
        self.on_sink_gone()
        if self._sink.outgoing.has_ended:
            self._sink.outgoing.on_source_reset()

    def _hold(self, data: memoryview) -> None:
        limit = self._path.limit_data
        size, is_last = len(data), False
        if limit is not None:
            allowance = self._stages[limit.number]
            size = allowance.spend(size)
            is_last = allowance.left_bytes == 0
        self._line.put(memoryview(bytes(data[:size])), now_ns())
        if is_last:
            self._end(FIN)
            self._connection.end_by_limit(self)
        else:
            self.pump()

    def _on_source_end(self) -> None:
        self._end(RST if self._source.was_reset else FIN)

    def _end(self, end: str) -> None:
        self.has_ended = True
        self._source.want(IN, False)
        if self._discards:
            self.is_done = True
            if end == RST:
                self._connection.reset()
            else:
                self._connection.after_end()
            return
        path = self._traffic.path(self._direction, self._connection.number)
        self._is_plain = False
        self.is_done = False  # it may have been, when a reset follows on an orderly end
        self.is_held = path.black_hole is not None
        self._line.finish(end, now_ns())
        slow_close = path.slow_close
        if slow_close is not None and end == FIN:
            slow_close.count += 1
        self.pump()

    def _pass_end_on(self, end: str) -> None:
        self.is_done = True
        if end == RST:
            self._traffic.counters.resets_passed_on += 1
            self._connection.reset()
        else:
            self._sink.shut_down()
            self._connection.after_end()

    def _want_bytes(self) -> None:
        if self.has_ended:
            return
        has_room = self._unsent is None if self._is_plain else not self._line.is_full(self._read_ahead_bytes)
        self._source.want(IN, has_room and not self.is_held)
