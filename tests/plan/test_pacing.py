"""When arrivals are planned: spacing, gaps, ramps, phases."""

import itertools

import numpy as np
import pytest
import scipy
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bench.plan.plan import PhasePlan, pacing_table
from tests.plan.planned import INDEX, PHASE, PLANNED, arrivals, plan_of

pytestmark = pytest.mark.timeout(300)

SURPRISE = 0.001


def test_constant_arrivals_are_equally_spaced_and_lie_in_the_middle_of_their_slots() -> None:
    planned = arrivals(plan_of(rate="1000/s"))[:, PLANNED]
    assert planned.tolist() == [500_000 + 1_000_000 * number for number in range(10_000)]


@pytest.mark.parametrize("rate", [3, 7, 999, 1200])
def test_constant_spacing_is_exact_to_a_nanosecond_for_any_rate(rate: int) -> None:
    planned = arrivals(plan_of(rate=f"{rate}/s"))[:, PLANNED]
    exact = (np.arange(rate * 10) + 0.5) * 1e9 / rate
    assert planned.size == exact.size
    assert abs(planned - exact).max() <= 1


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_poisson_gaps_are_exponential(seed: int) -> None:
    planned = arrivals(plan_of(({"name": "steady", "for": "30s"},), seed, arrivals="poisson"))[:, PLANNED]
    gaps = np.diff(planned, prepend=0) / 1e6
    assert scipy.stats.kstest(gaps, "expon").pvalue > SURPRISE
    # Neighbouring gaps are independent, and so many arrivals are as likely as others.
    assert abs(np.corrcoef(gaps[:-1], gaps[1:])[0, 1]) < 4 / np.sqrt(gaps.size)
    assert scipy.stats.poisson(30_000).cdf(planned.size) == pytest.approx(0.5, abs=0.4999)


def expected_between(
    first: float, last: float, duration_s: float, rate: float, start: float, end: float
) -> float:
    """Integral of a ramp's rate from start to end, in s from the ramp's beginning."""
    slope = (last - first) * rate / duration_s
    return first * rate * (end - start) + slope * (end**2 - start**2) / 2


RAMPS = [(0.1, 1.5), (1.5, 0.1), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0), (1.0, 1.000001), (0.5, 2.0)]


def ramp(first: float, last: float, duration: str = "10s") -> dict[str, object]:
    return {
        "name": "ramp",
        "for": duration,
        "load": {"from": f"{first * 100:.6f}%", "to": f"{last * 100:.6f}%"},
    }


@pytest.mark.parametrize(("first", "last"), RAMPS)
def test_a_ramp_of_constant_arrivals_is_its_integral_to_one_arrival(first: float, last: float) -> None:
    planned = arrivals(plan_of((ramp(first, last),)))[:, PLANNED] / 1e9
    for end in np.linspace(0.5, 10, 20):
        expected = expected_between(first, last, 10, 1000, 0, end)
        assert abs((planned < end).sum() - expected) <= 1


@pytest.mark.parametrize(("first", "last"), RAMPS)
def test_a_ramp_of_poisson_arrivals_has_its_integral_in_every_slice(first: float, last: float) -> None:
    planned = arrivals(plan_of((ramp(first, last, "50s"),), arrivals="poisson"))[:, PLANNED] / 1e9
    edges = np.linspace(0, 50, 26)
    expected = np.array([expected_between(first, last, 50, 1000, a, b) for a, b in itertools.pairwise(edges)])
    found = np.histogram(planned, edges)[0]
    surprise = ((found - expected) ** 2 / np.maximum(expected, 5)).sum()
    assert scipy.stats.chi2(expected.size).sf(surprise) > SURPRISE


LOADS = st.sampled_from([0, 0, 1, 10, 50, 100, 150, 333])
PHASES = st.lists(
    st.tuples(st.integers(1, 3000), LOADS, LOADS).filter(lambda p: p[1] + p[2] > 0), min_size=1, max_size=5
)


@settings(max_examples=150, deadline=None)
@given(PHASES, st.sampled_from(["constant", "poisson"]), st.sampled_from([1, 10, 97, 2000]))
@example([(1050, 100, 100), (1000, 0, 100)], "constant", 10)
@example([(50, 100, 100), (1000, 0, 1)], "constant", 10)
def test_arrivals_are_in_order_and_inside_their_phases(
    shape: list[tuple[int, int, int]], kind: str, rate: int
) -> None:
    phases = tuple(
        {"name": f"p{n}", "for": f"{ms}ms", "load": {"from": f"{first}%", "to": f"{last}%"}}
        for n, (ms, first, last) in enumerate(shape)
    )
    plan = plan_of(phases, arrivals=kind, rate=f"{rate}/s")
    rows = arrivals(plan)
    assert (np.diff(rows[:, PLANNED]) >= 0).all()
    assert rows[:, INDEX].tolist() == list(range(len(rows)))
    for row in rows:
        phase = plan.phases[row[PHASE]]
        assert phase.start_ns <= row[PLANNED] <= phase.end_ns
    if kind == "constant":
        assert abs(len(rows) - plan.workloads[0].expected_arrivals) <= 1


def test_an_arrival_on_the_edge_of_a_ramp_from_nothing_is_planned_at_its_start() -> None:
    """10.5 arrivals are expected before the ramp, and arrival 10 has its place at 10.5 exactly."""
    phases = (
        {"name": "steady", "for": "1050ms"},
        {"name": "ramp", "for": "1s", "load": {"from": "0%", "to": "100%"}},
    )
    plan = plan_of(phases, rate="10/s")
    table = plan.workloads[0].pacing
    assert table[1, 4] == 10.5
    row = arrivals(plan)[10]
    assert (row[PHASE], row[PLANNED]) == (1, 1_050_000_000)


def test_a_phase_without_load_has_no_arrivals() -> None:
    phases = (
        PhasePlan("a", measured=True, start_ns=0, end_ns=10**9),
        PhasePlan("b", measured=True, start_ns=10**9, end_ns=2 * 10**9, load_from=0.0, load_to=0.0),
        PhasePlan("c", measured=True, start_ns=2 * 10**9, end_ns=3 * 10**9),
    )
    table = pacing_table(phases, 100.0)
    assert table[:, 5] == pytest.approx([100, 0, 100])
    assert table[:, 4] == pytest.approx([0, 100, 100])


def test_windows_end_with_their_phases_and_are_enough() -> None:
    plan = plan_of(({"name": "warm", "for": "1s", "measured": False}, {"name": "steady", "for": "30s"}))
    ends = plan.window_ends()
    assert ends == sorted(set(ends))
    assert {10**9, 31 * 10**9} <= set(ends)
    assert sum(end > 10**9 for end in ends) >= 60


def test_a_long_plan_stays_exact() -> None:
    """The last arrivals of a day at 10/s, reached by the closed form: no sum of rounded gaps."""
    planned = arrivals(plan_of(({"name": "day", "for": "24h"},), rate="10/s"))[:, PLANNED]
    assert planned.size == 864_000
    assert planned[-1] == 86_400_000_000_000 - 50_000_000
