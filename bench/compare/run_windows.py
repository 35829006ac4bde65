"""The histograms of a run, window by window, read once: what resampling needs, kept sparse."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bench.core import histogram

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from bench.results.histogram_log import Tag, Window
    from bench.results.reader import Run

FAILED = frozenset({"error", "timeout", "reset", "refused", "dropped"})


@dataclass(frozen=True)
class Slice:
    """The samples of one tag in one window: the buckets in use and their counts."""

    tag: Tag
    window: int
    buckets: NDArray[np.int64]
    counts: NDArray[np.int64]


class RunWindows:
    """The windows of the measured phases with their samples; a window is known by its place in time."""

    def __init__(self, run: Run) -> None:
        """Read them. Raises ResultError for a damaged run."""
        self._phases = [(p["start_ns"], p["end_ns"]) for p in run.record.get("phases", []) if p["measured"]]
        kept: list[tuple[Window, NDArray[np.int64], NDArray[np.int64]]] = []
        for window in run.windows("response"):
            if window.tag.measured or self._phase_at(window) is not None:
                used = np.flatnonzero(window.counts)
                # Without its counts in full: 180 KB for each of thousands of windows.
                kept.append((_bare(window), used, window.counts[used]))
        starts = sorted({window.start_ns for window, _, _ in kept})
        place = {start: number for number, start in enumerate(starts)}
        self._slices = [
            Slice(window.tag, place[window.start_ns], used, counts) for window, used, counts in kept
        ]
        phases: dict[int, int] = {}
        for window, _, _ in kept:
            found = self._phase_at(window)
            phases[place[window.start_ns]] = len(self._phases) - 1 if found is None else found
        self.phase_of: NDArray[np.int64] = np.array([phases[n] for n in range(len(starts))], dtype=np.int64)
        """The measured phase of each window; what ended after the last one belongs to it."""
        inside = {place[window.start_ns] for window, _, _ in kept if self._phase_at(window) is not None}
        self.is_inside: NDArray[np.bool_] = np.array(
            [n in inside for n in range(len(starts))], dtype=np.bool_
        )
        """Whether the window lies in a measured phase, and not in the drain."""

    @property
    def count(self) -> int:
        """How many windows there are."""
        return len(self.phase_of)

    def histograms(self, wanted: Callable[[Tag], bool]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """The measured samples of the wanted tags: counts of shape (windows, buckets in use), and the upper
        edge of each of these buckets in ns.
        """
        chosen = [one for one in self._slices if one.tag.measured and wanted(one.tag)]
        if not chosen:
            return np.zeros((self.count, 0), dtype=np.int64), np.zeros(0)
        used = np.unique(np.concatenate([one.buckets for one in chosen]))
        counts = np.zeros((self.count, len(used)), dtype=np.int64)
        for one in chosen:
            counts[one.window, np.searchsorted(used, one.buckets)] += one.counts
        edges = np.array([max(1, histogram.upper_edge_ns(int(bucket))) for bucket in used], dtype=np.float64)
        return counts, edges

    def ended(self, wanted: Callable[[Tag], bool]) -> NDArray[np.int64]:
        """How many arrivals of the wanted tags ended in each window, whatever phase they were planned in."""
        totals = np.zeros(self.count, dtype=np.int64)
        for one in self._slices:
            if wanted(one.tag):
                totals[one.window] += int(one.counts.sum())
        return totals

    def _phase_at(self, window: Window) -> int | None:
        middle_ns = (window.start_ns + window.end_ns) / 2
        for number, (start, end) in enumerate(self._phases):
            if start <= middle_ns < end:
                return number
        return None


def _bare(window: Window) -> Window:
    return type(window)(window.tag, window.start_ns, window.end_ns, np.zeros(0, dtype=np.int64))
