"""The page of a search: the result, its curve (times, throughput, what was in use), every probe."""

from collections.abc import Sequence
from pathlib import Path

from bench.capacity.readings import by_rate
from bench.capacity.record import PAGE_SUFFIX, SUFFIX, CapacityRecord, ProbeRecord
from bench.core.errors import ResultError
from bench.core.units import format_duration_ns, format_rate
from bench.report.capacity.sections import facts, headline, limit_text, outcome, whole_curve
from bench.report.document import Section
from bench.report.html.page import Child, Html, data_block, element, page, resource, section
from bench.report.html.plots import Book, Limit, Line, Plot, line_style, wants_log
from bench.report.html.run_page import NO_SCRIPT
from bench.report.render import html
from bench.results.layout import write_whole
from bench.scenario.rules.grammar import parse_rule

NO_TIMES = {"phases": [], "spans": [], "points": [], "workloads": [], "from": 0, "to": 0}
"""For the script: nothing here is over time."""


def save(record: CapacityRecord, file: Path) -> Path:
    """Write the page beside the file of the search, whole or not at all. Raises ResultError."""
    path = file.with_name(file.name.removesuffix(SUFFIX) + PAGE_SUFFIX)
    try:
        write_whole(path, render(record, file))
    except OSError as error:
        raise ResultError(f"{path}: the page cannot be written: {error.strerror}; make room") from error
    return path


def render(record: CapacityRecord, file: Path) -> str:
    """The whole page; its links go from the folder of `file`."""
    book = Book()
    title = headline(record)
    badge = html.sections([Section("", (title,))], file.parent)
    figures = _figures(record, book)
    parts = [Section("Result", (facts(record),)), Section("Probes", (whole_curve(record, file),))]
    result, probes = html.sections(parts, file.parent)
    body: list[Child] = [
        element("a", "To the result", href="#main", class_="skip"),
        element("p", NO_SCRIPT, class_="banner neutral", id="without-script"),
        element(
            "main",
            element("h1", f"Capacity of {record.scenario}"),
            badge,
            element("p", f"Searched {record.started_utc[:19].replace('T', ' ')} UTC", class_="soft small"),
            html.cards(_cards(record)),
            result,
            section("The curve", figures),
            probes,
            id="main",
        ),
        data_block("plots", {**book.to_json(), **NO_TIMES}),
    ]
    scripts = [resource("vendor/uPlot.iife.min.js"), resource("report.js")]
    styles = [resource("vendor/uPlot.min.css"), resource("report.css")]
    return page(f"Capacity of {record.scenario}", body, scripts, styles)


def _cards(record: CapacityRecord) -> list[html.Card]:
    rate, first = record.rate_per_s, record.first_failing_per_s
    cards = [("Holds", "-" if rate is None else format_rate(rate), outcome(record))]
    if first is not None:
        cards.append(("Does not hold", format_rate(first), limit_text(record)))
    if record.knee_per_s is not None:
        cards.append(("Knee", format_rate(record.knee_per_s), "most throughput for its P95"))
    return cards


def _figures(record: CapacityRecord, book: Book) -> list[Html]:
    probes = [probe for probe in by_rate(record.probes) if probe.p95_ns is not None]
    rates = [probe.rate_per_s for probe in probes]
    if len(set(rates)) < 2:
        return []
    band = None
    if record.rate_per_s is not None and record.first_failing_per_s is not None:
        band = (record.rate_per_s, record.first_failing_per_s)
    marked = " Shaded: between the highest rate that holds and the lowest that does not." if band else ""
    times = [
        Line(name, [getattr(probe, f"{name.lower()}_ns") for probe in probes], *line_style(number))
        for number, name in enumerate(("P50", "P95", "P99"))
    ]
    values = [float(value) for line in times for value in line.values if value is not None]
    limits = _limits(record)
    is_log = wants_log([*values, *(limit.value for limit in limits)])
    response = Plot(
        "response",
        rates,
        times,
        "ns",
        axis="rate",
        log=is_log,
        limits=limits,
        floor=None if is_log else 0.0,
        tall=True,
        band=band,
    )
    done = Plot(
        "done",
        rates,
        [
            Line("offered", [probe.offered_per_s for probe in probes], 1, "dash"),
            Line("answered OK", [probe.done_per_s for probe in probes], 0),
        ],
        "per_s",
        axis="rate",
        floor=0.0,
        band=band,
    )
    scale = " A logarithmic scale." if is_log else ""
    return [
        book.figure(
            response, "Response time over the rate", f"Of every probe.{scale}{marked}", _words(probes), None
        ),
        book.figure(
            done, "Throughput over the rate", f"Where the lines part, arrivals are lost.{marked}", "", None
        ),
        *_use(probes, book, band),
    ]


def _use(probes: Sequence[ProbeRecord], book: Book, band: tuple[float, float] | None) -> list[Html]:
    names = list(dict.fromkeys(name for probe in probes for name in probe.in_use))
    if not names:
        return []
    lines = [
        Line(name, [_percent(probe.in_use.get(name)) for probe in probes], *line_style(number))
        for number, name in enumerate(names)
    ]
    rates = [probe.rate_per_s for probe in probes]
    plot = Plot("use", rates, lines, "percent", axis="rate", floor=0.0, band=band)
    text = (
        "CPU of what it may use, lanes and pools of their number, the generator of its time; 100 % is full."
    )
    return [book.figure(plot, "What was in use", text, "", None)]


def _percent(share: float | None) -> float | None:
    return None if share is None else share * 100


def _words(probes: Sequence[ProbeRecord]) -> str:
    first, last = probes[0], probes[-1]
    return (
        f"P95 {format_duration_ns(first.p95_ns or 0)} at {format_rate(first.rate_per_s)}, "
        f"{format_duration_ns(last.p95_ns or 0)} at {format_rate(last.rate_per_s)}."
    )


def _limits(record: CapacityRecord) -> list[Limit]:
    """The level of the rule that breaks first, where it is a time."""
    try:
        rule = parse_rule(record.limited_by or "")
    except ValueError:
        return []
    named = f"{(rule.metric.stat or '').upper()} {rule.op} {rule.written.limit}"
    return [Limit(named, rule.limit)] if rule.unit == "ns" and rule.metric.name == "response" else []
