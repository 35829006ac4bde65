"""Limit data: a connection ends after so many bytes."""

from __future__ import annotations

from chaos.proxy.toxic import DIRECTION, Setting, Toxic, settings


class LimitData(Toxic):
    """After exactly `bytes` in one direction the connection is closed, orderly, on both sides.

    Counted for each connection and direction by itself, from the toxic's beginning on. The
    receiver gets these bytes and then the end; what else had been sent is thrown away.
    """

    kind = "limit_data"
    unit = "connections ended"
    takes = settings(bytes=Setting("bytes", 1, 2**62), direction=DIRECTION)

    def stage(self, _connection: int, _direction: str) -> Allowance:
        """The allowance of one direction of one connection."""
        return Allowance(self)


class Allowance:
    """How many bytes are left."""

    __slots__ = ("_toxic", "left_bytes")

    def __init__(self, toxic: LimitData) -> None:
        self._toxic = toxic
        self.left_bytes: int = toxic.settings["bytes"]

    def spend(self, size: int) -> int:
        """How many of so many bytes may still pass; at 0 left the connection is to end."""
        passed = min(size, self.left_bytes)
        self.left_bytes -= passed
        self._toxic.bytes += passed
        if self.left_bytes == 0 and passed:
            self._toxic.count += 1
        return passed
