"""Watches what ends a run early: rules by each window as it ends, targets by asking them beside the load.

A rule holds for its duration when every window of so long a time in a row satisfies it. A window in which
nothing ended says nothing of times and errors: it neither satisfies a rule nor ends such a time.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.core import histogram, units
from bench.core.clock import NS_PER_S, monotonic_ns
from bench.core.errors import TargetError
from bench.core.threads import Work
from bench.judge.measures import LATENCIES, statistic_ns
from bench.judge.sustained import NS_OF_ROUNDING
from bench.results.run_record import StoppedRecord
from bench.scenario.rules.grammar import Rule, parse_rule
from bench.stack.probes.health import ask

if TYPE_CHECKING:
    from bench.plan.plan import Plan
    from bench.results.logs import Tag
    from bench.run.plugins import WindowView
    from bench.scenario.model import Scenario
    from bench.scenario.stop_conditions import StopEntry
    from bench.stack.target import Target

LOOK_S = 0.25
"""Between two questions to a target, and the longest that one may take is four times that."""


class StopConditions:
    """All of one run; the first that holds is the reason."""

    def __init__(self, scenario: Scenario, plan: Plan, targets: Mapping[str, Target]) -> None:
        self._rules = [
            _RuleWatch(parse_rule(entry.rule), plan) for entry in scenario.stop_when if entry.rule is not None
        ]
        self._targets = [
            _TargetWatch(entry, targets[entry.down]) for entry in scenario.stop_when if entry.down is not None
        ]

    def __bool__(self) -> bool:
        return bool(self._rules or self._targets)

    def begin(self, start_ns: int) -> None:
        """Run zero is at start_ns."""
        for watch in self._targets:
            watch.begin(start_ns)

    def look(self, view: WindowView) -> StoppedRecord | None:
        """What holds at the end of a window; asked once for each, in order."""
        found = [watch.look(view) for watch in self._rules]
        found += [watch.look(view) for watch in self._targets]
        return next((one for one in found if one is not None), None)

    def close(self) -> None:
        """Ask nobody any more."""
        for watch in self._targets:
            watch.close()


@dataclass
class _RuleWatch:
    rule: Rule
    plan: Plan
    since_ns: int | None = None
    """From when on every window that says anything has satisfied the rule."""

    def look(self, view: WindowView) -> StoppedRecord | None:
        value = self._value(view)
        if value is None:
            return None
        if not self.rule.holds(value):
            self.since_ns = None
            return None
        self.since_ns = view.start_ns if self.since_ns is None else self.since_ns
        if view.end_ns - self.since_ns + NS_OF_ROUNDING < (self.rule.sustained_ns or 0):
            return None
        shown = units.format_quantity(value, self.rule.unit)
        return StoppedRecord(
            when=self.rule.text,
            since_ns=self.since_ns,
            at_ns=view.end_ns,
            found=f"{shown} in the last window",
        )

    def _value(self, view: WindowView) -> float | None:
        """What one window shows; None for nothing."""
        metric = self.rule.metric
        kind, outcomes = LATENCIES.get(metric.name, ("response", None))
        counts, ok = histogram.empty(), 0
        for tag, gained in view.gains:
            if tag.kind != kind or metric.workload not in (None, tag.workload) or not self._asks_for(tag):
                continue
            ok += int(gained.sum()) if tag.outcome == "ok" else 0
            if outcomes is None or tag.outcome in outcomes:
                counts = counts + gained
        if metric.name == "throughput":
            return ok / ((view.end_ns - view.start_ns) / NS_PER_S)
        ended = int(counts.sum())
        if not ended:
            return None
        return (ended - ok) / ended if metric.name == "errors" else statistic_ns(counts, metric.stat or "p95")

    def _asks_for(self, tag: Tag) -> bool:
        operation = self.rule.metric.operation
        if operation is not None:
            return bool(tag.operation == operation)
        workload = next(one for one in self.plan.workloads if one.name == tag.workload)
        return workload.is_planned(tag.operation)


class _TargetWatch:
    """Asks one target again and again, in a thread of its own."""

    def __init__(self, entry: StopEntry, target: Target) -> None:
        self._entry, self._target = entry, target
        self._over = threading.Event()
        self._start_ns = 0
        self._down: tuple[int, str] | None = None
        """Since when, on CLOCK_MONOTONIC, and what it said last."""

    def begin(self, start_ns: int) -> None:
        self._start_ns = start_ns
        Work(f"down-{self._target.name}", self._watch).start()

    def _watch(self) -> None:
        while not self._over.is_set():
            begin_ns = monotonic_ns()
            if (said := self._said()) is None:
                self._down = None
            else:
                self._down = (self._down[0] if self._down else begin_ns, said)
            self._over.wait(LOOK_S)

    def _said(self) -> str | None:
        """What is wrong with it; None for nothing."""
        try:
            state, detail = ask(self._target, 4 * LOOK_S).health()
        except TargetError as error:
            return error.found
        return None if state == "up" else detail or state

    def look(self, view: WindowView) -> StoppedRecord | None:
        down = self._down
        if down is None or view.end_ns + self._start_ns - down[0] < self._entry.for_ns:
            return None
        return StoppedRecord(
            when=str(self._entry),
            since_ns=max(down[0] - self._start_ns, 0),
            at_ns=view.end_ns,
            found=down[1],
        )

    def close(self) -> None:
        self._over.set()
