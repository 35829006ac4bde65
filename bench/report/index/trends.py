"""How the figures of a scenario went from run to run: a line joins only runs that may be compared."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from bench.ab.record import results_in
from bench.core import units
from bench.core.errors import ResultError
from bench.judge.verdict import Status
from bench.report.context import clock_text
from bench.report.html.page import Html, element
from bench.report.index.entries import COMPLETE, Form, RunEntry, WorkloadFigures, differences
from bench.results.reader import Run
from bench.trend.series import Change, changes, series_of

MOST_RUNS = 60
"""Of one scenario on its lines; the table has all of them."""


@dataclass(frozen=True)
class Metric:
    """A figure of a workload; `shown` puts it in words."""

    title: str
    value: Callable[[WorkloadFigures], float | None]
    shown: Callable[[float], str]


METRICS = (
    Metric("P50", lambda found: found.p50_ns, units.format_duration_ns),
    Metric("P95", lambda found: found.p95_ns, units.format_duration_ns),
    Metric("P99", lambda found: found.p99_ns, units.format_duration_ns),
    Metric("Done", lambda found: found.done_per_s, units.format_rate),
    Metric("Errors", lambda found: found.errors, units.format_ratio),
    Metric(
        "Recovery",
        lambda found: found.recovery.value_ns if found.recovery else None,
        units.format_duration_ns,
    ),
)


@dataclass(frozen=True)
class Point:
    """One run on a line; `place` counts the scenario's runs, comparable or not, from the oldest shown."""

    place: int
    value: float
    entry: RunEntry


@dataclass(frozen=True)
class FormHistory:
    """The runs of a scenario that share their form, oldest first."""

    form: Form
    differs: tuple[str, ...]
    """In what it is not like the newest run's form; empty for that one itself."""
    runs: tuple[tuple[int, RunEntry], ...]

    def workloads(self) -> list[str]:
        """The names of all workloads, in the order of the newest run."""
        return list(dict.fromkeys(w.name for _, entry in reversed(self.runs) for w in entry.workloads))

    def points(self, workload: str, metric: Metric) -> list[Point]:
        """The line of one figure: of the runs that know it, and that say something about the system."""
        found = []
        for place, entry in self.runs:
            value = next((metric.value(one) for one in entry.workloads if one.name == workload), None)
            if value is not None and _speaks(entry):
                found.append(Point(place, value, entry))
        return found


@dataclass(frozen=True)
class ScenarioHistory:
    """All runs of a scenario, newest first, and its forms, first that of the newest run that says a thing."""

    scenario: str
    entries: tuple[RunEntry, ...]
    forms: tuple[FormHistory, ...]
    places: int
    breaks: tuple[tuple[int, tuple[str, ...]], ...]
    """Before which places comparability ends, and what differs from the run before."""


def histories(entries: Sequence[RunEntry]) -> list[ScenarioHistory]:
    """One history for each scenario, by name. `entries`: newest first."""
    names = sorted({entry.scenario for entry in entries})
    return [_history(name, [entry for entry in entries if entry.scenario == name]) for name in names]


def _history(scenario: str, entries: Sequence[RunEntry]) -> ScenarioHistory:
    shown = [entry for entry in entries if entry.workloads][:MOST_RUNS][::-1]
    newest = next(
        (entry.form for entry in reversed(shown) if _speaks(entry)), shown[-1].form if shown else ()
    )
    by_form: dict[Form, list[tuple[int, RunEntry]]] = {newest: []} if shown else {}
    for place in reversed(range(len(shown))):
        by_form.setdefault(shown[place].form, []).insert(0, (place, shown[place]))
    forms = tuple(
        FormHistory(form, tuple(differences(form, newest)), tuple(runs)) for form, runs in by_form.items()
    )
    breaks = tuple(
        (place, tuple(found))
        for place in range(1, len(shown))
        if (found := differences(shown[place].form, shown[place - 1].form))
    )
    return ScenarioHistory(scenario, tuple(entries), forms, len(shown), breaks)


