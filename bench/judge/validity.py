"""Whether the run as a whole may be judged: findings that stand above every rule."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.core.outcome import OUTCOMES
from bench.judge.faults.validity import fault_findings
from bench.judge.machine_guards import machine_excused
from bench.judge.outcome_counts import spaced, tally_of
from bench.judge.status import Status
from bench.judge.verdict import Check

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.results.reader import Run

SEVERITIES = {
    "invalid": Status.INVALID,
    "fail": Status.FAIL,
    "inconclusive": Status.INCONCLUSIVE,
}
"""Of an anomaly; a `note` changes nothing."""

SUMS = "validity.sums"
"""The one finding that can be there several times, each with other numbers."""


def findings(run: Run) -> list[Check]:
    """Every reason not to judge this run, the worst first; none for a sound run. Raises ResultError."""
    found = [*_interruption(run), *_generator(run), *_anomalies(run)]
    found += [_finding(*machine_excused(run, finding)) for finding in fault_findings(run)]
    # A run cut short cannot have whole sums: that would be said twice.
    if run.is_complete:
        found += [*_sums(run), *_log(run), *_arrivals(run)]
    # The session may have told the same as an anomaly, with more detail: its sentence stays.
    by_metric = {check.metric + check.because * (check.metric == SUMS): check for check in found}
    return sorted(by_metric.values(), key=lambda check: -check.status)


def _interruption(run: Run) -> Iterator[Check]:
    if not run.is_complete:
        yield _finding("interrupted", "the run was interrupted before its end", "run it again")


def _generator(run: Run) -> Iterator[Check]:
    if run.record.get("generator", {}).get("saturated"):
        yield _finding(
            "generator_saturated",
            "the generator was the bottleneck: it could not keep to the plan",
            "lower the rate, add threads, or free the machine of other work",
        )


def _anomalies(run: Run) -> Iterator[Check]:
    for anomaly in run.anomalies:
        status = SEVERITIES.get(str(anomaly.get("severity")))
        if status is not None:
            code, message = str(anomaly.get("code", "anomaly")), str(anomaly.get("message", "no message"))
            yield _finding(code, message, anomaly.get("advice"), status)


def _sums(run: Run) -> Iterator[Check]:
    """Every planned arrival ends in exactly one outcome, by operation and in total."""
    for entry in run.workloads:
        for count in entry.get("counts", []):
            ended = sum(count["outcomes"].values())
            if ended != count["planned"] and run.arrives(entry["name"], count["operation"]):
                where = f"{entry['name']}.{count['operation']} in phase {count.get('phase', 'unknown')}"
                yield _broken_sum(
                    f"{where}: {spaced(count['planned'])} arrivals planned, {spaced(ended)} ended"
                )
    counted = tally_of(run, measured=None)
    totals = run.record["totals"]
    if totals["planned"] != counted.planned:
        yield _broken_sum(
            f"the total says {spaced(totals['planned'])} arrivals, "
            f"its parts add up to {spaced(counted.planned)}"
        )
    for label, ended in counted.outcomes.items():
        told = totals["outcomes"].get(label, 0)
        if told != ended:
            yield _broken_sum(f"the total says {spaced(told)} {label}, its parts add up to {spaced(ended)}")


def _log(run: Run) -> Iterator[Check]:
    """Every measured arrival has its response time in the log."""
    for entry in run.workloads:
        operations = {count["operation"]: None for count in entry.get("counts", [])}
        for operation in operations:
            if not run.arrives(entry["name"], operation):
                continue
            tally = tally_of(run, (entry["name"], operation))
            for outcome in OUTCOMES:
                label = outcome.label
                logged = int(run.histogram("response", entry["name"], operation, (label,)).sum())
                if logged != tally.outcomes[label]:
                    yield _broken_sum(
                        f"{entry['name']}.{operation}: "
                        f"{spaced(tally.outcomes[label])} arrivals ended {label}, "
                        f"{spaced(logged)} response times are in the log"
                    )


def _arrivals(run: Run) -> Iterator[Check]:
    if tally_of(run).planned == 0:
        yield _finding(
            "no_arrivals", "no arrival was planned in a measured phase", "measure longer or raise the rate"
        )


def no_rules() -> Check:
    """The finding for a run without any rule: nothing was asked, so nothing passed."""
    return _finding("no_rules", "there is no rule to judge", "add rules under sla:", Status.INCONCLUSIVE)


def _broken_sum(because: str) -> Check:
    return _finding("sums", because, "this is a bug in Holdfast: please report it with the run folder")


def _finding(code: str, because: str, advice: str | None, status: Status = Status.INVALID) -> Check:
    return Check(
        rule="the run is sound",
        metric=f"validity.{code}",
        observed=None,
        unit=None,
        limit=None,
        warn=None,
        interval=None,
        samples=None,
        status=status,
        because=because,
        advice=advice,
    )
