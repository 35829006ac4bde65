"""From a scenario's text to its plan, and along the plan."""

from __future__ import annotations

from collections.abc import Callable

from bench.plan.compile import compile_plan
from bench.plan.walk import PlanWalk
from bench.scenario.load import load_scenario

SCENARIO = "scenarios/redis_latency.yaml"
ARRIVALS = 10_000


def test_loading_a_scenario(measure: Callable[..., None]) -> None:
    measure(lambda: load_scenario(SCENARIO), 1, "scenario", interpreted=True)


def test_compiling_a_plan(measure: Callable[..., None]) -> None:
    scenario = load_scenario(SCENARIO).scenario
    measure(lambda: compile_plan(scenario), 1, "plan", interpreted=True)


def test_walking_a_plan(measure: Callable[..., None]) -> None:
    workload = compile_plan(load_scenario(SCENARIO).scenario).workloads[0]

    def walk() -> None:
        assert len(PlanWalk(workload, workload.seed).next_chunk(ARRIVALS)) == ARRIVALS

    measure(walk, ARRIVALS, "arrival")
