"""Latency: every byte comes later, in its order; the jitter of a seed is always the same."""

from __future__ import annotations

from chaos.proxy.toxic import DAY_NS, DIRECTION, DOWN, UP, Setting, Toxic, settings

_MASK = (1 << 64) - 1
_STEP = 0x9E3779B97F4A7C15


def mixed(value: int) -> int:
    """One of 2**64 values from one of 2**64: SplitMix64 (Steele, Lea and Flood, OOPSLA 2014)."""
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)


class Draws:
    """A sequence of its own for every name, a tuple of numbers such as (seed, toxic, connection)."""

    __slots__ = ("_state",)

    def __init__(self, *name: int) -> None:
        state = 0
        for part in name:
            state = mixed((state + part * _STEP + _STEP) & _MASK)
        self._state = state

    def up_to(self, limit: int) -> int:
        """A whole number in 0..limit, uniform up to a bias of limit / 2**64."""
        self._state = (self._state + _STEP) & _MASK
        return (mixed(self._state) * (limit + 1)) >> 64


class Latency(Toxic):
    """Bytes, and their end, leave `delay` after they came, plus a uniform draw of up to `delay_jitter`.

    At least the delay, in each direction that it acts on: with both, a round trip takes twice as much.
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
