"""The one clock: CLOCK_MONOTONIC in integer nanoseconds, for load and faults alike.

Wall time appears once per run, as a label: the pair read here lets a reader turn any stamp of
the run into a date, and an event stamped by another program's wall clock into run time.
"""

import time
from dataclasses import dataclass
from datetime import UTC, datetime

NS_PER_S = 1_000_000_000


def monotonic_ns() -> int:
    """Nanoseconds of CLOCK_MONOTONIC, the clock the compiled loop reads too."""
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC)


@dataclass(frozen=True)
class WallLabel:
    """One paired reading of both clocks."""

    monotonic_ns: int
    wall_ns: int

    @classmethod
    def read(cls) -> "WallLabel":
        """Read both clocks, the wall between two monotonic readings."""
        before = monotonic_ns()
        wall = time.time_ns()
        return cls((before + monotonic_ns()) // 2, wall)

    @property
    def utc(self) -> datetime:
        """The wall reading as an aware UTC datetime."""
        return datetime.fromtimestamp(self.wall_ns / NS_PER_S, UTC)


def utc_text(wall_ns: int) -> str:
    """A reading of the wall clock as text, to the second: 2026-02-02T10:00:00+00:00."""
    return datetime.fromtimestamp(wall_ns // NS_PER_S, UTC).isoformat()
