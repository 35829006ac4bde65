"""Nights in a row: every figure of a scenario, and where it changed. Pure but for reading the runs.

From run.json alone; the histograms are not decoded, so that a folder of hundreds of runs is read in
seconds.

A history alone shows that something changed, not what: the machine may have. So a change is a candidate
until `bench ab` has found the same of the two systems, run after it.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bench.ab.record import AbRecord
from bench.compare.baseline_runs import Form, form_of
from bench.compare.difference import ERRORS, PERCENTILES, THROUGHPUT, Estimate, Finding, Kind, median
from bench.compare.figures import fault_figures
from bench.core.errors import ResultError
from bench.judge.guards import SAMPLES_AT_LEAST
from bench.judge.observation import tally_of
from bench.judge.verdict import Status, saved
from bench.results import layout
from bench.results.load_records import ResponseRecord
from bench.results.reader import Run
from bench.scenario.rules.metric_facts import RULE_OF_THREE
from bench.statistics.change_points import LEVEL, Step, benjamini_hochberg, steps

HALF = 0.5
"""Added to counts before a logarithm is taken: a count of 0 has one then."""


class Environment(NamedTuple):
    """What two nights must share, so that only the system under test can differ.

    Versions of the targets are none of it: how an upgrade shows is what a trend is for.
    """

    form: Form
    digest: str
    """Of the scenario's text."""
    seed: int | None
    machine: tuple[tuple[str, str], ...]
    versions: tuple[tuple[str, str], ...]
    """Python, and the libraries that measure."""

    @classmethod
    def of(cls, run: Run) -> "Environment":
        """That of a run."""
        record = run.record
        machine = tuple(sorted((name, str(value)) for name, value in record.environment.key.items()))
        versions = tuple(sorted(record.versions.items()))
        return cls(form_of(run), record.scenario.digest, record.plan.seed, machine, versions)


@dataclass(frozen=True)
class Point:
    """A figure of one night."""

    run: str
    value: float
    """In the unit of its kind."""
    place: float
    """On the logarithmic scale, as in bench.compare.difference."""
    resolution: float
    """The smallest difference that the run can show, in the unit."""


@dataclass
class Series:
    """One figure from night to night, the oldest first."""

    environment: Environment
    metric: str
    kind: Kind
    points: list[Point] = field(default_factory=list)

    @property
    def scenario(self) -> str:
        """The scenario's name."""
        return self.environment.form.scenario


def nights_in(folder: Path) -> tuple[list[Run], list[str]]:
    """The runs right below a folder that say something about their system, the oldest first; and why others
    do not. Raises ResultError where there is no run at all.

    Runs of `bench ab` are no nights: they were made to answer another question.
    """
    found, left_out = [], []
    below = layout.run_folders(folder)
    if not below:
        raise ResultError(
            f"{folder}: expected a folder of runs, found none in it; name the --out of bench run, "
            "or a folder of the nights before"
        )
    for path in below:
        try:
            run = Run.load(path)
            because = _unusable(run)
        except ResultError as error:
            because = str(error)
        if because:
            left_out.append(because)
        else:
            found.append(run)
    return found, left_out


def _unusable(run: Run) -> str:
    if not run.is_complete:
        return f"{run.name} was interrupted"
    if run.record.pair is not None:
        return f"{run.name} is one of a pair"
    verdict = saved(run.path)
    if verdict is None:
        return f"{run.name} is not judged; bench judge does it"
    return f"{run.name} is INVALID" if verdict.status is Status.INVALID else ""


def series_of(runs: Iterable[Run]) -> list[Series]:
    """Every figure of every environment, with the runs in the order given."""
    found: dict[tuple[Environment, str], Series] = {}
    for run in runs:
        environment = Environment.of(run)
        for metric, kind, point in _points(run):
            key = (environment, metric)
            found.setdefault(key, Series(environment, metric, kind)).points.append(point)
    return list(found.values())


