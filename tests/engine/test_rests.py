"""Load and rest in turn: in a rest nothing is taken from the plan, whoever decides when."""

import pytest

from bench.core.histogram import bucket_of
from bench.core.histogram import mean_ns as mean_of
from bench.core.outcome import Outcome
from bench.stack.stack import Stack
from tests.engine.runs import plan_of, run

CYCLES = ({"name": "cycles", "for": "600ms", "cycles": 6, "rest": "40%"},)


@pytest.mark.parametrize("arrivals", ["closed", "poisson"])
def test_nothing_is_planned_in_a_rest(valkey: Stack, tmp_path: pytest.TempPathFactory, arrivals: str) -> None:
    rate = {} if arrivals == "closed" else {"rate": "2000/s"}
    plan = plan_of(CYCLES, arrivals=arrivals, log=True, **rate)
    ran = run(plan, valkey.targets()["redis"], folder=tmp_path)
    ran.assert_sums_hold()
    assert ran.log is not None
    planned = ran.log["planned_ns"]
    assert ran.count(Outcome.OK) == len(planned) > 100
    loaded = 0
    for stretch in plan.phases[0].stretches():
        inside = (planned >= stretch.start_ns) & (planned < stretch.end_ns)
        assert not (stretch.is_rest and inside.any())
        loaded += inside.any()
    # A busy machine may stand still for the whole of a stretch of 60 ms: a closed loop plans nothing then.
    assert loaded >= 2
    assert set(ran.log["phase"]) == {0}


def test_idle_time_of_a_rest_is_not_held_against_a_busy_load(valkey: Stack) -> None:
    """The share of idle time says whether the generator kept up, so rests are left out of it."""
    plan = plan_of(CYCLES, arrivals="closed")
    ran = run(plan, valkey.targets()["redis"])
    assert ran.result.phase_idle_ratios is not None
    assert 0 <= ran.result.phase_idle_ratios[0] <= 1
    assert ran.result.idle_ratio >= 0.35
    # Little's law over the load alone: what began before a rest ends in it. While the loop itself stood
    # still its lanes were idle, which its lateness tells.
    busy = ran.result.busy_ns
    assert busy is not None
    ratio = busy / (plan.load_ns * 4)
    mean_ns = busy / ran.count(Outcome.OK)
    late = ran.histogram("late")
    stood_still = mean_of(late) * late.sum() / (plan.load_ns * 4) if late.any() else 0.0
    tolerance = 0.1 + 6 * mean_ns / plan.load_ns
    assert 1 - tolerance - stood_still <= ratio <= 1 + tolerance, (ratio, stood_still)


def test_lateness_after_a_rest_is_not_the_length_of_the_rest(valkey: Stack) -> None:
    ran = run(plan_of(CYCLES, arrivals="closed"), valkey.targets()["redis"])
    late = ran.histogram("late")
    # Six rests of 40 ms before four lanes each; a stall of the machine makes four arrivals late at once.
    assert late[bucket_of(35_000_000) :].sum() < 6 * 4 / 2
    assert late.any()
