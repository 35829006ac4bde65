"""Recovery, downtime and detection of each fault, as a run's record has them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from bench.core import units
from bench.core.units import spaced
from bench.judge.observation import (
    CUT_SHORT,
    KNOWN,
    NEVER,
    SLOW,
    Observation,
    Repeat,
    Unmeasurable,
    observed,
    worse,
)
from bench.scenario.fault_kinds import DESTROY
from bench.scenario.rules.grammar import Metric
from bench.scenario.rules.metric_facts import CLEAN_RATIO

if TYPE_CHECKING:
    from bench.results.fault_records import FaultRecord, RecoveryRecord
    from bench.results.reader import Run

NOTHING = "nothing"
"""The kind of a fault that does nothing, for runs that must find nothing."""
UNSEEN = "unseen"
IN_ALARM, NO_LOOK = "in_alarm", "no_look"
UNKNOWN = (IN_ALARM, NO_LOOK)
"""A detector that reported nothing of a fault, which says nothing of it: chaos/detectors/detection.py."""
UNKNOWN_ADVICE = (
    "see what it was in alarm about before the fault, let the fault last longer, or let it look more often"
)


def recovery(run: Run, metric: Metric) -> Observation:
    """Time to recover of each fault. Raises Unmeasurable."""
    measure = _STAMPS[metric.name]
    repeats = _worst_by_fault(run, metric, measure)
    unaffected = sum(repeat.value == 0 and repeat.kind == KNOWN for repeat in repeats)
    note = f"; {unaffected} without visible effect" if unaffected else ""
    return replace(observed(repeats, metric, note), missing=no_clean_baseline(run, metric))


def downtime(run: Run, metric: Metric) -> Observation:
    """Time without success after each fault. Raises Unmeasurable."""
    found = observed(_worst_by_fault(run, metric, _downtime), metric)
    return replace(found, missing=no_clean_baseline(run, metric))


def detection(run: Run, metric: Metric) -> Observation:
    """From the first failure to the detection of each fault. Raises Unmeasurable."""
    detector = metric.name.partition(".")[2]
    detections = run.record.detections
    entries = {entry.fault: entry for entry in detections if entry.detector == detector}
    if not entries:
        known = ", ".join(dict.fromkeys(entry.detector for entry in detections)) or "none"
        raise Unmeasurable(f"the run has no detector {detector}", f"its detectors are: {known}")
    repeats, unseen, unknown = [], 0, []
    for fault in took_effect(run):
        if fault.kind == NOTHING or fault.number not in entries:
            continue
        entry, failure_ns = entries[fault.number], first_failure_ns(run, fault.number)
        at_ns = entry.at_ns
        if at_ns is None and failure_ns is None and _all_clean(run, fault.number):
            unseen += 1  # no client saw anything: there was nothing to detect
            continue
        if at_ns is None and entry.state in UNKNOWN:
            unknown.append(f"{named(fault)}: {detector} did not report it, and {entry.detail}")
            continue
        since_ns = effective_ns(fault) if failure_ns is None else failure_ns
        if at_ns is None:
            repeats.append(Repeat(named(fault), _watched_until(run, fault) - since_ns, NEVER))
        else:
            repeats.append(Repeat(named(fault), max(0, at_ns - since_ns)))
    missing = None
    if unknown:
        more = f" (and {len(unknown) - 1} more)" if len(unknown) > 1 else ""
        missing = Unmeasurable(f"{unknown[0]}{more}", UNKNOWN_ADVICE)
        if not repeats:
            raise missing
    note = f"; {unseen} undetected without visible effect" if unseen else ""
    return replace(observed(repeats, metric, note), missing=missing)


def promotion(run: Run, metric: Metric) -> Observation:
    """From the first failure, or the fault where nothing failed, to the new primary. Raises Unmeasurable."""
    faults = {fault.number: fault for fault in took_effect(run)}
    repeats = []
    for entry in run.record.promotions:
        if entry.fault not in faults:
            continue
        fault, failure_ns = faults[entry.fault], first_failure_ns(run, entry.fault)
        since_ns = effective_ns(fault) if failure_ns is None else failure_ns
        if entry.at_ns is None:
            repeats.append(Repeat(named(fault), _watched_until(run, fault) - since_ns, NEVER))
        else:
            repeats.append(Repeat(named(fault), max(0, entry.at_ns - since_ns)))
    if not repeats:
        raise Unmeasurable(
            "no fault hit the primary of a target that has replicas",
            "kill one that a stack file starts with embedded: {replicas: 2, sentinels: 3}",
        )
    return observed(repeats, metric)


def recovery_time(run: Run, metric: Metric) -> Observation:
    """From the destruction of data until they are restored and clients succeed. Raises Unmeasurable."""
    repeats = []
    for fault in destroyed(run):
        since_ns = effective_ns(fault)
        seen = [entry for entry in run.record.recoveries if entry.fault == fault.number]
        harmed = [entry for entry in seen if entry.first_failure_ns is not None]
        ends = [fault.healed_ns, *(entry.first_success_ns for entry in harmed)]
        known = [at_ns for at_ns in ends if at_ns is not None]
        if not fault.healed or len(known) < len(ends):
            repeats.append(Repeat(named(fault), _watched_until(run, fault) - since_ns, NEVER))
        else:
            repeats.append(Repeat(named(fault), max(known) - since_ns))
    return observed(repeats, metric)


def recovery_point(run: Run, metric: Metric) -> Observation:
    """How old what a restore brought back was when the data were destroyed. Raises Unmeasurable."""
    checks = [
        check
        for check in run.record.integrity
        if metric.workload in (None, check.workload) and check.check == "acknowledged_writes"
    ]
    by_fault: dict[int, list[Repeat]] = {}
    faults = {fault.number: fault for fault in destroyed(run)}
    for fault in faults.values():
        if not fault.healed:
            waited_ns = _watched_until(run, fault) - effective_ns(fault)
            by_fault[fault.number] = [Repeat(named(fault), waited_ns, NEVER)]
    for check in checks:
        for point in check.recovery_points:
            if point.fault in faults and point.written:
                fault = faults[point.fault]
                if point.age_ns is None:
                    waited_ns = _watched_until(run, fault) - effective_ns(fault)
                    seen = Repeat(named(fault), waited_ns, NEVER)
                else:
                    seen = Repeat(named(fault), point.age_ns)
                by_fault.setdefault(fault.number, []).append(seen)
    repeats = []
    for number in sorted(by_fault):
        worst, *others = by_fault[number]
        for other in others:
            worst = worse(worst, other)
        repeats.append(worst)
    unread = next((check for check in checks if check.inconclusive), None)
    missing = None
    if unread is not None:
        missing = Unmeasurable(f"{unread.workload}: {unread.inconclusive}", "look at the target's log")
    if not repeats:
        raise missing or Unmeasurable(
            "no acknowledged write was looked for after a restore",
            "add {acknowledged_writes: WORKLOAD} under integrity, for one that writes to what is destroyed",
        )
    return replace(observed(repeats, metric), missing=missing)


def destroyed(run: Run) -> list[FaultRecord]:
    """The drills that destroyed data, in the order of time. Raises Unmeasurable where there is none."""
    found = [fault for fault in took_effect(run) if fault.kind == DESTROY]
    if not found:
        advice = "add backup, destroy and restore of a target under actions"
        raise Unmeasurable("no data were destroyed in this run", advice)
    return found


def took_effect(run: Run) -> list[FaultRecord]:
    """The faults of the run that did what they were to do, in the order of time."""
    found = [
        fault
        for fault in run.record.faults
        if fault.effective_ns is not None and (fault.took_effect or fault.kind == NOTHING)
    ]
    return sorted(found, key=effective_ns)


def effective_ns(fault: FaultRecord) -> int:
    """When a fault took effect that did."""
    assert fault.effective_ns is not None
    return fault.effective_ns


def named(fault: FaultRecord) -> str:
    """For a sentence: "fault 2 (kill redis)"."""
    return f"fault {fault.number} ({fault.kind} {fault.where})"


def first_failure_ns(run: Run, fault: int) -> int | None:
    """When any workload first saw the fault; None where none did, or where none was clean before it."""
    entries = [entry for entry in run.record.recoveries if entry.fault == fault and is_clean(entry)]
    failures_ns = [entry.first_failure_ns for entry in entries if entry.first_failure_ns is not None]
    return min(failures_ns, default=None)


def recoveries_of(run: Run, metric: Metric) -> dict[int, list[RecoveryRecord]]:
    """By fault the recoveries that the metric is about, without the unseen ones and without those that had
    no clean baseline. Raises Unmeasurable, also where none is left.
    """
    if not run.record.faults:
        raise Unmeasurable("the run has no faults", "judge it with a run whose scenario has faults")
    if not run.record.has("recoveries"):
        raise Unmeasurable("the run has faults, but no recovery was looked for", "run it again to its end")
    found: dict[int, list[RecoveryRecord]] = {}
    for entry in run.record.recoveries:
        if metric.workload in (None, entry.workload) and entry.state != UNSEEN and is_clean(entry):
            found.setdefault(entry.fault, []).append(entry)
    missing = no_clean_baseline(run, metric)
    if missing is not None and not found:
        raise missing
    return found


def _all_clean(run: Run, fault: int) -> bool:
    return all(is_clean(entry) for entry in run.record.recoveries if entry.fault == fault)


def is_clean(entry: RecoveryRecord) -> bool:
    """Whether so little failed before the first fault that there was something to come back to."""
    return (entry.baseline.harmed_ratio or 0) <= CLEAN_RATIO


def no_clean_baseline(run: Run, metric: Metric) -> Unmeasurable | None:
    """Why nothing can be said of the recovery of a workload that the metric is about; None where it can."""
    for entry in run.record.recoveries:
        if metric.workload not in (None, entry.workload) or is_clean(entry):
            continue
        before = entry.baseline
        share, workload = units.format_ratio(before.harmed_ratio or 0), entry.workload
        seen = f"{share} of {spaced(before.samples)} arrivals" if before.samples else share
        start, end = entry.first_failure_ns, entry.first_success_ns
        gone = ""
        if start is not None and end is not None:
            shown = units.format_duration_ns(end - start)
            gone = f"; after fault {entry.fault} none was answered for {shown}"
        limit = units.format_ratio(CLEAN_RATIO)
        return Unmeasurable(
            f"no clean baseline: {seen} of {workload} failed or stalled before the first fault, and above "
            f"{limit} no recovery can be told{gone}",
            f"see under errors why {workload} fails without any fault and mend that, or judge a workload "
            "that works",
        )
    return None


def _worst_by_fault(
    run: Run, metric: Metric, measure: Callable[[RecoveryRecord, str], Repeat | None]
) -> list[Repeat]:
    by_fault = recoveries_of(run, metric)
    repeats = []
    for fault in took_effect(run):
        seen = [measure(entry, named(fault)) for entry in by_fault.get(fault.number, [])]
        known = [repeat for repeat in seen if repeat is not None]
        if known:
            worst = known[0]
            for repeat in known[1:]:
                worst = worse(worst, repeat)
            repeats.append(worst)
    if not repeats:
        advice = "let arrivals be planned after each fault, and at least 100 before the first"
        raise Unmeasurable(f"no arrivals tell anything about {metric!s}", advice)
    return repeats


def _first(entry: RecoveryRecord, fault: str) -> Repeat | None:
    failure_ns = entry.first_failure_ns
    if failure_ns is None:
        return Repeat(fault, 0)
    if entry.first_success_ns is None:
        return Repeat(fault, entry.until_ns - failure_ns, NEVER)
    return Repeat(fault, entry.first_success_ns - failure_ns)


def _stable(entry: RecoveryRecord, fault: str) -> Repeat | None:
    failure_ns = entry.first_failure_ns
    if failure_ns is None:
        return Repeat(fault, 0)
    if entry.stable_ns is not None:
        return Repeat(fault, entry.stable_ns - failure_ns)
    if entry.state == CUT_SHORT and entry.quiet_since_ns is not None:
        return Repeat(fault, entry.quiet_since_ns - failure_ns, CUT_SHORT)
    return Repeat(fault, entry.until_ns - failure_ns, NEVER)


def _full(entry: RecoveryRecord, fault: str) -> Repeat | None:
    if entry.baseline.band_ns is None:
        return None  # too little before the fault to know what full performance is
    failure_ns = entry.first_failure_ns
    since_ns = entry.slow_from_ns if failure_ns is None else failure_ns
    if since_ns is None:
        return Repeat(fault, 0)
    if entry.full_ns is not None:
        return Repeat(fault, entry.full_ns - since_ns)
    if entry.state == CUT_SHORT or entry.full_cut_short:
        known_ns = [at_ns for at_ns in (entry.stable_ns, entry.quiet_since_ns) if at_ns is not None]
        return Repeat(fault, max([*known_ns, since_ns]) - since_ns, CUT_SHORT)
    answers = failure_ns is None or entry.stable_ns is not None
    return Repeat(fault, entry.until_ns - since_ns, SLOW if answers else NEVER)


def _downtime(entry: RecoveryRecord, fault: str) -> Repeat | None:
    return Repeat(fault, entry.downtime_ns, NEVER if entry.state == NEVER else KNOWN)


def _watched_until(run: Run, fault: FaultRecord) -> int:
    """The end of the watch of a fault: the next one that took effect, or the end of the run."""
    since_ns = effective_ns(fault)
    later_ns = [at_ns for other in took_effect(run) if (at_ns := effective_ns(other)) > since_ns]
    return min([*later_ns, run.record.duration_ns or since_ns])


_STAMPS = {"recovery.first": _first, "recovery.stable": _stable, "recovery.full": _full}
