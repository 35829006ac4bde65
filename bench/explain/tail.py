"""The tail of a run: how many arrivals of each window took longer than a limit, and what they waited for.

The limit of a workload is that of its rules about response times: of the highest percentile, which is what a
tail is. A run without such a rule is looked at beyond its P99.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bench.core import histogram
from bench.core.outcome import Outcome
from bench.scenario.rules.grammar import Rule, RuleError, parse_rule

if TYPE_CHECKING:
    from bench.core.histogram import Counts
    from bench.results.reader import Run

Series = NDArray[np.float64]
"""One figure for each window."""
TIMES = ("response", "net", "service", "service_net")
KEPT = (Outcome.OK.label, Outcome.ERROR.label, Outcome.DROPPED.label)
OWN_PERCENT = 99.0
LEAST_OF_MEDIAN = 4.0
"""A P99 within so many medians is the body of the times, not a tail: then this is the limit."""


@dataclass(frozen=True)
class Limit:
    """From where on an arrival of a workload belongs to the tail."""

    workload: str
    ns: float
    source: str
    """The rule, or how it was chosen."""
    allowed: float
    """The share of arrivals that may take longer."""


@dataclass(frozen=True)
class OperationTail:
    """One operation of a workload, by window."""

    workload: str
    operation: str
    arrivals: Series
    beyond: Series


@dataclass
class WorkloadTail:
    """One workload, by window. `beyond` counts arrivals that took longer than its limit."""

    limit: Limit
    arrivals: Series
    beyond: dict[str, Series]
    """By the time that is looked at (TIMES)."""
    kept: dict[str, Series]
    """Of these, those that were answered, or dropped for want of a lane: not what was lost otherwise."""
    longest_ns: dict[str, Series]
    operations: list[OperationTail] = field(default_factory=list)
    has_net: bool = False
    """Whether the run knows what its generator added."""

    @property
    def late(self) -> Series:
        """Arrivals that would have kept the limit, had the generator not been late."""
        if not self.has_net:
            return np.zeros_like(self.arrivals)
        return np.maximum(self.beyond["response"] - self.beyond["net"], 0.0)

    @property
    def waited(self) -> Series:
        """Arrivals that would have kept the limit, had a lane been free when they were due."""
        whole, served = ("net", "service_net") if self.has_net else ("response", "service")
        return np.maximum(self.kept[whole] - self.kept[served], 0.0)

    @property
    def waited_for_ordinary_answers(self) -> Series:
        """The same in windows in which no answer took nearly as long: too few lanes, and no stall."""
        whole, served = ("net", "service_net") if self.has_net else ("response", "service")
        is_ordinary = self.longest_ns[served] < self.longest_ns[whole] / 2
        return np.where(is_ordinary, self.waited, 0.0)


@dataclass(frozen=True)
class Tail:
    """All workloads that have a limit; windows in order of time, ns from run zero."""

    starts_ns: NDArray[np.int64]
    ends_ns: NDArray[np.int64]
    workloads: list[WorkloadTail]

    @property
    def windows(self) -> int:
        """How many."""
        return len(self.starts_ns)

    @property
    def arrivals(self) -> Series:
        """Of all workloads, by window."""
        return self._sum(one.arrivals for one in self.workloads)

    @property
    def beyond(self) -> Series:
        """Arrivals of all workloads beyond their limits, by window."""
        return self._sum(one.beyond["response"] for one in self.workloads)

    @property
    def late(self) -> Series:
        """Those that only the generator's lateness put there."""
        return self._sum(one.late for one in self.workloads)

    def touched(self, since_ns: float, until_ns: float) -> NDArray[np.bool_]:
        """The windows that a span of time overlaps."""
        return (self.starts_ns < until_ns) & (self.ends_ns > since_ns)

    def _sum(self, parts: Iterable[Series]) -> Series:
        return sum(parts, np.zeros(self.windows))


