"""Metrics about what answers brought: the share of misses, of empty results, of each class of HTTP status."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.core.answers import STATUS_CLASSES, Answers
from bench.judge.observation import Observation, Unmeasurable
from bench.judge.outcome_counts import spaced

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bench.results.reader import Run
    from bench.scenario.rules.grammar import Metric

NOT_COUNTED = "it is counted by workloads whose driver has it, in runs of this version"


def answers_of(run: Run, scope: Sequence[str] = (), measured: bool | None = True) -> Answers:
    """What the answers of a workload, an operation or (empty scope) the run brought."""
    workload, operation = (*scope, None, None)[:2]
    return Answers.total(
        Answers.from_record(count)
        for entry in run.workloads
        if workload in (None, entry["name"])
        for count in entry.get("counts", [])
        if operation in (None, count["operation"]) and measured in (None, count["measured"])
    )


def observe_lookups(run: Run, metric: Metric) -> Observation:
    """`hits`, `misses`, or `empty`: their share of all lookups, or of all statements."""
    found = answers_of(run, metric.scope)
    counted = found.hits if metric.name == "hits" else found.misses
    what = "statements touched no row" if metric.name == "empty" else "lookups found nothing"
    return _share(
        run, metric, counted, found.lookups, f"{spaced(found.misses)} of {spaced(found.lookups)} {what}"
    )


def observe_status(run: Run, metric: Metric) -> Observation:
    """`status.5xx`: the share of answers with a status of that class."""
    found = answers_of(run, metric.scope)
    listed = ", ".join(f"{spaced(count)} were {status}" for status, count in found.statuses.items())
    basis = f"of {spaced(found.answered)} answers {listed}"
    return _share(run, metric, found.in_class(metric.name.partition(".")[2]), found.answered, basis)


def _share(run: Run, metric: Metric, counted: int, of: int, basis: str) -> Observation:
    if not of and not answers_of(run, metric.scope[:1], measured=None):
        raise Unmeasurable(f"the run did not count {metric.name}", NOT_COUNTED)
    return Observation(counted / of if of else 0, "ratio", of, basis=basis)


MEASURES: dict[str, Callable[[Run, Metric], Observation]] = {
    **dict.fromkeys(("hits", "misses", "empty"), observe_lookups),
    **{f"status.{name}": observe_status for name in STATUS_CLASSES},
}
