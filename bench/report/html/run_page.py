"""report.html: one run as a page that a team lead opens, keeps and prints. One file, no network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.report.html import (
    arrival_part,
    distribution_part,
    fault_part,
    latency_part,
    outage_part,
    resource_part,
    run_part,
    verdict_part,
)
from bench.report.html.marks import events_table, marks, used_signs
from bench.report.html.page import Child, Html, data_block, element, page, resource
from bench.report.html.plots import Book
from bench.report.html.slices import Slices, spreads

if TYPE_CHECKING:
    from bench.judge.verdict import Verdict
    from bench.results.reader import Run

LARGEST_BYTES = 950_000
SHARES = (1.0, 0.5, 0.2)
"""Of the points and rows below: what a page that became too large is made with again."""
MOST_POINTS = 3000
"""Slices of all workloads together, as each has its own lines."""
MOST_SLICES, FEWEST_SLICES = 240, 24
MOST_ROWS = 200
"""Of the tables beside the plots, over all workloads."""
KEYS = (
    "Drag over a plot to look closer, double click to see all of it again. With the keyboard: Tab to a plot, "
    "arrow keys to read its values, Escape to see all of it."
)


def render(run: Run, verdict: Verdict) -> str:
    """The whole page, below 1 MB. Raises ResultError for a damaged run."""
    text = ""
    for share in SHARES:
        text = _rendered(run, verdict, share)
        if len(text.encode()) < LARGEST_BYTES:
            break
    return text


def _rendered(run: Run, verdict: Verdict, share: float) -> str:
    rows, count = run.series(), max(1, len(run.workloads)) / share
    fine = Slices(rows, max(FEWEST_SLICES, min(MOST_SLICES, int(MOST_POINTS / count))))
    coarse = Slices(rows, max(3, min(30, int(MOST_ROWS / count))))
    drawn, tabled = spreads(run, (fine, coarse))
    book = Book()
    over_time = latency_part.over_time(run, verdict, book, (fine, drawn), (coarse, tabled))
    parts: list[Html] = [
        verdict_part.findings(verdict),
        verdict_part.rules(verdict),
        fault_part.recovery(run),
        outage_part.outages(run),
        fault_part.integrity(run),
        latency_part.latency(latency_part.latency_table(run), Html(_key(run, fine) + over_time)),
        distribution_part.distributions(run, book),
        arrival_part.arrivals(run, verdict, book, fine, coarse),
        resource_part.resource_use(run, book, fine),
        run_part.generator(run),
        run_part.anomalies(run),
        run_part.workers(run),
        run_part.environment(run),
        run_part.again(run),
    ]
    body: list[Child] = [
        element("a", "To the verdict", href="#main", class_="skip"),
        element("p", NO_SCRIPT, class_="banner neutral", id="without-script"),
        element(
            "main", verdict_part.head(run, verdict), verdict_part.key_figures(run, verdict), parts, id="main"
        ),
        data_block("plots", {**book.to_json(), **marks(run)}),
    ]
    scripts = [resource("vendor/uPlot.iife.min.js"), resource("report.js")]
    styles = [resource("vendor/uPlot.min.css"), resource("report.css")]
    title = f"{verdict.status.name} {run.scenario} {run.name[:16]}"
    return page(title, body, scripts, styles)


NO_SCRIPT = (
    "The plots of this page need its script, which does not run here. Every number is in the tables, "
    "also in those that open below each title."
)


def _key(run: Run, slices: Slices) -> str:
    """What the marks over the plots mean; empty where nothing is drawn over time."""
    if not slices.all:
        return element(
            "p", "This run holds no windows of time: there is nothing to draw over time.", class_="soft"
        )
    signs = used_signs(run)
    marked = f" Above each plot: {', '.join(f'{sign} {word}' for sign, word in signs)}." if signs else ""
    shades = (
        " Shaded: not measured."
        if any(not phase.get("measured") for phase in run.record.get("phases", []))
        else ""
    )
    down = (
        " Striped: without answers; tinted: answered, not yet as before."
        if run.record.get("recoveries")
        else ""
    )
    text = element("p", f"{KEYS}{shades}{down}{marked}", class_="soft small screen-too")
    return text + (events_table(run) or "")