def tail_of(run: Run) -> Tail:
    """The tail of a run. Raises ResultError for a damaged run."""
    limits = {limit.workload: limit for limit in limits_of(run)}
    places: dict[tuple[int, int], int] = {}
    cells: dict[tuple[str, str, str, int], tuple[float, ...]] = {}
    for kind in TIMES:
        for window in run.windows(kind, measured=True):
            tag = window.tag
            if tag.workload not in limits or not run.arrives(tag.workload, tag.operation):
                continue
            place = places.setdefault((window.start_ns, window.end_ns), len(places))
            key = (tag.workload, tag.operation, kind, place)
            samples, beyond, longest, kept = cells.get(key, (0.0, 0.0, 0.0, 0.0))
            more = beyond_limit(window.counts, limits[tag.workload].ns)
            cells[key] = (
                samples + float(window.counts.sum()),
                beyond + more,
                max(longest, float(histogram.max_ns(window.counts))),
                kept + (more if tag.outcome in KEPT else 0.0),
            )
    order = sorted(range(len(places)), key=list(places).__getitem__)
    spans = [list(places)[place] for place in order]
    rank = {place: number for number, place in enumerate(order)}
    tails = []
    for name, limit in limits.items():
        operations = list(dict.fromkeys(key[1] for key in cells if key[0] == name))
        if not operations:
            continue

        # By kind, operation and window: samples, those beyond the limit, the longest, those kept.
        figures = np.zeros((len(TIMES), len(operations), len(spans), 4))
        for (workload, operation, kind, place), cell in cells.items():
            if workload == name:
                figures[TIMES.index(kind), operations.index(operation), rank[place]] = cell
        tails.append(
            WorkloadTail(
                limit,
                figures[0, :, :, 0].sum(axis=0),
                {kind: figures[number, :, :, 1].sum(axis=0) for number, kind in enumerate(TIMES)},
                {kind: figures[number, :, :, 3].sum(axis=0) for number, kind in enumerate(TIMES)},
                {kind: figures[number, :, :, 2].max(axis=0) for number, kind in enumerate(TIMES)},
                [
                    OperationTail(name, operation, figures[0, number, :, 0], figures[0, number, :, 1])
                    for number, operation in enumerate(operations)
                ],
                has_net=bool(figures[TIMES.index("net")].any()),
            )
        )
    return Tail(
        np.array([start for start, _ in spans], dtype=np.int64),
        np.array([end for _, end in spans], dtype=np.int64),
        tails,
    )


def beyond_limit(counts: Counts, limit_ns: float) -> float:
    """How many samples lie in buckets wholly above a limit."""
    if limit_ns >= histogram.HIGHEST_NS:
        return 0.0
    return float(counts[histogram.bucket_of(max(0, int(limit_ns))) + 1 :].sum())


def limits_of(run: Run) -> list[Limit]:
    """Of each workload that rules bound, the limit of its highest percentile; without any, P99 of each."""
    ruled = [limit for entry in run.workloads if (limit := _ruled(run, entry.name)) is not None]
    return ruled or [limit for entry in run.workloads if (limit := _own(run, entry.name)) is not None]


def _ruled(run: Run, workload: str) -> Limit | None:
    found: list[Rule] = []
    for text in run.rules:
        try:
            rule = parse_rule(text)
        except RuleError:
            continue  # of another version
        is_of_tail = rule.metric.name in ("response", "response_ok") and rule.op in ("<", "<=")
        if is_of_tail and rule.metric.percent is not None and rule.metric.workload in (None, workload):
            found.append(rule)
    if not found:
        return None
    # Of an operation alone only where nothing is asked of the whole workload.
    best = max(found, key=lambda rule: (rule.metric.operation is None, rule.metric.percent, -rule.limit))
    assert best.metric.percent is not None
    return Limit(workload, best.limit, best.text, 1 - best.metric.percent / 100)


def _own(run: Run, workload: str) -> Limit | None:
    counts = run.histogram("response", workload)
    if not counts.any():
        return None
    median_ns, high_ns = histogram.percentiles_ns(counts, (50.0, OWN_PERCENT))
    floors = run.record.calibration.floor_ns.values()
    candidates = [
        (float(high_ns), f"its P{OWN_PERCENT:g}"),
        (LEAST_OF_MEDIAN * median_ns, f"{LEAST_OF_MEDIAN:g} times its median"),
        (2.0 * max(floors, default=0), "twice the floor of this machine"),
    ]
    limit_ns, source = max(candidates)
    return Limit(workload, limit_ns, source, 1 - OWN_PERCENT / 100)
