"""What queries of the user's Prometheus said in the measured time: promql.NAME with a statistic.

Each answer is one look at something that nobody else looks at here: statistics are over the looks, and a
maximum is that of the looks. What was between two of them is not known.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.core.units import counted, spaced
from bench.judge.observation import Observation, Unmeasurable, nearest_rank
from bench.judge.planned_time import grid_of
from bench.judge.resources.growth import times_of, within
from bench.results.reader import Run
from bench.scenario.rules.grammar import Metric
from bench.scenario.rules.metric_facts import PROMQL
from bench.statistics.evidence import RatioEvidence, ratio_evidence

PREFIX = f"{PROMQL}."
MOST_UNANSWERED = 0.1
"""Of the questions: where more had no answer, those that had one are no fair choice."""


def observe_query(run: Run, metric: Metric) -> Observation:
    """A statistic of the answers. Raises Unmeasurable, ResultError for a damaged run."""
    values = answers_of(run, metric)
    stat = metric.stat or "max"
    ordered = sorted(map(float, values))
    if not ordered:
        return Observation(0, _unit(run, metric), 0)
    if stat == "mean":
        value = sum(ordered) / len(ordered)
    else:
        value = ordered[-1] if stat == "max" else nearest_rank(ordered, metric.percent or 50.0)
    basis = f"{stat} of {counted(len(ordered), 'answer')} of Prometheus"
    return Observation(value, _unit(run, metric), len(ordered), basis=basis, missing=_unanswered(run, metric))


def answers_of(run: Run, metric: Metric) -> NDArray[np.float64]:
    """All answers in the measured time."""
    at_ns, values = run.prometheus(_name(metric))
    return values[within(at_ns, times_of(run).measured)]


def answers_by_window(run: Run, metric: Metric) -> NDArray[np.float64]:
    """The statistic of the answers in each window of the plan; NaN in one without."""
    at_ns, values = run.prometheus(_name(metric))
    starts, ends = grid_of(run)
    _unit(run, metric)
    found = np.full(len(starts), np.nan)
    for number, (start_ns, end_ns) in enumerate(zip(starts, ends, strict=True)):
        mine = values[(at_ns >= start_ns) & (at_ns < end_ns)]
        if len(mine):
            found[number] = mine.mean() if metric.stat == "mean" else mine.max()
    return found


def mean_of_answers(run: Run, metric: Metric) -> RatioEvidence | None:
    """What the answers show of their mean; None for too few."""
    values = answers_of(run, metric)
    return ratio_evidence(values, np.ones(len(values)), np.zeros(len(values), dtype=np.bool_))


def _name(metric: Metric) -> str:
    return metric.name.removeprefix(PREFIX)


def _unit(run: Run, metric: Metric) -> str:
    for one in run.record.prometheus:
        if one.name == _name(metric):
            return one.unit
    known = ", ".join(one.name for one in run.record.prometheus) or "none"
    raise Unmeasurable(f"the run asked no Prometheus for {_name(metric)}", f"its queries are: {known}")


def _unanswered(run: Run, metric: Metric) -> Unmeasurable | None:
    (asked,) = [one for one in run.record.prometheus if one.name == _name(metric)]
    without = asked.failed + asked.empty
    if not asked.asked or without <= MOST_UNANSWERED * asked.asked:
        return None
    said = f" ({asked.said})" if asked.said else ""
    return Unmeasurable(
        f"{spaced(without)} of {spaced(asked.asked)} questions had no answer{said}",
        "look at the query and at Prometheus itself",
    )
