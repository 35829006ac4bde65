"""All histograms of one kind in a run's log as flat arrays: decoded once, then counted in a few steps.

A window's histogram in full takes 270 KB, and a run has thousands. Its buckets in use, ten bytes each, are a
few hundred.
"""

from collections.abc import Callable, Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from bench.core import histogram
from bench.results.logs import Tag, Window


class WindowSamples:
    """The windows of one kind in the order of the log; a window is known by its number."""

    def __init__(self, windows: Iterable[Window]) -> None:
        """Take over `windows`, of which only one is in memory at a time."""
        self.tags: list[Tag] = []
        starts: list[int] = []
        ends: list[int] = []
        buckets: list[NDArray[np.uint16]] = []
        counts: list[NDArray[np.int64]] = []
        for window in windows:
            used = histogram.buckets_in_use(window.counts)
            self.tags.append(window.tag)
            starts.append(window.start_ns)
            ends.append(window.end_ns)
            buckets.append(used.astype(np.uint16))
            counts.append(window.counts[used])
        self.start_ns: NDArray[np.int64] = np.array(starts, dtype=np.int64)
        self.end_ns: NDArray[np.int64] = np.array(ends, dtype=np.int64)
        self._first: NDArray[np.int64] = np.cumsum([0, *map(len, buckets)], dtype=np.int64)
        """Where each window's buckets begin."""
        self._bucket = np.concatenate(buckets) if buckets else np.zeros(0, dtype=np.uint16)
        self._count = np.concatenate(counts) if counts else np.zeros(0, dtype=np.int64)

    def __iter__(self) -> Iterator[Window]:
        """Every window with its counts in full, one at a time."""
        for number, tag in enumerate(self.tags):
            counts = histogram.empty()
            part = slice(self._first[number], self._first[number + 1])
            counts[self._bucket[part]] = self._count[part]
            yield Window(tag, int(self.start_ns[number]), int(self.end_ns[number]), counts)

    def of_tags(self, wanted: Callable[[Tag], bool]) -> NDArray[np.bool_]:
        """Which windows have a tag of that sort."""
        known = {tag: wanted(tag) for tag in set(self.tags)}
        return np.array([known[tag] for tag in self.tags], dtype=np.bool_)

    def samples_from(self, bucket: int = 0) -> NDArray[np.float64]:
        """How many samples of each window lie in this bucket or above it."""
        return self._per_window(np.where(self._bucket >= bucket, self._count, 0))

    def sums_ns(self) -> NDArray[np.float64]:
        """The sum of the samples of each window in ns, by the middles of their buckets."""
        used, place = np.unique(self._bucket, return_inverse=True)
        return self._per_window(self._count * histogram.middles_ns(used)[place])

    def _per_window(self, values: NDArray[np.int64] | NDArray[np.float64]) -> NDArray[np.float64]:
        upto = np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])
        return np.asarray(upto[self._first[1:]] - upto[self._first[:-1]])
