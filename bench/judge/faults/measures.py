"""What a run with faults says: recovery, detection, integrity, alarms; and the availability of any run.

99.9 % of 60 s allows 60 ms of outage, 99.9 % of 30 days allows 43 minutes: without its window the
figure means nothing. A window no longer than the run is judged at its worst place, a longer one
cannot be judged.

Time is the plan's (`bench.judge.planned_time`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from bench.core import units
from bench.core.clock import NS_PER_S
from bench.core.outcome import Outcome
from bench.core.units import counted, spaced
from bench.judge.faults.times import (
    detection,
    downtime,
    named,
    no_clean_baseline,
    promotion,
    recoveries_of,
    recovery,
    recovery_point,
    recovery_time,
    took_effect,
)
from bench.judge.observation import KNOWN, NEVER, Observation, Repeat, Tally, Unmeasurable, listed
from bench.judge.planned_time import ends_by_plan, grid_of
from bench.scenario.rules.grammar import Metric
from bench.scenario.rules.metric_facts import ALERT, DETECTORS, RECOVERY_STAMPS

if TYPE_CHECKING:
    from bench.results.fault_records import IntegrityRecord, RecoveryRecord
    from bench.results.reader import Run


WRITE_CHECKS = ("acknowledged_writes", "registers")
"""Checks that look for writes; messages that were lost are no writes, and have a metric of their own."""
VALUE_CHECKS = (*WRITE_CHECKS, "transfers")


def projected_availability(run: Run, metric: Metric) -> Observation:
    """1 - incidents x the worst downtime / window. Raises Unmeasurable.

    An incident costs the time without success, or the time in which as many arrivals are planned as
    failed, whichever is longer: where every other request fails there is hardly any time without success.
    """
    window_ns, incidents = metric.arguments["window"], int(metric.arguments["incidents"])
    by_fault = recoveries_of(run, metric)
    found = [
        Repeat(named(fault), *_cost(entry))
        for fault in took_effect(run)
        for entry in by_fault.get(fault.number, [])
    ]
    if not found:
        raise Unmeasurable(
            f"no arrivals tell anything about {metric!s}", "let arrivals be planned after each fault"
        )
    worst = max(found, key=lambda repeat: (repeat.kind == NEVER, repeat.value))
    ratio = max(0.0, 1 - incidents * worst.value / window_ns)
    shown, window = units.format_duration_ns(worst.value), _window(window_ns)
    faults = counted(len(by_fault), "fault")
    basis = f"1 - {incidents} x {shown} / {window}, by the worst of {faults}, {worst.fault}"
    return Observation(
        ratio,
        "ratio",
        len(by_fault),
        basis=basis,
        repeats=(worst,),
        never=worst.kind == NEVER,
        missing=no_clean_baseline(run, metric),
    )


def _cost(entry: RecoveryRecord) -> tuple[float, str]:
    failed_ns = entry.failed * (entry.resolution_ns or 0)
    return max(entry.downtime_ns, failed_ns), NEVER if entry.state == NEVER else KNOWN


def _window(window_ns: float) -> str:
    """In days where they are whole: a window is declared in those."""
    days = window_ns / units.NS["d"]
    return f"{days:g} d" if days >= 1 else units.format_duration_ns(window_ns)


def _lost_writes(run: Run, metric: Metric) -> Observation:
    checks, doubt = _integrity(run, metric, WRITE_CHECKS, "lost")
    parts = []
    for check in checks:
        text = f"{_words(check)}: {_number(check.lost)} of {_number(check.acknowledged)} acknowledged"
        if check.lost and check.oldest_lost_age_ns is not None:
            text += f", the oldest {units.format_duration_ns(check.oldest_lost_age_ns)} old when it was lost"
        # A bound on what may be lost unseen; where some is lost, the numbers stand there already.
        parts.append(text + (f" ({check.bound})" if check.bound and not check.lost else ""))
    samples = sum(check.acknowledged or 0 for check in checks)
    total = sum(check.lost or 0 for check in checks)
    return Observation(total, "count", samples, basis="; ".join(parts), missing=doubt)


def _split_writes(run: Run, metric: Metric) -> Observation:
    checks, doubt = _integrity(run, metric, ("acknowledged_writes",), "split")
    parts = [f"{_words(check)}: {_number(check.split)} of {_number(check.lost)} lost" for check in checks]
    samples = sum(check.acknowledged or 0 for check in checks)
    total = sum(check.split or 0 for check in checks)
    return Observation(total, "count", samples, basis="; ".join(parts), missing=doubt)


def _replication(run: Run, metric: Metric) -> Observation:
    """The worst of all standbys. Raises Unmeasurable."""
    found = run.record.replication
    if not found:
        raise Unmeasurable(
            "no primary was asked about its standbys in this run",
            "break a Postgres that a stack file starts with embedded: {standbys: 1}",
        )
    is_time = metric.name == "replication_lag"
    worst = max(found, key=lambda one: one.lag_max_ns if is_time else one.backlog_max_bytes)
    value = worst.lag_max_ns if is_time else worst.backlog_max_bytes
    basis = f"{worst.process}, of {counted(worst.samples, 'look')} at it"
    if worst.silent:
        basis += f", {spaced(worst.silent)} of them while its primary did not stream to it"
    return Observation(value, "ns" if is_time else "bytes", worst.samples, basis=basis)


def _unexpected_values(run: Run, metric: Metric) -> Observation:
    checks, doubt = _integrity(run, metric, VALUE_CHECKS, "unexpected")
    parts = [
        f"{_words(check)}: {_number(check.unexpected)} of {_number(check.found)} found" for check in checks
    ]
    samples = sum(check.found or 0 for check in checks)
    total = sum(check.unexpected or 0 for check in checks)
    return Observation(total, "count", samples, basis="; ".join(parts), missing=doubt)


def _integrity(
    run: Run, metric: Metric, kinds: Collection[str], what: Literal["lost", "unexpected", "split"]
) -> tuple[list[IntegrityRecord], Unmeasurable | None]:
    """The checks that could count, and why another could not. Raises Unmeasurable when none could."""
    wanted = [
        check
        for check in run.record.integrity
        if metric.workload in (None, check.workload) and check.check in kinds
    ]
    made = [check for check in wanted if getattr(check, what) is not None]
    missing = next((check for check in wanted if getattr(check, what) is None), None)
    doubt = None
    if missing is not None:
        reason = missing.inconclusive or f"{what} values could not be counted"
        doubt = Unmeasurable(f"{_words(missing)}: {reason}", "look at the target's log, and run it again")
    if not made:
        whose = f" of {metric.workload}" if metric.workload else ""
        advice = f"add one of {', '.join(kinds)} under integrity in the scenario"
        raise doubt or Unmeasurable(f"the data{whose} was not checked in this run", advice)
    return made, doubt


def _false_alarms(run: Run, metric: Metric) -> Observation:
    if not run.record.has("false_alarms"):
        raise Unmeasurable(f"{metric!s} were not looked for in this run", "run it to its end")
    alarms = run.record.false_alarms
    shown = [f"{alarm.detector} at {units.format_duration_ns(alarm.at_ns)}" for alarm in alarms]
    detectors = {detection.detector for detection in run.record.detections}
    basis = listed(shown) or f"none by {counted(len(detectors), 'detector')}"
    return Observation(len(alarms), "count", max(1, len(detectors)), basis=basis)


def _breaker_open_time(run: Run, metric: Metric) -> Observation:  # noqa: ARG001 - the signature of every measure
    if run.record.breaker_open_ns is None:
        raise Unmeasurable("no circuit breaker was watched in this run", "break a target behind the API")
    open_ns = run.record.breaker_open_ns
    basis = "all its breakers together" if open_ns else "none was seen open"
    return Observation(open_ns, "ns", 1, basis=basis)


def _words(check: IntegrityRecord) -> str:
    return f"{check.workload}, {check.check.replace('_', ' ')}"


def _number(count: int | None) -> str:
    return "unknown" if count is None else spaced(count)


MEASURES: dict[str, Callable[[Run, Metric], Observation]] = {
    **dict.fromkeys((f"recovery.{name}" for name in RECOVERY_STAMPS), recovery),
    **dict.fromkeys((f"detection.{name}" for name in DETECTORS), detection),
    "promotion": promotion,
    "downtime": downtime,
    "recovery_point": recovery_point,
    "recovery_time": recovery_time,
    "lost_writes": _lost_writes,
    "split_writes": _split_writes,
    "replication_lag": _replication,
    "replication_backlog": _replication,
    "unexpected_values": _unexpected_values,
    "false_alarms": _false_alarms,
    "breaker_open_time": _breaker_open_time,
}


def measure_of(metric: Metric) -> Callable[[Run, Metric], Observation] | None:
    """What measures it; None for a metric that is not of faults."""
    if metric.name.startswith(f"detection.{ALERT}"):
        return detection
    return MEASURES.get(metric.name)


class WindowTooLong(Exception):  # noqa: N818 - a fact about the run, no error of anyone's
    """The declared window is longer than what was measured."""

    def __init__(self, because: str, advice: str) -> None:
        self.advice = advice
        super().__init__(because)


def observed(run: Run, scope: Sequence[str], tally: Tally, arguments: Mapping[str, float]) -> float:
    """The availability as a ratio. Raises WindowTooLong."""
    window_ns = arguments["window"]
    if not tally.planned:
        return 0
    if run.measured_s * NS_PER_S < window_ns:
        raise WindowTooLong(
            f"the window is {units.format_duration_ns(window_ns)}, "
            f"the run measured {units.format_duration_ns(run.measured_s * NS_PER_S)}",
            "measure at least as long as the window",
        )
    starts, ends = grid_of(run)
    by_outcome = ends_by_plan(run, scope, tally.planned)
    planned, ok = by_outcome.sum(axis=0), by_outcome[Outcome.OK]
    return min(tally.ok / tally.planned, _worst_span(ends - starts, planned, ok, window_ns))


def _worst_span(
    lengths_ns: NDArray[np.int64], planned: NDArray[np.int64], ok: NDArray[np.int64], window_ns: float
) -> float:
    """The lowest OK share of any row of neighbouring windows that lasts at least `window_ns`."""
    edges, all_planned, all_ok = (
        np.concatenate([[0], np.cumsum(values)]) for values in (lengths_ns, planned, ok)
    )
    worst = 1.0
    for first in range(len(lengths_ns)):
        last = int(np.searchsorted(edges, edges[first] + window_ns, "left"))
        if last == len(edges):
            break
        count = int(all_planned[last] - all_planned[first])
        if count:
            worst = min(worst, int(all_ok[last] - all_ok[first]) / count)
    return worst
