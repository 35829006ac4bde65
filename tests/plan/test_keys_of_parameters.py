"""What a plan and an operation log call the key is the number that is sent."""

from pathlib import Path

import numpy as np

from bench.cli.plan_command import describe
from bench.engine.wire.layout import LOG_RECORD
from bench.plan.compile import compile_plan
from bench.results.logs import RawLog, merge
from bench.scenario.model import Scenario

WORKLOAD = {
    "name": "load",
    "target": "postgres",
    "driver": "postgres",
    "parameters": {"account": {"from": 100, "to": 105}, "other": {"count": 9}},
    "operations": {"ask": {"sql": "SELECT {account}"}},
    "arrivals": "constant",
    "rate": "100/s",
}
SCENARIO = {
    "scenario": "keys",
    "purpose": "keys of parameters",
    "workloads": [WORKLOAD],
    "phases": [{"name": "steady", "for": "1s"}],
}


def test_keys_of_redis_are_the_keys_and_parameters_have_what_is_sent() -> None:
    texts = {
        "account": {"from": 100, "to": 105},
        "colour": {"pick": ["red", 7]},
        "day": {"date": {"from": "2024-02-28", "to": "2024-02-29"}},
        "letters": {"text": 5},
    }
    operations = {"ask": {"command": ["SET", "{key}:{account}", "{colour}{day}{letters}"]}}
    workload = WORKLOAD | {
        "target": "redis",
        "driver": "redis",
        "parameters": texts,
        "operations": operations,
    }
    plan = compile_plan(
        Scenario.model_validate(SCENARIO | {"workloads": [workload | {"keys": {"count": 3}}]})
    )
    first = describe(plan, 100).workloads[0].first
    assert {arrival.key for arrival in first} == {0, 1, 2}
    assert {arrival.parameters["account"] for arrival in first} == set(range(100, 106))
    assert {arrival.parameters["colour"] for arrival in first} == {"red", 7}
    assert {arrival.parameters["day"] for arrival in first} == {"2024-02-28", "2024-02-29"}
    assert all(str(arrival.parameters["letters"]).isalnum() for arrival in first)
    assert plan.workloads[0].workload.first_key == 0


def test_keys_are_the_first_parameters_numbers(tmp_path: Path) -> None:
    plan = compile_plan(Scenario.model_validate(SCENARIO))
    first = describe(plan, 100).workloads[0].first
    assert {arrival.key for arrival in first} == set(range(100, 106))
    assert all(arrival.parameters["account"] == arrival.key for arrival in first)
    assert {arrival.parameters["other"] for arrival in first} == set(range(9))
    raw = np.zeros(3, dtype=LOG_RECORD)
    raw["key"] = (0, 5, -1)
    raw.tofile(tmp_path / "raw")
    log = RawLog(0, tmp_path / "raw", 3, plan.workloads[0].workload.first_key)
    assert merge([log], LOG_RECORD, tmp_path / "operations.npy") == 3
    assert np.load(tmp_path / "operations.npy")["key"].tolist() == [100, 105, -1]
