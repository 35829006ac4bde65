"""Our families in the form of OpenTelemetry's metrics data, made whole instead of sample by sample.

The SDK's instruments take one value at a time, which for a hundred thousand operations a second would
cost more than the load. Everything is cumulative from run zero.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from bench.core.clock import NS_PER_S
from bench.exporters.buckets import BOUNDS_NS, Distribution
from bench.exporters.families import families

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.sdk.resources import Resource

    from bench.exporters.families import Family
    from bench.exporters.figures import Figures

UNITS = {"seconds": "s", "bytes": "By", "ratio": "1", "": "1"}
BOUNDS_S = tuple(bound / NS_PER_S for bound in BOUNDS_NS)
SCOPE = "holdfast"
CUMULATIVE = AggregationTemporality.CUMULATIVE


def metrics_data(figures: Figures, resource: Resource, start_ns: int, now_ns: int) -> MetricsData:
    """All families; times in ns of the wall clock."""
    metrics = [_metric(family, start_ns, now_ns) for family in families(figures)]
    scope = ScopeMetrics(InstrumentationScope(SCOPE), metrics, "")
    return MetricsData([ResourceMetrics(resource, [scope], "")])


def _metric(family: Family, start_ns: int, now_ns: int) -> Metric:
    name = family.name.replace("_", ".", 1)
    data: Sum | Gauge | Histogram
    if family.kind == "histogram":
        data = Histogram(_histograms(family, start_ns, now_ns), CUMULATIVE)
    elif family.kind == "counter":
        data = Sum(_numbers(family, start_ns, now_ns), CUMULATIVE, is_monotonic=True)
    else:
        data = Gauge(_numbers(family, start_ns, now_ns))
    return Metric(name, family.help, UNITS[family.unit], data)


def _numbers(family: Family, start_ns: int, now_ns: int) -> Sequence[NumberDataPoint]:
    found = []
    for labels, value in family.samples:
        assert not isinstance(value, Distribution)
        exact = int(value) if float(value).is_integer() else float(value)
        found.append(NumberDataPoint(labels, start_ns, now_ns, exact))
    return found


def _histograms(family: Family, start_ns: int, now_ns: int) -> Sequence[HistogramDataPoint]:
    found = []
    for labels, value in family.samples:
        assert isinstance(value, Distribution)
        found.append(
            HistogramDataPoint(
                attributes=labels,
                start_time_unix_nano=start_ns,
                time_unix_nano=now_ns,
                count=value.samples,
                sum=value.sum_ns / NS_PER_S,
                bucket_counts=value.counts.tolist(),
                explicit_bounds=BOUNDS_S,
                min=(value.lowest_ns or 0) / NS_PER_S,
                max=(value.highest_ns or 0) / NS_PER_S,
            )
        )
    return found
