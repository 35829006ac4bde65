"""How much CPU and memory differ within a run: bounds that assume nothing about how samples depend."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.assess.slices import tenths
from bench.judge.measures import observe
from bench.judge.observation import Unmeasurable
from bench.judge.resources.growth import SHARE, by_memory, growth, measured_offsets
from bench.judge.resources.series import series_of, times_of

if TYPE_CHECKING:
    from bench.judge.resources.series import Series, Times
    from bench.results.reader import Run
    from bench.scenario.rules.grammar import Metric

LEAST_SLICES = 5


def of_cpu(run: Run, metric: Metric) -> tuple[float, float] | None:
    """The least and the greatest share of ten slices of the longest measured phase."""
    shares = []
    for piece in tenths(run):
        try:
            shares.append(observe(piece, metric).value)
        except Unmeasurable:
            continue
    return (min(shares), max(shares)) if len(shares) >= LEAST_SLICES else None


def of_memory_growth(run: Run, metric: Metric) -> tuple[float, float] | None:
    """Lowest minus highest and highest minus lowest sample of the last and the first tenth, in bytes."""
    if not metric.scope:
        return None
    try:
        series, times = series_of(run, metric.scope[0]), times_of(run)
        bounds, _ = by_memory(series, lambda column: _extremes(series, times, column))
    except Unmeasurable:
        return None
    return bounds


def _extremes(series: Series, times: Times, column: str) -> tuple[float, float]:
    growth(series, times, column)  # refuses the column that the judge refuses
    at_ns, values = series.known(column)
    offsets, inside = measured_offsets(at_ns, times)
    measured = values[inside]
    first = measured[offsets < SHARE * times.measured_ns]
    last = measured[offsets >= (1 - SHARE) * times.measured_ns]
    if not len(first) or not len(last):
        message = "no samples at the beginning or at the end"
        raise Unmeasurable(message, "measure longer")
    return float(last.min() - first.max()), float(last.max() - first.min())
