"""When samples are due: at every edge that matters, at a pace between them, never too close together."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.plan.plan import PhasePlan, Plan
from bench.resources.sampler import APART_NS, due_times_ns, interval_ns

MS = 1_000_000
S = 1_000 * MS


def plan_of(*phases: tuple[bool, int, int | None, float | None]) -> Plan:
    found, start = [], 0
    for number, (measured, length, cycles, rest) in enumerate(phases):
        found.append(
            PhasePlan(
                f"p{number}", measured, start, start + length, cycles=cycles, rest=rest if cycles else None
            )
        )
        start += length
    return Plan("times", 1, tuple(found), (), "")


@pytest.mark.parametrize(("measured_s", "pace_ms"), [(3600, 500), (30, 375), (8, 100), (3, 50), (1, 50)])
def test_the_pace_follows_the_measured_time(measured_s: int, pace_ms: int) -> None:
    plan = plan_of((False, 5 * S, None, None), (True, measured_s * S, None, None))
    assert interval_ns(plan) == pace_ms * MS


def test_every_rest_has_a_sample_near_its_end() -> None:
    plan = plan_of((False, 2 * S, None, None), (True, 40 * S, 50, 0.3))
    times, edges = due_times_ns(plan)
    times = np.array(times)
    for stretch in plan.phases[1].stretches():
        inside = times[(times >= stretch.start_ns) & (times < stretch.end_ns)]
        if stretch.is_rest:
            assert stretch.end_ns - inside.max() == 20 * MS
            assert inside.min() == stretch.start_ns
            assert {inside.min(), inside.max()} <= edges


def test_phases_and_run_zero_have_samples_of_their_own() -> None:
    plan = plan_of((False, 2 * S, None, None), (True, 3 * S, None, None))
    assert due_times_ns(plan)[1] == {0, 2 * S, 5 * S}


PHASE = st.tuples(
    st.booleans(), st.integers(20 * MS, 20 * S), st.integers(1, 200) | st.none(), st.floats(0.05, 0.95)
)


@settings(max_examples=60, deadline=None)
@given(st.lists(PHASE, min_size=1, max_size=3))
def test_no_two_samples_are_due_too_close_to_each_other(
    phases: list[tuple[bool, int, int | None, float | None]],
) -> None:
    plan = plan_of(*phases)
    times, _ = due_times_ns(plan)
    assert (np.diff(times) >= APART_NS).all()
    assert min(times) >= 0
    assert max(times) <= plan.duration_ns
    # No gap is longer than the pace and the half of it that a neighbour may have taken.
    assert np.diff([*times, plan.duration_ns]).max() <= 2 * interval_ns(plan)
