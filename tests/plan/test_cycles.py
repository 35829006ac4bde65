"""Cycles of load and rest inside a phase: what is planned, and what never is."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.core.intervals import load_ns, stretches
from bench.plan.pacing import P_EXPECTED, P_NUMBER, P_REST, stretch_at
from tests.plan.planned import PHASE, PLANNED, arrivals, plan_of

pytestmark = pytest.mark.timeout(300)

SHAPES = st.lists(
    st.tuples(
        st.integers(200, 3000),  # ms
        st.integers(0, 10),  # cycles, 0: none
        st.integers(1, 99),  # rest, %
        st.integers(1, 150),  # load at the start, %
        st.integers(1, 150),
    ),
    min_size=1,
    max_size=4,
)
Shape = list[tuple[int, int, int, int, int]]


def phases_of(shape: Shape) -> tuple[dict[str, object], ...]:
    return tuple(
        {"name": f"p{n}", "for": f"{ms}ms", "load": {"from": f"{first}%", "to": f"{last}%"}}
        | ({"cycles": cycles, "rest": f"{rest}%"} if cycles else {})
        for n, (ms, cycles, rest, first, last) in enumerate(shape)
    )


@settings(max_examples=100, deadline=None)
@given(SHAPES, st.sampled_from(["constant", "poisson"]), st.sampled_from([10, 97, 2000]))
def test_arrivals_are_in_order_and_none_is_planned_in_a_rest(shape: Shape, kind: str, rate: int) -> None:
    plan = plan_of(phases_of(shape), arrivals=kind, rate=f"{rate}/s")
    rows = arrivals(plan)
    assert (np.diff(rows[:, PLANNED]) >= 0).all()
    for number, phase in enumerate(plan.phases):
        planned = rows[rows[:, PHASE] == number, PLANNED]
        assert ((planned >= phase.start_ns) & (planned < phase.end_ns)).all()
        for stretch in phase.stretches():
            if stretch.is_rest:
                assert not ((planned >= stretch.start_ns) & (planned < stretch.end_ns)).any()
    expected = plan.workloads[0].expected_arrivals
    if kind == "constant":
        assert abs(len(rows) - expected) <= 1
    else:
        assert abs(len(rows) - expected) < 6 * np.sqrt(expected) + 6


@given(SHAPES)
@settings(max_examples=50, deadline=None)
def test_every_phase_has_its_rows_and_the_board_counts_phases(shape: Shape) -> None:
    plan = plan_of(phases_of(shape)).workloads[0]
    assert plan.phase_count == len(shape)
    rests = [int(plan.pacing[plan.pacing[:, P_NUMBER] == n, P_REST].sum()) for n in range(len(shape))]
    assert rests == [cycles for _, cycles, *_ in shape]
    assert not plan.pacing[plan.pacing[:, P_REST] == 1, P_EXPECTED].any()


@given(st.integers(0, 10**9), st.integers(1, 200), st.floats(0.001, 0.999), st.data())
def test_stretches_follow_each_other_without_a_gap(
    start: int, cycles: int, rest: float, data: st.DataObject
) -> None:
    size = data.draw(st.integers(2 * cycles, 10**12))
    found = stretches(start, start + size, cycles, rest)
    assert [piece.is_rest for piece in found] == [False, True] * cycles
    assert found[0].start_ns == start
    assert found[-1].end_ns == start + size
    assert all(one.end_ns == other.start_ns for one, other in pairwise(found))
    assert all(piece.start_ns < piece.end_ns for piece in found)
    assert load_ns(start, start + size, cycles, rest) == pytest.approx(size * (1 - rest), abs=2 * cycles)


def test_a_ramp_goes_on_through_the_rests() -> None:
    """Each load takes its share of the ramp, so the loads grow from cycle to cycle."""
    phases = (
        {"name": "ramp", "for": "10s", "load": {"from": "0%", "to": "100%"}, "cycles": 10, "rest": "50%"},
    )
    plan = plan_of(phases)
    counts = np.histogram(arrivals(plan)[:, PLANNED], bins=np.arange(11) * 10**9)[0]
    # 1000/s, half a second each: at 2.5 %, 12.5 % ... 92.5 % of it.
    assert counts == pytest.approx([12.5 + 50 * n for n in range(10)], abs=1)


@pytest.mark.parametrize("near", [0, 3, 7, 100])
def test_a_stretch_is_found_from_wherever_the_search_begins(near: int) -> None:
    pacing = plan_of(({"name": "p", "for": "4s", "cycles": 4, "rest": "25%"},)).workloads[0].pacing
    found = [
        stretch_at(pacing, near, ms * 10**6) for ms in (-5, 0, 749, 750, 999, 1000, 3750, 3999, 4000, 9000)
    ]
    assert found == [0, 0, 0, 1, 1, 2, 7, 7, 7, 7]


def test_cycles_and_rest_are_part_of_the_digest() -> None:
    phases = [
        ({"name": "p", "for": "4s"} | more,)
        for more in (
            {},
            {"cycles": 2, "rest": "25%"},
            {"cycles": 4, "rest": "25%"},
            {"cycles": 4, "rest": "26%"},
        )
    ]
    digests = {plan_of(one, arrivals=kind).digest for one in phases for kind in ("poisson", "closed")}
    assert len(digests) == 8


def test_load_time_leaves_the_rests_out() -> None:
    plan = plan_of(({"name": "a", "for": "2s"}, {"name": "b", "for": "4s", "cycles": 4, "rest": "25%"}))
    assert plan.load_ns == 5 * 10**9
    assert plan.workloads[0].phase_load_ns.tolist() == [2e9, 3e9]
    assert plan.measured_ns == 6 * 10**9
