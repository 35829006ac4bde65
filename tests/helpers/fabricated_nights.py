"""Nights made up: windows whose level wanders as that of a real machine does, as arrays or as run folders."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.compare.difference import PERCENTILES, Estimate
from bench.compare.figures import drawn_windows, percentile_spreads
from bench.core import histogram
from bench.judge.judge import judge
from bench.judge.verdict import save
from bench.results.reader import Run
from bench.results.writer import RunWriter
from tests.helpers.run_records import record_of
from tests.helpers.synthetic_run import MS, ZERO, S, SyntheticRun

WINDOWS = 60
STATS = tuple(PERCENTILES)


def levels(random: np.random.Generator, alike: float, spread: float) -> np.ndarray[Any, Any]:
    """The logarithm of each window's level: AR(1), `alike` the correlation of neighbours."""
    found = np.empty(WINDOWS)
    found[0] = random.normal()
    for number in range(1, WINDOWS):
        found[number] = alike * found[number - 1] + math.sqrt(1 - alike**2) * random.normal()
    return spread * found


def times_ns(
    random: np.random.Generator,
    slower: float = 1.0,
    alike: float = 0.6,
    spread: float = 0.08,
    night: float = 0.0,
    samples: int = 100,
) -> np.ndarray[Any, Any]:
    """Response times of shape (windows, samples) around 4 ms; `night` is how far nights lie apart."""
    middle = math.log(4 * MS) + night * random.normal() + levels(random, alike, spread)
    return np.exp(middle[:, None] + 0.4 * random.normal(size=(WINDOWS, samples))) * slower


def estimates(times: np.ndarray[Any, Any]) -> dict[str, Estimate]:
    """Each percentile with its standard error, as it is read from a run."""
    edges = np.exp(np.arange(math.log(1e5), math.log(1e9), 0.002))
    buckets = np.searchsorted(edges, times)
    used = np.unique(buckets)
    counts = np.stack([np.bincount(np.searchsorted(used, row), minlength=len(used)) for row in buckets])
    spreads = percentile_spreads(
        counts, edges[used], drawn_windows(np.zeros(len(times), dtype=np.int64)), [50, 95, 99]
    )
    found = {}
    for stat, spread in zip(STATS, spreads, strict=True):
        assert spread is not None
        value = float(np.quantile(times, float(stat[1:]) / 100, method="inverted_cdf"))
        found[stat] = Estimate(value, math.log(value), spread, 0.0, times.size)
    return found


def write_night(
    out: Path,
    number: int,
    slower: float = 1.0,
    seed: int | None = None,
    change: Callable[[dict[str, Any]], None] = lambda _: None,
    sla: tuple[str, ...] = ("cache.response.p95 < 10ms",),
    outcome: str = "ok",
    samples: int = 60,
    rows: Sequence[dict[str, Any]] = (),
    **record: Any,
) -> Path:
    """A judged run folder of 60 windows, made by the real writer; `change` may alter its record.

    Nights of one seed have the very same times, whatever their number.
    """
    random = np.random.default_rng(number if seed is None else seed)
    name = f"202602{number + 1:02d}t024000z-{record.pop('scenario', 'redis_latency')}-{number:06x}"
    times = times_ns(random, slower, samples=samples)
    writer = RunWriter(out, name, ZERO)
    for window, row in enumerate(times):
        counts = histogram.empty()
        np.add.at(counts, [histogram.bucket_of(int(value)) for value in row], 1)
        start_ns = S + window * 10 * S // WINDOWS
        end_ns = S + (window + 1) * 10 * S // WINDOWS
        writer.histogram(f"cache/get/response/{outcome}", start_ns, end_ns, counts)
        writer.series({"start_ns": start_ns, "end_ns": end_ns, "planned": samples})
    for row in rows:
        writer.resources(row)
    full = SyntheticRun(
        sla=list(sla), samples={f"cache/get/response/{outcome}": [(MS, times.size)]}, record=record
    ).full_record()
    full["scenario"]["name"] = name.split("-")[1]
    full["calibration"]["floor_ns"] = {"p50": 30_000, "p95": 60_000, "p99": 90_000}
    change(full)
    folder = writer.finish(record_of(full))
    save(judge(Run.load(folder)), folder)
    return folder
