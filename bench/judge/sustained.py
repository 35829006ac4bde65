"""Sustained rules, such as `errors < 5% for 10s`: broken by 10 s in a row of which every window breaks them.

A rule of that kind has a level: the worst value that was kept for its duration, by any of the run's
stretches. Of P95 it is the highest that no window of some 10 s stayed below. The rule holds where its limit
holds for that level, and the same goes for its warning level. What was kept was there, so no confidence is
needed; but a stretch with too few arrivals says nothing.

Arrivals count in the window in which they were planned (`bench.judge.planned_time`), throughput where it was
done, resources where they were used. A window without any arrival neither breaks a rule nor ends a stretch
of others that do. Time between measured phases ends it.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bench.core import histogram, units
from bench.core.clock import NS_PER_S
from bench.core.outcome import OUTCOMES, Outcome
from bench.judge import external
from bench.judge.measures import LATENCIES, NETS, check_scope, statistic_ns
from bench.judge.observation import Observation, Tally, Unmeasurable, tally_of
from bench.judge.planned_time import ends_by_plan, grid_of, samples_by_plan
from bench.judge.resources.growth import by_memory, growth, series_of, times_of
from bench.judge.resources.measures import machine_cores, sources_of
from bench.judge.windowed import is_of_latency

if TYPE_CHECKING:
    from bench.results.reader import Run
    from bench.scenario.rules.grammar import Metric, Rule

Figures = NDArray[np.float64]
LOWER_IS_BETTER = ("<", "<=")
NS_OF_ROUNDING = 1_000
"""Ten windows of a tenth of a second are a second."""


@dataclass(frozen=True)
class Stretch:
    """Windows in a row: the first, the one after the last, and the value that all of them kept."""

    first: int
    end: int
    value: float


@dataclass(frozen=True)
class Slices:
    """What each window of the plan shows; in the order of time."""

    starts_ns: NDArray[np.int64]
    ends_ns: NDArray[np.int64]
    values: Figures
    """NaN where a window shows nothing."""

    def worst(self, length_ns: int, op: str) -> Stretch | None:
        """The stretch of at least that length that kept the worst value; None where no value is known."""
        sign = 1.0 if op in LOWER_IS_BETTER else -1.0
        found: Stretch | None = None
        for first, end in self._blocks():
            for one in self._kept(first, end, length_ns, sign):
                if found is None or sign * one.value > sign * found.value:
                    found = one
        return found

    def longest(self, breaks: Callable[[float], bool]) -> tuple[int, int] | None:
        """From when to when it was broken for longest, ns from run zero; None where it never was."""
        found: tuple[int, int] | None = None
        for first, end in self._blocks():
            begin = last = None
            for window in range(first, end):
                if math.isnan(self.values[window]):
                    continue
                if not breaks(float(self.values[window])):
                    begin = None
                    continue
                begin, last = (window if begin is None else begin), window
                span = int(self.starts_ns[begin]), int(self.ends_ns[last])
                if found is None or span[1] - span[0] > found[1] - found[0]:
                    found = span
        return found

    def _blocks(self) -> Iterable[tuple[int, int]]:
        """Windows that follow each other without a gap: the first, and the one after the last."""
        if not len(self.starts_ns):
            return ()
        cuts = np.flatnonzero(self.starts_ns[1:] != self.ends_ns[:-1]) + 1
        edges = [0, *map(int, cuts), len(self.starts_ns)]
        return pairwise(edges)

    def _kept(self, first: int, end: int, length_ns: int, sign: float) -> Iterable[Stretch]:
        """Of each shortest stretch that is long enough the value that all its windows kept."""
        best: deque[tuple[int, float]] = deque()
        begin = first
        for window in range(first, end):
            value = sign * float(self.values[window])
            if not math.isnan(value):
                while best and best[-1][1] >= value:
                    best.pop()
                best.append((window, value))
            while begin < window and self._reaches(begin + 1, window, length_ns):
                begin += 1
            while best and best[0][0] < begin:
                best.popleft()
            if best and self._reaches(begin, window, length_ns):
                yield Stretch(begin, window + 1, sign * best[0][1])

    def _reaches(self, first: int, last: int, length_ns: int) -> bool:
        return int(self.ends_ns[last] - self.starts_ns[first]) + NS_OF_ROUNDING >= length_ns


def observe_sustained(run: Run, rule: Rule) -> Observation:
    """The worst level that was kept for the rule's duration. Raises Unmeasurable, ResultError."""
    assert rule.sustained_ns is not None
    name = rule.metric.name
    if name in RESOURCES:
        return RESOURCES[name](run, rule)
    if name.startswith(external.PREFIX):
        stretch, seen = _worst(run, values := external.answers_by_window(run, rule.metric), rule)
        return replace(seen, samples=int(np.count_nonzero(~np.isnan(values[stretch.first : stretch.end]))))
    check_scope(run, rule.metric)
    if name in LATENCIES:
        return _latency(run, rule)
    if name == "errors":
        return _errors(run, rule)
    if name == "throughput":
        return _throughput(run, rule)
    raise Unmeasurable(f"{name} is not known for each window", "remove for and its duration from the rule")


