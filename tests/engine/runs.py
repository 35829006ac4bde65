"""One run of the wire engine against a target, and all that it counted."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bench.core.clock import monotonic_ns
from bench.core.histogram import Counts, empty, lower_edge_ns
from bench.core.outcome import Outcome
from bench.engine.api import EngineResult
from bench.engine.wire.engine import WireEngine
from bench.plan.compile import compile_plan
from bench.plan.plan import Plan, Segment
from bench.scenario.model import Scenario
from bench.stack.target import Target

LEAD_NS = 50_000_000
SET = {"set": {"command": ["SET", "{key}", "{value}"]}}
LONGEST_S = 120.0


def plan_of(
    phases: tuple[dict[str, Any], ...] = ({"name": "steady", "for": "1s"},),
    *,
    seed: int = 1,
    log: bool = False,
    segment: Segment | None = None,
    **workload: Any,
) -> Plan:
    """A plan with one workload: constant 200/s of SET on 4 lanes unless told otherwise."""
    driver = workload.get("driver", "redis")
    given: dict[str, Any] = {
        "name": "cache",
        "target": "redis",
        "driver": driver,
        "lanes": 4,
        "arrivals": "constant",
    }
    if driver == "redis":
        given |= {"keys": {"count": 1000}, "value": {"bytes": 64}, "operations": SET}
    if workload.get("arrivals") != "closed":
        given["rate"] = "200/s"
    given |= workload
    scenario = Scenario.model_validate(
        {
            "scenario": "little",
            "purpose": "a small run",
            "seed": seed,
            "workloads": [given],
            "phases": list(phases),
            "operation_log": log,
        }
    )
    return compile_plan(scenario, segment=segment)


@dataclass
class Ran:
    """What is left of a run."""

    plan: Plan
    result: EngineResult
    counts: dict[tuple[int, str, Outcome], Counts] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    log: np.ndarray | None = None

    @property
    def requests(self) -> np.ndarray:
        """tallies[row, outcome] of planned operations: all but `deliver`."""
        names = self.plan.workloads[0].program.names
        rows = [row for row in range(len(self.result.taken)) if names[row % len(names)] != "deliver"]
        return self.result.tallies[rows]

    def count(self, *outcomes: Outcome) -> int:
        """Arrivals that ended so."""
        return int(self.requests[:, list(outcomes)].sum())

    @property
    def anomalies(self) -> list[tuple[str, str, str]]:
        """Without what only a busy machine makes: that the generator stood still for a moment."""
        return [found for found in self.result.anomalies if found[:2] != ("generator_stalled", "note")]

    @property
    def planned(self) -> int:
        return int(self.result.taken.sum())

    def histogram(self, kind: str, *outcomes: Outcome) -> Counts:
        """Samples of one kind, over all rows."""
        total = empty()
        for (_, name, outcome), counts in self.counts.items():
            if name == kind and (not outcomes or outcome in outcomes):
                total += counts
        return total

    def least_ns(self, kind: str, *outcomes: Outcome) -> int:
        """Lower edge of the lowest bucket in use."""
        return lower_edge_ns(int(np.flatnonzero(self.histogram(kind, *outcomes))[0]))

    def assert_sums_hold(self) -> None:
        """Every arrival has one outcome, and the histograms hold as many samples as they must."""
        rows = self.result.tallies.sum(axis=1)
        names = self.plan.workloads[0].program.names
        for row, ended in enumerate(rows):
            if names[row % len(names)] != "deliver":
                assert ended == self.result.taken[row]
        for row in range(len(rows)):
            for outcome in Outcome:
                tally = self.result.tallies[row, outcome]
                assert self._samples(row, "response", outcome) == tally
                assert self._samples(row, "net", outcome) == tally
                if names[row % len(names)] == "deliver":
                    continue
                sent = 0 if outcome in (Outcome.REFUSED, Outcome.DROPPED) else tally
                for kind in ("service", "service_net", "lag"):
                    assert self._samples(row, kind, outcome) == sent
                # One that was never sent has a lateness where the generator stood still meanwhile.
                assert sent <= self._samples(row, "late", outcome) <= tally

    def _samples(self, row: int, kind: str, outcome: Outcome) -> int:
        counts = self.counts.get((row, kind, outcome))
        return 0 if counts is None else int(counts.sum())


def run(
    plan: Plan,
    target: Target | None,
    during: Callable[[WireEngine], None] = lambda engine: None,
    folder: Path | None = None,
    *,
    once_connected: Callable[[], None] = lambda: None,
) -> Ran:
    """Run the plan's only workload to its end; `during` is called when run zero is set.

    `once_connected` is called when every lane is connected and nothing has been asked yet.
    """
    engine = WireEngine(plan, plan.workloads[0], target, folder)
    counts: dict[tuple[int, str, Outcome], Counts] = {}
    events: list[dict[str, Any]] = []

    def look() -> None:
        for change in engine.changes():
            key = (change.row, change.kind, change.outcome)
            counts[key] = counts[key] + change.counts if key in counts else change.counts.copy()
        events.extend(event.model_dump() for event in engine.events())

    try:
        engine.prepare()
        once_connected()
        engine.begin(monotonic_ns() + LEAD_NS)
        during(engine)
        limit = time.monotonic() + LONGEST_S
        while engine.is_running():
            assert time.monotonic() < limit, "the run did not end"
            time.sleep(0.005)
            look()
        result = engine.finish()
        look()
        log = _log_of(engine) if engine.logs else None
    finally:
        engine.close()
    return Ran(plan, result, counts, events, log)


def _log_of(engine: WireEngine) -> np.ndarray:
    from bench.engine.wire.layout import LOG_RECORD

    parts = [np.fromfile(path, dtype=LOG_RECORD, count=length) for path, length in engine.raw_logs()]
    return np.concatenate(parts)
