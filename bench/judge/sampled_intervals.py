"""Intervals of what many samples say: percentiles, shares, throughput. 95 %, by slices of the run.

Response times that follow each other are alike: a stall delays all that wait behind it. Samples are
therefore not counted as independent. The measured time is cut into slices of about equal length, and how
much they differ says what the samples are worth (the design effect; Kish 1965). A percentile's interval is
the interval of the share of samples at or below it, read back at the distribution (Woodruff 1952). A
share's is Wilson's (1927) for the effective number of samples. The quantile of Student's t is the expansion
26.7.5 of Abramowitz and Stegun.
"""

import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from bench.core import histogram
from bench.core.clock import NS_PER_S
from bench.judge.measures import LATENCIES, observe
from bench.judge.observation import tally_of
from bench.results.logs import Window
from bench.results.reader import Run
from bench.scenario.rules.grammar import Metric
from bench.statistics.shares import Z, design_effect, t_quantile, wilson

Figures = NDArray[np.float64]
MOST_SLICES = 30
"""Few, so that what lasts longer than a window of the run is mostly inside one."""
LEAST_SLICES = 10
"""Fewer say too little about how much they differ."""


class Slices:
    """The measured time of a run in pieces of about equal length: as many as it has windows, 30 at most.

    Each piece is whole windows: one that cut a window in two would differ from its neighbours by that alone.
    """

    def __init__(self, run: Run) -> None:
        self._spans = run.measured_spans
        total_ns = sum(end - start for start, end in self._spans)
        ends_ns = {end for window in run.windows("response") if (end := self._end_ns(window)) is not None}
        self._edges_ns = _edges(sorted(ends_ns), total_ns)
        self.count = len(self._edges_ns)
        self.lengths_s = np.diff([0, *self._edges_ns]) / NS_PER_S
        """Of each slice, in seconds."""

    def of(self, window: Window) -> int | None:
        """The number of the slice in which a window has its middle; None outside the measured time."""
        offset_ns = self._offset_ns(window)
        return None if offset_ns is None else bisect_right(self._edges_ns, offset_ns)

    def _offset_ns(self, window: Window) -> float | None:
        """Where the middle of a window lies in the measured time, its phases put together."""
        middle_ns = (window.start_ns + window.end_ns) / 2
        before_ns = 0
        for start, end in self._spans:
            if start <= middle_ns < end:
                return before_ns + middle_ns - start
            before_ns += end - start
        return None

    def _end_ns(self, window: Window) -> int | None:
        """Where a window ends in the measured time; None for one outside it."""
        middle_ns = self._offset_ns(window)
        if middle_ns is None:
            return None
        total_ns = sum(end - start for start, end in self._spans)
        return min(round(middle_ns + (window.end_ns - window.start_ns) / 2), total_ns)


@lru_cache(maxsize=1)
def slices_of(run: Run) -> Slices:
    """The slices of a run; its rules are judged one after the other, and finding them reads the whole log."""
    return Slices(run)


def _edges(ends_ns: Sequence[int], total_ns: int) -> list[int]:
    """The ends of the slices: even steps, each moved to the nearest end of a window, if one is near."""
    count = min(MOST_SLICES, len(ends_ns))
    edges = {total_ns} if count else set()
    for number in range(1, count):
        even_ns = total_ns * number // count
        place = bisect_right(ends_ns, even_ns)
        near_ns = min(ends_ns[max(0, place - 1) : place + 1], key=lambda end: abs(end - even_ns))
        # Where nothing ended for longer than a slice there is no window to keep whole.
        edges.add(near_ns if abs(near_ns - even_ns) * count <= total_ns else even_ns)
    return sorted(edges)


