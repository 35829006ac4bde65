"""Draws follow their distributions. Seeds are fixed, so a test that passes once passes always."""

import numpy as np
import pytest
import scipy

from bench.plan.draws import GAUSSIAN, SEQUENTIAL, UNIFORM, ZIPF, draw, stream_key, unit, variable_row
from tests.plan.planned import KEY, OPERATION, PLANNED, arrivals, plan_of

pytestmark = pytest.mark.timeout(300)

DRAWS = 100_000
SURPRISE = 0.001
"""A p-value below this is a defect and no bad luck."""
STREAM = 16


def drawn(row: np.ndarray, seed: int, count: int = DRAWS) -> np.ndarray:
    return np.array([draw(row, seed, index) for index in range(count)])


def units(seed: int, stream: int, count: int) -> list[float]:
    with np.errstate(over="ignore"):
        key = np.uint64(stream_key(seed, stream))
        return [unit(key, index) for index in range(count)]


def p_value(values: np.ndarray, shares: np.ndarray) -> float:
    """Chi-square of counts against shares; the tail is pooled until every expectation is at least 10."""
    expected = shares / shares.sum() * values.size
    found = np.bincount(values, minlength=shares.size)
    order = np.argsort(-expected)
    expected, found = expected[order], found[order]
    kept = max(int(np.searchsorted(-expected, -10)), 1)
    if kept < expected.size:
        expected = np.append(expected[:kept], expected[kept:].sum())
        found = np.append(found[:kept], found[kept:].sum())
    return float(scipy.stats.chisquare(found, expected).pvalue)


@pytest.mark.parametrize("seed", [1, 2**62])
@pytest.mark.parametrize("count", [2, 7, 1000])
def test_uniform_keys_are_equally_frequent(seed: int, count: int) -> None:
    values = drawn(variable_row(UNIFORM, count, STREAM), seed)
    assert 0 <= values.min() <= values.max() < count
    assert p_value(values, np.ones(count)) > SURPRISE


@pytest.mark.parametrize("count", [2, 10, 1000])
@pytest.mark.parametrize("exponent", [0.1, 0.5, 0.99, 1.0, 1.00001, 1.5, 3.0])
def test_zipf_keys_follow_the_power_of_their_rank(exponent: float, count: int) -> None:
    values = drawn(variable_row(ZIPF, count, STREAM, exponent=exponent), 7)
    assert 0 <= values.min() <= values.max() < count
    assert p_value(values, np.arange(1.0, count + 1) ** -exponent) > SURPRISE


def test_zipf_holds_for_a_billion_keys() -> None:
    """Compared on the first ranks and on decades, with the tail's sum as an integral."""
    count, exponent = 1_000_000_000, 0.99
    values = drawn(variable_row(ZIPF, count, STREAM, exponent=exponent), 3) + 1
    assert values.max() <= count
    edges = [1, 2, 3, 5, 10, 100, 1000, 10**4, 10**5, 10**6, 10**7, 10**8, 10**9 + 1]

    def below(rank: int) -> float:
        exact = min(rank, 1001)
        head = (np.arange(1.0, exact) ** -exponent).sum()
        power = 1 - exponent
        # Midpoint rule: the sum over exact..rank-1 is the integral from exact-1/2 to rank-1/2.
        return float(head + ((rank - 0.5) ** power - (exact - 0.5) ** power) / power)

    shares = np.diff([below(edge) for edge in edges])
    found = np.histogram(values, bins=np.array(edges) - 0.5)[0]
    assert scipy.stats.chisquare(found, shares / shares.sum() * DRAWS).pvalue > SURPRISE


@pytest.mark.parametrize(("count", "deviations"), [(1000, 3.0), (1000, 1.0), (11, 2.0), (1, 3.0)])
def test_gaussian_keys_follow_the_bell_cut_at_the_ends_of_the_range(count: int, deviations: float) -> None:
    values = drawn(variable_row(GAUSSIAN, count, STREAM, deviations=deviations), 5)
    assert 0 <= values.min() <= values.max() < count
    bell = scipy.stats.norm(count / 2, count / (2 * deviations))
    shares = np.diff(bell.cdf(np.arange(count + 1)))
    if count > 1:
        assert p_value(values, shares) > SURPRISE


def test_sequential_keys_come_in_order_and_begin_again() -> None:
    values = drawn(variable_row(SEQUENTIAL, 7, STREAM), 1, 20)
    assert values.tolist() == [index % 7 for index in range(20)]


def test_units_are_uniform_on_zero_to_one() -> None:
    values = units(1, 1, DRAWS)
    assert 0 <= min(values) < max(values) < 1
    assert scipy.stats.kstest(values, "uniform").pvalue > SURPRISE


def test_streams_and_neighbouring_seeds_have_nothing_to_do_with_each_other() -> None:
    columns = [units(seed, stream, 20_000) for seed, stream in ((1, 1), (1, 2), (2, 1), (1, 16), (1, 17))]
    off_diagonal = np.corrcoef(columns) - np.eye(len(columns))
    assert abs(off_diagonal).max() < 4 / np.sqrt(20_000)
    lagged = np.corrcoef(columns[0][:-1], columns[0][1:])[0, 1]
    assert abs(lagged) < 4 / np.sqrt(20_000)


@pytest.mark.parametrize("weights", [(80, 20), (1, 1, 1), (0, 5, 0), (1, 0.001, 99)])
def test_operations_are_mixed_by_their_weights(weights: tuple[float, ...]) -> None:
    operations = {f"o{n}": {"command": ["PING"], "weight": weight} for n, weight in enumerate(weights)}
    plan = plan_of(({"name": "steady", "for": "50s"},), operations=operations, keys=None)
    found = np.bincount(arrivals(plan)[:, OPERATION], minlength=len(weights))
    assert found.sum() == 50_000
    for count, weight in zip(found, weights, strict=True):
        assert (count == 0) == (weight == 0)
    used = np.array(weights) > 0
    if used.sum() > 1:
        expected = np.array(weights)[used] / sum(weights) * found.sum()
        assert scipy.stats.chisquare(found[used], expected).pvalue > SURPRISE


def test_time_operation_and_key_of_an_arrival_are_independent() -> None:
    operations = {"a": {"command": ["GET", "{key}"]}, "b": {"command": ["DEL", "{key}"]}}
    plan = plan_of(
        ({"name": "steady", "for": "50s"},), arrivals="poisson", operations=operations, keys={"count": 10}
    )
    rows = arrivals(plan)
    gaps = np.diff(rows[:, PLANNED])
    short = (gaps < np.median(gaps)).astype(int)
    for one, other in (
        (rows[1:, OPERATION], rows[1:, KEY]),
        (short, rows[1:, KEY]),
        (short, rows[1:, OPERATION]),
    ):
        table = np.histogram2d(one, other, bins=(np.unique(one).size, np.unique(other).size))[0]
        assert scipy.stats.chi2_contingency(table).pvalue > SURPRISE


@pytest.mark.parametrize("deviations", [0, 1e-9, 0.09, 101])
def test_a_bell_so_flat_that_its_draws_would_not_end_is_refused(deviations: float) -> None:
    with pytest.raises(ValueError, match="deviations"):
        plan_of(keys={"count": 1000, "distribution": "gaussian", "deviations": deviations})
