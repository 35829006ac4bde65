"""Per arrival: recording its end, drawing its key, rendering its request; per window: encoding."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest

from bench.core.histogram import bucket_of, empty, percentile_ns
from bench.core.jit import compiled, int64
from bench.engine.wire import layout
from bench.engine.wire.layout import Tables
from bench.engine.wire.recording import OK, add_value, record_end
from bench.engine.wire.render import render
from bench.engine.wire.shard import Shard
from bench.exporters.figures import Distribution
from bench.plan.compile import compile_plan
from bench.plan.draws import draw
from bench.results.logs import Encoder
from bench.scenario.load import load_scenario

ARRIVALS = 20_000
LANE, AT = int64(0), int64(0)
ROW, KIND = int64(0), int64(0)


@compiled
def record_samples(t: Tables, values: np.ndarray) -> int:
    for value in values:
        add_value(t, ROW, KIND, OK, value)
    return values.shape[0]


@compiled
def record_arrivals(t: Tables, values: np.ndarray) -> int:
    entry = t.waiting[0]
    for value in values:
        entry[layout.SENT] = entry[layout.PLANNED] + 1000
        record_end(t, entry, OK, entry[layout.PLANNED] + value, LANE)
    return values.shape[0]


@compiled
def draw_keys(variable: np.ndarray, seed: int, count: int) -> int:
    total = 0
    for index in range(count):
        total += draw(variable, seed, index)
    return total


@compiled
def render_arrivals(t: Tables, count: int) -> int:
    entry, end = t.waiting[0], AT
    for index in range(count):
        entry[layout.ARRIVAL] = index
        entry[layout.KEY] = index % 1000
        end = render(t, AT, entry, LANE, AT)
    return end


@pytest.fixture(scope="module")
def shard() -> Iterator[Shard]:
    plan = compile_plan(load_scenario("scenarios/redis_latency.yaml").scenario)
    workload = plan.workloads[0]
    one = Shard(workload, duration_ns=plan.duration_ns, number=0, count=1, lanes=1)
    yield one
    one.close()


@pytest.fixture(scope="module")
def times_ns() -> np.ndarray:
    """Log-normal around 100 µs, as answers of a near server are."""
    return np.random.default_rng(1).lognormal(11.5, 0.5, ARRIVALS).astype(np.int64)


def test_recording_a_sample(measure: Callable[..., None], shard: Shard, times_ns: np.ndarray) -> None:
    measure(lambda: record_samples(shard.tables, times_ns), ARRIVALS, "sample")


def test_recording_the_end_of_an_arrival(
    measure: Callable[..., None], shard: Shard, times_ns: np.ndarray
) -> None:
    measure(lambda: record_arrivals(shard.tables, times_ns), ARRIVALS, "arrival")


def test_drawing_a_zipf_key(measure: Callable[..., None], shard: Shard) -> None:
    tables = shard.tables
    variable = tables.variables[int(tables.settings[layout.KEY_VARIABLE])]
    measure(lambda: draw_keys(variable, int(tables.settings[layout.SEED]), ARRIVALS), ARRIVALS, "key")


def test_rendering_a_request(measure: Callable[..., None], shard: Shard) -> None:
    assert render_arrivals(shard.tables, 1) > 0
    measure(lambda: render_arrivals(shard.tables, ARRIVALS), ARRIVALS, "request")


def counts_of(times_ns: np.ndarray) -> np.ndarray:
    counts = empty()
    for value in times_ns.tolist():
        counts[bucket_of(value)] += 1
    return counts


def test_encoding_a_histogram(measure: Callable[..., None], times_ns: np.ndarray) -> None:
    counts, encoder = counts_of(times_ns), Encoder()
    measure(lambda: encoder.encode(counts), 1, "histogram", interpreted=True)


def test_three_percentiles_of_a_histogram(measure: Callable[..., None], times_ns: np.ndarray) -> None:
    counts = counts_of(times_ns)
    percents = (50.0, 95.0, 99.0)
    measure(lambda: [percentile_ns(counts, p) for p in percents], 1, "histogram", interpreted=True)


def test_folding_a_histogram_for_a_scraper(measure: Callable[..., None], times_ns: np.ndarray) -> None:
    counts, distribution = counts_of(times_ns), Distribution.empty()
    measure(lambda: distribution.add(counts), 1, "histogram", interpreted=True)
