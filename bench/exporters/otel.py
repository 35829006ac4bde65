"""A run in the form of OpenTelemetry, metrics and one span, sent by OTLP. Imports OpenTelemetry's SDK.

Each collector has a separate thread. One that is unreachable, slow or hangs blocks nothing but that
thread; at the end of the session all of them together are waited for no longer than END_NS.
"""

import contextlib
import logging
import os
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricExportResult,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Status as SpanStatus
from opentelemetry.trace import StatusCode
from opentelemetry.util.types import AttributeValue
from pydantic import JsonValue

from bench.core.clock import NS_PER_S, monotonic_ns
from bench.exporters.choice import Collector
from bench.exporters.families import Family, families
from bench.exporters.figures import BOUNDS_NS, MOST_MARKS, CoalescingBuffer, Distribution, Figures, RunFigures
from bench.judge.verdict import Check, Status
from bench.run.plugins import Observers

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


END_NS = 2 * NS_PER_S
ATTEMPT_S = 5
INTERVAL_VARIABLE = "OTEL_METRIC_EXPORT_INTERVAL"
INTERVAL_MS = 5_000
"""The specification's 60 s would show most runs only once."""

HEADERS = tuple(f"OTEL_EXPORTER_OTLP_{signal}HEADERS" for signal in ("", "METRICS_", "TRACES_"))
LONGEST_REASON = 200
CAUSE = re.compile(r"\[Errno -?\d+\] ([\w ,'-]+)")
"""What the system said stands at the end of a long chain of wrappings."""


class OtelExporter(Observers):
    """Passes everything on to the senders."""

    def __init__(
        self,
        collectors: list[Collector],
        notify: Callable[[str], None],
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        interval_s = _interval_s(environment)
        self._senders = [Sender(collector, interval_s) for collector in collectors]
        super().__init__([sender.buffer for sender in self._senders], notify)

    def close(self) -> None:
        """Have the last things sent, for END_NS at most; report what did not arrive."""
        until = monotonic_ns() + END_NS
        for sender in self._senders:
            sender.finish()
        for sender in self._senders:
            if (trouble := sender.await_end(until)) is not None:
                self._report(trouble)
        self._senders = []


class Sender:
    """Sends to one collector: metrics now and then, the span when a run has ended."""

    def __init__(self, collector: Collector, interval_s: float) -> None:
        self.buffer = CoalescingBuffer()
        self._collector = collector
        self._interval_s = interval_s
        self._figures = Figures()
        self._traced: RunFigures | None = None
        """The run whose span was sent."""
        self._trouble: str | None = None
        self._ending = threading.Event()
        self._resource = Resource.create({"service.name": collector.service, **collector.resource})
        with _own_headers_alone(collector):
            headers = collector.headers
            self._metrics = collector.metrics_url and OTLPMetricExporter(
                collector.metrics_url, headers=headers, timeout=ATTEMPT_S
            )
            self._traces = collector.traces_url and OTLPSpanExporter(
                collector.traces_url, headers=headers, timeout=ATTEMPT_S
            )
        self._thread = threading.Thread(target=self._send, name=f"to {collector.name}", daemon=True)
        self._last_word = _LastWord(self._thread)
        logging.getLogger("opentelemetry").addHandler(self._last_word)
        self._thread.start()

    def finish(self) -> None:
        """Send what is left and end."""
        self._ending.set()
        self.buffer.is_urgent.set()

    def await_end(self, until_ns: int) -> str | None:
        """Wait until then at most, and have it try no further; the sentence for what did not arrive."""
        self._thread.join(max(until_ns - monotonic_ns(), 0) / NS_PER_S)
        where = f"{self._collector.name}: the collector at {self._collector.address}"
        if self._thread.is_alive():
            if self._metrics:
                self._metrics.shutdown()
            if self._traces:
                self._traces.shutdown()  # type: ignore[no-untyped-call]  # OpenTelemetry's
            said = f" ({self._last_word.text})" if self._last_word.text else ""
            return f"{where} did not answer in time{said}; the last of this session may be missing there"
        logging.getLogger("opentelemetry").removeHandler(self._last_word)
        return None if self._trouble is None else f"{where} did not take everything: {self._trouble}"

    def _send(self) -> None:
        try:
            while not self._ending.is_set():
                self.buffer.is_urgent.wait(self._interval_s)
                self.buffer.is_urgent.clear()
                self._look()
            self._look()
            self._tell_run()
        except Exception as failure:  # noqa: BLE001 - whatever it is, it is reported at the end of the session
            self._trouble = f"{type(failure).__name__}: {failure}"

    def _look(self) -> None:
        for batch in self.buffer.take():
            if batch.record is not None:
                self._tell_run()
            self._figures.take([batch])
        run = self._figures.run
        if run is not None and run.verdict is not None:
            self._tell_run()
        elif run is not None and run is not self._traced:
            self._send_metrics(run)

    def _tell_run(self) -> None:
        """The last metrics of the present run and its span, once."""
        run = self._figures.run
        if run is None or run is self._traced:
            return
        self._traced = run
        self._send_metrics(run)
        span = run_span(run, self._resource)
        if self._traces and span is not None:
            self._note(self._traces.export([span]) is SpanExportResult.SUCCESS)

    def _send_metrics(self, run: RunFigures) -> None:
        if self._metrics:
            now_ns = run.zero.wall_ns + monotonic_ns() - run.zero.monotonic_ns
            data = metrics_data(self._figures, self._resource, run.zero.wall_ns, now_ns)
            self._note(self._metrics.export(data) is MetricExportResult.SUCCESS)

    def _note(self, arrived: bool) -> None:
        self._trouble = None if arrived else (self._last_word.text or "no reason given")


class _LastWord(logging.Handler):
    """Keeps what the SDK says in one thread instead of having it on standard error."""

    def __init__(self, thread: threading.Thread) -> None:
        super().__init__(logging.WARNING)
        self._thread = thread
        self.text = ""

    def emit(self, record: logging.LogRecord) -> None:
        if record.thread == self._thread.ident:
            text = " ".join(record.getMessage().split())
            cause = CAUSE.search(text)
            self.text = cause[1].strip() if cause else text[:LONGEST_REASON]


@contextlib.contextmanager
def _own_headers_alone(collector: Collector) -> Iterator[None]:
    """The SDK adds the environment's headers to every collector: do not send another's key to Logfire."""
    if collector.headers is None:
        yield
        return
    hidden = {name: os.environ.pop(name) for name in HEADERS if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(hidden)


def _interval_s(environment: Mapping[str, str]) -> float:
    try:
        return max(float(environment.get(INTERVAL_VARIABLE) or INTERVAL_MS), 100) / 1000
    except ValueError:
        return INTERVAL_MS / 1000
