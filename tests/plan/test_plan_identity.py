"""One seed, one plan: in any number of shards and segments, in any process."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.core.errors import ScenarioError
from bench.engine.wire.engine import share_of
from bench.plan.compile import workload_seed
from bench.plan.plan import Segment
from bench.plan.walk import PlanWalk, first_arrivals
from tests.plan.planned import INDEX, arrivals, plan_of

pytestmark = pytest.mark.timeout(300)

TWO = (
    {"name": "warmup", "for": "500ms", "measured": False},
    {"name": "ramp", "for": "1s", "load": {"from": "10%", "to": "150%"}},
)
MIX = {"a": {"command": ["GET", "{key}"], "weight": 3}, "b": {"command": ["DEL", "{key}"]}}


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 64),
    st.sampled_from(["constant", "poisson"]),
    st.sampled_from([1, 17, 1000]),
    st.integers(0, 2**63 - 1),
)
def test_the_shards_of_a_plan_are_the_plan(shards: int, kind: str, rate: int, seed: int) -> None:
    plan = plan_of(TWO, seed, arrivals=kind, rate=f"{rate}/s", operations=MIX)
    parts = [arrivals(plan, shard=shard, shards=shards) for shard in range(shards)]
    for shard, part in enumerate(parts):
        assert (part[:, INDEX] % shards == shard).all()
    joined = np.concatenate(parts)
    assert (joined[np.argsort(joined[:, INDEX])] == arrivals(plan)).all()


def test_the_shards_of_a_closed_plan_share_its_numbers() -> None:
    plan = plan_of(arrivals="closed", operations=MIX)
    whole = arrivals(plan, 90)
    assert whole[:, INDEX].tolist() == list(range(90))
    parts = np.concatenate([arrivals(plan, 30, shard, 3) for shard in range(3)])
    assert (parts[np.argsort(parts[:, INDEX])] == whole).all()


def test_a_walk_in_small_steps_is_the_walk_in_one() -> None:
    plan = plan_of(TWO, arrivals="poisson", operations=MIX).workloads[0]
    walk = PlanWalk(plan, plan.seed)
    steps = []
    while len(chunk := walk.next_chunk(7)):
        steps.append(np.array([chunk.planned_ns, chunk.index]).T)
    whole = PlanWalk(plan, plan.seed).next_chunk(1 << 20)
    assert (np.concatenate(steps) == np.array([whole.planned_ns, whole.index]).T).all()


def test_equal_seeds_give_equal_digests_and_arrivals() -> None:
    one, other = (plan_of(TWO, 5, arrivals="poisson", operations=MIX) for _ in range(2))
    assert one.digest == other.digest
    assert (arrivals(one) == arrivals(other)).all()
    assert one.workloads[0].program.template.tobytes() == other.workloads[0].program.template.tobytes()


def test_another_seed_gives_another_digest_and_other_arrivals() -> None:
    one, other = (plan_of(TWO, seed, arrivals="poisson", operations=MIX) for seed in (5, 6))
    assert one.digest != other.digest
    assert not np.array_equal(arrivals(one)[:100], arrivals(other)[:100])


def test_the_segment_is_no_part_of_the_digest() -> None:
    assert plan_of(TWO).digest == plan_of(TWO, segment=Segment(1, 3)).digest


@pytest.mark.parametrize(
    "change",
    [
        {"rate": "1001/s"},
        {"arrivals": "poisson"},
        {"keys": {"count": 1001}},
        {"keys": {"count": 1000, "prefix": "other:"}},
        {"keys": {"count": 1000, "distribution": "zipf"}},
        {"operations": {"get": {"command": ["GET", "{key}", "x"]}}},
        {"operations": {"got": {"command": ["GET", "{key}"]}}},
        {"value": {"bytes": 64}},
        {"pipeline": 2},
        {"lanes": 65},
        {"deadline": "9s"},
        {"phases": ({"name": "steady", "for": "11s"},)},
        {"phases": ({"name": "steady", "for": "10s", "load": "99%"},)},
        {"phases": ({"name": "steadily", "for": "10s"},)},
    ],
)
def test_whatever_changes_what_is_sent_changes_the_digest(change: dict[str, object]) -> None:
    assert plan_of(**change).digest != plan_of().digest


def test_the_digest_is_the_same_in_another_process_with_another_hash_seed() -> None:
    program = "from tests.plan.planned import plan_of; print(plan_of(seed=9, arrivals='poisson').digest)"
    environment = os.environ | {"PYTHONHASHSEED": "77", "PYTHONPATH": str(Path(__file__).parents[2])}
    told = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    assert told.stdout.strip() == plan_of(seed=9, arrivals="poisson").digest


def test_the_workloads_of_one_scenario_draw_independently() -> None:
    seeds = {workload_seed(seed, number) for seed in range(50) for number in range(20)}
    assert len(seeds) == 1000
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_more_phases_than_histograms_have_room_for_are_refused() -> None:
    phases = tuple({"name": f"p{number}", "for": "10ms"} for number in range(1000))
    operations = {"get": {"command": ["GET", "a"]}, "set": {"command": ["SET", "a", "b"]}}
    with pytest.raises(ScenarioError, match="expected at most 1000 pairs"):
        plan_of(phases, operations=operations)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 9), st.integers(0, 30))
def test_a_segment_has_as_large_a_share_of_the_arrivals_as_of_the_lanes(count: int, more: int) -> None:
    """Half of the arrivals for one of three lanes would be an overload that one process does not know."""
    lanes = count + more
    plan = plan_of(TWO, 3, arrivals="constant", rate="1000/s", operations=MIX).workloads[0]
    whole = first_arrivals(plan, plan.seed, 10 * lanes)
    sizes = [10 * share_of(lanes, count, number) for number in range(count)]
    parts = [
        first_arrivals(plan, plan.seed, size, shard=number, shards=count, lanes=lanes)
        for number, size in enumerate(sizes)
    ]
    assert sorted(row for part in parts for row in part.rows()) == sorted(whole.rows())
