"""The bootstrap over windows: what it draws, and how wide it finds a percentile to be."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.compare.figures import REPLICATES, block_length, drawn_windows, percentile_spreads, sum_spread
from tests.helpers.fabricated_nights import estimates, levels, times_ns


@given(st.lists(st.integers(1, 40), min_size=1, max_size=4), st.integers(0, 1000))
@settings(max_examples=40, deadline=None)
def test_every_replicate_has_as_many_windows_of_each_phase_as_the_run(lengths: list[int], seed: int) -> None:
    phases = np.repeat(np.arange(len(lengths)), lengths)
    drawn = drawn_windows(phases, seed)
    assert drawn.shape == (REPLICATES, len(phases))
    assert (drawn >= 0).all()
    for phase, length in enumerate(lengths):
        assert (drawn[:, phases == phase].sum(axis=1) == length).all()


@given(st.integers(1, 5000))
def test_a_block_is_never_longer_than_half_of_the_windows(windows: int) -> None:
    assert 1 <= block_length(windows) <= max(1, windows // 2)


def test_neighbours_are_drawn_together() -> None:
    drawn = drawn_windows(np.zeros(60, dtype=np.int64))
    beside = np.mean([np.corrcoef(drawn[:, place], drawn[:, place + 1])[0, 1] for place in range(59)])
    apart = np.mean([np.corrcoef(drawn[:, place], drawn[:, place + 20])[0, 1] for place in range(39)])
    assert beside > 0.6
    assert abs(apart) < 0.2


def test_the_same_windows_give_the_same_interval() -> None:
    times = times_ns(np.random.default_rng(3))
    assert estimates(times) == estimates(times)


def test_windows_that_are_all_alike_leave_no_doubt() -> None:
    counts = np.tile([5, 90, 5], (60, 1))
    drawn = drawn_windows(np.zeros(60, dtype=np.int64))
    assert percentile_spreads(counts, np.array([1.0, 2.0, 3.0]), drawn, [50, 99]) == pytest.approx(
        [0, 0], abs=1e-9
    )


def test_too_few_windows_tell_nothing() -> None:
    counts = np.ones((5, 3), dtype=np.int64)
    drawn = drawn_windows(np.zeros(5, dtype=np.int64))
    assert percentile_spreads(counts, np.array([1.0, 2.0, 3.0]), drawn, [50]) == [None]
    assert sum_spread(counts.sum(axis=1), drawn) is None


def test_a_number_that_is_mostly_missing_tells_nothing() -> None:
    counts = np.zeros((60, 2), dtype=np.int64)
    counts[7] = 50
    drawn = drawn_windows(np.zeros(60, dtype=np.int64))
    assert percentile_spreads(counts, np.array([1.0, 2.0]), drawn, [50]) == [None]


def test_a_wandering_level_is_found_to_be_less_certain_than_the_same_windows_shuffled() -> None:
    random = np.random.default_rng(11)
    wider = []
    for _ in range(10):
        times = times_ns(random, alike=0.9, spread=0.15)
        shuffled = times[random.permutation(len(times))]
        wider.append(estimates(times)["p50"].spread / estimates(shuffled)["p50"].spread)
    assert np.median(wider) > 1.3


@pytest.mark.parametrize("alike", [0.0, 0.5, 0.8])
def test_the_standard_error_is_about_as_large_as_the_percentile_really_varies(alike: float) -> None:
    """Of P50, whose true spread between runs is known from many of them."""
    random = np.random.default_rng(17)
    runs = [estimates(times_ns(random, alike=alike, samples=50))["p50"] for _ in range(40)]
    true = np.std([run.place for run in runs])
    said = np.median([run.spread for run in runs])
    assert 0.5 * true < said < 1.8 * true


def test_levels_wander_as_asked() -> None:
    random = np.random.default_rng(5)
    found = np.array([levels(random, 0.8, 1.0) for _ in range(200)])
    assert np.corrcoef(found[:, :-1].ravel(), found[:, 1:].ravel())[0, 1] == pytest.approx(0.8, abs=0.05)
