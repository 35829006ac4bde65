"""Faults between services in scenario files: what cannot be is refused with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.cli.session_opening import load_for
from bench.core.errors import ScenarioError
from bench.registry import TargetOutline, shipped_topology
from bench.scenario.load import LoadedScenario, load_scenario
from bench.stack.stack_file import StackFile, load_stack_file
from chaos.schedule import planned_faults

TEXT = """\
scenario: slow_dependency
purpose: A dependency is slow
workloads:
  - name: cache
    target: redis
    driver: redis
    lanes: 2
    operations: {ping: {command: [PING]}}
    arrivals: constant
    rate: 100/s
  - name: web
    target: edge
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
SLOW = "latency: redis, from: api, at: 1s, for: 5s, delay: 1s"


def topology(place: str = "embedded") -> dict[str, TargetOutline]:
    """A reverse proxy before the API, of which the load knows nothing."""
    return shipped_topology(place) | {"edge": TargetOutline("http", ("api",), place)}


def load(folder: Path, *faults: str, place: str = "embedded") -> LoadedScenario:
    path = folder / "slow.yaml"
    path.write_text(TEXT + "".join(f"  - {{{fault}}}\n" for fault in faults))
    return load_scenario(path, environment={}, topology=topology(place))


GOOD = [
    "bandwidth: postgres, from: api, at: 1s, for: 1s, rate: 1kB/s",
    "black_hole: redis, from: api, at: 1s, for: 1s",
    "latency: api, from: edge, at: 1s, for: 1s, delay: 1ms, delay_jitter: 1ms, direction: up",
    "reset: redis, from: api, at: 1s",
    "refuse: redis, from: api, at: 1s, for: 1s",
    "slicer: postgres, from: api, at: 1s, for: 1s, bytes: 10, delay: 1ms",
    "black_hole: redis, from: api, at: 1s, for: 1s, toxicity: 30%",
    "slow_close: redis, from: api, at: 1s, for: 1s, delay: 1ms, toxicity: 100%",
    "reset: postgres, from: api, at: 1s, toxicity: 0.5%",
]


@pytest.mark.parametrize("fault", [SLOW, *GOOD])
def test_every_fault_on_the_network_can_be_between_services(tmp_path: Path, fault: str) -> None:
    (planned,) = planned_faults(load(tmp_path, fault).scenario.faults, seed=1)
    assert planned.where == f"{planned.client} → {planned.target}"
    assert planned.hit == planned.client


REFUSED = [
    ("kill: redis, from: api, at: 1s", 5, "expected from only with latency, bandwidth, "),
    (SLOW.replace("api", "shop"), 28, 'one of the targets redis, edge, api, postgres, found "shop"'),
    (SLOW.replace("redis", "api"), 5, 'api stands behind: redis, postgres, found "api"'),
    (SLOW.replace("api", "redis"), 5, "redis stands behind: it has none"),
    (SLOW.replace("api", "edge"), 5, 'edge stands behind: api, found "redis"; name one of those, or add'),
]


@pytest.mark.parametrize(("fault", "column", "words"), REFUSED)
def test_a_path_that_there_is_not_is_refused_with_its_place(
    tmp_path: Path, fault: str, column: int, words: str
) -> None:
    with pytest.raises(ScenarioError) as refused:
        load(tmp_path, fault)
    (problem,) = refused.value.problems
    assert words in str(problem)
    assert (problem.line, problem.column) == (LINE, column)


@pytest.mark.parametrize(("place", "found"), [("url", "others run"), ("compose", "compose project")])
def test_a_service_that_we_do_not_start_cannot_be_led_through_a_proxy(
    tmp_path: Path, place: str, found: str
) -> None:
    with pytest.raises(ScenarioError) as refused:
        load(tmp_path, SLOW, place=place)
    (problem,) = refused.value.problems
    assert found in problem.found
    assert "use --stack embedded or docker" in problem.advice
    assert problem.where == "faults[0].from"


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (f"{SLOW}, toxicity: 0%", "a share above 0% and at most 100%"),
        (f"{SLOW}, toxicity: 101%", "a share above 0% and at most 100%"),
        (f"{SLOW}, toxicity: 30", 'a share of the connections such as "30%"'),
        ("refuse: redis, at: 1s, for: 1s, toxicity: 30%", "expected no settings for refuse, found toxicity"),
        ("pause: redis, at: 1s, for: 1s, toxicity: 30%", "expected no settings for pause, found toxicity"),
    ],
)
def test_a_share_of_connections_that_cannot_be_is_refused(tmp_path: Path, fault: str, words: str) -> None:
    with pytest.raises(ScenarioError) as refused:
        load(tmp_path, fault)
    (problem,) = refused.value.problems
    assert words in str(problem)
    assert problem.line == LINE


def test_what_is_left_by_a_reset_of_some_can_be_hit_by_another_fault(tmp_path: Path) -> None:
    resets = "reset: redis, from: api, at: 1s, for: 5s"
    load(tmp_path, SLOW, f"{resets}, toxicity: 50%")
    with pytest.raises(ScenarioError, match="while fault 0"):
        load(tmp_path, SLOW, resets)


def test_ways_are_apart_and_one_way_is_not(tmp_path: Path) -> None:
    load(tmp_path, SLOW, SLOW.replace("from: api, ", ""), SLOW.replace("redis", "postgres"))
    load(tmp_path, SLOW, "kill: redis, at: 2s")
    with pytest.raises(ScenarioError, match=r"no latency of api → redis while fault 0 \(latency\) holds"):
        load(tmp_path, SLOW, SLOW)


def stack_file(folder: Path, api: str) -> StackFile:
    path = folder / "stack.yaml"
    path.write_text(
        "stack: mine\ntargets:\n  redis: {kind: redis, embedded: {}}\n"
        "  postgres: {kind: postgres, embedded: {}}\n"
        f"  api: {{kind: http, {api}, behind: [redis, postgres]}}\n"
    )
    return load_stack_file(path)


def test_the_stack_that_is_named_decides_it_before_any_load(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("API_URL", raising=False)
    path = tmp_path / "slow.yaml"
    path.write_text(TEXT.replace("target: edge", "target: api") + f"  - {{{SLOW}}}\n")
    there = stack_file(tmp_path, "url: 'http://127.0.0.1:1'")
    for stack in ("external", "compose", there):
        with pytest.raises(ScenarioError, match="expected api to be started by the stack"):
            load_for(stack, path)
    for stack in (None, "embedded", "docker", stack_file(tmp_path, "embedded: {}")):
        load_for(stack, path)
    monkeypatch.setenv("API_URL", "http://127.0.0.1:1")
    with pytest.raises(ScenarioError, match="one that others run"):
        load_for(None, path)
