"""The page over a folder of runs: how they came out, each scenario's trend, and every run with its links."""

import os
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from statistics import median_low
from urllib.parse import quote_from_bytes

from bench.core import units
from bench.core.units import counted
from bench.report.comparison import factor
from bench.report.context import clock_text
from bench.report.formats import Reader, RunFolder
from bench.report.html.page import Child, Html, badge, details, element, page, section, table
from bench.report.index.entries import COMPLETE, RunEntry, WorkloadFigures, described
from bench.report.index.trends import (
    METRICS,
    Changes,
    FormHistory,
    Metric,
    ScenarioHistory,
    changes_of,
    histories,
    sparkline,
)
from bench.results import layout
from bench.trend.series import Change

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
        _run_cell("Scenario", entry.scenario, _small("quick") if entry.quick else None),
        _run_cell("Status", badge(outcome(entry)), _state(entry)),
        _run_cell("Took", "-" if entry.duration_ns is None else units.format_duration_ns(entry.duration_ns)),
        _run_cell("Workload", _lines(entry, lambda one: one.name)),
        *(_run_cell(title, _lines(entry, _shown(title))) for title in NUMBERS),
    ]
    return element("tr", cells, class_=classes, id=name)


def _problem(entry: RunEntry, base: Path, classes: str) -> Html | None:
    """A second row that says what is wrong with a run."""
    if entry.problem is None:
        return None
    words = entry.problem.replace(f"{base}{os.sep}", "")
    cell = element("td", words, colspan=len(HEADS), class_="small")
    return element("tr", cell, class_=f"{classes} problem")


def _run_cell(title: str, *content: Child) -> Html:
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


TREND_HEADS = " | ".join(("Workload", *NUMBERS))
NOTE = (
    "Each line joins runs that may be compared: the same scenario text and values, length, stack and "
    "machine. Its foot is zero; the dashed lines stand where a run differs from the one before; a cross is "
    "a run that failed. A solid upright is where the level changed (bench trend): a candidate, until "
    "bench ab confirms it. Runs that are INVALID, not judged or not whole are on no line."
)


def scenario_tables(found: Sequence[ScenarioHistory], changes: Changes) -> Html:
    """A block for each scenario; `changes` are marked on the lines."""
    return Html("".join([element("p", NOTE, class_="soft small"), *(_block(one, changes) for one in found)]))


def _block(history: ScenarioHistory, changes: Changes) -> Html:
    newest = history.entries[0]
    summary = f"{counted(len(history.entries), 'run')}, newest {clock_text(newest.utc)}"
    head = element(
        "h3",
        element("span", history.scenario, class_="scenario"),
        " ",
        badge(outcome(newest)),
        " ",
        element("span", summary, class_="soft small"),
    )
    if not history.forms:
        return element("article", head, element("p", "No run of it can be read.", class_="soft"))
    first, *others = history.forms
    body: list[Child] = [head, _form_table(history, first, changes)]
    if others:
        words = f"{counted(len(others), 'other form')} of it, not comparable with this one"
        body.append(details(words, [_form_table(history, one, changes) for one in others]))
    return element("article", body)


def _form_table(history: ScenarioHistory, form: FormHistory, changes: Changes) -> Html:
    runs = counted(len(form.runs), "comparable run")
    if form.differs:
        caption = f"{runs}; not like the first: {described(form.form, form.differs)}"
    else:
        caption = f"{runs}: {described(form.form)}"
    rows = [
        [workload, *(_trend_cell(history, form, workload, metric, changes) for metric in METRICS)]
        for workload in form.workloads()
    ]
    return table(TREND_HEADS, rows, caption)


