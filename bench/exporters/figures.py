"""The figures of the run in progress: coarse histograms, the buffer that carries windows to an exporter's
thread, and their sums.

The session's thread, which must not wait, only puts what it sees into a CoalescingBuffer; an exporter
takes batches out of it and adds them up in Figures. What is not taken in time is added up, not queued:
histograms by adding, series by keeping the last row. So the buffer stays as small as one window
however slow the reader is, and no count is lost.

Thirty thousand buckets become a few that a metrics system can store. The bounds are 1-2-5 steps, each
moved up to the edge of the HDR bucket in which it lies (by at most 1/1024), so the count at a bound is
exact. Only the sum is made from the middles of buckets, and off by at most 1/2048.
"""

import threading
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from bench.core.answers import ANSWER_SERIES
from bench.core.clock import NS_PER_S, WallLabel
from bench.core.histogram import (
    Counts,
    bucket_of,
    buckets_in_use,
    lower_edge_ns,
    middles_ns,
    upper_edge_ns,
)
from bench.core.messages import Event
from bench.judge.verdict import Verdict
from bench.registry import path_name
from bench.results.logs import Tag
from bench.results.run_record import RunRecord
from bench.run.plugins import WindowView

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
    def empty(cls) -> Self:
        """Without samples."""
        return cls(np.zeros(len(BOUNDS_NS) + 1, dtype=np.int64))

    @property
    def samples(self) -> int:
        """How many there are."""
        return int(self.counts.sum())

    def add(self, gained: Counts) -> None:
        """Add a histogram of `bench.core.histogram` that has samples."""
        used = buckets_in_use(gained)
        lowest, highest = lower_edge_ns(int(used[0])), upper_edge_ns(int(used[-1]))
        self.lowest_ns = lowest if self.lowest_ns is None else min(lowest, self.lowest_ns)
        self.highest_ns = highest if self.highest_ns is None else max(highest, self.highest_ns)
        edges = [0, *(bucket + 1 for bucket in BOUND_BUCKETS)]
        self.counts = self.counts + np.add.reduceat(gained, edges)
        # Not np.dot: on arrays of this size it wakes a thread for every core, beside the load.
        self.sum_ns += float((gained[used] * middles_ns(used)).sum())


MOST_EVENTS = 2_000
"""Kept of one run until they are taken; a kill under load reports every lane that reconnects."""


@dataclass
class Batch:
    """What was seen of one run since the last look; everything but the beginning may come in parts."""

    record: RunRecord | None = None
    zero: WallLabel | None = None
    gains: dict[Tag, Counts] = field(default_factory=dict)
    planned: dict[str, int] = field(default_factory=dict)
    """Arrivals taken from the plan, by workload."""
    answers: dict[tuple[str, str], int] = field(default_factory=dict)
    """What answers brought: by workload and column of series.csv, such as "misses" or "status_3xx"."""
    view: WindowView | None = None
    """The last window: for what is a state and not a sum."""
    events: list[Event] = field(default_factory=list)
    events_lost: int = 0
    path: Path | None = None
    """The run folder, once it is complete."""
    interrupted: bool = False
    verdict: Verdict | None = None


