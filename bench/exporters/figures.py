"""What is known of the run in progress: batches of the inbox, added up. Used by one thread."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bench.exporters.buckets import Distribution

if TYPE_CHECKING:
    from pathlib import Path

    from bench.core.clock import WallLabel
    from bench.exporters.buffer import Batch
    from bench.judge.verdict import Verdict
    from bench.results.histogram_log import Tag
    from bench.run.observers import WindowView

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

    record: dict[str, Any]
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
    marks: list[dict[str, Any]] = field(default_factory=list)
    """Phases, faults and what else happened, as events.jsonl has them."""
    path: Path | None = None
    interrupted: bool = False
    verdict: Verdict | None = None

    @property
    def scenario(self) -> str:
        """The scenario's name."""
        return str(self.record["scenario"]["name"])

    @property
    def name(self) -> str:
        """The run's name: that of its folder."""
        return str(self.record["run"])

    def take(self, batch: Batch) -> None:
        """Add what was seen since the last look."""
        for tag, counts in batch.gains.items():
            if tag.kind in KINDS:
                self.distributions.setdefault(tag, Distribution.empty()).add(counts)
        self.planned.update(batch.planned)
        self.answers.update(batch.answers)
        self.view = batch.view or self.view
        self.events_lost += batch.events_lost
        for entry in batch.events:
            self._event(entry)
        self.path = batch.path or self.path
        self.interrupted |= batch.interrupted
        self.verdict = batch.verdict or self.verdict

    def _event(self, entry: dict[str, Any]) -> None:
        kind = str(entry["kind"])
        self.events[kind] += 1
        if kind not in MANY and len(self.marks) < MOST_MARKS:
            self.marks.append(entry)
        number = entry.get("fault")
        if kind == "fault_effective":
            self.faults[int(entry["fault"])] = Fault(str(entry.get("what")), str(entry.get("target")), True)
        elif kind == "fault_healed" and number in self.faults:
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
