"""Lane time of a closed loop: how long its lanes were in operations, by time instead of by answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from typing import Any

HALVINGS = 50
"""Of the interval in which a percentile is looked for."""


@dataclass(frozen=True)
class LaneTime:
    """The time that lanes spent in operations, by how long each took."""

    took_ns: np.ndarray[Any, np.dtype[np.float64]]
    """Distinct lengths of operations that were answered."""
    times: np.ndarray[Any, np.dtype[np.float64]]
    """How often each of them came."""
    lost_ns: float
    """Time in operations that were lost: an arrival in it would have been charged `charge_ns`."""
    charge_ns: float
    total_ns: float

    def share_beyond(self, limit_ns: float) -> float:
        """The share of the time in which an arrival would have waited for longer than the limit."""
        beyond = float(np.dot(np.clip(self.took_ns - limit_ns, 0, None), self.times))
        return (beyond + (self.lost_ns if limit_ns < self.charge_ns else 0.0)) / self.total_ns

    def statistic_ns(self, percent: float | None) -> float:
        """The percentile, or without one the mean, of the waits of arrivals at any moment."""
        if percent is None:
            halves = float(np.dot(self.took_ns**2, self.times)) / 2
            return (halves + self.lost_ns * self.charge_ns) / self.total_ns
        low, high = 0.0, max(float(self.took_ns.max(initial=0.0)), self.charge_ns)
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            if self.share_beyond(middle) > 1 - percent / 100:
                low = middle
            else:
                high = middle
        return high
