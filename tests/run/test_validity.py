"""Whether the generator was the bottleneck, on literal results."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from bench.engine.api import EngineResult
from bench.plan.compile import compile_plan
from bench.plan.plan import Plan, WorkloadPlan
from bench.results.generator_records import GeneratorRecord
from bench.run.anomalies import saturation
from bench.scenario.model import Scenario

LANES, SECONDS = 10, 4


@dataclass
class Ended:
    """All that the rule asks of an engine: its plan."""

    plan: WorkloadPlan


def plan_of(arrivals: str) -> Plan:
    workload: dict[str, Any] = {"name": "cache", "target": "redis", "driver": "redis", "lanes": LANES}
    workload |= {"operations": {"ping": {"command": ["PING"]}}, "arrivals": arrivals}
    if arrivals != "closed":
        workload["rate"] = "1000/s"
    return compile_plan(
        Scenario.model_validate(
            {
                "scenario": "judged",
                "purpose": "a plan to judge",
                "workloads": [workload],
                "phases": [{"name": "steady", "for": f"{SECONDS}s"}],
            }
        )
    )


def judged(arrivals: str, *, ok: int, dropped: int = 0, **facts: Any) -> tuple[GeneratorRecord, list[str]]:
    plan = plan_of(arrivals)
    tallies = np.array([[ok, 0, 0, 0, 0, dropped]], dtype=np.int64)
    given = {"idle_ratio": 0.5, "busy_ns": None, "phase_lag_p50_ns": [100]} | facts
    result = EngineResult(taken=np.array([ok + dropped]), tallies=tallies, **given)
    generator, anomalies = saturation(plan, [(Ended(plan.workloads[0]), result)])
    return generator, [f"{anomaly.severity} {anomaly.code}" for anomaly in anomalies]


def test_a_kept_plan_has_nothing_to_tell() -> None:
    generator, told = judged("constant", ok=4000)
    assert not generator.saturated
    assert told == []


def test_a_generator_that_never_idled_and_lost_arrivals_makes_the_run_invalid() -> None:
    generator, told = judged("constant", ok=3000, dropped=1000, idle_ratio=0.001)
    assert generator.saturated
    assert told == ["invalid generator_saturated"]


def test_a_generator_that_never_idled_and_sent_late_makes_the_run_invalid() -> None:
    _, told = judged("constant", ok=4000, idle_ratio=0.001, phase_lag_p50_ns=[5_000_000])
    assert told == ["invalid generator_saturated"]


def test_lost_arrivals_of_a_generator_with_time_to_spare_are_the_targets_doing() -> None:
    generator, told = judged(
        "constant", ok=1000, dropped=3000, idle_ratio=0.6, phase_lag_p50_ns=[900_000_000]
    )
    assert not generator.saturated
    assert told == []


def test_a_busy_generator_that_kept_its_plan_is_not_accused() -> None:
    _, told = judged("constant", ok=4000, idle_ratio=0.001)
    assert told == []


@pytest.mark.parametrize(
    ("share", "expected"),
    [
        (1.0, []),
        (0.98, []),
        (1.02, []),
        (0.9, ["inconclusive littles_law"]),
        (1.1, ["inconclusive littles_law"]),
    ],
)
def test_in_a_closed_loop_the_time_in_the_lanes_must_add_up(share: float, expected: list[str]) -> None:
    busy_ns = share * LANES * SECONDS * 1e9
    generator, told = judged("closed", ok=100_000, busy_ns=busy_ns, idle_ratio=0.0)
    assert told == expected
    assert generator.littles_law["cache"] == pytest.approx(share, abs=1e-3)


def test_lanes_that_were_away_leave_a_closed_loop_without_an_answer() -> None:
    """It asks for nothing while they are away, so the outage is in no percentile."""
    busy_ns = 0.7 * LANES * SECONDS * 1e9
    _, told = judged("closed", ok=100_000, busy_ns=busy_ns, counters={"lost_connections": LANES})
    assert told == ["inconclusive littles_law"]


def test_a_closed_loop_whose_generator_never_idled_is_marked_for_the_judge() -> None:
    generator, _ = judged("closed", ok=100_000, idle_ratio=0.001)
    assert generator.busy == ["cache"]


def test_a_quiet_warm_up_does_not_hide_an_overloaded_phase() -> None:
    generator, told = judged("constant", ok=3000, dropped=1000, idle_ratio=0.6, phase_idle_ratios=[0.0])
    assert generator.saturated
    assert told == ["invalid generator_saturated"]
