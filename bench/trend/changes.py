"""Where figures changed: candidates, and those that a comparison in pairs has confirmed. Pure.

A history alone shows that something changed, not what: the machine may have. So a change is a candidate
until `bench ab` has found the same of the two systems, run after it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from bench.ab.record import AbRecord
from bench.compare.difference import Finding, Kind, median
from bench.results import layout
from bench.statistics.change_points import LEVEL, Step, benjamini_hochberg, steps
from bench.trend.series import Point, Series

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
