"""When a difference is one: A/A hardly ever alarms, +30 % is found, noise widens its own interval."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.compare.difference import (
    ERRORS,
    PERCENTILES,
    THROUGHPUT,
    Estimate,
    Finding,
    difference,
)
from tests.helpers.fabricated_nights import STATS, estimates, times_ns

THRESHOLD = 0.1
NIGHTS = 40


def of(value: float, spread: float = 0.01, resolution: float = 0.0) -> Estimate:
    return Estimate(value, math.log(value), spread, resolution, 10_000)


def alarms(rounds: int, nights: int, slower: float = 1.0, **noise: float) -> dict[str, float]:
    """The share of rounds in which each percentile of a new night is called a regression."""
    random = np.random.default_rng(23)
    pool = [estimates(times_ns(random, samples=60, **noise)) for _ in range(NIGHTS)]  # type: ignore[arg-type]
    found = dict.fromkeys(STATS, 0)
    for _ in range(rounds):
        *before, after = random.permutation(NIGHTS)[: nights + 1]
        for stat, kind in PERCENTILES.items():
            now = pool[after][stat]
            now = replace(now, value=now.value * slower, place=now.place + math.log(slower))
            one = difference([pool[night][stat] for night in before], now, kind, THRESHOLD)
            found[stat] += one.finding is Finding.REGRESSION
    return {stat: count / rounds for stat, count in found.items()}


@pytest.mark.parametrize("alike", [0.0, 0.6, 0.8])
def test_the_same_system_twice_does_not_alarm(alike: float) -> None:
    assert max(alarms(300, 1, alike=alike).values()) <= 0.02


def test_a_week_on_a_machine_whose_nights_differ_by_a_tenth_hardly_alarms() -> None:
    assert max(alarms(300, 7, night=0.1).values()) <= 0.05


@pytest.mark.parametrize("nights", [1, 3, 7])
def test_hosted_machines_whose_nights_differ_by_a_seventh_are_seldom_red_for_nothing(nights: int) -> None:
    assert max(alarms(300, nights, night=0.15).values()) <= 0.05


def test_after_one_night_what_became_twice_as_slow_is_found_and_after_a_week_thirty_percent_more() -> None:
    """One night says nothing about how far nights lie apart; a week does."""
    twice = alarms(200, 1, slower=2.0, alike=0.3)
    assert min(twice["p50"], twice["p95"]) >= 0.9
    assert alarms(200, 1, slower=3.0, alike=0.3)["p99"] >= 0.9  # of 60 samples a window, few lie above P99
    week = alarms(200, 7, slower=1.3, alike=0.3)
    assert week["p50"] >= 0.9
    assert week["p95"] >= 0.7


@given(
    st.lists(st.floats(1e3, 1e9), min_size=1, max_size=12),
    st.floats(1e3, 1e9),
    st.floats(0.0, 2.0),
    st.floats(0.01, 3.0),
    st.sampled_from([*PERCENTILES.values(), THROUGHPUT, ERRORS]),
)
@settings(max_examples=150, deadline=None)
def test_whatever_is_compared(
    before: list[float], after: float, spread: float, threshold: float, kind: object
) -> None:
    """The interval holds the ratio; no finding contradicts it; a wider threshold alarms for less."""
    nights = [of(value, spread) for value in before]
    one = difference(nights, of(after, spread), kind, threshold)  # type: ignore[arg-type]
    assert one.ratio is not None
    assert one.low is not None
    assert one.high is not None
    assert one.low <= one.ratio <= one.high
    if one.finding is Finding.REGRESSION:
        # The nearer end is beyond the threshold, on the side that is worse.
        beyond = one.low > 1 + threshold or one.high < 1 / (1 + threshold)
        assert beyond
        narrower = difference(nights, of(after, spread), kind, threshold / 2)  # type: ignore[arg-type]
        assert narrower.finding is Finding.REGRESSION
    if one.finding is Finding.NO_DIFFERENCE:
        assert one.low <= 1 + threshold
        assert one.high >= 1 / (1 + threshold)


@given(st.floats(1e3, 1e8), st.floats(1.0, 20.0), st.floats(0.0, 0.5))
def test_units_do_not_matter(value: float, ratio: float, spread: float) -> None:
    kind = PERCENTILES["p95"]
    small = difference([of(value, spread)], of(value * ratio, spread), kind, THRESHOLD)
    large = difference([of(value * 1000, spread)], of(value * 1000 * ratio, spread), kind, THRESHOLD)
    assert small.ratio == pytest.approx(large.ratio)
    assert (small.low, small.high) == pytest.approx((large.low, large.high))


def test_less_throughput_is_a_regression_and_more_is_none() -> None:
    assert difference([of(1000)], of(500), THROUGHPUT, THRESHOLD).finding is Finding.REGRESSION
    assert difference([of(500)], of(1000), THROUGHPUT, THRESHOLD).finding is Finding.IMPROVEMENT


def test_a_difference_below_the_floor_of_the_machine_is_no_regression() -> None:
    kind = PERCENTILES["p95"]
    before, after = of(50_000, resolution=60_000), of(100_000, resolution=60_000)
    found = difference([before], after, kind, THRESHOLD)
    assert found.finding is Finding.CANNOT_TELL
    assert found.because == "resolution"
    far = difference([of(5_000_000, resolution=60_000)], of(10_000_000, resolution=60_000), kind, THRESHOLD)
    assert far.finding is Finding.REGRESSION


def test_one_noisy_night_among_many_does_not_hide_a_regression() -> None:
    nights = [of(1e6, resolution=60_000) for _ in range(6)] + [of(1e6, resolution=5e7)]
    found = difference(nights, of(2e6, resolution=60_000), PERCENTILES["p95"], THRESHOLD)
    assert found.finding is Finding.REGRESSION


def test_nights_that_differ_widen_the_interval() -> None:
    kind = PERCENTILES["p50"]
    calm = difference([of(1e6 * factor) for factor in (0.99, 1.0, 1.01)], of(1.4e6), kind, THRESHOLD)
    wild = difference([of(1e6 * factor) for factor in (0.7, 1.0, 1.43)], of(1.4e6), kind, THRESHOLD)
    assert calm.finding is Finding.REGRESSION
    assert wild.finding is Finding.CANNOT_TELL


def test_what_never_came_is_a_regression_unless_it_did_not_come_before() -> None:
    kind = PERCENTILES["p50"]
    never = Estimate(math.inf, math.inf, 0.0, 0.0, 1, never=True)
    assert difference([of(1e9)], never, kind, THRESHOLD).finding is Finding.REGRESSION
    assert difference([of(1e9), never], never, kind, THRESHOLD).finding is Finding.CANNOT_TELL
    assert difference([never], of(1e9), kind, THRESHOLD).finding is Finding.IMPROVEMENT
