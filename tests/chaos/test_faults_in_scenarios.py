"""Faults in scenario files: what is wrong is told with its place before anything starts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.core.errors import ScenarioError
from bench.scenario.fault_kinds import FAULT_KINDS
from bench.scenario.load import load_scenario

S = 1_000_000_000
TEXT = """\
scenario: broken
purpose: Something is broken
workloads:
  - name: cache
    target: redis
    driver: redis
    lanes: 2
    operations: {ping: {command: [PING]}}
    arrivals: constant
    rate: 100/s
  - name: web
    target: api
    driver: http
    lanes: 2
    operations: {list: {request: {path: /items}}}
    arrivals: constant
    rate: 10/s
phases:
  - {name: steady, for: 10s}
faults:
"""
LINE = TEXT.count("\n") + 1


def load(folder: Path, *faults: str) -> object:
    path = folder / "broken.yaml"
    path.write_text(TEXT + "".join(f"  - {fault}\n" for fault in faults))
    return load_scenario(path, environment={})


GOOD = [
    "{kill: redis, at: 0s}",
    "{kill: redis, at: 9999ms}",
    "{kill: postgres, at: 5s}",
    "{pause: redis, at: 5s, for: 5s}",
    "{kill: redis, at: 1s, repeat: 3, every: 1s, jitter: 999ms}",
    "{nothing: redis, at: 1s}",
    "{nothing: redis, at: 1s, for: 9s}",
    "{kill: redis, at: 1s, when: redis_rewrite}",
    "{kill: postgres, at: 1s, when: postgres_checkpoint}",
    "{memory: redis, at: 1s, for: 1s, bytes: 100MB}",
    "{cpu: redis, at: 1s, for: 1s, load: 100%}",
    "{limit_data: redis, at: 1s, for: 1s, bytes: 17MB, direction: up}",
    "{latency: api, at: 1s, for: 1s, delay: 5ms, delay_jitter: 1ms, direction: down}",
    "{kill: redis, at: 1s, repeat: 1000, every: 8ms}",
]
SHAPES = [
    ("kill redis", "expected a fault such as {kill: redis, at: 10s}"),
    ("{at: 5s}", "expected exactly one of nothing, kill"),
    ("{kil: redis, at: 5s}", "expected exactly one of nothing, kill"),
    ("{kill: redis, pause: redis, at: 5s}", "found kill and pause"),
    ("{kind: kill, target: redis, at: 5s}", "expected exactly one of nothing, kill"),
    ("{kill: redis, target: postgres, at: 5s}", "found the key target too"),
    ("{kill: [redis], at: 5s}", "expected the name of a target after kill:, found a list"),
    ("{kill: null, at: 5s}", "expected the name of a target after kill:, found nothing"),
    ("{kill: Redis, at: 5s}", 'found "Redis"'),
    ("{kill: redis}", "expected the time of the fault, found none; add at: 10s"),
    ("{kill: redis, at: 5}", "found the number 5 without a unit"),
    ("{kill: redis, at: -1s}", "expected a duration such as"),
    ("{kill: redis, at: 5s, four: 1s}", "found the unknown key"),
]
SETTINGS = [
    ("{crash: redis, at: 5s, for: 1s}", "expected no `for` with crash"),
    ("{pause: redis, at: 5s}", "expected how long the pause stays, found none; add for: 2s"),
    ("{pause: redis, at: 5s, for: 0s}", "expected a duration above 0s"),
    ("{kill: redis, at: 5s, delay: 1ms}", "expected no settings for kill, found delay"),
    ("{latency: redis, at: 5s, for: 1s}", "expected delay for latency, found none; add delay"),
    ("{latency: redis, at: 5s, for: 1s, delay: 1ms, direction: left}", "expected one of both, up, down"),
    ("{bandwidth: redis, at: 5s, for: 1s, rate: 100kB}", 'expected a size per second such as "100kB/s"'),
    ("{bandwidth: redis, at: 5s, for: 1s, rate: 0kB/s}", "expected at least 1B/s"),
    ("{slicer: redis, at: 5s, for: 1s, bytes: 0, delay: 1ms}", "expected a number of bytes"),
    ("{cpu: redis, at: 5s, for: 1s, load: 0%}", "expected a load above 0% and at most 100%"),
    ("{cpu: redis, at: 5s, for: 1s, load: 101%}", "expected a load above 0% and at most 100%"),
    ("{exhaust_connections: redis, at: 5s, for: 1s, keep: -1}", "expected a whole number"),
    ("{kill: redis, at: 5s, when: never}", "expected one of redis_rewrite, postgres_checkpoint"),
    ("{kill: redis, at: 5s, when: postgres_checkpoint}", "with the target postgres or postgres_16"),
]
TIMES = [
    (
        "{kill: redis, at: 10s}",
        "expected every fault to begin before the run ends at 10 s, found one at 10 s",
    ),
    ("{kill: redis, at: 1h}", "expected every fault to begin before the run ends"),
    ("{kill: redis, at: 1s, jitter: 9s}", "expected every fault to begin before the run ends"),
    ("{kill: redis, at: 1s, repeat: 4, every: 3s}", "expected every fault to begin before the run ends"),
    ("{pause: redis, at: 9s, for: 1001ms}", "to be over before the run ends at 10 s, found one until 10.0 s"),
    ("{kill: redis, at: 1s, repeat: 3}", "expected the time between repeats, found none; add every: 12s"),
    ("{kill: redis, at: 1s, every: 1s}", "expected every only with repeat"),
    ("{kill: redis, at: 1s, repeat: 0, every: 1s}", "expected a whole number 1..1000"),
    ("{kill: redis, at: 1s, repeat: 3, every: 1s, jitter: 1s}", "expected repeats that are over before"),
    ("{pause: redis, at: 1s, for: 1s, repeat: 3, every: 1s}", "expected repeats that are over before"),
]
TARGETS = [
    ("{kill: postgres_16, at: 5s}", "expected one of the targets redis, api, postgres, found"),
    ("{latency: postgres, at: 5s, for: 1s, delay: 1ms}", "which no workload talks to"),
]


@pytest.mark.parametrize("fault", GOOD)
def test_a_fault_that_can_be_made_is_taken(tmp_path: Path, fault: str) -> None:
    load(tmp_path, fault)


@pytest.mark.parametrize(("fault", "words"), SHAPES + SETTINGS + TIMES + TARGETS)
def test_a_fault_that_cannot_be_is_refused_with_its_place(tmp_path: Path, fault: str, words: str) -> None:
    with pytest.raises(ScenarioError) as refused:
        load(tmp_path, fault)
    (problem,) = refused.value.problems
    assert words in str(problem)
    assert problem.line == LINE
    assert problem.where.startswith("faults[0]")


def pair(one: str, other: str) -> tuple[str, str]:
    return f"{{{one}}}", f"{{{other}}}"


TOGETHER = [
    pair("latency: redis, at: 1s, for: 5s, delay: 1ms", "kill: redis, at: 2s"),
    pair("latency: redis, at: 1s, for: 5s, delay: 1ms", "bandwidth: redis, at: 2s, for: 1s, rate: 1kB/s"),
    pair(
        "latency: redis, at: 1s, for: 5s, delay: 1ms, direction: up",
        "latency: redis, at: 1s, for: 5s, delay: 2ms, direction: down",
    ),
    pair("reset: redis, at: 1s", "latency: redis, at: 1s, for: 5s, delay: 1ms"),
    pair("kill: redis, at: 1s", "kill: postgres, at: 1s"),
    pair("kill: redis, at: 1s", "nothing: redis, at: 1s"),
    pair(
        "kill: redis, at: 1s, repeat: 3, every: 2s", "pause: redis, at: 2s, for: 500ms, repeat: 3, every: 2s"
    ),
]
APART = [
    pair("kill: redis, at: 1s", "kill: redis, at: 1s"),
    pair("pause: redis, at: 1s, for: 2s", "kill: redis, at: 2s"),
    pair("kill: redis, at: 2s", "pause: redis, at: 1s, for: 1s"),
    pair("kill: redis, at: 1s, jitter: 2s", "stop: redis, at: 2s, for: 1s"),
    pair("latency: redis, at: 1s, for: 5s, delay: 1ms", "latency: redis, at: 2s, for: 1s, delay: 1ms"),
    pair(
        "latency: redis, at: 1s, for: 5s, delay: 1ms, direction: up",
        "latency: redis, at: 1s, for: 5s, delay: 2ms",
    ),
    pair("reset: redis, at: 1s, for: 2s", "latency: redis, at: 2s, for: 1s, delay: 1ms"),
    pair("kill: redis, at: 1s, repeat: 800, every: 10ms", "pause: redis, at: 3005ms, for: 5ms"),
]


@pytest.mark.parametrize(("one", "other"), TOGETHER)
def test_faults_that_can_hold_at_once_are_taken_in_any_order(tmp_path: Path, one: str, other: str) -> None:
    load(tmp_path, one, other)
    load(tmp_path, other, one)


@pytest.mark.parametrize(("one", "other"), APART)
def test_faults_that_cannot_hold_at_once_are_refused_at_the_second_one(
    tmp_path: Path, one: str, other: str
) -> None:
    for faults in ((one, other), (other, one)):
        with pytest.raises(ScenarioError) as refused:
            load(tmp_path, *faults)
        (problem,) = refused.value.problems
        assert "while fault 0" in str(problem)
        assert problem.line == LINE + 1


def test_thirty_thousand_faults_are_checked_without_looking_at_each_pair_of_them(tmp_path: Path) -> None:
    faults = [f"{{kill: redis, at: {n}us, repeat: 1000, every: 9ms}}" for n in range(1, 31)]
    load(tmp_path, *faults)


def test_every_problem_of_several_faults_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError) as refused:
        load(
            tmp_path,
            "{kill: mysql, at: 1s}",
            "{kill: redis, at: 11s}",
            "{latency: postgres, at: 1s, for: 1s, delay: 1ms}",
        )
    assert [problem.line - LINE for problem in refused.value.problems] == [0, 1, 2]


def test_editors_know_every_kind_and_setting() -> None:
    stored = json.loads((Path(__file__).parents[2] / "scenarios" / "scenario.schema.json").read_text())
    properties = stored["properties"]["faults"]["items"]["properties"]
    assert set(FAULT_KINDS) < set(properties)
    for facts in FAULT_KINDS.values():
        assert {*facts.needs, *facts.takes} <= set(properties)
