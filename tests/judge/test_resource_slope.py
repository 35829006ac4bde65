"""The slope on simulated memory: 30 minutes, a sample each second, seeded. What is a leak, and what not."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.judge.observation import Unmeasurable
from bench.judge.resources.growth import Series, Slope, Times, slope, slope_of, theil_sen

MB = 1e6
S = 1_000_000_000
SECONDS = 1800
AT_S = np.arange(SECONDS, dtype=np.float64)
LIMIT = 1 * MB / 60
"""1 MB/min."""
SEEDS = range(20)
Noise = NDArray[np.float64]


def found(memory: Noise) -> Slope:
    at_ns = (AT_S[: len(memory)] * S).astype(np.int64)
    times = Times(((0, len(memory) * S),), ((0, len(memory) * S),), ())
    return slope(Series("redis", at_ns, {"rss_bytes": memory}), times, "rss_bytes")


def fails(seen: Slope) -> bool:
    """As the judge decides it (bench.judge.guards)."""
    return seen.low > LIMIT and seen.goes_on


def correlated(random: np.random.Generator, share: float, deviation: float) -> Noise:
    """Noise in which each value takes `share` of the one before it."""
    noise = random.normal(0, deviation * np.sqrt(1 - share**2), SECONDS)
    for index in range(1, SECONDS):
        noise[index] += share * noise[index - 1]
    return noise


def plain_noise(random: np.random.Generator) -> Noise:
    return 200 * MB + random.normal(0, 2 * MB, SECONDS)


def lasting_noise(random: np.random.Generator) -> Noise:
    return 200 * MB + correlated(random, 0.95, 2 * MB)


def slow_warm_up(random: np.random.Generator) -> Noise:
    return 200 * MB - 100 * MB * np.exp(-AT_S / 480) + correlated(random, 0.9, MB)


def cache_that_fills(random: np.random.Generator) -> Noise:
    """Full after a quarter of the time."""
    return 100 * MB + np.minimum(AT_S * 0.2 * MB, 90 * MB) + correlated(random, 0.9, MB)


def cache_that_fills_late(random: np.random.Generator) -> Noise:
    """Full after 60 % of the time, well after the third that is dropped."""
    return 100 * MB + np.minimum(AT_S * 0.2 * MB, 216 * MB) + correlated(random, 0.9, MB)


def garbage_collected(random: np.random.Generator) -> Noise:
    return 100 * MB + AT_S % 47 * 0.6 * MB + random.normal(0, MB, SECONDS)


def one_step(random: np.random.Generator) -> Noise:
    return 100 * MB + np.where(AT_S > 1200, 30 * MB, 0) + random.normal(0, MB, SECONDS)


@pytest.mark.parametrize(
    "shape",
    [
        plain_noise,
        lasting_noise,
        slow_warm_up,
        cache_that_fills,
        cache_that_fills_late,
        garbage_collected,
        one_step,
    ],
)
def test_what_is_no_leak_does_not_fail(shape: Callable[[np.random.Generator], Noise]) -> None:
    assert not any(fails(found(shape(np.random.default_rng(seed)))) for seed in SEEDS)


@pytest.mark.parametrize("shape", [plain_noise, lasting_noise, cache_that_fills, garbage_collected])
def test_what_is_plainly_no_leak_is_within_the_limit(shape: Callable[[np.random.Generator], Noise]) -> None:
    assert all(found(shape(np.random.default_rng(seed))).value <= LIMIT for seed in SEEDS)


@pytest.mark.parametrize("shape", [slow_warm_up, cache_that_fills_late])
def test_what_still_warms_up_is_told_as_such(shape: Callable[[np.random.Generator], Noise]) -> None:
    assert not any(found(shape(np.random.default_rng(seed))).goes_on for seed in SEEDS)


@pytest.mark.parametrize("shape", [plain_noise, lasting_noise, garbage_collected])
def test_a_leak_of_five_times_the_limit_is_found_in_any_noise(
    shape: Callable[[np.random.Generator], Noise],
) -> None:
    assert all(fails(found(shape(np.random.default_rng(seed)) + 5 * LIMIT * AT_S)) for seed in SEEDS)


def test_a_leak_of_twice_the_limit_is_mostly_found() -> None:
    seen = [found(lasting_noise(np.random.default_rng(seed)) + 2 * LIMIT * AT_S) for seed in SEEDS]
    assert sum(map(fails, seen)) >= len(SEEDS) * 0.6
    assert all(one.value > LIMIT for one in seen)


def test_the_bounds_hold_the_true_slope() -> None:
    seen = [found(plain_noise(np.random.default_rng(seed)) + LIMIT * AT_S) for seed in SEEDS]
    assert sum(one.low <= LIMIT <= one.high for one in seen) >= len(SEEDS) - 1
    assert all(one.low <= one.value <= one.high for one in seen)


def test_the_same_samples_have_the_same_bounds() -> None:
    memory = plain_noise(np.random.default_rng(1))
    assert found(memory) == found(memory)


def test_theil_and_sen_do_not_look_at_outliers() -> None:
    at_s = np.arange(30.0)
    values = 3 * at_s
    values[[4, 11, 17]] += 1e9
    assert theil_sen(at_s, values) == pytest.approx(3)
    assert slope_of(at_s, 3 * at_s) == Slope(3.0, pytest.approx(3.0), pytest.approx(3.0), True, 30)


def test_too_few_samples_have_no_slope() -> None:
    """One in each of 16 windows, of which five are warm-up."""
    series = Series("redis", np.arange(16, dtype=np.int64) * 60 * S, {"rss_bytes": np.full(16, 1.0)})
    times = Times(((0, 1800 * S),), ((0, 1800 * S),), ())
    with pytest.raises(Unmeasurable, match=r"needed 12 windows with samples of redis .*, had 11") as told:
        slope(series, times, "rss_bytes")
    assert told.value.advice == "measure longer, or with more cycles"


def test_a_long_run_has_no_more_windows_than_can_be_compared() -> None:
    at_ns = np.arange(10_000, dtype=np.int64) * S
    times = Times(((0, 10_000 * S),), ((0, 10_000 * S),), ())
    seen = slope(Series("redis", at_ns, {"rss_bytes": at_ns / S}), times, "rss_bytes")
    assert seen.points == 40
    assert seen.value == pytest.approx(1)


def test_with_cycles_each_has_one_point_whatever_it_needs_in_between() -> None:
    """Memory swings by 50 MB in each cycle and comes back: nothing is lost."""
    at_ns = np.arange(3000, dtype=np.int64) * S // 10
    cycles = tuple((n * 6 * S, n * 6 * S + 4 * S, (n + 1) * 6 * S) for n in range(50))
    times = Times(((0, 300 * S),), tuple((start, turn) for start, turn, _ in cycles), cycles)
    swing = 50 * MB * np.sin(np.pi * (at_ns % (6 * S)) / (6 * S))
    flat = slope(Series("redis", at_ns, {"rss_bytes": swing}), times, "rss_bytes")
    leaking = slope(
        Series("redis", at_ns, {"rss_bytes": swing + MB * (at_ns // (6 * S))}), times, "rss_bytes"
    )
    assert flat.points == leaking.points == 34
    assert flat.value == pytest.approx(0, abs=1)
    assert leaking.value == pytest.approx(MB / 6, rel=0.01)
    assert leaking.goes_on
