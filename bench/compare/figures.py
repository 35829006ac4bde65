"""Every figure of a run that is compared: load, growth of memory, times to recover and to detect.

How far a figure of one run could lie elsewhere is estimated by a moving-block bootstrap over the run's
windows. Neighbouring windows are alike (a stall, a rewrite, a busy neighbour last longer than a
window), so whole blocks of neighbours are drawn, not single windows. Blocks are taken around the end
of a phase (circular), so every window is as likely as any other, and never across phases, whose loads
differ. In every replicate the drawn windows' histograms are added up and the percentile of the sum is
taken: percentiles are never averaged.

Künsch 1989 (the moving-block bootstrap), Politis and Romano 1992 (circular blocks). A block is twice
the cube root of the number of windows: the growth that is right for a standard error, with more than
the least factor, because windows here are much alike. The standard error is widened by sqrt(n / (n -
block)): few blocks make a bootstrap promise too much.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from bench.compare.difference import (
    DETECTION,
    ERRORS,
    MEMORY_GROWTH,
    PERCENTILES,
    RECOVERY,
    THROUGHPUT,
    Estimate,
    Kind,
    Reading,
    Unknown,
    median,
)
from bench.core import histogram
from bench.judge.faults.times import detection, recovery
from bench.judge.guards import SAMPLES_ABOVE, SAMPLES_AT_LEAST
from bench.judge.measures import floor_ns, percent_of, statistic_ns
from bench.judge.observation import KNOWN, NEVER, SLOW, Observation, Repeat, Unmeasurable, tally_of
from bench.judge.resources.growth import by_memory, growth, refuse_restarts, series_of, targets_of, times_of
from bench.results.logs import Tag, Window
from bench.results.reader import Run
from bench.scenario.rules.grammar import Metric
from bench.scenario.rules.metric_facts import DETECTORS, RULE_OF_THREE

REPLICATES = 400
SEED = 71
BLOCK_FACTOR = 2.0
LEAST_WINDOWS = 12
"""Below this there are not enough blocks to draw from."""
LEAST_KNOWN = 0.95
"""Share of the replicates that must have samples."""


def block_length(windows: int) -> int:
    """Windows in a block: 8 of 60."""
    return max(1, min(windows // 2, round(BLOCK_FACTOR * math.cbrt(windows))))


def drawn_windows(phase_of: NDArray[np.int64], seed: int = SEED) -> NDArray[np.float64]:
    """How often each window was drawn in each replicate; shape (REPLICATES, windows).

    `phase_of` has the number of each window's phase, windows in the order of time. Every replicate has as
    many windows of each phase as there are.
    """
    random = np.random.default_rng(seed)
    drawn = np.zeros((REPLICATES, len(phase_of)))
    rows = np.arange(REPLICATES)[:, None]
    for phase in np.unique(phase_of):
        windows = np.flatnonzero(phase_of == phase)
        count = len(windows)
        length = block_length(count)
        blocks = -(-count // length)
        starts = random.integers(0, count, size=(REPLICATES, blocks))
        places = (starts[:, :, None] + np.arange(length)).reshape(REPLICATES, -1)[:, :count] % count
        np.add.at(drawn, (rows, windows[places]), 1)
    return drawn


def percentile_spreads(
    counts: NDArray[np.int64],
    values_ns: NDArray[np.float64],
    drawn: NDArray[np.float64],
    percents: Sequence[float],
) -> list[float | None]:
    """The standard error of the logarithm of each percentile; None where it is not known.

    `counts` has shape (windows, buckets), `values_ns` the value of each bucket in rising order, above 0.
    """
    if len(counts) < LEAST_WINDOWS:
        return [None for _ in percents]
    sums = drawn @ np.cumsum(counts, axis=1, dtype=np.float64)
    totals = sums[:, -1]
    known = totals > 0
    if known.mean() < LEAST_KNOWN:
        return [None for _ in percents]
    logs = np.log(values_ns)
    spreads: list[float | None] = []
    for percent in percents:
        ranks = np.maximum(1, np.ceil(totals[known] * percent / 100 - 1e-9))
        buckets = (sums[known] < ranks[:, None] - 0.5).sum(axis=1)
        spreads.append(float(logs[buckets].std(ddof=1)) * widening(len(counts)))
    return spreads


def sum_spread(counts: NDArray[np.int64], drawn: NDArray[np.float64], extra: float = 0.5) -> float | None:
    """The standard error of log(sum + extra) of a number per window; None where it is not known."""
    if len(counts) < LEAST_WINDOWS:
        return None
    return float(np.log(drawn @ counts.astype(np.float64) + extra).std(ddof=1)) * widening(len(counts))


def widening(windows: int) -> float:
    """What the standard error of so many windows is multiplied by."""
    return math.sqrt(windows / (windows - block_length(windows)))


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
        last = len(run.measured_spans) - 1
        kept: list[tuple[Window, NDArray[np.int64], NDArray[np.int64]]] = []
        for window in run.windows("response"):
            if window.tag.measured or run.measured_phase_of(window) is not None:
                used = histogram.buckets_in_use(window.counts)
                # Without its counts in full: 180 KB for each of thousands of windows.
                kept.append((_bare(window), used, window.counts[used]))
        starts = sorted({window.start_ns for window, _, _ in kept})
        place = {start: number for number, start in enumerate(starts)}
        self._slices = [
            Slice(window.tag, place[window.start_ns], used, counts) for window, used, counts in kept
        ]
        phases: dict[int, int] = {}
        for window, _, _ in kept:
            found = run.measured_phase_of(window)
            phases[place[window.start_ns]] = last if found is None else found
        self.phase_of: NDArray[np.int64] = np.array([phases[n] for n in range(len(starts))], dtype=np.int64)
        """The measured phase of each window; what ended after the last one belongs to it."""
        inside = {
            place[window.start_ns] for window, _, _ in kept if run.measured_phase_of(window) is not None
        }
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


def _bare(window: Window) -> Window:
    return type(window)(window.tag, window.start_ns, window.end_ns, np.zeros(0, dtype=np.int64))


HALF = 0.5
"""Added to counts before a logarithm is taken: a count of 0 has one then."""

Figures = dict[str, tuple[Kind, Reading]]


def load_figures(run: Run) -> Figures:
    """By metric, as rules name it. Raises ResultError for a damaged run."""
    windows = RunWindows(run)
    drawn = drawn_windows(windows.phase_of)
    found: Figures = {}
    for entry in run.workloads:
        name, operations = entry.name, list(entry.operations)
        arriving = [operation for operation in operations if run.arrives(name, operation)]
        found |= _responses(run, windows, drawn, name, None)
        found |= _rates(run, windows, drawn, name)
        for operation in arriving if len(arriving) > 1 else []:
            found |= _responses(run, windows, drawn, name, operation)
        for _, received in run.received(name):
            found |= _responses(run, windows, drawn, name, received)
    return found


def _responses(
    run: Run, windows: RunWindows, drawn: NDArray[np.float64], workload: str, operation: str | None
) -> Figures:
    counts, edges = windows.histograms(lambda tag: run.is_of(tag, workload, operation))
    is_delivery = operation is not None and not run.arrives(workload, operation)
    # The sender's lateness is in its delivery.
    late = run.histogram("late", workload, None if is_delivery else operation)
    where = workload if is_delivery or operation is None else f"{workload}.{operation}"
    what = "end_to_end" if is_delivery else "response"
    cumulated = np.cumsum(counts.sum(axis=0))
    total = int(cumulated[-1]) if len(cumulated) else 0
    spreads = (
        percentile_spreads(counts, edges, drawn, [percent_of(stat) for stat in PERCENTILES])
        if total
        else [None for _ in PERCENTILES]
    )
    found: Figures = {}
    for (stat, kind), spread in zip(PERCENTILES.items(), spreads, strict=True):
        needed = samples_needed(percent_of(stat))
        if total < needed:
            reading: Reading = Unknown(f"needs {needed} samples, had {total}")
        elif spread is None:
            reading = Unknown(f"needs more windows than {windows.count} to tell how it varies")
        else:
            rank = max(1, math.ceil(total * percent_of(stat) / 100 - 1e-9))
            value = float(edges[np.searchsorted(cumulated, rank)])
            lateness = statistic_ns(late, stat) if late.any() else 0.0
            floor = floor_ns(run, "response", stat) or 0.0
            reading = Estimate(value, math.log(value), spread, max(lateness, floor), total)
        found[f"{where}.{what}.{stat}"] = (kind, reading)
    return found


def _rates(run: Run, windows: RunWindows, drawn: NDArray[np.float64], workload: str) -> Figures:
    ok = windows.ended(lambda tag: run.is_of(tag, workload, None) and tag.outcome == "ok") * windows.is_inside
    failed = windows.ended(
        lambda tag: run.is_of(tag, workload, None) and tag.measured and tag.outcome in FAILED
    )
    tally = tally_of(run, (workload,))
    throughput: Reading = Unknown("nothing was planned")
    errors: Reading = Unknown("nothing was planned")
    ok_spread, failed_spread = sum_spread(ok, drawn), sum_spread(failed, drawn)
    if tally.planned >= SAMPLES_AT_LEAST and run.measured_s > 0:
        if ok_spread is None or failed_spread is None:
            errors = throughput = Unknown(f"needs more windows than {windows.count} to tell how it varies")
        else:
            total = int(ok.sum())
            per_s = total / run.measured_s
            place = math.log((total + HALF) / run.measured_s)
            throughput = Estimate(per_s, place, ok_spread, 0.0, tally.planned)
            lost = tally.planned - tally.ok
            place = math.log((lost + HALF) / (tally.planned + 2 * HALF))
            # A count is spread at least as chance spreads it.
            spread = max(failed_spread, 1 / math.sqrt(lost + HALF))
            resolution = RULE_OF_THREE / tally.planned
            errors = Estimate(lost / tally.planned, place, spread, resolution, tally.planned)
    return {f"{workload}.throughput": (THROUGHPUT, throughput), f"{workload}.errors": (ERRORS, errors)}


def samples_needed(percent: float) -> int:
    """So many that ten lie above the percentile, as for a rule."""
    return max(SAMPLES_AT_LEAST, math.ceil(SAMPLES_ABOVE / (1 - percent / 100) - 1e-6))


SPREAD = 0.005
RESOLUTION_BYTES = 4 * 2**20
"""Allocators take and give back memory in such pieces."""


def memory_figures(run: Run) -> dict[str, tuple[Kind, Reading]]:
    """By metric, as rules name it. Raises ResultError for a damaged run."""
    return {
        f"{target}.memory_growth": (MEMORY_GROWTH, _memory_reading(run, target)) for target in targets_of(run)
    }


def _memory_reading(run: Run, target: str) -> Reading:
    times = times_of(run)
    try:
        series = series_of(run, target)
        refuse_restarts(series, times)
        found, name = by_memory(series, lambda column: growth(series, times, column))
    except Unmeasurable as reason:
        return Unknown(reason.because)
    if found.first <= 0 or found.last <= 0:
        return Unknown(f"{target} has no memory by its samples")
    place = math.log(found.last / found.first)
    return Estimate(found.value, place, SPREAD, RESOLUTION_BYTES, found.samples, basis=name)


STAMPS = ("recovery.first", "recovery.stable")
ASSUMED_REPEATS = 4
LEAST_NS = 1_000_000.0
"""No stamp of a fault is compared below a millisecond; and of 0 there is no logarithm."""
REPEAT_SPREAD = {"recovery": 0.15, "detection": 0.4}
"""Standard deviation of single repeats on the logarithmic scale, until enough of them show it."""


def fault_figures(run: Run) -> dict[str, tuple[Kind, Reading]]:
    """By metric, as rules name it; empty for a run without faults."""
    if not run.record.faults:
        return {}
    found: dict[str, tuple[Kind, Reading]] = {}
    for entry in run.workloads:
        for stamp in STAMPS:
            metric = Metric((entry.name,), stamp)
            found[str(metric)] = (RECOVERY, _fault_reading(run, metric))
    seen = {one.detector for one in run.record.detections}
    for detector in DETECTORS:
        if detector in seen:
            metric = Metric((), f"detection.{detector}")
            found[str(metric)] = (DETECTION, _fault_reading(run, metric))
    return found


def _fault_reading(run: Run, metric: Metric) -> Reading:
    family = metric.name.partition(".")[0]
    try:
        seen: Observation = (recovery if family == "recovery" else detection)(run, metric)
    except Unmeasurable as reason:
        return Unknown(reason.because)
    repeats: tuple[Repeat, ...] = seen.repeats or ()
    if any(repeat.kind in (NEVER, SLOW) for repeat in repeats):
        return Estimate(math.inf, math.inf, 0.0, 0.0, len(repeats), never=True)
    values = [float(repeat.value) for repeat in repeats if repeat.kind == KNOWN]
    if not values:
        return Unknown("it was cut short in every repeat")
    places = [math.log(max(value, LEAST_NS)) for value in values]
    middle = fmean(places)
    scatter = sum((place - middle) ** 2 for place in places)
    freedom = ASSUMED_REPEATS + len(values) - 1
    single = (ASSUMED_REPEATS * REPEAT_SPREAD[family] ** 2 + scatter) / freedom
    return Estimate(median(values), middle, math.sqrt(single / len(values)), _resolution(run), len(values))


def _resolution(run: Run) -> float:
    """How well the edges of an outage are known: between two arrivals, and when the fault took effect."""
    gaps = [float(entry.resolution_ns or 0) for entry in run.record.recoveries]
    doubts = [float(fault.uncertainty_ns or 0) for fault in run.record.faults]
    return max([LEAST_NS, *gaps, *doubts])


def figures(run: Run) -> dict[str, tuple[Kind, Reading]]:
    """In the order of a report. Raises ResultError for a damaged run."""
    return {**load_figures(run), **memory_figures(run), **fault_figures(run)}