def _points(run: Run) -> Iterator[tuple[str, Kind, Point]]:
    several = {
        entry.name
        for entry in run.workloads
        if sum(run.arrives(entry.name, one) for one in entry.operations) > 1
    }
    for row in run.record.response:
        is_delivery = row.operation is not None and not run.arrives(row.workload, row.operation)
        if row.operation is None or is_delivery or row.workload in several:
            yield from _responses(run, row, is_delivery=is_delivery)
    for entry in run.workloads:
        tally = tally_of(run, (entry.name,))
        if tally.planned >= SAMPLES_AT_LEAST:
            lost = tally.planned - tally.ok
            place = math.log((lost + HALF) / (tally.planned + 2 * HALF))
            point = Point(run.name, lost / tally.planned, place, RULE_OF_THREE / tally.planned)
            yield f"{entry.name}.errors", ERRORS, point
    for metric, (kind, reading) in fault_figures(run).items():
        if isinstance(reading, Estimate) and not reading.never:
            yield metric, kind, Point(run.name, reading.value, reading.place, reading.resolution)


def _responses(run: Run, row: ResponseRecord, *, is_delivery: bool) -> Iterator[tuple[str, Kind, Point]]:
    where = row.workload if row.operation is None or is_delivery else f"{row.workload}.{row.operation}"
    what = "end_to_end" if is_delivery else "response"
    values = {"p50": row.p50_ns, "p95": row.p95_ns, "p99": row.p99_ns}
    for stat, kind in PERCENTILES.items():
        value = values[stat]
        if value > 0:
            yield f"{where}.{what}.{stat}", kind, Point(run.name, float(value), math.log(value), 0.0)
    if row.operation is None and row.done and run.measured_s > 0:
        per_s = row.done / run.measured_s
        yield f"{row.workload}.throughput", THROUGHPUT, Point(run.name, per_s, math.log(per_s), 0.0)


LEAST_EFFECT = 0.05
CANDIDATE, CONFIRMED = "candidate", "confirmed"


@dataclass(frozen=True)
class Change:
    """A figure whose level is another one since a night."""

    scenario: str
    metric: str
    kind: Kind
    run: str
    """The first run of the new level."""
    before: float
    after: float
    """The levels before and since, in the unit of the kind."""
    ratio: float
    low: float
    high: float
    """after / before, and its 95 % interval."""
    state: str = CANDIDATE
    """candidate, or confirmed."""

    @property
    def is_worse(self) -> bool:
        """Whether it became slower, less, or more of what should be little."""
        return (self.ratio > 1) == self.kind.is_lower_better


def changes(series: Sequence[Series], compared: Sequence[AbRecord] = ()) -> list[Change]:
    """All changes in the order of time; `compared` are the results of `bench ab` that may confirm them.

    Of those that are reported, one in twenty is false on average (Benjamini and Hochberg).
    """
    asked: list[tuple[Series, Step]] = []
    unchanged = 0
    for one in series:
        places = np.array([point.place for point in one.points])
        found = steps(places, math.log1p(LEAST_EFFECT))
        asked += [(one, step) for step in found]
        unchanged += not found
    kept = benjamini_hochberg([*(step.p for _, step in asked), *[1.0] * unchanged], LEVEL)
    changed = [_change(one, step) for (one, step), is_kept in zip(asked, kept, strict=False) if is_kept]
    confirmed = [_with_state(change, compared) for change in changed if change is not None]
    return sorted(confirmed, key=lambda change: (change.run, change.scenario, change.metric))


def _change(series: Series, step: Step) -> Change | None:
    """The step as a change; None for one below what the runs can resolve."""
    before, after = series.points[step.start : step.at], series.points[step.at : step.end]
    old, new = _level(before), _level(after)
    if abs(new - old) <= median(point.resolution for point in (*before, *after)):
        return None
    return Change(
        series.scenario,
        series.metric,
        series.kind,
        after[0].run,
        old,
        new,
        math.exp(step.size),
        math.exp(step.low),
        math.exp(step.high),
    )


def _level(points: Sequence[Point]) -> float:
    """The geometric mean, where values have one."""
    if all(point.value > 0 and math.isclose(point.place, math.log(point.value)) for point in points):
        return math.exp(sum(point.place for point in points) / len(points))
    return median(point.value for point in points)


def _with_state(change: Change, compared: Sequence[AbRecord]) -> Change:
    wanted = Finding.REGRESSION if change.is_worse else Finding.IMPROVEMENT
    since = layout.named_utc(change.run)
    for record in compared:
        at = layout.named_utc(record.ab)
        is_later = since is None or at is None or at >= since
        if record.scenario == change.scenario and is_later and change.metric in record.metrics(wanted):
            return replace(change, state=CONFIRMED)
    return change
