"""The bytes of one direction on their way, and the form of what lets them out in pieces.

Pure: times come in as numbers, bytes go out in their order. A read is put in at its arrival and gets
the time at which its latency is over. What stands at the head is cut into pieces and timed by the
pacers only when it is looked at, so that a toxic that comes or goes changes everything that has not
left.
"""

from collections import deque
from typing import Final, Protocol


class Pacer(Protocol):
    """One connection's one direction under one toxic."""

    def piece_bytes(self, available: int) -> int:
        """How many of the available bytes go as one piece, at least 1."""

    def leaves_ns(self, ready_ns: int, size: int) -> int:
        """When a piece of that size may leave that stands ready from that time on."""

    def left(self, at_ns: int, size: int) -> None:
        """A piece has left, at the time that `leaves_ns` gave for it."""


FIN: Final = "fin"
RST: Final = "rst"
MOST_READS = 4_096
"""However small they are: each costs some 200 bytes beside its own."""


class Delays(Protocol):
    """The latency of one direction of one connection."""

    def next_ns(self) -> int:
        """The delay of the next read."""

    def delayed(self, size: int) -> None:
        """A read has got its delay."""


class DelayQueue:
    """First in, first out, each byte at its time, and the end of the bytes (FIN or RST) after them."""

    __slots__ = (
        "_delays",
        "_end_arrived_ns",
        "_end_due_ns",
        "_end_waits_ns",
        "_last_due_ns",
        "_left_ns",
        "_not_before_ns",
        "_pacers",
        "_reads",
        "end",
        "held_bytes",
    )

    def __init__(self) -> None:
        self.held_bytes = 0
        self.end: str | None = None
        """FIN or RST once it has been put in."""
        self._reads: deque[tuple[int, int, memoryview]] = deque()  # arrived, due, bytes
        self._delays: Delays | None = None
        self._pacers: tuple[Pacer, ...] = ()
        self._end_waits_ns = 0
        self._end_arrived_ns = 0
        self._end_due_ns = 0
        self._last_due_ns = 0
        self._left_ns = 0
        self._not_before_ns = 0

    @property
    def is_empty(self) -> bool:
        """Whether neither bytes nor an end are on their way."""
        return not self._reads and self.end is None

    def is_full(self, limit_bytes: int) -> bool:
        """Whether no more should be read for now."""
        return self.held_bytes >= limit_bytes or len(self._reads) >= MOST_READS

    def follow(self, delays: Delays | None, pacers: tuple[Pacer, ...], end_waits_ns: int) -> None:
        """Go on by other toxics. What is under way is timed anew from its arrival."""
        self._pacers = pacers
        self._end_waits_ns = end_waits_ns
        if delays is not self._delays:
            self._delays = delays
            self._last_due_ns = 0
            self._reads = deque((came, self._due(came, len(data)), data) for came, _, data in self._reads)
            if self.end is not None:
                self._end_due_ns = self._due(self._end_arrived_ns, 0)

    def put(self, data: memoryview, now_ns: int) -> None:
        """Bytes have come."""
        self._reads.append((now_ns, self._due(now_ns, len(data)), data))
        self.held_bytes += len(data)

    def finish(self, end: str, now_ns: int) -> None:
        """No more bytes come; a reset replaces an orderly end that has not left."""
        self.end = end
        self._end_arrived_ns = now_ns
        self._end_due_ns = self._due(now_ns, 0)

    def resume(self, now_ns: int) -> None:
        """The receiver takes bytes again: time in which it took none is no credit."""
        self._not_before_ns = now_ns

    def ready_ns(self) -> int | None:
        """When the next piece or the end may leave; None: there is neither."""
        if self._reads:
            return self._times()[1][-1]
        if self.end is None:
            return None
        if self.end == RST:
            return self._end_due_ns
        return max(self._end_due_ns, self._left_ns) + self._end_waits_ns

    @property
    def cut_off_ns(self) -> int | None:
        """When a reset is due, which does not wait for bytes that the receiver does not take."""
        return self._end_due_ns if self.end == RST else None

    def take(self, now_ns: int) -> memoryview | str | None:
        """The next piece, or FIN or RST, once, if it is time for it."""
        ready_ns = self.ready_ns()
        if ready_ns is None or ready_ns > now_ns:
            return None
        if not self._reads:
            end, self.end = self.end, None
            return end
        size, times = self._times()
        came_ns, due_ns, data = self._reads.popleft()
        for pacer, at_ns in zip(self._pacers, times[1:], strict=True):
            pacer.left(at_ns, size)
        self._left_ns = times[-1]
        if size < len(data):
            self._reads.appendleft((came_ns, due_ns, data[size:]))
            data = data[:size]
        self.held_bytes -= size
        return data

    def clear(self) -> None:
        """Throw everything away."""
        self._reads.clear()
        self.held_bytes = 0
        self.end = None

    def _due(self, arrived_ns: int, size: int) -> int:
        due_ns = arrived_ns
        if self._delays is not None:
            due_ns += self._delays.next_ns()
            if size:
                self._delays.delayed(size)
        self._last_due_ns = max(self._last_due_ns, due_ns)  # jitter never changes the order
        return self._last_due_ns

    def _times(self) -> tuple[int, list[int]]:
        """Size of the piece at the head; when it stands ready, and leaves each pacer."""
        _, due_ns, data = self._reads[0]
        size = len(data)
        for pacer in self._pacers:
            size = pacer.piece_bytes(size)
        times = [max(due_ns, self._not_before_ns) if self._pacers else due_ns]
        for pacer in self._pacers:
            times.append(pacer.leaves_ns(times[-1], size))
        return size, times