LONGER = "measure longer, raise the rate, or ask for a shorter time after for"


def _worst(run: Run, values: Figures, rule: Rule) -> tuple[Stretch, Observation]:
    """The worst stretch, and what is to be said of it. Raises Unmeasurable."""
    assert rule.sustained_ns is not None
    slices = Slices(*grid_of(run), values)
    found = slices.worst(rule.sustained_ns, rule.op)
    is_quick = run.record.plan.quick
    length = units.format_duration_ns(rule.sustained_ns)
    if found is None:
        raise Unmeasurable(
            f"no {length} in a row show anything of {rule.metric!s}",
            "run it in its standard form, without --quick" if is_quick else LONGER,
        )
    span = int(slices.starts_ns[found.first]), int(slices.ends_ns[found.end - 1])
    begin, end = (units.format_duration_ns(at) for at in span)
    level = units.format_quantity(found.value, rule.unit)
    least = "at least" if rule.op in LOWER_IS_BETTER else "at most"
    basis = f"its worst {length} in a row are those from {begin} to {end}: {least} {level} in each window"
    broken = slices.longest(lambda value: not rule.holds(value))
    if broken is not None:
        lasted, at = (units.format_duration_ns(ns) for ns in (broken[1] - broken[0], broken[0]))
        basis += f"; it broke {rule.written.limit} for {lasted} in a row at the longest, from {at} on"
    return found, Observation(found.value, rule.unit, 1, basis=basis, span=span)


def _errors(run: Run, rule: Rule) -> Observation:
    scope = rule.metric.scope
    ends = ends_by_plan(run, scope, tally_of(run, scope).planned)
    planned = ends.sum(axis=0)
    lost = np.where(planned > 0, (planned - ends[Outcome.OK]) / np.maximum(planned, 1), np.nan)
    stretch, seen = _worst(run, lost, rule)
    part = ends[:, stretch.first : stretch.end].sum(axis=1)
    tally = Tally(int(part.sum()), {one.label: int(part[one]) for one in OUTCOMES})
    return replace(seen, samples=tally.planned, tally=tally)


def _throughput(run: Run, rule: Rule) -> Observation:
    """Completed OK in each window per second of it."""
    samples, metric = run.samples("response"), rule.metric
    starts, ends = grid_of(run)
    chosen = samples.of_tags(
        lambda tag: tag.outcome == "ok" and run.is_of(tag, metric.workload, metric.operation)
    )
    middles = (samples.start_ns + samples.end_ns) // 2
    place = np.searchsorted(starts, middles, "right") - 1
    chosen &= (place >= 0) & (middles < ends[np.maximum(place, 0)])
    done = np.bincount(place[chosen], weights=samples.samples_from()[chosen], minlength=len(starts))
    _, seen = _worst(run, done / ((ends - starts) / NS_PER_S), rule)
    return replace(seen, samples=tally_of(run, metric.scope).planned)


def _latency(run: Run, rule: Rule) -> Observation:
    kind, _ = LATENCIES[rule.metric.name]
    by_window = _histograms(run, rule.metric, kind)
    stretch, seen = _worst(run, _statistics(run, rule, by_window), rule)
    inside = [by_window[window] for window in range(stretch.first, stretch.end) if window in by_window]
    counts = sum(inside, histogram.empty())
    net = _net(run, rule)
    return replace(seen, samples=int(counts.sum()), counts=counts, net=net)


