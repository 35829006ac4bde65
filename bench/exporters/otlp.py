"""A run in the form of OpenTelemetry: families as its metrics, and the run as one span, from run zero to
its end, with phases, faults and checks as events.
"""

from collections.abc import Mapping, Sequence

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
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Status as SpanStatus
from opentelemetry.trace import StatusCode
from opentelemetry.util.types import AttributeValue
from pydantic import JsonValue

from bench.core.clock import NS_PER_S
from bench.exporters.families import Family, families
from bench.exporters.figures import BOUNDS_NS, MOST_MARKS, Distribution, Figures, RunFigures
from bench.judge.verdict import Check, Status

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


MOST_CHECKS = 1_000
LIMITS = SpanLimits(max_events=MOST_MARKS + MOST_CHECKS)
BROKEN = (Status.FAIL, Status.INVALID, Status.INCONCLUSIVE)


class _Kept(SpanProcessor):
    """Keeps the span instead of sending it: the sender must know whether it arrived."""

    def __init__(self) -> None:
        self.span: ReadableSpan | None = None

    def on_end(self, span: ReadableSpan) -> None:
        self.span = span


def run_span(run: RunFigures, resource: Resource) -> ReadableSpan | None:
    """The span of a run that has ended; None where the SDK is switched off."""
    provider = TracerProvider(
        sampler=ALWAYS_ON, resource=resource, shutdown_on_exit=False, span_limits=LIMITS
    )
    kept = _Kept()
    provider.add_span_processor(kept)
    start_ns = run.zero.wall_ns
    end_ns = run.view.end_ns if run.view else 0
    span = provider.get_tracer("holdfast").start_span(
        f"run {run.scenario}", start_time=start_ns, attributes=_facts(run)
    )
    for mark in sorted(run.marks, key=lambda mark: mark.at_ns):
        if mark.at_ns <= end_ns:
            details = {name: _plain(value) for name, value in mark.details.items()}
            span.add_event(mark.kind, details, start_ns + mark.at_ns)
    if run.verdict is not None:
        for check in run.verdict.checks[:MOST_CHECKS]:
            span.add_event("check", _check(check), start_ns + end_ns)
    span.set_status(_status(run))
    span.end(start_ns + end_ns)
    return kept.span


def _facts(run: RunFigures) -> Mapping[str, AttributeValue]:
    plan = run.record.plan
    facts: dict[str, AttributeValue] = {
        "holdfast.scenario": run.scenario,
        "holdfast.run": run.name,
        "holdfast.stack": run.record.stack.kind or "",
        "holdfast.seed": str(plan.seed),
        "holdfast.quick": bool(plan.quick),
        "holdfast.interrupted": run.interrupted,
    }
    if run.verdict:
        facts["holdfast.verdict"] = run.verdict.status.name
    return facts


def _check(check: Check) -> Mapping[str, AttributeValue]:
    names = ("rule", "metric", "observed", "unit", "limit", "samples", "because", "advice")
    known = {"status": check.status.name} | {name: getattr(check, name) for name in names}
    return {name: value for name, value in known.items() if value is not None}


def _status(run: RunFigures) -> SpanStatus:
    if run.verdict is None:
        return SpanStatus(StatusCode.ERROR, "interrupted" if run.interrupted else "the run did not end")
    worst = run.verdict.status
    return SpanStatus(StatusCode.ERROR, worst.name) if worst in BROKEN else SpanStatus(StatusCode.OK)


def _plain(value: JsonValue) -> AttributeValue:
    return value if isinstance(value, str | bool | int | float) else str(value)
