"""The form of what lets bytes out in pieces, one after the other. Pure: times come in as numbers."""

from __future__ import annotations

from typing import Protocol


class Pacer(Protocol):
    """One connection's one direction under one toxic."""

    def piece_bytes(self, available: int) -> int:
        """How many of the available bytes go as one piece, at least 1."""

    def leaves_ns(self, ready_ns: int, size: int) -> int:
        """When a piece of that size may leave that stands ready from that time on."""

    def left(self, at_ns: int, size: int) -> None:
        """A piece has left, at the time that `leaves_ns` gave for it."""
