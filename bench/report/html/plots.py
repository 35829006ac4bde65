"""Plots as data: what the page's script draws, and the figure around it that says the same in words.

Every plot stands in a figure with a title, a sentence, the place for its picture, and a table. The
picture needs the script; all else is there without it. Phases, faults, detections and recoveries are
marked in every plot over time, and stand in a table.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from bench.core import units
from bench.core.clock import NS_PER_S
from bench.judge.faults.times import effective_ns, took_effect
from bench.report.faults.detection import SIGNS, label, time_line
from bench.report.html.page import Child, Html, details, element, escape, table
from bench.results.reader import Run

Values = Sequence[float | None]
Dash = Literal["solid", "dash", "dot", "dashdot"]
DASHES: tuple[Dash, ...] = ("solid", "dash", "dot", "dashdot")
TONES = 6
"""Colours of lines that the style sheet knows; with the dashes, 24 lines can be told apart."""


@dataclass(frozen=True)
class Line:
    """One line; its values are as many as the plot's x, None where nothing is known."""

    label: str
    values: Values
    tone: int = 0
    dash: Dash = "solid"
    width: float = 1.5
    stepped: bool = False
    """Each value holds from its x to the next one; else points are joined."""
    pattern: str | None = None
    """In a stack: which outcome, for its pattern."""


@dataclass(frozen=True)
class Limit:
    """A level that a rule names."""

    label: str
    value: float
    warn: bool = False


@dataclass(frozen=True)
class Plot:
    """What is drawn; x in seconds since run zero, log10(1 / (1 - p)) of percentiles, or a rate per second."""

    name: str
    x: Sequence[float]
    lines: Sequence[Line]
    unit: str
    axis: Literal["time", "percentile", "rate"] = "time"
    log: bool = False
    stacked: bool = False
    limits: Sequence[Limit] = ()
    floor: float | None = None
    """The lowest value of the y axis; None: as low as the values go."""
    tall: bool = False
    workload: str | None = None
    """Whose outages are marked; None: those of all."""
    joined: bool = False
    """Lines go on over None: their points have times of their own."""
    band: tuple[float, float] | None = None
    """From where to where on the x axis is shaded."""

    def to_json(self, axis_name: str) -> dict[str, Any]:
        """For the script; `axis_name`: where x stands."""
        return {
            "x": axis_name,
            "axis": self.axis,
            "unit": self.unit,
            "log": self.log,
            "stacked": self.stacked,
            "floor": self.floor,
            "tall": self.tall,
            "joined": self.joined,
            **({} if self.band is None else {"band": self.band}),
            "workload": self.workload,
            "limits": [vars(one) for one in self.limits],
            "lines": [{**vars(one), "values": [_short(value) for value in one.values]} for one in self.lines],
        }


@dataclass
class Book:
    """The plots of a page; x axes that are alike are kept once."""

    plots: list[tuple[Plot, str]] = field(default_factory=list)
    """Each with the name of its x axis."""
    axes: dict[str, list[float]] = field(default_factory=dict)
    _names: dict[tuple[float, ...], str] = field(default_factory=dict)

    def figure(self, plot: Plot, title: str, text: Child, words: str, table: Html | None) -> Html:
        """The figure of a plot. `words`: what it shows, for those who do not see it."""
        key = tuple(round(value, 6) for value in plot.x)
        if key not in self._names:
            self._names[key] = f"x{len(self._names)}"
            self.axes[self._names[key]] = list(key)
        self.plots.append((plot, self._names[key]))
        caption = element("figcaption", element("h3", title), element("p", text, class_="soft small"))
        canvas = element(
            "div",
            class_="plot tall" if plot.tall else "plot",
            data_plot=plot.name,
            role="group",
            tabindex=0,
            aria_label=f"Plot: {title}. {words}",
        )
        beside = None if not table else details("The same as a table", table)
        return element("figure", caption, canvas, beside)

    def to_json(self) -> dict[str, Any]:
        """Everything that the script draws."""
        return {"axes": self.axes, "plots": {plot.name: plot.to_json(axis) for plot, axis in self.plots}}


