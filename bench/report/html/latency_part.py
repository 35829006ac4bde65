"""Response times: the table of figures, and percentiles over time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.core import units
from bench.core.clock import NS_PER_S
from bench.judge.comparison import parts_of
from bench.judge.guards import SAMPLES_ABOVE
from bench.judge.outcome_counts import spaced
from bench.report.figures import PERCENTILES, Latency, latencies
from bench.report.html.page import Child, Html, element, numbers, section, table, words
from bench.report.html.plots import Book, Limit, Line, Plot, folded, wants_log
from bench.report.html.slices import PERCENTILES as DRAWN
from bench.report.html.slices import Scope, Slices, Spread
from bench.results.reader import DELIVERY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.judge.verdict import Verdict
    from bench.report.html.plots import Dash
    from bench.results.reader import Run

FIRST_SHOWN = 4
"""Workloads whose plots are open; the others are behind a line."""
STYLES: tuple[tuple[Dash, float], ...] = (("solid", 1.5), ("dash", 1.75), ("dot", 2.0))


def latency_table(run: Run) -> Html:
    """The same figures as the text report: every operation, response, service and waiting for a pool."""
    rows: list[list[Child]] = [
        [_scope(found), _kind(run, found), *_cells(found)]
        for found in latencies(run)
        if found.kind in ("response", "service", "pool_wait")
    ]
    if not rows:
        return Html()
    heads = [*(f"P{percent:g}" for percent in PERCENTILES), "max", "samples"]
    columns = [*words("operation", "time"), *numbers(*heads)]
    caption = (
        "Measured phases. Response: from the planned arrival to the answer, lost arrivals "
        "charged no less than their deadline. Service: from the send to the answer. ~ fewer than "
        f"{SAMPLES_ABOVE} samples lie above: too few to judge by"
    )
    return table(columns, rows, caption)


def _scope(found: Latency) -> str:
    return f"{found.workload}.{found.operation}" if found.operation else f"{found.workload}, all operations"


def _kind(run: Run, found: Latency) -> str:
    return (
        "end to end"
        if not run.arrives(found.workload, found.operation or "")
        else found.kind.replace("_", " ")
    )


def _cells(found: Latency) -> list[str]:
    cells = []
    for percent in PERCENTILES:
        mark = "" if found.samples * (1 - percent / 100) >= SAMPLES_ABOVE - 1e-6 else "~"
        cells.append(mark + units.format_duration_ns(found.percentiles_ns[percent]))
    return [*cells, units.format_duration_ns(found.max_ns), spaced(found.samples)]


def over_time(
    run: Run,
    verdict: Verdict,
    book: Book,
    fine: tuple[Slices, dict[Scope, list[Spread | None]]],
    coarse: tuple[Slices, dict[Scope, list[Spread | None]]],
) -> Html:
    """Percentiles over time of each workload: `fine` is drawn, `coarse` stands in the tables."""
    slices, drawn = fine
    figures: list[Html] = []
    names = [entry["name"] for entry in run.workloads]
    for scope in sorted(
        drawn, key=lambda scope: (names.index(scope[0]) if scope[0] in names else 99, scope[1] or "")
    ):
        workload, operation = scope
        found = drawn[scope]
        known = [one for one in found if one is not None]
        lines = [
            Line(
                f"P{percent}",
                [None if one is None else one.percentiles_ns[place] for one in found],
                place,
                STYLES[place][0],
                STYLES[place][1],
            )
            for place, percent in enumerate(DRAWN)
        ]
        limits = _limits(verdict, workload, operation)
        values = [float(ns) for one in known for ns in one.percentiles_ns] + [one.value for one in limits]
        what = "end to end" if operation == DELIVERY else "response"
        plot = Plot(
            f"latency-{len(figures)}",
            [(one.start_ns + one.end_ns) / 2 / NS_PER_S for one in slices.all],
            lines,
            "ns",
            log=wants_log(values),
            limits=limits,
            floor=None if wants_log(values) else 0.0,
            tall=True,
            workload=workload,
        )
        text = (
            f"Of what ended in each {slices.width()}, lost arrivals included"
            f"{'; a logarithmic scale' if plot.log else ''}."
        )
        title = f"{workload}: {what} over time"
        beside = _spread_table(coarse[0], coarse[1].get(scope, []), title)
        figures.append(book.figure(plot, title, text, _words(slices, found), beside))
    return Html("".join(folded(figures, FIRST_SHOWN, "workloads")))


def _words(slices: Slices, found: Sequence[Spread | None]) -> str:
    known = [(one, place) for place, one in enumerate(found) if one is not None]
    if not known:
        return "Nothing ended."
    highest, place = max(known, key=lambda pair: pair[0].percentiles_ns[-1])
    lowest, _ = min(known, key=lambda pair: pair[0].percentiles_ns[-1])
    return (
        f"P99 between {units.format_duration_ns(lowest.percentiles_ns[-1])} and "
        f"{units.format_duration_ns(highest.percentiles_ns[-1])}, highest at "
        f"{units.format_duration_ns(slices.all[place].start_ns)}."
    )


def _spread_table(slices: Slices, found: Sequence[Spread | None], title: str) -> Html | None:
    if not found:
        return None
    rows: list[list[Child]] = []
    for one, spread in zip(slices.all, found, strict=True):
        times = [None] * 4 if spread is None else [*spread.percentiles_ns, spread.max_ns]
        rows.append(
            [
                units.format_duration_ns(one.start_ns),
                one.phase,
                *(None if ns is None else units.format_duration_ns(ns) for ns in times),
                0 if spread is None else spaced(spread.samples),
            ]
        )
    heads = [*(f"P{percent}" for percent in DRAWN), "max", "samples"]
    columns = [*numbers("from"), *words("phase"), *numbers(*heads)]
    return table(columns, rows, f"{title}, in steps of {slices.width()}")


def _limits(verdict: Verdict, workload: str, operation: str | None) -> list[Limit]:
    """The levels of the rules about percentiles of this workload as a whole."""
    wanted = "end_to_end" if operation == DELIVERY else "response"
    found = []
    for check in verdict.checks:
        scope, _, name = check.metric.rpartition(f"{wanted}.")
        if check.unit != "ns" or check.limit is None or not name.startswith("p"):
            continue
        if scope.rstrip(".") not in ("", workload):
            continue
        parts = parts_of(check.rule)
        found.append(Limit(f"{name.upper()} {parts.get('op', '')} {parts.get('limit', '')}", check.limit))
        if check.warn is not None:
            found.append(Limit(f"{name.upper()} warn {parts.get('warn', '')}", check.warn, warn=True))
    return list(dict.fromkeys(found))


def latency(table_: Html, figures: Html) -> Html:
    """The section of response times."""
    return (
        section("Response times", table_, element("div", figures), anchor="latency")
        if table_ or figures
        else Html()
    )
