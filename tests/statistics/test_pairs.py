"""Pairs of runs: what is called different, how often by chance, and how often where it is."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import scipy
from hypothesis import given
from hypothesis import strategies as st

from bench.statistics.pairs import (
    LEVEL,
    hodges_lehmann,
    interval,
    sign_flips,
    smallest_told,
)
from bench.statistics.students_t import t_quantile, t_tail
from tests.statistics.error_rates import LEAST, found, pairs


@given(st.floats(0.5, 200), st.floats(-40, 40))
def test_students_t_is_that_of_scipy(freedom: float, value: float) -> None:
    assert t_tail(value, freedom) == pytest.approx(scipy.stats.t.sf(value, freedom), rel=1e-10, abs=1e-300)


@pytest.mark.parametrize(("value", "freedom"), [(7.0, 56.0), (1e-9, 3.0), (13.0, 168.0), (0.0, 5.0)])
def test_students_t_keeps_its_digits_where_the_parts_are_unequal(value: float, freedom: float) -> None:
    assert t_tail(value, freedom) == pytest.approx(scipy.stats.t.sf(value, freedom), rel=1e-11)
    assert t_tail(-value, freedom) == pytest.approx(scipy.stats.t.sf(-value, freedom), rel=1e-11)


@given(st.floats(1, 200), st.floats(0.001, 0.999))
def test_a_quantile_leaves_its_share_below(freedom: float, share: float) -> None:
    assert 1 - t_tail(t_quantile(freedom, share), freedom) == pytest.approx(share, abs=1e-9)


@given(st.lists(st.floats(-1, 1), min_size=2, max_size=7))
def test_p_is_the_share_of_all_choices_of_signs_that_are_as_far_out(ratios: list[float]) -> None:
    found = sign_flips(np.array(ratios)[:, None]).p[0]
    sums = [
        abs(sum(s * d for s, d in zip(signs, ratios, strict=True)))
        for signs in itertools.product((1, -1), repeat=len(ratios))
    ]
    length = math.sqrt(sum(d * d for d in ratios))
    slow = np.mean([one >= abs(sum(ratios)) - 1e-9 * max(length, 1e-300) for one in sums])
    assert found == pytest.approx(slow if length > 0 else 1.0)


def test_figures_beside_it_make_a_p_larger_and_never_smaller() -> None:
    random = np.random.default_rng(1)
    one = random.normal(0.1, 0.1, size=(10, 1))
    others = random.normal(size=(10, 9))
    assert sign_flips(np.hstack([one, others])).p[0] >= sign_flips(one).p[0]


def test_the_same_figure_twice_costs_nothing() -> None:
    one = np.random.default_rng(2).normal(0.05, 0.1, size=(10, 1))
    assert sign_flips(np.hstack([one, one])).p.tolist() == [sign_flips(one).p[0]] * 2


def test_ten_pairs_that_all_say_so_have_the_smallest_p_there_is() -> None:
    assert sign_flips(np.full((10, 1), 0.2)).p[0] == 2 / 2**10


@given(st.lists(st.floats(-2, 2), min_size=6, max_size=14))
def test_the_typical_ratio_lies_within_its_interval(ratios: list[float]) -> None:
    ends = interval(np.array(ratios))
    assert ends is not None
    assert ends[0] <= hodges_lehmann(np.array(ratios)) <= ends[1]


@given(st.integers(6, 12), st.integers(0, 2**32 - 1))
def test_the_interval_is_that_of_the_signed_rank_test(pairs: int, seed: int) -> None:
    """What lies outside is rejected by it, what lies inside is not."""
    ratios = np.random.default_rng(seed).normal(size=pairs)
    ends = interval(ratios)
    assert ends is not None
    for shift, is_inside in ((ends[0] - 1e-6, False), (ends[0] + 1e-6, True), (ends[1] + 1e-6, False)):
        rejected = scipy.stats.wilcoxon(ratios - shift, method="exact").pvalue <= LEVEL
        assert rejected != is_inside


def test_a_single_pair_has_no_interval_and_tells_nothing() -> None:
    assert interval(np.array([0.3])) is None
    assert smallest_told(np.array([0.3]), 1.0, LEAST) is None


@pytest.mark.parametrize("noise", ["independent", "heavy tails", "drift"])
def test_two_equal_variants_are_called_different_in_one_comparison_of_a_hundred(noise: str) -> None:
    random = np.random.default_rng(3)
    assert np.mean([found(pairs(random, noise, 0.05, 0.0)) for _ in range(300)]) <= 0.01


@pytest.mark.parametrize("noise", ["independent", "heavy tails", "drift"])
def test_a_fifth_more_is_found_nine_times_in_ten(noise: str) -> None:
    random = np.random.default_rng(4)
    assert np.mean([found(pairs(random, noise, 0.05, 0.2)) for _ in range(100)]) >= 0.9


def test_the_smallest_change_that_is_said_to_be_told_is_found_about_nine_times_in_ten() -> None:
    random = np.random.default_rng(5)
    told = []
    for _ in range(50):
        ratios = pairs(random, "independent", 0.05, 0.0)
        told.append(smallest_told(ratios[:, 0], sign_flips(ratios).critical, LEAST))
    step = math.expm1(float(np.median([one for one in told if one is not None])))
    share = np.mean([found(pairs(random, "independent", 0.05, step)) for _ in range(200)])
    assert 0.75 <= share <= 0.99
