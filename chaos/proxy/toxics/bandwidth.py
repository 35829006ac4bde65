"""Bandwidth: so many bytes a second, for each connection and direction by itself."""

from __future__ import annotations

from chaos.proxy.toxic import DIRECTION, Setting, Toxic, settings

QUANTUM_NS = 5_000_000
MOST_QUANTUM_BYTES = 65_536
_NS_PER_S = 1_000_000_000


class Bandwidth(Toxic):
    """`rate` bytes/s. A piece of at most 5 ms arrives when its last byte would have."""

    kind = "bandwidth"
    unit = "pieces slowed down"
    takes = settings(rate=Setting("bytes/s", 1, 10**12), direction=DIRECTION)

    def stage(self, _connection: int, _direction: str) -> Link:
        """The link of one direction of one connection."""
        return Link(self)

    @property
    def read_ahead_bytes(self) -> int:
        """A tenth of a second's bytes: a sender shall feel the link, not a buffer before it."""
        rate: int = self.settings["rate"]
        return min(65_536, max(4_096, rate // 10))


class Link:
    """Busy with a piece for size / rate. It counts on from planned times: lateness does not add up."""

    __slots__ = ("_free_ns", "_quantum_bytes", "_rate", "_toxic")

    def __init__(self, toxic: Bandwidth) -> None:
        self._toxic = toxic
        self._rate: int = toxic.settings["rate"]
        self._quantum_bytes: int = min(MOST_QUANTUM_BYTES, max(1, self._rate * QUANTUM_NS // _NS_PER_S))
        self._free_ns: int = 0

    def piece_bytes(self, available: int) -> int:
        """One quantum."""
        return min(available, self._quantum_bytes)

    def leaves_ns(self, ready_ns: int, size: int) -> int:
        """Its last byte's time, rounded up."""
        busy_ns: int = -(-size * _NS_PER_S // self._rate)
        return max(ready_ns, self._free_ns) + busy_ns

    def left(self, at_ns: int, size: int) -> None:
        """The link is free again."""
        self._free_ns = at_ns
        self._toxic.count += 1
        self._toxic.bytes += size
