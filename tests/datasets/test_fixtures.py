"""Data sets around a run: what an interruption finds half loaded is not waited for."""

import threading

from bench.datasets.connection import LOADERS_LOCK
from bench.plan.compile import compile_plan
from bench.run.fixtures import DatasetFixtures
from bench.scenario.model import Scenario
from bench.stack.target import Target
from tests.datasets.asking import ask, connect

LIMIT_S = 30.0


def fixtures_of(target: Target) -> DatasetFixtures:
    workload = {
        "name": "load",
        "target": "postgres",
        "driver": "postgres",
        "dataset": "tpcb",
        "operations": {"ask": {"sql": "SELECT 1"}},
        "arrivals": "closed",
    }
    scenario = {
        "scenario": "staged",
        "purpose": "a data set",
        "workloads": [workload],
        "phases": [{"name": "steady", "for": "1s"}],
    }
    return DatasetFixtures(compile_plan(Scenario.model_validate(scenario)), {"postgres": target})


def tables(target: Target) -> int:
    return int(str(ask(target, "SELECT count(*) FROM pg_tables WHERE tablename LIKE 'pgbench_%'")[0][0]))


def test_taking_away_does_not_wait_for_a_load_that_was_interrupted(
    target_18: Target, small_sets: None
) -> None:
    fixtures = fixtures_of(target_18)
    is_loading = threading.Event()
    loader = threading.Thread(target=fixtures.load, args=(lambda _: is_loading.set(),))
    with connect(target_18) as other:
        other.execute("SELECT pg_advisory_lock(%s, %s)", LOADERS_LOCK)
        loader.start()
        assert is_loading.wait(LIMIT_S)
        left: list[str] = []
        taking = threading.Thread(target=lambda: left.extend(fixtures.drop()), daemon=True)
        taking.start()
        taking.join(LIMIT_S)
        assert not taking.is_alive()
        assert left == []
    loader.join(LIMIT_S)
    assert tables(target_18) == 4
    assert fixtures.drop() == []
    assert tables(target_18) == 0
