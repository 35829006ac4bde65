"""What the server counted and what ours counted: the same, to the unit, committed and rolled back."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.core.clock import monotonic_ns
from bench.core.outcome import Outcome
from bench.datasets import DataSet, load
from bench.engine import engine_for
from bench.plan.compile import compile_plan
from bench.scenario.model import Scenario
from bench.stack.embedded import EmbeddedStack
from bench.stack.target import Target
from tests.benchmarks.peers.postgres_subject import QUIET, execute
from tests.benchmarks.peers.sql_task import SELECT_ONLY, TPCB_LIKE, Script, SqlTask
from tests.benchmarks.peers.transaction_count import Transactions, transactions_of

FAILING: dict[str, dict[str, Any]] = {
    "one statement": {"sql": "SELECT 1 / {divisor}"},
    "a transaction": {
        "transaction": [
            "UPDATE pgbench_tellers SET tbalance = tbalance + 1 WHERE tid = {divisor} + 1",
            "SELECT 1 / {divisor}",
        ]
    },
}


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    with EmbeddedStack({"postgres"}, tmp_path_factory.mktemp("logs")) as stack:
        found = stack.targets()["postgres"]
        execute(found, QUIET)
        load(found, DataSet("tpcb", 1))
        yield found


def counted_by_both(target: Target, scenario: Scenario, folder: Path) -> tuple[Transactions, dict[str, int]]:
    """(what the server counted for the load alone, our outcomes)."""
    set_up = Transactions(0, 0)
    for with_load in (False, True):
        before = transactions_of(target)
        plan = compile_plan(scenario)
        engine = engine_for(plan, plan.workloads[0], target, folder)
        try:
            engine.prepare()
            if with_load:
                engine.begin(monotonic_ns() + 10_000_000)
                while engine.is_running():
                    list(engine.changes())
                tallies = engine.finish().tallies.sum(axis=0)
        finally:
            engine.close()
        done = transactions_of(target) - before
        set_up = set_up if with_load else done
    return done - set_up, {outcome.name: int(tallies[outcome]) for outcome in Outcome if tallies[outcome]}


@pytest.mark.parametrize("script", [SELECT_ONLY, TPCB_LIKE], ids=lambda script: script.name)
def test_every_transaction_of_ours_is_one_of_the_servers(
    target: Target, script: Script, tmp_path: Path
) -> None:
    scenario = SqlTask(target, script, 1).scenario(1.0)
    counted, outcomes = counted_by_both(target, scenario, tmp_path)
    assert outcomes["OK"] > 10
    assert set(outcomes) == {"OK"}
    assert counted == Transactions(outcomes["OK"], 0)


@pytest.mark.parametrize("operation", FAILING.values(), ids=FAILING)
def test_every_error_of_ours_is_one_transaction_that_the_server_rolled_back(
    target: Target, operation: dict[str, Any], tmp_path: Path
) -> None:
    document = SqlTask(target, SELECT_ONLY, 1).scenario(1.0).model_dump(by_alias=True, exclude_unset=True)
    (workload,) = document["workloads"]
    workload["parameters"] = {"divisor": {"from": 0, "to": 3}}
    workload["operations"] = {"script": operation}
    document["phases"] = [{"name": "turn", "for": "1s"}]
    scenario = Scenario.model_validate(document)
    counted, outcomes = counted_by_both(target, scenario, tmp_path)
    assert set(outcomes) == {"OK", "ERROR"}
    assert counted == Transactions(outcomes["OK"], outcomes["ERROR"])