class CoalescingBuffer:
    """An observer that only collects. Safe for one session and one reader in threads of their own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._batches = [Batch()]
        self.is_urgent = threading.Event()
        """Set when a run is judged: that a reader may want to see immediately."""

    def started(self, record: RunRecord, zero: WallLabel) -> None:
        """A run begins; nothing of another is added to it."""
        with self._lock:
            self._batches.append(Batch(record, zero))

    def window(self, view: WindowView) -> None:
        """Add a window to what is not taken yet."""
        with self._lock:
            batch = self._batches[-1]
            for tag, counts in view.gains:
                waiting = batch.gains.get(tag)
                # A window's arrays are never written to again: the first is kept as it is.
                batch.gains[tag] = counts if waiting is None else waiting + counts
            for row in view.series:
                name = row["workload"]
                batch.planned[name] = batch.planned.get(name, 0) + int(row["planned"])
                for column in ANSWER_SERIES:
                    if count := row.get(column):
                        place = (name, column)
                        batch.answers[place] = batch.answers.get(place, 0) + int(count)
            batch.view = view

    def event(self, entry: Event) -> None:
        """Keep an event, as long as there is room."""
        with self._lock:
            batch = self._batches[-1]
            if len(batch.events) < MOST_EVENTS:
                batch.events.append(entry)
            else:
                batch.events_lost += 1

    def ended(self, path: Path, *, interrupted: bool) -> None:
        """The run folder is complete."""
        with self._lock:
            self._batches[-1].path, self._batches[-1].interrupted = path, interrupted

    def judged(self, verdict: Verdict) -> None:
        """The run was judged."""
        with self._lock:
            self._batches[-1].verdict = verdict
        self.is_urgent.set()

    def close(self) -> None:
        """Nothing is held."""

    def take(self) -> list[Batch]:
        """Everything since the last call, oldest first; parts of the present run go on in a new batch."""
        with self._lock:
            taken, self._batches = self._batches, [Batch()]
        return taken


KINDS = ("response", "service")
MANY = ("reconnected",)
"""Kinds of events that come by the hundred; they are counted only."""

MOST_MARKS = 1_000


@dataclass
class Fault:
    """One fault of the run, by its number there."""

    what: str
    target: str
    in_force: bool


@dataclass
class RunFigures:
    """One run, from its beginning to its verdict."""

    record: RunRecord
    zero: WallLabel
    distributions: dict[Tag, Distribution] = field(default_factory=dict)
    """Of the kinds in KINDS. Every ended arrival has one response, so they are the outcomes too."""
    planned: Counter[str] = field(default_factory=Counter)
    answers: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By workload and column of series.csv: "hits", "misses", "status_2xx" ..."""
    view: WindowView | None = None
    faults: dict[int, Fault] = field(default_factory=dict)
    events: Counter[str] = field(default_factory=Counter)
    events_lost: int = 0
    marks: list[Event] = field(default_factory=list)
    """Phases, faults and what else happened, as events.jsonl has them."""
    path: Path | None = None
    interrupted: bool = False
    verdict: Verdict | None = None

    @property
    def scenario(self) -> str:
        """The scenario's name."""
        return self.record.scenario.name

    @property
    def name(self) -> str:
        """The run's name: that of its folder."""
        return self.record.run

    def take(self, batch: Batch) -> None:
        """Add what was seen since the last look."""
        for tag, counts in batch.gains.items():
            if tag.kind in KINDS:
                self.distributions.setdefault(tag, Distribution.empty()).add(counts)
        self.planned.update(batch.planned)
        self.answers.update(batch.answers)
        self.view = batch.view or self.view
        self.events_lost += batch.events_lost
        for mark in batch.events:
            self._event(mark)
        self.path = batch.path or self.path
        self.interrupted |= batch.interrupted
        self.verdict = batch.verdict or self.verdict

    def _event(self, mark: Event) -> None:
        self.events[mark.kind] += 1
        if mark.kind not in MANY and len(self.marks) < MOST_MARKS:
            self.marks.append(mark)
        number = mark.details.get("fault")
        if mark.kind == "fault_effective" and isinstance(number, int):
            client, target = mark.details.get("from"), str(mark.details.get("target"))
            where = path_name(None if client is None else str(client), target)
            self.faults[number] = Fault(str(mark.details.get("what")), where, True)
        elif mark.kind == "fault_healed" and isinstance(number, int) and number in self.faults:
            self.faults[number].in_force = False


class Figures:
    """The present run, and the verdicts of all runs of the session."""

    def __init__(self) -> None:
        self.run: RunFigures | None = None
        self.verdicts: dict[str, Verdict] = {}
        """By scenario, in the order of judging."""

    def take(self, batches: list[Batch]) -> None:
        """Add the batches, oldest first."""
        for batch in batches:
            if batch.record is not None and batch.zero is not None:
                self.run = RunFigures(batch.record, batch.zero)
            if self.run is not None:
                self.run.take(batch)
            if batch.verdict is not None:
                self.verdicts[batch.verdict.scenario] = batch.verdict
