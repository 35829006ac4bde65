"""Thirty thousand buckets made into a few: the ones that a metrics system can store.

The bounds are 1-2-5 steps, each moved up to the edge of the HDR bucket in which it lies (by at most
1/1024), so the count at a bound is exact: so many samples took no longer. Only the sum is made from
the middles of buckets, and off by at most 1/2048.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from bench.core.clock import NS_PER_S
from bench.core.histogram import BUCKET_COUNT, bucket_of, lower_edge_ns, upper_edge_ns

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bench.core.histogram import Counts

STEPS_NS = (
    *(step * 10**power for power in range(4, 10) for step in (1, 2, 5)),
    *(seconds * NS_PER_S for seconds in (10, 30, 60)),
)
"""10 µs to 5 s, then 10, 30 and 60 s; what took longer is in the last bucket, which has no bound."""

BOUND_BUCKETS = tuple(bucket_of(step) for step in STEPS_NS)
BOUNDS_NS = tuple(upper_edge_ns(bucket) for bucket in BOUND_BUCKETS)
"""A sample of exactly so many ns is below the bound."""


@dataclass
class Distribution:
    """The samples of one tag so far: `counts[i]` above bound i - 1 and up to bound i, the last above all."""

    counts: NDArray[np.int64]
    sum_ns: float = 0.0
    lowest_ns: int | None = None
    highest_ns: int | None = None
    """Edges of the outermost buckets in use."""

    @classmethod
    def empty(cls) -> Distribution:
        """Without samples."""
        return cls(np.zeros(len(BOUNDS_NS) + 1, dtype=np.int64))

    @property
    def samples(self) -> int:
        """How many there are."""
        return int(self.counts.sum())

    def add(self, gained: Counts) -> None:
        """Add a histogram of `bench.core.histogram` that has samples."""
        used = np.flatnonzero(gained)
        lowest, highest = lower_edge_ns(int(used[0])), upper_edge_ns(int(used[-1]))
        self.lowest_ns = lowest if self.lowest_ns is None else min(lowest, self.lowest_ns)
        self.highest_ns = highest if self.highest_ns is None else max(highest, self.highest_ns)
        edges = [0, *(bucket + 1 for bucket in BOUND_BUCKETS)]
        self.counts = self.counts + np.add.reduceat(gained, edges)
        # Not np.dot: on arrays of this size it wakes a thread for every core, beside the load.
        self.sum_ns += float((gained[used] * _middles_ns()[used]).sum())


@cache
def _middles_ns() -> NDArray[np.float64]:
    edges = np.array([lower_edge_ns(bucket) for bucket in range(BUCKET_COUNT + 1)], dtype=np.float64)
    return (edges[:-1] + edges[1:] - 1) / 2
