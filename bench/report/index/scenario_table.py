"""Each scenario with its newest run and its trend lines."""

from __future__ import annotations

from statistics import median_low
from typing import TYPE_CHECKING

from bench.report.html.page import Column, Html, badge, details, element, table
from bench.report.index.comparable import described
from bench.report.index.run_table import outcome
from bench.report.index.sparkline import sparkline
from bench.report.index.trends import METRICS
from bench.report.timestamps import clock_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.report.html.page import Child
    from bench.report.index.trends import FormHistory, Metric, ScenarioHistory

HEADS = (Column("Workload"), *(Column(metric.title) for metric in METRICS))
NOTE = (
    "Each line joins runs that may be compared: the same scenario text and values, length, stack and "
    "machine. Its foot is zero; the dashed lines stand where a run differs from the one before; a cross is "
    "a run that failed. Runs that are INVALID, not judged or not whole are on no line."
)


def scenario_tables(found: Sequence[ScenarioHistory]) -> Html:
    """A block for each scenario."""
    return Html("".join([element("p", NOTE, class_="soft small"), *(_block(one) for one in found)]))


def _block(history: ScenarioHistory) -> Html:
    newest = history.entries[0]
    count = len(history.entries)
    told = f"{count} run{'s' if count > 1 else ''}, newest {clock_text(newest.utc)}"
    head = element(
        "h3",
        element("span", history.scenario, class_="scenario"),
        " ",
        badge(outcome(newest)),
        " ",
        element("span", told, class_="soft small"),
    )
    if not history.forms:
        return element("article", head, element("p", "No run of it can be read.", class_="soft"))
    first, *others = history.forms
    body: list[Child] = [head, _form_table(history, first)]
    if others:
        words = (
            f"{len(others)} other form{'s' if len(others) > 1 else ''} of it, not comparable with this one"
        )
        body.append(details(words, [_form_table(history, one) for one in others]))
    return element("article", body)


def _form_table(history: ScenarioHistory, form: FormHistory) -> Html:
    count = len(form.runs)
    runs = f"{count} comparable run{'s' if count > 1 else ''}"
    if form.differs:
        caption = f"{runs}; not like the first: {described(form.form, form.differs)}"
    else:
        caption = f"{runs}: {described(form.form)}"
    rows = [
        [workload, *(_cell(history, form, workload, metric) for metric in METRICS)]
        for workload in form.workloads()
    ]
    return table(HEADS, rows, caption)


def _cell(history: ScenarioHistory, form: FormHistory, workload: str, metric: Metric) -> Child:
    """The newest figure, its line, and what was usual before it."""
    points = form.points(workload, metric)
    if not points:
        return None
    last, before = points[-1], [point.value for point in points[:-1]]
    breaks = [place for place, _ in history.breaks]
    if not before:
        return [element("strong", metric.shown(last.value), class_="number"), _small("no earlier one")]
    return [
        element("strong", metric.shown(last.value), class_="number"),
        sparkline(points, metric, history.places, breaks),
        _small(f"median before {metric.shown(median_low(before))}"),
    ]


def _small(words: str) -> Html:
    return element("div", words, class_="soft small line")
