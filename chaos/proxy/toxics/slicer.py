"""Slicer: bytes come in small pieces with pauses between them."""

from __future__ import annotations

from chaos.proxy.toxic import DAY_NS, DIRECTION, Setting, Toxic, settings


class Slicer(Toxic):
    """Pieces of at most `bytes`, each `delay` after the one before, each a segment of its own."""

    kind = "slicer"
    unit = "pieces cut"
    takes = settings(
        bytes=Setting("bytes", 1, 2**30), delay=Setting("ns", 0, DAY_NS, default=0), direction=DIRECTION
    )

    def stage(self, _connection: int, _direction: str) -> Slices:
        """The knife of one direction of one connection."""
        return Slices(self)


class Slices:
    """Cuts what stands ready; a piece may be smaller, for it never waits for bytes to come."""

    __slots__ = ("_next_ns", "_pause_ns", "_size_bytes", "_toxic")

    def __init__(self, toxic: Slicer) -> None:
        self._toxic = toxic
        self._size_bytes: int = toxic.settings["bytes"]
        self._pause_ns: int = toxic.settings["delay"]
        self._next_ns = 0

    def piece_bytes(self, available: int) -> int:
        """One slice."""
        return min(available, self._size_bytes)

    def leaves_ns(self, ready_ns: int, _size: int) -> int:
        """After the pause."""
        return max(ready_ns, self._next_ns)

    def left(self, at_ns: int, size: int) -> None:
        """The pause begins."""
        self._next_ns = at_ns + self._pause_ns
        self._toxic.count += 1
        self._toxic.bytes += size
