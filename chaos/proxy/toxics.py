"""The toxics, which of them can act together, and in what order. Pure.

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
from typing import Any, ClassVar, TypeVar

from chaos.proxy.toxic import DAY_NS, DIRECTION, DOWN, UP, Choice, Draws, Setting, Toxic, ToxicError, settings

QUANTUM_NS = 5_000_000
MOST_QUANTUM_BYTES = 65_536
_NS_PER_S = 1_000_000_000


class Reset(Toxic):
    """Every live connection is reset on both sides at once; while it is in force, new ones too.

    With `new_connections` False it is over with that, and may act together with any other toxic.
    """

    kind = "reset"
    unit = "connections reset"
    takes = settings(new_connections=Choice(True, False))


class Refuse(Toxic):
    """The port is closed, so that new connections get ECONNREFUSED; live ones stay, or are reset by option.

    The kernel refuses them, all or none, so they cannot be counted. The proof is a connection of our own
    to the closed port, whenever its effects are asked for.
    """

    kind = "refuse"
    unit = "own connections refused"
    takes: ClassVar = {"reset_live": Choice(False, True)}


class BlackHole(Toxic):
    """Nothing is read and nothing passed on, no end and no reset either; upstream is not dialled.

    With one direction it is half a black hole: requests arrive and answers vanish, or the reverse.
    What was sent meanwhile waits in the kernel and flows on afterwards, as TCP would resend it;
    with `reset_on_heal` every connection that lived through it is reset instead.
    """

    kind = "black_hole"
    unit = "directions and dials held"
    takes = settings(direction=DIRECTION, reset_on_heal=Choice(False, True))


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


class Latency(Toxic):
    """Bytes, and their end, leave `delay` after they came, plus a uniform draw of up to `delay_jitter`.

    They keep their order, and a seed always draws the same jitter. At least the delay, in each
    direction that it acts on: with both, a round trip takes twice as much.
    """

    kind = "latency"
    unit = "reads delayed"
    takes = settings(
        delay=Setting("ns", 0, DAY_NS), delay_jitter=Setting("ns", 0, DAY_NS, default=0), direction=DIRECTION
    )

    def stage(self, connection: int, direction: str) -> Delays:
        """The delays of one direction of one connection: its own sequence of draws."""
        draws = Draws(self.seed, self.number, connection, (UP, DOWN).index(direction))
        return Delays(self, draws)


class Delays:
    """Draws the delay of one read after the other."""

    __slots__ = ("_delay_ns", "_draws", "_jitter_ns", "_toxic")

    def __init__(self, toxic: Latency, draws: Draws) -> None:
        self._toxic = toxic
        self._delay_ns: int = toxic.settings["delay"]
        self._jitter_ns: int = toxic.settings["delay_jitter"]
        self._draws = draws

    def next_ns(self) -> int:
        """The delay of the next read."""
        return self._delay_ns + (self._draws.up_to(self._jitter_ns) if self._jitter_ns else 0)

    def delayed(self, size: int) -> None:
        """Count a read that has been delayed."""
        self._toxic.count += 1
        self._toxic.bytes += size


class Bandwidth(Toxic):
    """`rate` bytes/s, for each connection and direction by itself.

    A piece of at most 5 ms arrives when its last byte would have.
    """

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


class Slicer(Toxic):
    """Pieces of at most `bytes`, each `delay` after the one before, each a segment of its own."""

    kind = "slicer"
    unit = "pieces cut"
    takes = settings(
        bytes=Setting("bytes", 1, 2**30), delay=Setting("ns", 0, DAY_NS, default=0), direction=DIRECTION
    )

    def stage(self, _connection: int, _direction: str) -> Slices:
        """The slices of one direction of one connection."""
        return Slices(self)


class Slices:
    """Cuts what is ready; a piece may be smaller, because it never waits for more bytes."""

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


class SlowClose(Toxic):
    """A FIN is passed on `delay` after it would have been; a reset is not held."""

    kind = "slow_close"
    unit = "ends delayed"
    takes = settings(delay=Setting("ns", 0, DAY_NS), direction=DIRECTION)

    @property
    def delay_ns(self) -> int:
        """How much later."""
        delay: int = self.settings["delay"]
        return delay


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
