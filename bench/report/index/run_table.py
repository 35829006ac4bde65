"""All runs, newest first, one row each."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING
from urllib.parse import quote_from_bytes

from bench.core import units
from bench.report.html.page import Html, badge, element
from bench.report.index.entry import COMPLETE
from bench.report.index.trends import METRICS
from bench.report.timestamps import clock_text
from bench.results import layout

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from bench.report.html.page import Child
    from bench.report.index.entry import RunEntry, WorkloadFigures

NUMBERS = tuple(metric.title for metric in METRICS)
HEADS = ("When", "Scenario", "Status", "Took", "Workload", *NUMBERS)
RIGHT = {"Took", *NUMBERS}


FILES = {layout.REPORT: "report", layout.VERDICT: "verdict", layout.WINDOWS: "histograms"}


def run_table(entries: Sequence[RunEntry], base: Path) -> Html:
    """`base`: the folder of the page, from which its links go."""
    heads = [element("th", head, scope="col", class_="number" if head in RIGHT else None) for head in HEADS]
    groups = {name: number for number, name in enumerate(scenarios(entries))}
    words = {word: number for number, word in enumerate(outcomes(entries))}
    rows = [
        [_row(entry, base, classes, f"run-{number}"), _problem(entry, base, classes)]
        for number, entry in enumerate(entries)
        for classes in [f"s{groups[entry.scenario]} o{words[outcome(entry)]}"]
    ]
    caption = element("caption", "Response times of the measured phases; each run's own report has more")
    head = element("thead", element("tr", heads))
    whole = element("table", caption, head, element("tbody", rows), class_="runs")
    return element("div", whole, class_="scroll", role="region", tabindex=0, aria_label="All runs")


def scenarios(entries: Sequence[RunEntry]) -> list[str]:
    """The names of all scenarios, sorted."""
    return sorted({entry.scenario for entry in entries})


def outcomes(entries: Sequence[RunEntry]) -> list[str]:
    """How runs came out, each word once: the worst status first, then what has no verdict."""
    judged = sorted({entry.status for entry in entries if entry.status is not None}, reverse=True)
    others = sorted({outcome(entry) for entry in entries if entry.status is None})
    return [status.name for status in judged] + others


def outcome(entry: RunEntry) -> str:
    """The status of a run, else the state that it is in."""
    if entry.status is not None:
        return entry.status.name
    return entry.state if entry.state != COMPLETE else "not judged"


def address(path: Path, base: Path) -> str:
    """The way from the page's folder to a file, percent-encoded."""
    return quote_from_bytes(os.fsencode(os.path.relpath(path, base)))


def _row(entry: RunEntry, base: Path, classes: str, name: str) -> Html:
    run = element("div", entry.run, class_="soft small name")
    cells: list[Html] = [
        element("th", _when(entry, base), run, _links(entry, base), scope="row"),
        _cell("Scenario", entry.scenario, _small("quick") if entry.quick else None),
        _cell("Status", badge(outcome(entry)), _state(entry)),
        _cell("Took", "-" if entry.duration_ns is None else units.format_duration_ns(entry.duration_ns)),
        _cell("Workload", _lines(entry, lambda one: one.name)),
        *(_cell(title, _lines(entry, _shown(title))) for title in NUMBERS),
    ]
    return element("tr", cells, class_=classes, id=name)


def _problem(entry: RunEntry, base: Path, classes: str) -> Html | None:
    """A second row that says what is wrong with a run."""
    if entry.problem is None:
        return None
    words = entry.problem.replace(f"{base}{os.sep}", "")
    cell = element("td", words, colspan=len(HEADS), class_="small")
    return element("tr", cell, class_=f"{classes} problem")


def _cell(title: str, *content: Child) -> Html:
    side = "number" if title in RIGHT else None
    return element("td", element("div", *content), class_=side, data_label=title)


def _when(entry: RunEntry, base: Path) -> Child:
    words = clock_text(entry.utc) or "unknown"
    if layout.REPORT not in entry.files:
        return words
    return element("a", words, href=address(entry.path / layout.REPORT, base))


def _state(entry: RunEntry) -> Child:
    odd = entry.state != COMPLETE and entry.status is not None
    return _small(entry.state) if odd else None


def _small(words: str) -> Html:
    return element("div", words, class_="soft small")


def _lines(entry: RunEntry, shown: Callable[[WorkloadFigures], str]) -> list[Html]:
    """A line for each workload: as many in every cell of the row, so they stand beside each other."""
    if not entry.workloads:
        return [Html("-")]
    return [element("div", shown(workload), class_="line") for workload in entry.workloads]


def _shown(title: str) -> Callable[[WorkloadFigures], str]:
    metric = next(metric for metric in METRICS if metric.title == title)

    def shown(workload: WorkloadFigures) -> str:
        if title == "Recovery":
            return workload.recovery.shown if workload.recovery else "-"
        value = metric.value(workload)
        return "-" if value is None else metric.shown(value)

    return shown


def _links(entry: RunEntry, base: Path) -> Html | None:
    links = [
        element("a", FILES[name], href=address(entry.path / name, base), class_="file")
        for name in entry.files
    ]
    return element("div", links, class_="small name") if links else None
