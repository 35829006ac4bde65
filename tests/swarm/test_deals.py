"""What a worker is given: its segments, a plan that is the same as the coordinator's, a target, a clock."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.cli.session_opening import load_for, named_stack
from bench.core.errors import UsageError
from bench.engine.wire.engine import share_of
from bench.plan.compile import compile_plan
from bench.plan.plan import Plan
from bench.scenario.load import discover, load_scenario
from bench.scenario.model import Scenario
from bench.stack.target import Target
from bench.swarm.distributed.messages import TO_HOST, CoordinatorMessage, Prepare, TakePlan
from bench.swarm.distributed.plan_codec import PlanMessage, segments_of
from bench.swarm.distributed.worker import ClockOffset, Round

SAMPLES = discover([Path(__file__).parents[2] / "scenarios"])
REDIS = {
    "target": "redis",
    "driver": "redis",
    "operations": {"get": {"command": ["GET", "a"]}},
    "arrivals": "closed",
}
PUBSUB = {
    "target": "redis",
    "driver": "redis_pubsub",
    "channels": 1,
    "subscribers": 2,
    "value": {"bytes": 128},
    "arrivals": "constant",
}


def scenario_of(*workloads: dict[str, object]) -> Scenario:
    named = [{"name": f"w{number}", **workload} for number, workload in enumerate(workloads)]
    phases = [{"name": "steady", "for": "1s"}]
    return Scenario.model_validate(
        {"scenario": "cut", "purpose": "To be cut", "workloads": named, "phases": phases}
    )


@settings(deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 64))
def test_shares_add_up_and_differ_by_one_at_most(total: int, parts: int) -> None:
    shares = [share_of(total, parts, number) for number in range(parts)]
    assert sum(shares) == total
    assert max(shares) - min(shares) <= 1


@settings(deadline=None)
@given(st.integers(1, 9), st.integers(1, 40), st.integers(1, 4))
def test_every_thread_of_every_segment_has_a_lane(workers: int, lanes: int, threads: int) -> None:
    lanes = max(lanes, threads)
    plan = compile_plan(scenario_of({**REDIS, "lanes": lanes, "threads": threads}))
    (found,) = segments_of(plan, [f"w{number}" for number in range(workers)])
    counts = {segment.count for segment in found.values()}
    assert counts == {len(found)}
    assert [segment.number for segment in found.values()] == list(range(len(found)))
    assert share_of(lanes, len(found), len(found) - 1) >= threads
    assert len(found) == workers or lanes // threads < workers


def test_what_cannot_be_cut_goes_round_the_workers() -> None:
    pubsub = {**PUBSUB, "rate": "10/s"}
    client = {**REDIS, "engine": "client", "lanes": 4}
    plan = compile_plan(scenario_of(pubsub, {**REDIS, "lanes": 2}, client, pubsub))
    found = segments_of(plan, ["a", "b", "c"])
    assert [list(one) for one in found] == [["a"], ["b", "c"], ["a"], ["b"]]


def sent(message: CoordinatorMessage) -> CoordinatorMessage:
    """The message as it arrives."""
    return TO_HOST.read(TO_HOST.write(message))


def taken(message: PlanMessage, scratch: Path) -> Plan:
    arrived = sent(TakePlan(message))
    assert isinstance(arrived, TakePlan)
    return arrived.plan.plan(scratch)


@pytest.mark.parametrize("quick", [False, True])
@pytest.mark.parametrize("path", SAMPLES, ids=[path.stem for path in SAMPLES])
def test_a_worker_compiles_the_same_plan_without_the_file(path: Path, tmp_path: Path, quick: bool) -> None:
    loaded = load_for(named_stack(None, [path]), path, quick=quick)
    plan = compile_plan(loaded.scenario, seed=5)
    found = taken(PlanMessage.of(plan), tmp_path)
    assert found.digest == plan.digest
    assert [one.workload for one in found.workloads] == [one.workload for one in plan.workloads]
    assert found.phases == plan.phases


def test_a_plan_that_another_version_would_run_otherwise_is_refused(tmp_path: Path) -> None:
    plan = compile_plan(scenario_of({**REDIS, "lanes": 2}))
    with pytest.raises(UsageError, match="install the same version"):
        taken(PlanMessage.of(replace(plan, digest="0" * 64)), tmp_path)


def test_a_locustfile_that_the_worker_does_not_have_comes_with_the_plan(tmp_path: Path) -> None:
    (path,) = [path for path in SAMPLES if path.stem == "api_locust_journey"]
    message = PlanMessage.of(compile_plan(load_scenario(path).scenario))
    elsewhere = [replace(workload, folder=str(tmp_path / "nowhere")) for workload in message.workloads]
    plan = taken(replace(message, workloads=tuple(elsewhere)), tmp_path)
    (found,) = [entry.workload for entry in plan.workloads if entry.workload.locustfile]
    assert found.locustfile is not None
    assert found.locustfile.file.read_text("utf-8") == found.locustfile.text
    assert tmp_path in found.locustfile.file.parents


def test_a_target_keeps_its_password_and_options() -> None:
    target = Target(
        "postgres", "postgres", "10.0.0.1", 5432, "me", "s3cret", options=(("sslmode", "require"),)
    )
    for prepare in (Prepare(0, (1, 2), target), Prepare(0, (0, 1), None)):
        assert sent(prepare) == prepare


@settings(deadline=None)
@given(
    st.integers(-(10**18), 10**18),
    st.lists(st.tuples(st.integers(0, 10**8), st.integers(0, 10**8)), min_size=1),
)
def test_an_offset_is_known_to_half_the_shortest_round_trip(offset: int, ways: list[tuple[int, int]]) -> None:
    clock = ClockOffset()
    now = 0
    for there, back in ways:
        clock.before.append(Round(now, now + there + offset, now + there + back))
        now += there + back + 1
    assert abs(clock.offset_ns - offset) <= clock.uncertainty_ns + 1
    assert clock.uncertainty_ns == (min(there + back for there, back in ways) + 1) // 2


def test_one_clock_has_no_offset_and_what_was_measured_is_stated() -> None:
    clock = ClockOffset(is_same=True, before=[Round(0, 70, 100)], after=[Round(0, 99, 100)])
    record = clock.record()
    assert (record.offset_ns, record.uncertainty_ns, record.drift_ns) == (0, 0, 0)
    assert (record.measured_ns, record.round_trip_ns) == (20, 100)