def _speaks(entry: RunEntry) -> bool:
    return entry.state == COMPLETE and entry.status not in (None, Status.INVALID)


Changes = dict[tuple[str, str, str], list[Change]]
"""By scenario, workload and title of the metric."""
TITLES = {
    "response.p50": "P50",
    "response.p95": "P95",
    "response.p99": "P99",
    "throughput": "Done",
    "errors": "Errors",
    "recovery.stable": "Recovery",
}
"""Of the figures of a whole workload, by what follows its name in a metric."""


def changes_of(entries: Sequence[RunEntry]) -> Changes:
    """The steps that `bench trend` finds in these runs."""
    nights = []
    for entry in sorted(entries, key=lambda one: (one.utc, one.run)):
        if _speaks(entry):
            with suppress(ResultError):
                run = Run.load(entry.path)
                if run.record.pair is None:
                    nights.append(run)
    folders = {entry.path.parent for entry in entries}
    compared = [record for folder in sorted(folders) for record in results_in(folder)]
    found: Changes = {}
    for change in changes(series_of(nights), compared):
        workload, _, figure = change.metric.partition(".")
        if figure in TITLES:
            found.setdefault((change.scenario, workload, TITLES[figure]), []).append(change)
    return found


WIDTH, HEIGHT = 120, 30
EDGE = 4
RADIUS = 1.8


def sparkline(
    points: Sequence[Point], metric: Metric, places: int, breaks: Sequence[int], steps: Sequence[int] = ()
) -> Html:
    """The line of at least one point. `places`: how many runs its width stands for; `breaks`: before which
    of them comparability ends; `steps`: since which of them the level is another one.
    """
    highest = max(point.value for point in points) or 1.0
    at = [(_x(point.place, places), _y(point.value, highest)) for point in points]
    marks = [
        element("path", d=f"M{x:.1f} 1V{HEIGHT - 1}", class_="break")
        for x in ((_x(place, places) + _x(place - 1, places)) / 2 for place in breaks)
    ]
    marks += [
        element("path", d=f"M{_x(place - 0.5, places):.1f} 1V{HEIGHT - 1}", class_="step") for place in steps
    ]
    line = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in at)
    dots = [_dot(point, metric, x, y) for point, (x, y) in zip(points, at, strict=True)]
    return element(
        "svg",
        element("path", d=f"M0 {HEIGHT - 0.5}H{WIDTH}", class_="foot"),
        marks,
        element("path", d=line, class_="line") if len(points) > 1 else None,
        dots,
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        width=WIDTH,
        height=HEIGHT,
        class_="spark",
        role="img",
        aria_label=_described(points, metric),
    )


def _x(place: float, places: int) -> float:
    return WIDTH / 2 if places < 2 else EDGE + place * (WIDTH - 2 * EDGE) / (places - 1)


def _y(value: float, highest: float) -> float:
    return HEIGHT - 1 - value / highest * (HEIGHT - 1 - EDGE)


def _dot(point: Point, metric: Metric, x: float, y: float) -> Html:
    """A run: a cross where it failed, else a dot; its words show when it is pointed at."""
    status = point.entry.status
    word = status.name if status is not None else "not judged"
    title = element("title", f"{clock_text(point.entry.utc)}: {metric.shown(point.value)}, {word}")
    if status is Status.FAIL:
        return element("path", title, d=f"M{x - 3:.1f} {y - 3:.1f}l6 6m0-6l-6 6", class_="failed")
    return element("circle", title, cx=f"{x:.1f}", cy=f"{y:.1f}", r=RADIUS, class_="dot")


def _described(points: Sequence[Point], metric: Metric) -> str:
    values = [point.value for point in points]
    if len(values) == 1:
        return f"{metric.title} of one run: {metric.shown(values[0])}"
    figures = [f"first {metric.shown(values[0])}", f"last {metric.shown(values[-1])}"]
    figures += [f"lowest {metric.shown(min(values))}", f"highest {metric.shown(max(values))}"]
    return f"{metric.title} over {len(values)} comparable runs: {', '.join(figures)}"
