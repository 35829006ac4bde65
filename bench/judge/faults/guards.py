"""Whether the faults of a run happened as planned, and reasons not to believe a broken rule about them.

Such a reason is that the generator was late itself. How late is a figure of the whole run. What was
slow or stalled in the times without that lateness (`net`), in the windows in question, was the
target's doing.
"""

from collections.abc import Iterator, Sequence

from bench.core import histogram, units
from bench.core.histogram import Counts
from bench.judge.faults.times import NOTHING, named
from bench.judge.guards import exceeding
from bench.judge.measures import statistic_ns
from bench.judge.observation import NEVER, SLOW, Observation
from bench.judge.verdict import Doubt, Guard, Status
from bench.results.fault_records import FaultRecord, RecoveryRecord
from bench.results.reader import Run
from bench.scenario.fault_kinds import DESTROY
from bench.scenario.rules.grammar import Rule

RETURNS_BY_ITSELF = frozenset({"kill", "crash", "stop", "restart", DESTROY})
"""The target has to start again, or its backup has to bring it back: where it does not, it is the target that
failed and not the harness."""

Found = tuple[str, str, str, Status]
"""Code, because, advice, status."""


def fault_findings(run: Run) -> Iterator[Found]:
    """What the faults say about the run as a whole. INVALID where it was no test of the target."""
    faults = run.record.faults
    ended_ns = run.record.stopped.at_ns if run.record.stopped is not None else None
    # Those that were still to come when a condition ended the run were not to take effect.
    made = [
        fault
        for fault in faults
        if fault.kind != NOTHING and (ended_ns is None or (fault.planned_ns or 0) < ended_ns)
    ]
    without = [fault for fault in made if not fault.took_effect]
    held = [fault for fault in made if fault.took_effect and not fault.healed]
    # healed is null where the target had to come back by itself.
    away = [fault for fault in held if fault.healed is None or fault.kind in RETURNS_BY_ITSELF]
    left = [fault for fault in held if fault not in away]
    if without:
        because = f"there is no proof that {_listed(without, faults, 'took effect')}"
        yield "fault_without_effect", because, "look at events.jsonl for what was done to it", Status.INVALID
    if left:
        because = f"there is no proof that {_listed(left, faults, 'was undone')}"
        yield "fault_not_healed", because, "run bench heal, then run it again", Status.INVALID
    if away:
        because = f"the target did not come back after {_listed(away, faults, '')}"
        restarts = "look at the server's log and at who restarts it"
        advice = "look at the backup and at how it was made" if away[0].kind == DESTROY else restarts
        yield "target_not_back", because, advice, Status.FAIL


def _listed(chosen: Sequence[FaultRecord], faults: Sequence[FaultRecord], what: str) -> str:
    """The first of them, how many there are, and what the proof of the first says."""
    proof = f": {chosen[0].proof}" if chosen[0].proof else ""
    more = f" and {len(chosen) - 1} more of {len(faults)}" if len(chosen) > 1 else ""
    return f"{named(chosen[0])}{more} {what}".rstrip() + proof


BY_STALLS = frozenset({"recovery.first", "recovery.stable", "downtime"})
"""Metrics that answers later than the stall threshold make worse."""
OF_A_STRETCH = BY_STALLS | {"recovery.full"}
"""Metrics of the one stretch that was found first."""
LEAST_FOR_P99 = 100


def late_around_faults(run: Run, rule: Rule, seen: Observation, status: Status) -> Doubt | None:
    """INVALID for a full performance that was missed by less than the generator itself was late."""
    if rule.metric.name != "recovery.full" or any(repeat.kind == NEVER for repeat in seen.repeats or ()):
        return None
    if status is not Status.FAIL and not any(repeat.kind == SLOW for repeat in seen.repeats or ()):
        return None
    late = run.histogram("late", rule.metric.workload)
    bands = [band_ns for entry in _entries(run, rule) if (band_ns := entry.baseline.band_ns) is not None]
    if not late.any() or not bands or histogram.percentile_ns(late, 99) <= min(bands) / 2:
        return None
    if any(_was_slow_by_itself(run, entry, rule.limit) for entry in _entries(run, rule)):
        return None
    shown = units.format_duration_ns(histogram.percentile_ns(late, 99))
    return Doubt(
        Status.INVALID,
        f"P99 of the generator's own lateness is {shown}, and full performance means a P99 of "
        f"{units.format_duration_ns(min(bands))}: the delay may be its own",
        "lower the rate, add threads, or free the machine of other work",
    )


