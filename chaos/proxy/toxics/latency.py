"""Latency: every byte comes later, in its order."""

from __future__ import annotations

from chaos.proxy.jitter import Draws
from chaos.proxy.toxic import DAY_NS, DIRECTION, DOWN, UP, Setting, Toxic, settings


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

    __slots__ = ("_delay_ns", "_draws", "_jitter_ns", "_toxin")

    def __init__(self, toxic: Latency, draws: Draws) -> None:
        self._toxin = toxic
        self._delay_ns: int = toxic.settings["delay"]
        self._jitter_ns: int = toxic.settings["delay_jitter"]
        self._draws = draws

    def next_ns(self) -> int:
        """The delay of the next read."""
        return self._delay_ns + (self._draws.up_to(self._jitter_ns) if self._jitter_ns else 0)

    def delayed(self, size: int) -> None:
        """Count a read that has been delayed."""
        self._toxin.count += 1
        self._toxin.bytes += size