def line_style(number: int) -> tuple[int, Dash]:
    """Tone and dash of the n-th line of a plot: neighbours differ in both."""
    return number % TONES, DASHES[(number + number // TONES) % len(DASHES)]


def folded(figures: Sequence[Html], shown: int, noun: str) -> list[Html]:
    """The first figures as they are, the rest behind a line that opens them."""
    first, rest = list(figures[:shown]), figures[shown:]
    return [*first, details(escape(f"{len(rest)} more {noun}"), *rest)] if rest else first


def wants_log(values: Sequence[float]) -> bool:
    """Whether the values differ so much that the small ones would vanish on an even scale."""
    positive = [value for value in values if value > 0]
    return bool(positive) and max(positive) > 20 * min(positive)


def _short(value: float | None) -> float | None:
    """Five significant digits: finer than a pixel and than a histogram's bucket."""
    if value is None:
        return None
    short = float(f"{value:.5g}")
    return int(short) if short == int(short) else short


MOST_MARKS, MOST_SPANS = 1000, 3000
MOST_EVENTS = 200


def marks(run: Run) -> dict[str, Any]:
    """For the script, in seconds: the run's begin and end, `phases`, `spans` (down, slow) and `points`."""
    phases = [
        {"name": one.name, "measured": one.measured, "from": _s(one.start_ns), "to": _s(one.end_ns)}
        for one in run.record.phases
    ]
    points = [
        {"at": _s(at_ns), "sign": SIGNS[name][0], "fault": name == "fault"}
        for at_ns, name, _ in _points(run)[:MOST_MARKS]
    ]
    return {
        "workloads": [entry.name for entry in run.workloads],
        "from": 0,
        "to": max([_s(run.record.duration_ns), *(_s(one.end_ns) for one in run.record.phases)]),
        "phases": phases,
        "spans": _spans(run)[:MOST_SPANS],
        "points": points,
    }


def used_signs(run: Run) -> list[tuple[str, str]]:
    """The signs that stand in the plots, and their words."""
    used = {name for _, name, _ in _points(run)}
    return [SIGNS[name] for name in SIGNS if name in used]


def events_table(run: Run) -> Html | None:
    """Phases and marks in the order of time; None for a run with one phase and no marks."""
    rows: list[tuple[int, str, str]] = [
        (
            phase.start_ns,
            f"phase {phase.name}",
            f"{'measured' if phase.measured else 'not measured'}, "
            f"until {units.format_duration_ns(phase.end_ns)}",
        )
        for phase in run.record.phases
    ]
    for at_ns, name, text in _points(run):
        rows.append((at_ns, SIGNS[name][1], f"fault {text}"))
    if len(rows) < 2:
        return None
    rows.sort(key=lambda row: row[0])
    columns = "#at | what | more"
    shown = [(units.format_duration_ns(at_ns), what, text) for at_ns, what, text in rows[:MOST_EVENTS]]
    more = f"; {len(rows) - MOST_EVENTS} more are in events.jsonl" if len(rows) > MOST_EVENTS else ""
    return details(
        "What happened when, as a table", table(columns, shown, f"Since the start of the run{more}")
    )


def _points(run: Run) -> list[tuple[int, str, str]]:
    """When, which sign, of which fault, in the order of time; of several workloads the last to come back."""
    found = []
    for fault in took_effect(run):
        for name, after_ns in time_line(run, fault).marks.items():
            found.append((effective_ns(fault) + after_ns, name, label(fault)))
    return sorted(found, key=lambda point: (point[0], list(SIGNS).index(point[1])))


def _spans(run: Run) -> list[tuple[int, int, float, float]]:
    """Workload by its place, 1 for down (0: answered, not yet as before), begin and end."""
    places = {entry.name: place for place, entry in enumerate(run.workloads)}
    spans = []
    for one in run.record.recoveries:
        place, since = places.get(one.workload, -1), one.first_failure_ns
        back = one.slow_from_ns
        if since is not None:
            back = one.until_ns if one.first_success_ns is None else one.first_success_ns
            spans.append((place, 1, _s(since), _s(back)))
        if back is None:
            continue
        whole = next(at_ns for at_ns in (one.full_ns, one.stable_ns, one.until_ns) if at_ns is not None)
        if whole > back:
            spans.append((place, 0, _s(back), _s(whole)))
    return spans


def _s(at_ns: float) -> float:
    return round(at_ns / NS_PER_S, 5)
