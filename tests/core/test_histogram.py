"""The histogram: HdrHistogram's layout, nearest-rank percentiles, and the way to the package and back."""

import math

import numpy as np
import pytest
from hdrh.histogram import HdrHistogram
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bench.core.histogram import (
    BUCKET_COUNT,
    HIGHEST_NS,
    LOWEST_NS,
    SIGNIFICANT_DIGITS,
    bucket_of,
    empty,
    from_hdr,
    lower_edge_ns,
    max_ns,
    mean_ns,
    percentile_ns,
    to_hdr,
    upper_edge_ns,
)
from bench.engine.wire import recording

pytestmark = pytest.mark.timeout(300)

POWERS = [1 << power for power in range(42)]
EDGES = sorted(
    {value for power in POWERS for value in (power - 1, power, power + 1) if value <= HIGHEST_NS}
    | {HIGHEST_NS, HIGHEST_NS - 1, 999, 1_000, 1_000_000, 3_000_000_007}
)
VALUES = st.integers(0, HIGHEST_NS) | st.integers(0, 10_000) | st.sampled_from(EDGES)
SAMPLES = st.lists(VALUES, min_size=1, max_size=300)
PERCENTS = st.sampled_from([0.1, 1, 10, 25, 50, 75, 90, 95, 99, 99.9, 99.99, 100])


def histogram_of(values: list[int]) -> np.ndarray:
    counts = empty()
    for value in values:
        counts[bucket_of(value)] += 1
    return counts


def package_histogram() -> HdrHistogram:
    return HdrHistogram(LOWEST_NS, HIGHEST_NS, SIGNIFICANT_DIGITS)


def test_the_layout_has_as_many_buckets_as_the_package() -> None:
    assert package_histogram().counts_len == BUCKET_COUNT


@pytest.mark.parametrize("value", EDGES)
def test_an_edge_falls_into_the_bucket_of_the_package(value: int) -> None:
    assert bucket_of(value) == package_histogram().get_counts_array_index(value)


def test_random_values_fall_into_the_buckets_of_the_package() -> None:
    package = package_histogram()
    random = np.random.default_rng(1)
    for value in np.exp(random.uniform(0, math.log(HIGHEST_NS), 20_000)).astype(np.int64):
        assert bucket_of(int(value)) == package.get_counts_array_index(int(value))


def test_the_compiled_index_is_the_plain_one() -> None:
    random = np.random.default_rng(2)
    for value in [*EDGES, *np.exp(random.uniform(0, math.log(HIGHEST_NS), 20_000)).astype(np.int64)]:
        assert recording.bucket_of(int(value)) == bucket_of(int(value))


@settings(max_examples=500, deadline=None)
@given(VALUES)
def test_a_value_lies_within_its_bucket_and_the_bucket_within_a_thousandth(value: int) -> None:
    bucket = bucket_of(value)
    assert lower_edge_ns(bucket) <= value <= upper_edge_ns(bucket)
    assert upper_edge_ns(bucket) - lower_edge_ns(bucket) <= value / 1024


def test_buckets_follow_each_other_without_gap() -> None:
    for bucket in range(BUCKET_COUNT - 1):
        assert upper_edge_ns(bucket) + 1 == lower_edge_ns(bucket + 1)
        assert bucket_of(min(lower_edge_ns(bucket + 1), HIGHEST_NS)) <= bucket + 1


@settings(max_examples=300, deadline=None)
@given(SAMPLES, PERCENTS)
def test_a_percentile_is_the_nearest_rank_sample_at_its_buckets_upper_edge(
    values: list[int], percent: float
) -> None:
    rank = max(1, math.ceil(len(values) * percent / 100 - 1e-9))
    expected = upper_edge_ns(bucket_of(sorted(values)[rank - 1]))
    assert percentile_ns(histogram_of(values), percent) == expected


def test_99_9_percent_of_a_thousand_is_rank_999() -> None:
    counts = empty()
    counts[bucket_of(10)] = 999
    counts[bucket_of(1_000_000)] = 1
    assert percentile_ns(counts, 99.9) == 10
    assert percentile_ns(counts, 99.91) >= 1_000_000


@settings(max_examples=200, deadline=None)
@given(SAMPLES)
def test_mean_and_maximum_are_within_a_bucket_of_the_samples(values: list[int]) -> None:
    counts = histogram_of(values)
    assert max_ns(counts) == upper_edge_ns(bucket_of(max(values)))
    assert mean_ns(counts) == pytest.approx(np.mean(values), rel=1 / 1024, abs=1)


@pytest.mark.parametrize("ask", [lambda c: percentile_ns(c, 50), max_ns, mean_ns])
def test_nothing_measured_is_not_zero(ask: object) -> None:
    with pytest.raises(ValueError, match="no samples"):
        ask(empty())  # type: ignore[operator]


@settings(max_examples=50, deadline=None)
@given(SAMPLES)
@example([0])
@example([HIGHEST_NS])
@example([0, HIGHEST_NS])
def test_encoded_by_the_package_and_decoded_nothing_changes(values: list[int]) -> None:
    counts = histogram_of(values)
    decoded = HdrHistogram.decode(to_hdr(counts).encode())
    assert (from_hdr(decoded) == counts).all()
    assert decoded.get_total_count() == len(values)


@settings(max_examples=50, deadline=None)
@given(SAMPLES)
def test_the_package_reads_the_percentiles_that_we_do(values: list[int]) -> None:
    decoded = HdrHistogram.decode(to_hdr(histogram_of(values)).encode())
    recorded = package_histogram()
    for value in values:
        recorded.record_value(value)
    for percent in (50, 95, 99, 100):
        assert decoded.get_value_at_percentile(percent) == recorded.get_value_at_percentile(percent)


def test_an_empty_histogram_survives_the_round_trip() -> None:
    assert not from_hdr(HdrHistogram.decode(to_hdr(empty()).encode())).any()


def test_another_layout_is_refused() -> None:
    with pytest.raises(ValueError, match="expected"):
        from_hdr(HdrHistogram(1, 1_000_000, 3))
