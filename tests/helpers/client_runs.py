"""Making small plans and running them through an engine, for the client engine's tests."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.core.clock import monotonic_ns
from bench.core.histogram import mean_ns
from bench.core.outcome import Outcome
from bench.engine.api import Engine, EngineResult, EngineStats
from bench.engine.client.engine import ClientEngine
from bench.plan.compile import compile_plan
from bench.plan.plan import Plan, Segment
from bench.scenario.model import Scenario
from bench.stack.target import Target

GET = {"get": {"command": ["GET", "{key}"]}}
START_AHEAD_NS = 50_000_000


def plan_of(
    *,
    phases: dict[str, str] | None = None,
    unmeasured: tuple[str, ...] = (),
    operation_log: bool = False,
    segment: Segment | None = None,
    seed: int = 1,
    **workload: Any,
) -> Plan:
    """A plan of one workload called `app`: 200 GETs a second for 1 s through 10 connections."""
    wanted: dict[str, Any] = {
        "name": "app",
        "target": "redis",
        "driver": "redis",
        "engine": "client",
        "pool": 10,
        "keys": {"count": 100},
        "operations": GET,
        "arrivals": "constant",
        "rate": "200/s",
        "deadline": "5s",
    }
    wanted |= workload
    if wanted["engine"] == "wire":
        del wanted["pool"]
    wanted = {name: value for name, value in wanted.items() if value is not None}
    parts = [
        {"name": name, "for": length, "measured": name not in unmeasured}
        for name, length in (phases or {"steady": "1s"}).items()
    ]
    scenario = Scenario.model_validate(
        {
            "scenario": "sample",
            "purpose": "a test",
            "workloads": [wanted],
            "phases": parts,
            "operation_log": operation_log,
        }
    )
    return compile_plan(scenario, seed=seed, segment=segment)


@dataclass
class Ran:
    """What an engine gave in one run."""

    result: EngineResult
    histograms: dict[tuple[str, Outcome], NDArray[np.int64]] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    seen: list[EngineStats] = field(default_factory=list)
    log: list[Any] = field(default_factory=list)

    def outcomes(self) -> dict[Outcome, int]:
        """Arrivals by how they ended; none left out."""
        totals = self.result.tallies.sum(axis=0)
        return {outcome: int(totals[outcome]) for outcome in Outcome if totals[outcome]}

    def counts(self, kind: str, outcome: Outcome | None = None) -> NDArray[np.int64]:
        """The histogram of one kind, of one outcome or of all."""
        wanted = [
            counts
            for (name, one), counts in self.histograms.items()
            if name == kind and outcome in (None, one)
        ]
        assert wanted, f"no samples of {kind}"
        total: NDArray[np.int64] = np.sum(wanted, axis=0)
        return total

    def assert_times_add_up(self, *outcomes: Outcome, rel: float = 0.01) -> None:
        """Response is lag and service; and it is what was left without our lateness, and that lateness.

        A lag is waiting for a connection and lateness; lateness may also come after the send.
        """

        def mean(kind: str) -> float:
            found: NDArray[np.int64] = np.sum([self.counts(kind, one) for one in outcomes or (None,)], axis=0)
            return mean_ns(found)

        assert mean("response") == pytest.approx(mean("lag") + mean("service"), rel=rel)
        assert mean("response") == pytest.approx(mean("net") + mean("late"), rel=rel)
        assert mean("pool_wait") * (1 - rel) <= mean("lag") <= (mean("pool_wait") + mean("late")) * (1 + rel)

    def assert_adds_up(self) -> None:
        """Every arrival taken ended once, and the histograms say the same."""
        result = self.result
        assert (result.taken == result.tallies.sum(axis=1)).all()
        for outcome, count in self.outcomes().items():
            assert self.counts("response", outcome).sum() == count
            assert self.counts("net", outcome).sum() == count
            if outcome in (Outcome.OK, Outcome.ERROR, Outcome.TIMEOUT, Outcome.RESET):
                for kind in ("service", "service_net", "lag", "late", "pool_wait"):
                    assert self.counts(kind, outcome).sum() == count


def client(plan: Plan, target: Target, log_folder: Path | None = None) -> ClientEngine:
    """A client engine for the plan's only workload."""
    return ClientEngine(plan, plan.workloads[0], target, log_folder)


def run(
    engine: Engine,
    *actions: tuple[float, Callable[[], object]],
    until: Callable[[float, EngineStats], bool] | None = None,
) -> Ran:
    """Prepare, run to the end and close; each action is called once its second of the run has come.

    `until` ends the run before its plan does: it is asked with the second of the run and what is seen.
    """
    try:
        engine.prepare()
        return run_prepared(engine, *actions, until=until)
    finally:
        engine.close()


def run_prepared(
    engine: Engine,
    *actions: tuple[float, Callable[[], object]],
    until: Callable[[float, EngineStats], bool] | None = None,
) -> Ran:
    """The same for an engine that is prepared already; the caller closes it."""
    left = sorted(actions, key=lambda action: action[0])
    histograms: dict[tuple[str, Outcome], NDArray[np.int64]] = {}
    seen: list[EngineStats] = []
    events: list[dict[str, Any]] = []

    def look() -> None:
        for change in engine.changes():
            before = histograms.get((change.kind, change.outcome), 0)
            histograms[change.kind, change.outcome] = before + change.counts
        seen.append(engine.live())
        events.extend(event.model_dump() for event in engine.events())

    start_ns = monotonic_ns() + START_AHEAD_NS
    engine.begin(start_ns)
    while engine.is_running():
        while left and monotonic_ns() - start_ns >= left[0][0] * 1e9:
            left.pop(0)[1]()
        look()
        if until is not None and until((monotonic_ns() - start_ns) / 1e9, seen[-1]):
            engine.stop(at_once=False)
            until = None
        time.sleep(0.02)
    result = engine.finish()
    look()
    assert not left, "the run ended before every action"
    return Ran(result, histograms, events, seen)