def _trend_cell(
    history: ScenarioHistory, form: FormHistory, workload: str, metric: Metric, changes: Changes
) -> Child:
    """The newest figure, its line, and what was usual before it."""
    points = form.points(workload, metric)
    if not points:
        return None
    last, before = points[-1], [point.value for point in points[:-1]]
    breaks = [place for place, _ in history.breaks]
    if not before:
        return [element("strong", metric.shown(last.value), class_="number"), _small_line("no earlier one")]
    runs = {point.entry.run: point.place for point in points}
    steps = [one for one in changes.get((history.scenario, workload, metric.title), []) if one.run in runs]
    return [
        element("strong", metric.shown(last.value), class_="number"),
        sparkline(points, metric, history.places, breaks, [runs[step.run] for step in steps]),
        _small_line(f"median before {metric.shown(median_low(before))}"),
        *(_small_line(_changed(step)) for step in steps),
    ]


def _changed(change: Change) -> str:
    """As in "x1.20 since 2026-02-02 02:40, candidate"."""
    since = layout.named_utc(change.run)
    when = f"{since:%Y-%m-%d}" if since else change.run
    return f"x{factor(change.ratio)} since {when}, {change.state}"


def _small_line(words: str) -> Html:
    return element("div", words, class_="soft small line")


HERE = Path(__file__).parent
PAGE = "index.html"
READINESS = "readiness.html"
FEW = 2
"""Up to so many runs there is nothing to filter."""


def render(folder: RunFolder, reader: Reader) -> str:
    """The whole page over at least one run; its links go from the reader's folder."""
    entries, name = folder.entries, folder.name
    body = element(
        "main",
        element("h1", f"Runs in {name}"),
        element("p", _summary(entries), class_="soft"),
        _readiness(entries, reader.folder),
        _cards(entries),
        section("Scenarios", scenario_tables(histories(entries), changes_of(entries))),
        section("All runs", _filters(entries), run_table(entries, reader.folder)),
    )
    styles = [_source("index.css"), _rules(entries)]
    return page(f"Runs in {name}", body, scripts=[_source("shown_count.js")], styles=styles)


def _readiness(entries: Sequence[RunEntry], base: Path) -> Html | None:
    """A link to the assessment of these runs, where `bench assess` has put one beside them."""
    path = entries[0].path.parent / READINESS
    if not path.is_file():
        return None
    return element("p", element("a", "Production readiness by these runs", href=address(path, base)))


def _summary(entries: Sequence[RunEntry]) -> str:
    runs = f"{counted(len(entries), 'run')} of {counted(len(scenarios(entries)), 'scenario')}"
    return f"{runs}, the newest of {clock_text(entries[0].utc)}"


def _cards(entries: Sequence[RunEntry]) -> Html:
    counts = Counter(outcome(entry) for entry in entries)
    cards = [
        element("div", element("div", counts[word], class_="figure"), badge(word), class_="card")
        for word in outcomes(entries)
    ]
    return element("div", cards, class_="cards")


def _filters(entries: Sequence[RunEntry]) -> Html | None:
    """Two lists to choose from. The style sheet does the choosing; the script only counts."""
    if len(entries) <= FEW:
        return None
    chosen = [
        _choice("scenario", "Scenario", "all scenarios", scenarios(entries)),
        _choice("outcome", "Status", "every status", outcomes(entries)),
        element("output", id="shown", class_="soft small", for_="scenario outcome"),
    ]
    return element("div", chosen, class_="filters screen-only")


def _choice(name: str, label: str, everything: str, words: Sequence[str]) -> Html:
    options = [element("option", everything, value="")]
    options += [element("option", word, value=f"{name[0]}{n}") for n, word in enumerate(words)]
    return element("label", label, " ", element("select", options, id=name, autocomplete="off"))


def _rules(entries: Sequence[RunEntry]) -> str:
    """The rows that are hidden while something is chosen: by numbers, no text of a run comes in here."""
    lines = []
    for name, words in (("scenario", scenarios(entries)), ("outcome", outcomes(entries))):
        for number in range(len(words)):
            key = f"{name[0]}{number}"
            chosen = f'main:has(#{name} option[value="{key}"]:checked)'
            lines.append(f"{chosen} .runs tbody tr:not(.{key}) {{ display: none; }}")
    return "@media screen {\n" + "\n".join(lines) + "\n}\n"


@cache
def _source(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")