def _net(run: Run, rule: Rule) -> float | None:
    """The worst level without the generator's own lateness; None where that is not recorded."""
    kind = NETS.get(LATENCIES[rule.metric.name][0])
    by_window = _histograms(run, rule.metric, kind) if kind else {}
    assert rule.sustained_ns is not None
    found = Slices(*grid_of(run), _statistics(run, rule, by_window)).worst(rule.sustained_ns, rule.op)
    return found.value if found else None


def _histograms(run: Run, metric: Metric, kind: str) -> dict[int, histogram.Counts]:
    """By number of the window, those that have samples."""
    window, bucket, count = samples_by_plan(run, kind, is_of_latency(run, metric))
    found: dict[int, histogram.Counts] = {}
    for number in np.unique(window):
        counts, mine = histogram.empty(), window == number
        np.add.at(counts, bucket[mine], count[mine])
        found[int(number)] = counts
    return found


def _statistics(run: Run, rule: Rule, by_window: dict[int, histogram.Counts]) -> Figures:
    values = np.full(len(grid_of(run)[0]), np.nan)
    for window, counts in by_window.items():
        values[window] = statistic_ns(counts, rule.metric.stat or "p95")
    return values


def _cpu(run: Run, rule: Rule) -> Observation:
    """Of a source alone the share of what it may use, of several together that of the machine."""
    sources = sources_of(run, rule.metric)
    used: list[Figures] = []
    limits: list[float] = []
    for source in sources:
        cores_used, cores = _cores_used(run, source)
        used.append(cores_used)
        limits.append(cores)
    is_one = len(sources) == 1 and bool(rule.metric.scope)
    cores = limits[0] if is_one else machine_cores(run) or max(limits)
    share = np.minimum(np.sum(used, axis=0) / cores, 1.0)
    return _worst(run, share, rule)[1]


def _cores_used(run: Run, source: str) -> tuple[Figures, float]:
    """By window, NaN where it was not sampled or was another process by then; and how many it may use."""
    series = series_of(run, source)
    at_ns, used_s = series.known("cpu_s")
    starts, ends = grid_of(run)
    if len(at_ns) < 2:
        raise Unmeasurable(
            f"the CPU of {source} is not known: its processes are not on this machine, or not known",
            "judge machine.cpu where it runs on this machine, or let the stack start it",
        )
    used = np.interp(ends, at_ns, used_s) - np.interp(starts, at_ns, used_s)
    cores_used = used / ((ends - starts) / NS_PER_S)
    unknown = (ends < at_ns[0]) | (starts > at_ns[-1])
    pid_at_ns, pids = series.known("pid")
    for changed in pid_at_ns[1:][pids[1:] != pids[:-1]]:
        before = pid_at_ns[np.searchsorted(pid_at_ns, changed) - 1]
        unknown |= (starts < changed) & (ends > before)
    _, cores = series.known("cores")
    return np.where(unknown, np.nan, cores_used), float(cores[-1]) if len(cores) else 1.0


def _memory_growth(run: Run, rule: Rule) -> Observation:
    """What each window had more than there was after warm-up; of several sources the one that kept most."""
    found: list[Observation] = []
    missing: Unmeasurable | None = None
    for source in sources_of(run, rule.metric):
        try:
            found.append(_worst(run, _grown(run, source), rule)[1])
        except Unmeasurable as reason:
            missing = missing or reason
    if not found:
        assert missing is not None
        raise missing
    pick = max if rule.op in LOWER_IS_BETTER else min
    return replace(pick(found, key=lambda seen: seen.value), missing=missing)


def _grown(run: Run, source: str) -> Figures:
    series, times = series_of(run, source), times_of(run)
    starts, ends = grid_of(run)

    def by_window(column: str) -> Figures:
        base = growth(series, times, column).first
        at_ns, values = series.known(column)
        first, last = np.searchsorted(at_ns, starts), np.searchsorted(at_ns, ends)
        upto = np.concatenate([[0.0], np.cumsum(values)])
        many = last - first
        return np.where(many > 0, (upto[last] - upto[first]) / np.maximum(many, 1) - base, np.nan)

    return by_memory(series, by_window)[0]


RESOURCES: dict[str, Callable[[Run, Rule], Observation]] = {"cpu": _cpu, "memory_growth": _memory_growth}