def stalls_of_our_own(run: Run, rule: Rule, seen: Observation, status: Status) -> Doubt | None:
    """INVALID for an outage of nothing but late answers, as late as the generator itself was."""
    if status is not Status.FAIL or rule.metric.name not in BY_STALLS or seen.repeats is None:
        return None
    if any(repeat.kind == NEVER for repeat in seen.repeats):
        return None
    entries = [entry for entry in _entries(run, rule) if entry.first_failure_ns is not None]
    stalls_ns = [entry.baseline.stall_ns for entry in entries if entry.baseline.stall_ns is not None]
    late = run.histogram("late", rule.metric.workload)
    if not late.any() or not entries or len(stalls_ns) < len(entries):
        return None
    late_ns = statistic_ns(late, "max")
    if any(entry.failed for entry in entries) or late_ns < min(stalls_ns):
        return None
    if any(_stalled_by_itself(run, *pair) for pair in zip(entries, stalls_ns, strict=True)):
        return None
    return Doubt(
        Status.INVALID,
        f"no arrival failed; some were answered late, and the generator itself was late by up to "
        f"{units.format_duration_ns(late_ns)}: the delay may be its own",
        "lower the rate, add threads, or free the machine of other work",
    )


def stall_before_the_outage(run: Run, rule: Rule, seen: Observation, status: Status) -> Doubt | None:  # noqa: ARG001 - the signature of each
    """INCONCLUSIVE where the first stretch that was observed may be a stall of ours, and losses came later.

    `observe` has no effect that would say which of them is meant.
    """
    if rule.metric.name not in OF_A_STRETCH or seen.repeats is None:
        return None
    observing = {fault.number for fault in run.record.faults if fault.kind == "observe"}
    late = run.histogram("late", rule.metric.workload)
    late_ns = statistic_ns(late, "max") if late.any() else 0.0
    for entry in _entries(run, rule):
        stall_ns = entry.baseline.stall_ns
        lost_later = entry.failed_after_stable or 0
        is_stall = lost_later and entry.failed == lost_later
        if entry.fault in observing and is_stall and stall_ns is not None and late_ns >= stall_ns:
            return Doubt(
                Status.INCONCLUSIVE,
                f"what was observed first are late answers, and the generator itself was late by up to "
                f"{units.format_duration_ns(late_ns)}; {lost_later} arrivals failed after that",
                "observe from a later time, or free the machine of other work",
            )
    return None


def _entries(run: Run, rule: Rule) -> list[RecoveryRecord]:
    """The recoveries that the rule is about."""
    found = run.record.recoveries
    return [entry for entry in found if rule.metric.workload in (None, entry.workload)]


def _was_slow_by_itself(run: Run, entry: RecoveryRecord, limit_ns: float) -> bool:
    """Whether P99 without own lateness was outside the band after the limit, and before it was all well."""
    began_ns = entry.first_failure_ns if entry.first_failure_ns is not None else entry.slow_from_ns
    if began_ns is None or entry.baseline.band_ns is None:
        return False
    until_ns = entry.until_ns if entry.full_ns is None else entry.full_ns
    net = _net_between(run, entry.workload, began_ns + limit_ns, until_ns)
    if int(net.sum()) < LEAST_FOR_P99:
        return False
    return bool(histogram.percentile_ns(net, 99) > entry.baseline.band_ns)


def _stalled_by_itself(run: Run, entry: RecoveryRecord, stall_ns: int) -> bool:
    """Whether most of what stalled did so without own lateness, too."""
    net = _net_between(run, entry.workload, entry.effective_ns, entry.until_ns)
    return bool(2 * exceeding(net, stall_ns) > entry.stalled)


def _net_between(run: Run, workload: str, from_ns: float, until_ns: float) -> Counts:
    """Times without own lateness in all windows that lie between; none where they were not recorded."""
    found = histogram.empty()
    for window in run.windows("net", measured=True):
        if window.tag.workload == workload and window.start_ns >= from_ns and window.end_ns <= until_ns:
            found = found + window.counts
    return found


FAULT_DOUBTS: tuple[Guard, ...] = (late_around_faults, stalls_of_our_own, stall_before_the_outage)
