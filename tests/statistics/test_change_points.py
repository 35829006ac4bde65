"""Steps in a series of nights: where they are found, and how seldom where there are none."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.statistics.change_points import benjamini_hochberg, steps
from tests.statistics.error_rates import LEAST, nights


def test_a_step_is_found_where_it_is_with_its_size() -> None:
    series = nights(np.random.default_rng(1), "independent", 40)
    series[30:] += 0.2
    (found,) = steps(series, LEAST)
    assert found.at == 30
    assert found.low < 0.2 < found.high
    assert found.p < 1e-6


def test_every_stair_is_found() -> None:
    series = nights(np.random.default_rng(2), "independent", 60)
    series[20:] += 0.3
    series[40:] += 0.3
    assert [step.at for step in steps(series, LEAST)] == [20, 40]


def test_a_step_below_the_least_is_none() -> None:
    series = nights(np.random.default_rng(3), "independent", 60, spread=0.001)
    series[40:] += 0.03
    assert steps(series, LEAST) == []


@given(st.integers(0, 7), st.floats(-5, 5))
def test_a_short_or_constant_series_has_none(count: int, level: float) -> None:
    assert steps(np.linspace(0, 10, count), LEAST) == []
    assert steps(np.full(30, level), LEAST) == []


@pytest.mark.parametrize(("noise", "most"), [("independent", 0.05), ("alike", 0.15), ("outliers", 0.15)])
def test_ninety_nights_without_a_step_seldom_have_one(noise: str, most: float) -> None:
    random = np.random.default_rng(4)
    assert np.mean([bool(steps(nights(random, noise, 90), LEAST)) for _ in range(40)]) <= most


def test_a_fifth_more_is_found_after_five_nights() -> None:
    random = np.random.default_rng(5)
    found = 0
    for _ in range(30):
        series = nights(random, "independent", 35)
        series[30:] += math.log1p(0.2)
        found += any(abs(step.at - 30) <= 1 for step in steps(series, LEAST))
    assert found >= 27


def test_of_many_questions_the_share_of_false_answers_is_kept() -> None:
    """The example of Benjamini and Hochberg 1995: four of fifteen at 5 %."""
    p = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344]
    p += [0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0000]
    assert benjamini_hochberg(p) == [True] * 4 + [False] * 11
    assert benjamini_hochberg(p[::-1]) == [False] * 11 + [True] * 4
    assert benjamini_hochberg([]) == []