def percentile_interval(run: Run, metric: Metric, percent: float) -> tuple[int, int, bool]:
    """Lower and upper bound in ns, and whether there were enough slices to tell.

    The upper bound is the greatest sample where the interval reaches beyond all of them.
    Raises ValueError for no samples, ResultError for a damaged run.
    """
    total = observe(run, metric).counts  # read once for all rules, unlike the windows below
    assert total is not None
    bucket = histogram.bucket_of(histogram.percentile_ns(total, percent))
    slices = slices_of(run)
    clusters = [[0, 0] for _ in range(slices.count)]
    for window in _latency_windows(run, metric):
        place = slices.of(window)
        if place is not None:  # what was measured and ended in the drain belongs to no slice
            clusters[place][0] += int(window.counts[: bucket + 1].sum())
            clusters[place][1] += int(window.counts.sum())
    share, samples = percent / 100, int(total.sum())
    variance = share * (1 - share) / samples
    by_slices = slices.count >= LEAST_SLICES
    reach = Z
    if by_slices:
        variance *= design_effect(clusters, share)
        reach = t_quantile(slices.count - 1, 0.975)
    half = reach * math.sqrt(variance)
    low, high = 100 * (share - half), 100 * (share + half)
    return (
        histogram.percentile_ns(total, max(low, 0.0)),
        histogram.percentile_ns(total, high) if high < 100 else histogram.max_ns(total),
        by_slices,
    )


def share_interval(run: Run, metric: Metric) -> tuple[int, int, float, float]:
    """Arrivals that did not end OK, arrivals planned, and the bounds of the share that did not."""
    tally = tally_of(run, metric.scope)
    failed, planned = tally.planned - tally.ok, tally.planned
    if planned == 0:
        return 0, 0, 0.0, 1.0
    if failed == 0:
        return 0, planned, 0.0, min(1.0, 3 / planned)
    slices = slices_of(run)
    clusters = [[0, 0] for _ in range(slices.count)]
    for window in run.windows("response", measured=True):
        place = slices.of(window)
        if place is not None and run.is_of(window.tag, metric.workload, metric.operation):
            samples = int(window.counts.sum())
            clusters[place][0] += samples if window.tag.outcome != "ok" else 0
            clusters[place][1] += samples
    share = failed / planned
    effect = design_effect(clusters, share) if slices.count >= LEAST_SLICES else 1.0
    return failed, planned, *wilson(share, planned / effect)


def throughput_interval(run: Run, metric: Metric) -> tuple[float, float] | None:
    """The bounds of OK arrivals per second, from the slices' rates; None for too few slices."""
    slices = slices_of(run)
    if slices.count < LEAST_SLICES:
        return None
    done = np.zeros(slices.count)
    for window in run.windows("response"):
        place = slices.of(window)
        is_done = window.tag.outcome == "ok" and run.is_of(window.tag, metric.workload, metric.operation)
        if place is not None and is_done:
            done[place] += int(window.counts.sum())
    return _ratio_interval(done, slices.lengths_s)


def mean_interval(run: Run, metric: Metric) -> tuple[float, float] | None:
    """The bounds of the mean of a latency in ns, from the slices' means; None for too few slices."""
    slices = slices_of(run)
    if slices.count < LEAST_SLICES:
        return None
    sums, samples = np.zeros(slices.count), np.zeros(slices.count)
    for window in _latency_windows(run, metric):
        place = slices.of(window)
        if place is not None and (count := int(window.counts.sum())):
            sums[place] += histogram.mean_ns(window.counts) * count
            samples[place] += count
    return _ratio_interval(sums, samples) if samples.sum() else None


def _ratio_interval(having: Figures, sizes: Figures) -> tuple[float, float]:
    """The bounds of sum / size, from slices that are not all of one size (Cochran 1977, 6.4)."""
    count, total = len(sizes), float(sizes.sum())
    ratio = float(having.sum()) / total
    residuals = float(np.square(having - ratio * sizes).sum())
    half = t_quantile(count - 1, 0.975) * math.sqrt(count / (count - 1) * residuals) / total
    return max(0.0, ratio - half), ratio + half


def _latency_windows(run: Run, metric: Metric) -> Iterator[Window]:
    """The measured windows of a latency metric, as `Run.histogram` would add them up."""
    kind, outcomes = LATENCIES[metric.name]
    is_end_to_end = metric.name == "end_to_end"
    for window in run.windows(kind, measured=True):
        tag = window.tag
        if metric.workload not in (None, tag.workload) or (outcomes and tag.outcome not in outcomes):
            continue
        if tag.operation == metric.operation or (
            metric.operation is None and run.arrives(tag.workload, tag.operation) != is_end_to_end
        ):
            yield window
