"""The tail of a run: how many arrivals of each window took longer than a limit, and what they waited for.

The limit of a workload is that of its rules about response times: of the highest percentile, which is what a
tail is. A run without such a rule is looked at beyond its P99.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
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
Span = tuple[int, int]
TIMES = ("response", "net", "service", "service_net")
KEPT = (Outcome.OK.label, Outcome.ERROR.label, Outcome.DROPPED.label)
HELD_UP = "generator_run_delay_ratio"
"""A column of series.csv."""
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
    service_ns: float = 0.0
    """The median of what it took from its send; 0 where it is unknown."""


@dataclass
class WorkloadTail:
    """One workload, by window. `beyond` counts arrivals that took longer than its limit."""

    limit: Limit
    ends_ns: NDArray[np.int64]
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
        return np.where(
            self._were_ordinary(self.longest_ns[whole], self.longest_ns[served]), self.waited, 0.0
        )

    def _were_ordinary(self, whole_ns: Series, served_ns: Series) -> NDArray[np.bool_]:
        """Whether no answer, for as long as the longest arrival of a window had waited, took half as long."""
        spans = enumerate(_during(self.ends_ns, whole_ns))
        longest_ns = [served_ns[during].max(initial=0.0) for _, during in spans]
        return np.array(longest_ns) < whole_ns / 2

    def was_held_up(self, held_ns: Series) -> NDArray[np.bool_]:
        """Whether its generator wanted a processor for half of what it was late by; `held_ns`: by window."""
        late_ns = self.longest_ns["response"] - self.longest_ns["net"]
        spans = enumerate(_during(self.ends_ns, self.longest_ns["response"]))
        return np.array(
            [held_ns[during].sum() >= late_ns[number] / 2 for number, during in spans], dtype=bool
        )


@dataclass(frozen=True)
class Tail:
    """All workloads that have a limit; windows in order of time, ns from run zero."""

    starts_ns: NDArray[np.int64]
    ends_ns: NDArray[np.int64]
    workloads: list[WorkloadTail]
    held_ns: Series | None = None
    """How long the generator was ready to run without a processor; None where the run does not know."""

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


def _during(ends_ns: NDArray[np.int64], waited_ns: Series) -> Iterator[NDArray[np.bool_]]:
    """For each window the windows in which those waited that it saw end: itself, and some before it."""
    for number, longest_ns in enumerate(waited_ns):
        is_before = np.arange(len(ends_ns)) <= number
        yield is_before & (ends_ns >= ends_ns[number] - longest_ns)


def tail_of(run: Run) -> Tail:
    """The tail of a run. Raises ResultError for a damaged run."""
    limits = {limit.workload: limit for limit in limits_of(run)}
    cells: dict[tuple[str, str, str, Span], tuple[float, ...]] = {}
    served: dict[tuple[str, str], Counts] = {}
    for kind in TIMES:
        for window in run.windows(kind, measured=True):
            tag = window.tag
            if tag.workload not in limits or not run.arrives(tag.workload, tag.operation):
                continue
            key = (tag.workload, tag.operation, kind, (window.start_ns, window.end_ns))
            if kind == "service":
                served[tag.workload, tag.operation] = served.get(key[:2], 0) + window.counts
            samples, beyond, longest, kept = cells.get(key, (0.0, 0.0, 0.0, 0.0))
            more = beyond_limit(window.counts, limits[tag.workload].ns)
            cells[key] = (
                samples + float(window.counts.sum()),
                beyond + more,
                max(longest, float(histogram.max_ns(window.counts))),
                kept + (more if tag.outcome in KEPT else 0.0),
            )
    rows = [(_span_of(row), row) for row in run.series()] if cells else []
    spans = _all_windows({span for _, _, _, span in cells}, [span for span, _ in rows])
    places = {span: number for number, span in enumerate(spans)}
    ends_ns = np.array([end for _, end in spans], dtype=np.int64)
    tails = []
    for name, limit in limits.items():
        operations = list(dict.fromkeys(key[1] for key in cells if key[0] == name))
        if not operations:
            continue

        # By kind, operation and window: samples, those beyond the limit, the longest, those kept.
        figures = np.zeros((len(TIMES), len(operations), len(spans), 4))
        for (workload, operation, kind, span), cell in cells.items():
            if workload == name:
                figures[TIMES.index(kind), operations.index(operation), places[span]] = cell
        tails.append(
            WorkloadTail(
                limit,
                ends_ns,
                figures[0, :, :, 0].sum(axis=0),
                {kind: figures[number, :, :, 1].sum(axis=0) for number, kind in enumerate(TIMES)},
                {kind: figures[number, :, :, 3].sum(axis=0) for number, kind in enumerate(TIMES)},
                {kind: figures[number, :, :, 2].max(axis=0) for number, kind in enumerate(TIMES)},
                [
                    OperationTail(
                        name,
                        operation,
                        figures[0, number, :, 0],
                        figures[0, number, :, 1],
                        _median_ns(served.get((name, operation))),
                    )
                    for number, operation in enumerate(operations)
                ],
                has_net=bool(figures[TIMES.index("net")].any()),
            )
        )
    return Tail(
        np.array([start for start, _ in spans], dtype=np.int64),
        ends_ns,
        tails,
        _held_up(rows, places),
    )


def _span_of(row: Mapping[str, float | str | None]) -> Span:
    start, end = row.get("start_ns"), row.get("end_ns")
    return (int(start), int(end)) if isinstance(start, float) and isinstance(end, float) else (0, 0)


def _all_windows(spans: set[Span], recorded: Iterable[Span]) -> list[Span]:
    """The windows that have samples, and those between them in which nothing ended."""
    if not spans:
        return []
    first, last = min(spans)[0], max(spans)[1]
    return sorted(spans | {(start, end) for start, end in recorded if first <= start < end <= last})


def _held_up(
    rows: Iterable[tuple[Span, Mapping[str, float | str | None]]], places: Mapping[Span, int]
) -> Series | None:
    """By window, how long the engine thread that suffered most waited for a processor."""
    found = np.zeros(len(places))
    is_known = False
    for (start, end), row in rows:
        ratio = row.get(HELD_UP)
        if isinstance(ratio, float) and (start, end) in places:
            is_known = True
            place = places[start, end]
            found[place] = max(found[place], ratio * (end - start))
    return found if is_known else None


def _median_ns(counts: Counts | None) -> float:
    return 0.0 if counts is None or not counts.any() else float(histogram.percentile_ns(counts, 50.0))


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
        is_of_tail = is_of_tail and rule.sustained_ns is None  # its limit is one of a stretch
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
