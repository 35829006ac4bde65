"""Small plans with a locustfile, run through the Locust engine as a session does."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.core.clock import monotonic_ns
from bench.core.outcome import Outcome
from bench.engine.api import EngineResult, EngineStats
from bench.engine.locust.engine import LocustEngine
from bench.engine.wire.layout import LOG_RECORD
from bench.plan.compile import compile_plan
from bench.plan.plan import Plan
from bench.scenario.model import Scenario
from bench.stack.target import Target

START_AHEAD_NS = 50_000_000


def plan_of(
    file: Path, phases: list[dict[str, Any]], *, operation_log: bool = False, **workload: Any
) -> Plan:
    """A plan of one workload called `journey`."""
    wanted = {
        "name": "journey",
        "target": "api",
        "driver": "locust",
        "locustfile": str(file),
        "arrivals": "closed",
        "lanes": 2,
        "deadline": "1s",
    }
    scenario = Scenario.model_validate(
        {
            "scenario": "sample",
            "purpose": "a test",
            "workloads": [wanted | workload],
            "phases": phases,
            "operation_log": operation_log,
        }
    )
    return compile_plan(scenario)


def engine_of(plan: Plan, target: Target, folder: Path | None = None) -> LocustEngine:
    """The engine of the plan's only workload."""
    return LocustEngine(plan, plan.workloads[0], target, folder)


@dataclass
class LocustRun:
    """What the engine gave in one run."""

    plan: Plan
    result: EngineResult
    histograms: dict[tuple[int, str, Outcome], NDArray[np.int64]] = field(default_factory=dict)
    seen: list[tuple[int, EngineStats]] = field(default_factory=list)
    log: list[Any] = field(default_factory=list)
    drained_ns: int = 0

    def outcomes(self, operation: str, phase: int | None = None) -> dict[Outcome, int]:
        """How the requests of an operation ended."""
        names = self.plan.workloads[0].program.names
        table = self.result.tallies.reshape(-1, len(names), len(Outcome))[:, names.index(operation)]
        totals = table.sum(axis=0) if phase is None else table[phase]
        return {outcome: int(totals[outcome]) for outcome in Outcome if totals[outcome]}

    def counts(self, kind: str, operation: str) -> NDArray[np.int64]:
        """The histogram of one kind over all phases and outcomes."""
        names = self.plan.workloads[0].program.names
        number = names.index(operation)
        wanted = [
            counts
            for (row, one, _), counts in self.histograms.items()
            if one == kind and row % len(names) == number
        ]
        total: NDArray[np.int64] = np.sum(wanted, axis=0)
        return total

    def notes(self, code: str) -> list[tuple[str, str]]:
        """Severity and message of the anomalies of a code."""
        return [(severity, message) for one, severity, message in self.result.anomalies if one == code]

    def texts(self) -> dict[tuple[str, str], int]:
        return {(error.operation, error.text): error.count for error in self.result.errors}

    def assert_adds_up(self) -> None:
        """The histograms, the log and the tallies tell of the same requests."""
        assert (self.result.taken == self.result.tallies.sum(axis=1)).all()
        total = int(self.result.tallies.sum())
        assert sum(int(c.sum()) for (_, kind, _), c in self.histograms.items() if kind == "response") == total
        if self.log:
            assert len(self.log) == total


def drive(
    plan: Plan,
    target: Target,
    folder: Path | None = None,
    *actions: tuple[float, Callable[[LocustEngine], object]],
) -> LocustRun:
    """Prepare, run to the end and close; each action is called once its second of the run has come."""
    engine = engine_of(plan, target, folder)
    left = sorted(actions, key=lambda action: action[0])
    histograms: dict[tuple[int, str, Outcome], NDArray[np.int64]] = {}
    seen: list[tuple[int, EngineStats]] = []

    def look(now_ns: int) -> None:
        seen.append((now_ns, engine.live()))
        for change in engine.changes():
            place = (change.row, change.kind, change.outcome)
            histograms[place] = histograms.get(place, 0) + change.counts

    try:
        engine.prepare()
        start_ns = monotonic_ns() + START_AHEAD_NS
        engine.begin(start_ns)
        while engine.is_running():
            now_ns = monotonic_ns() - start_ns
            while left and now_ns >= left[0][0] * 1e9:
                left.pop(0)[1](engine)
            look(now_ns)
            time.sleep(0.02)
        drained_ns = monotonic_ns() - start_ns - plan.duration_ns
        result = engine.finish()
        look(monotonic_ns() - start_ns)
        log = [
            record
            for path, length in engine.raw_logs()
            for record in np.fromfile(path, dtype=LOG_RECORD, count=length)
        ]
        return LocustRun(plan, result, histograms, seen, log, drained_ns)
    finally:
        engine.close()
