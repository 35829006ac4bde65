"""How many users run when."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bench.plan.plan import PhasePlan, user_stretches, users_at

S = 1_000_000_000


def test_a_ramp_goes_from_its_first_load_to_its_last() -> None:
    stretches = user_stretches([PhasePlan("ramp", True, 0, 10 * S, 0.0, 1.0)], 20)
    assert [users_at(stretches, at * S) for at in (0, 1, 5, 9)] == [1, 2, 10, 18]
    assert users_at(stretches, 10 * S - 1) == 20


def test_nobody_runs_before_the_plan_and_after_it() -> None:
    stretches = user_stretches([PhasePlan("steady", True, 0, S)], 5)
    assert (users_at(stretches, -1), users_at(stretches, 0), users_at(stretches, S)) == (0, 5, 0)


def test_nobody_runs_in_a_rest() -> None:
    stretches = user_stretches([PhasePlan("cycles", True, 0, 4 * S, cycles=2, rest=0.5)], 8)
    assert [users_at(stretches, int(at * S)) for at in (0.5, 1.5, 2.5, 3.5)] == [8, 0, 8, 0]


def test_a_load_below_one_user_is_one_user() -> None:
    stretches = user_stretches([PhasePlan("little", True, 0, S, 0.01, 0.01)], 3)
    assert users_at(stretches, S // 2) == 1


@given(
    loads=st.lists(
        st.tuples(st.floats(0, 100), st.floats(0, 100), st.integers(1, 10**10)), min_size=1, max_size=5
    ),
    lanes=st.integers(1, 10_000),
    share=st.floats(0, 1, exclude_max=True),
)
def test_there_are_never_more_users_than_the_higher_end_of_a_phase_asks_for(
    loads: list[tuple[float, float, int]], lanes: int, share: float
) -> None:
    phases, start = [], 0
    for first, last, length in loads:
        phases.append(PhasePlan("p", True, start, start + length, first, last))
        start += length
    stretches = user_stretches(phases, lanes)
    for phase in phases:
        at = phase.start_ns + int((phase.end_ns - phase.start_ns) * share)
        ends = (lanes * phase.load_from, lanes * phase.load_to)
        assert min(ends) - 1 <= users_at(stretches, at) <= max(max(ends) + 0.5, 1)
