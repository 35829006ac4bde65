"""Which toxics there are, which can act together, and in what order. Pure.

The order in each direction is fixed, whatever the order they were added in:

1. black_hole   nothing is read, and nothing that was read goes on
2. limit_data   counts what the sender sent
3. latency      the distance
4. bandwidth    the narrow link at the receiver's end
5. slicer       the pieces that the receiver gets
6. slow_close   the end, after the last byte

`reset` and `refuse` act on connections as a whole. With a toxicity below 1 all but `refuse` act on that
share of the connections. Refused: two of one kind in one direction; `reset` of all new connections with
anything else, for no byte would be left that the other could act on, and `refuse` with it would leave no
new connection to reset.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from chaos.proxy.toxic import Toxic, ToxicError
from chaos.proxy.toxics import (
    Bandwidth,
    BlackHole,
    Latency,
    LimitData,
    Refuse,
    Reset,
    Slicer,
    SlowClose,
)

IN_ORDER: tuple[type[Toxic], ...] = (
    Reset,
    Refuse,
    BlackHole,
    LimitData,
    Latency,
    Bandwidth,
    Slicer,
    SlowClose,
)
KINDS = {each.kind: each for each in IN_ORDER}
READ_AHEAD_BYTES = 65_536
LATENCY_READ_AHEAD_BYTES = 1_048_576
"""What is under way at once: 10 MB/s at 100 ms, for each connection and direction."""

Some = TypeVar("Some", bound=Toxic)


def toxic_of(kind: object, settings: Mapping[str, Any], number: int = 0, seed: int = 0) -> Toxic:
    """A toxic of a kind, its settings checked. Raises ToxicError."""
    known = KINDS.get(kind) if isinstance(kind, str) else None
    if known is None:
        raise ToxicError("toxic", f"one of {', '.join(KINDS)}", repr(kind), "write one of these")
    return known(number, settings, seed)


def refuse_conflicts(new: Toxic, in_force: Iterable[Toxic]) -> None:
    """Raise ToxicError where the new one cannot act together with one that is in force."""
    for old in in_force:
        both = [direction for direction in new.directions if direction in old.directions]
        if new.kind == old.kind and both:
            where = " and ".join(both) if "direction" in new.settings else "every connection"
            found = f"{old.kind} in force on {where}"
            raise ToxicError(new.kind, "at most one of a kind in each direction", found, "remove that first")
        for one, other in ((new, old), (old, new)):
            if isinstance(one, Reset) and one.settings["new_connections"] and not one.is_partial:
                expected = "no other toxic with reset, which leaves no connection for it"
                advice = "remove one, or reset with new_connections: false"
                raise ToxicError(new.kind, expected, f"{other.kind} and {one.kind}", advice)


class Path:
    """What toxics make of one direction. A new one for every change of those in force."""

    __slots__ = (
        "bandwidth",
        "black_hole",
        "generation",
        "is_plain",
        "latency",
        "limit_data",
        "read_ahead_bytes",
        "slicer",
        "slow_close",
    )

    def __init__(self, generation: int, direction: str, toxics: Iterable[Toxic]) -> None:
        acting = [toxic for toxic in toxics if direction in toxic.directions]
        self.generation = generation
        self.black_hole = _one(BlackHole, acting)
        self.limit_data = _one(LimitData, acting)
        self.latency = _one(Latency, acting)
        self.bandwidth = _one(Bandwidth, acting)
        self.slicer = _one(Slicer, acting)
        self.slow_close = _one(SlowClose, acting)
        self.is_plain = not any(
            (self.black_hole, self.limit_data, self.latency, self.bandwidth, self.slicer, self.slow_close)
        )
        self.read_ahead_bytes = READ_AHEAD_BYTES
        if self.latency:
            self.read_ahead_bytes = LATENCY_READ_AHEAD_BYTES
        elif self.bandwidth:
            self.read_ahead_bytes = self.bandwidth.read_ahead_bytes


def _one(kind: type[Some], toxics: Iterable[Toxic]) -> Some | None:
    return next((toxic for toxic in toxics if isinstance(toxic, kind)), None)
