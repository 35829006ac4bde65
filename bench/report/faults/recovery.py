"""How each fault was recovered from and what it cost, one by one and over the repeats; who was primary when.

Response times before, during and after are those of the operation log. An arrival belongs to the time
in which it was planned:

    before     the baseline: measured time before the first fault
    fault      from the first failure (or from the fault) to the first success
    recovery   from there until it was as fast as before; where that is unknown, until it was stable
    after      from there to the next fault, or to the end

Where a fault had no visible effect, all of its time is `after`; where it only slowed, the slow time is
`recovery`.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bench.core import histogram, units
from bench.core.histogram import Counts
from bench.core.outcome import Outcome
from bench.core.units import spaced
from bench.judge.faults.times import effective_ns, first_failure_ns, is_clean, took_effect
from bench.judge.observation import CUT_SHORT, nearest_rank
from bench.registry import PRIMARY
from bench.report.context import joined
from bench.report.document import Bullets, Facts, Section, Table, columns
from bench.report.faults import detection as fault_detection
from bench.report.faults.actions import costs_of_actions
from bench.report.faults.detection import LABEL_WIDTH, entries, fault_rows, not_shown, shown
from bench.results.fault_records import IntegrityRecord, RecoveryRecord
from bench.results.reader import Run

PRIMARIES = columns("Primary:24 | process:22 | #from:12 | #until:12")


@dataclass(frozen=True)
class PrimarySpan:
    """A time in which a server said that it is the primary; ns from run zero. None: to the end."""

    target: str
    process: str
    from_ns: int
    until_ns: int | None


def primaries(run: Run) -> list[PrimarySpan]:
    """In the order of time. Two that overlap both thought that they are the one."""
    spans: list[PrimarySpan] = []
    since: dict[tuple[str, str], int] = {}
    for change in run.record.roles:
        server = (change.target, change.process)
        if change.role == PRIMARY:
            since.setdefault(server, change.at_ns)
        elif server in since:
            spans.append(PrimarySpan(*server, since.pop(server), change.at_ns))
    spans += [PrimarySpan(*server, from_ns, None) for server, from_ns in since.items()]
    return sorted(spans, key=lambda span: span.from_ns)


def roles_section(run: Run) -> Section:
    """Empty for a run without targets of several servers."""
    spans = primaries(run)
    if not spans:
        return Section("", ())
    rows = [
        (
            span.target,
            span.process,
            units.format_duration_ns(span.from_ns),
            "the end" if span.until_ns is None else units.format_duration_ns(span.until_ns),
        )
        for span in spans
    ]
    return Section(
        "",
        (
            Table("", PRIMARIES, tuple(rows)),
            *promoted(run),
            *_both(spans, run.record.duration_ns),
            *behind(run),
        ),
    )


def _both(spans: list[PrimarySpan], end_ns: int) -> Iterator[str]:
    """A sentence for each time in which two servers of a target said to be its primary; of a cluster, which
    has several, none.
    """
    at_first = Counter(span.target for span in spans if span.from_ns == 0)
    spans = [span for span in spans if at_first[span.target] <= 1]
    for number, one in enumerate(spans):
        for other in spans[number + 1 :]:
            until_ns = min(end_ns if each.until_ns is None else each.until_ns for each in (one, other))
            if other.target == one.target and other.process != one.process and other.from_ns < until_ns:
                length = units.format_duration_ns(until_ns - other.from_ns)
                yield f"{one.process} and {other.process} both said to be the primary for {length}."


def behind(run: Run) -> Iterator[str]:
    """A sentence for each standby that a primary was asked about."""
    for one in run.record.replication:
        words = (
            f"{one.process} was behind by {units.format_duration_ns(one.lag_max_ns)}"
            f" and {units.format_bytes(one.backlog_max_bytes)} at most"
        )
        if one.silent:
            share = f"{one.silent / one.samples:.0%}"
            words += f"; its primary did not stream to it in {share} of the looks, and it may have had more"
        yield f"{words}."


def promoted(run: Run) -> Iterator[str]:
    """A sentence for each fault that hit a primary."""
    faults = {fault.number: fault for fault in took_effect(run)}
    for entry in run.record.promotions:
        if entry.fault not in faults:
            continue
        if entry.process is None or entry.at_ns is None:
            yield f"Fault {entry.fault}: nobody took over from {entry.before} while it was watched."
            continue
        failure_ns = first_failure_ns(run, entry.fault)
        since_ns = effective_ns(faults[entry.fault]) if failure_ns is None else failure_ns
        after = units.format_duration_ns(max(0, entry.at_ns - since_ns))
        from_what = "the fault" if failure_ns is None else "the first failure"
        yield f"Fault {entry.fault}: {entry.process} took over from {entry.before} {after} after {from_what}."


PHASES = ("before", "fault", "recovery", "after")
Spans = dict[str, list[tuple[int, int]]]


def fault_phases(run: Run) -> dict[str, dict[str, Counts]]:
    """Workload -> phase -> response times; empty for a run without faults or without an operation log.

    A lost arrival is charged no less than its deadline, as in windows.hlog. Raises ResultError.
    """
    recoveries = run.record.recoveries or []
    operations = run.operations() if recoveries else None
    if operations is None:
        return {}
    found = {}
    for number, workload in enumerate(run.workloads):
        # One that no fault could hit is shown at the same times: what it was spared is a finding too.
        own = [one for one in recoveries if one.workload == workload.name] or recoveries
        log = operations[operations["workload"] == number]
        response_ns = log["done_ns"] - log["planned_ns"]
        lost = log["outcome"] != Outcome.OK
        response_ns[lost] = np.maximum(response_ns[lost], workload.deadline_ns or 0)
        found[workload.name] = {
            phase: counts_of(response_ns[_within(log["planned_ns"], spans)])
            for phase, spans in spans_of(own).items()
        }
    return found


def spans_of(recoveries: Sequence[RecoveryRecord]) -> Spans:
    """The spans of each phase, ns from run zero, of the recoveries of one workload."""
    baseline = recoveries[0].baseline
    spans: Spans = {phase: [] for phase in PHASES}
    spans["before"].append((baseline.from_ns, baseline.until_ns))
    for one in recoveries:
        until = one.until_ns
        start = _known(one.first_failure_ns, one.slow_from_ns, one.effective_ns)
        if one.first_failure_ns is None:
            back, full_ns = start, one.full_ns if one.slow_from_ns is not None else start
        else:
            back, full_ns = _known(one.first_success_ns, until), _known(one.full_ns, one.stable_ns, until)
        whole = max(back, _known(full_ns, until))
        spans["fault"].append((start, back))
        spans["recovery"].append((back, whole))
        spans["after"].append((whole, until))
    return spans


def counts_of(values_ns: NDArray[np.int64]) -> Counts:
    """The values as a histogram; one beyond the range is counted at its end."""
    values = np.clip(values_ns, 0, histogram.HIGHEST_NS)
    # The exponent of a float is the bit length of a whole number below 2^53 (bench.core.histogram.bucket_of).
    power = np.frexp((values >> 11).astype(np.float64))[1].astype(np.int64)
    buckets = (power << histogram.HALF_BITS) + (values >> power)
    return np.bincount(buckets, minlength=histogram.BUCKET_COUNT).astype(np.int64)


def _within(planned_ns: NDArray[np.int64], spans: Sequence[tuple[int, int]]) -> NDArray[np.bool_]:
    inside = np.zeros(len(planned_ns), dtype=np.bool_)
    for start, end in spans:
        inside |= (planned_ns >= start) & (planned_ns < end)
    return inside


def _known(*stamps_ns: int | None) -> int:
    return next(one for one in stamps_ns if one is not None)


COST = columns(
    f"Outage:{LABEL_WIDTH} | #down:11 | #lost:9 | #stalled:9 | #brown-out:11 | #lanes:7 | #longest:9"
)
COST_NOTE = (
    "stalled: answered too late to count as an answer; brown-out: time above the usual, over all answers; "
    "lanes: connections that came back, and the longest absence of one."
)
AROUND_FAULTS = columns(
    f"Response around faults:{LABEL_WIDTH} | #P50:11 | #P95:11 | #P99:11 | #max:11 | #samples:11"
)


def cost_section(run: Run) -> Section:
    """Time without success, lost and late answers, lanes that had to reconnect."""
    found = [entry for fault in shown(run) for entry in entries(run, fault)]
    if not any(entry.first_failure_ns is not None or entry.slow_from_ns is not None for entry in found):
        return Section("", ())
    return Section("", (Table("", COST, tuple(fault_rows(run, cost_cells))), COST_NOTE))


def cost_cells(entry: RecoveryRecord) -> tuple[str, ...]:
    """Time without success, lost, stalled, brown-out, lanes that came back and their longest absence."""
    reconnects = entry.reconnects
    longest_ns = reconnects.max_ns if reconnects else None
    return (
        units.format_duration_ns(entry.downtime_ns) if is_clean(entry) else "?",
        spaced(entry.failed),
        spaced(entry.stalled),
        units.format_duration_ns(entry.brown_out_ns),
        spaced(reconnects.count if reconnects else 0),
        "-" if longest_ns is None else units.format_duration_ns(longest_ns),
    )


def phase_rows(run: Run) -> list[tuple[str, ...]]:
    """Response times before, during and after, from the operation log."""
    rows: list[tuple[str, ...]] = []
    for workload, by_phase in fault_phases(run).items():
        for phase in PHASES:
            counts = by_phase[phase]
            if counts.any():
                times = [units.format_duration_ns(histogram.percentile_ns(counts, p)) for p in (50, 95, 99)]
                times.append(units.format_duration_ns(histogram.max_ns(counts)))
                rows.append((f"{workload}, {phase}", *times, spaced(int(counts.sum()))))
    return rows


def integrity_facts(run: Run) -> Facts:
    """What was found of the data that the servers had acknowledged."""
    return Facts(
        tuple(
            (
                "Integrity",
                f"{check.workload}, {str(check.check).replace('_', ' ')}: "
                f"{check.inconclusive or integrity_counts(check)}",
            )
            for check in run.record.integrity
        )
    )


def integrity_counts(check: IntegrityRecord) -> str:
    """What a check of data counted, as one line."""
    parts = []
    if check.lost is not None:
        of = "" if check.acknowledged is None else f" of {spaced(check.acknowledged)}"
        parts.append(check.bound or f"{spaced(check.lost)}{of} lost")
    if check.oldest_lost_age_ns is not None:
        parts.append(f"the oldest {units.format_duration_ns(check.oldest_lost_age_ns)} old")
    for point in check.recovery_points:
        age = "nothing" if point.age_ns is None else f"what was {units.format_duration_ns(point.age_ns)} old"
        parts.append(f"the restore brought back {age}")
    if check.split:
        parts.append(f"{spaced(check.split)} of them taken while there were two primaries")
    if check.unexpected is not None:
        of = "" if check.found is None else f" of {spaced(check.found)} found"
        parts.append(f"{spaced(check.unexpected)}{of} unexpected")
    return joined(parts) or "nothing was counted"


RECOVERY = columns(
    f"Recovery:{LABEL_WIDTH} | #to failure:12 | #first OK:11 | #stable:11 | #full:11 | #lost:11"
)
REPEATS = tuple(replace(column, title="") for column in RECOVERY)
STAMPS = ("first_success_ns", "stable_ns", "full_ns")


def sections(run: Run, unicode: bool) -> list[Section]:
    """The parts of the text report about faults; empty for a run without any. Raises ResultError."""
    if not run.record.faults:
        return []
    return [
        _recovery(run),
        fault_detection.timeline(run, unicode),
        fault_detection.detection_section(run),
        roles_section(run),
        cost_section(run),
        Section("", tuple(costs_of_actions(run))),
        Section("", (Table("", AROUND_FAULTS, around),) if (around := tuple(phase_rows(run))) else ()),
        Section("", (integrity_facts(run),)),
    ]


def _recovery(run: Run) -> Section:
    """Fault to first failure, then from there to each stamp; then the same over the repeats."""
    repeats: list[tuple[str, ...]] = []
    for title, hit in repeated(run):
        repeats += [(title,), ("  median", *statistic(hit, 50)), ("  longest", *statistic(hit, 100))]
    return Section(
        "",
        (
            Table("", RECOVERY, tuple(fault_rows(run, recovery_cells))),
            Bullets(tuple((text,) for text in not_shown(run))),
            Table("", REPEATS, tuple(repeats)),
        ),
    )


def recovery_cells(entry: RecoveryRecord) -> tuple[str, ...]:
    """Fault to first failure; from there to the first OK, stable, full; arrivals lost."""
    failure_ns, lost = entry.first_failure_ns, spaced(entry.failed)
    if entry.state == "unseen":
        return ("no arrivals", "-", "-", "-", "-")
    if not is_clean(entry):
        return ("no baseline", "?", "?", "?", lost)
    if failure_ns is None:
        slow_ns = entry.slow_from_ns
        full = "-" if slow_ns is None else _after(entry, "full_ns", slow_ns)
        return ("unaffected" if slow_ns is None else "slower", "-", "-", full, lost)
    since_fault = units.format_duration_ns(failure_ns - entry.effective_ns)
    return (since_fault, *(_after(entry, stamp, failure_ns) for stamp in STAMPS), lost)


def _after(entry: RecoveryRecord, stamp: str, since_ns: int) -> str:
    """The time to a stamp, "never", or "?" where the watch ended too early."""
    at_ns: int | None = getattr(entry, stamp)
    if at_ns is not None:
        return units.format_duration_ns(at_ns - since_ns)
    if stamp == "full_ns":
        if entry.full_cut_short or entry.baseline.band_ns is None:
            return "?"
        if entry.stable_ns is not None or entry.first_failure_ns is None:
            return f"> {units.format_duration_ns(entry.until_ns - since_ns)}"
    return "?" if entry.state == CUT_SHORT and stamp != "first_success_ns" else "never"


def repeated(run: Run) -> list[tuple[str, list[RecoveryRecord]]]:
    """What was hit in the same way more than once, as in "5 x kill redis", and what failed of it."""
    groups: dict[tuple[str, str, str], list[RecoveryRecord]] = {}
    for fault in took_effect(run):
        for entry in entries(run, fault):
            groups.setdefault((fault.kind, fault.where, entry.workload), []).append(entry)
    found = []
    for (kind, target, workload), alike in groups.items():
        hit = [entry for entry in alike if entry.first_failure_ns is not None and is_clean(entry)]
        if len(alike) >= 2 and hit:
            among = f", {workload}" if len({name for _, _, name in groups}) > 1 else ""
            found.append((f"{len(alike)} x {kind} {target}{among}", hit))
    return found


def statistic(hit: list[RecoveryRecord], percent: float) -> tuple[str, ...]:
    """Nearest rank over those that were hit; where a stamp is missing, the longest is not known."""
    failures_ns = [entry.first_failure_ns or 0 for entry in hit]
    delays = sorted(at_ns - entry.effective_ns for at_ns, entry in zip(failures_ns, hit, strict=True))
    cells = [units.format_duration_ns(nearest_rank(delays, percent))]
    for stamp in STAMPS:
        stamps_ns = [getattr(entry, stamp) for entry in hit]
        ordered = sorted(
            float("inf") if at_ns is None else at_ns - failure_ns
            for at_ns, failure_ns in zip(stamps_ns, failures_ns, strict=True)
        )
        found = nearest_rank(ordered, percent)
        cells.append("-" if found == float("inf") else units.format_duration_ns(found))
    return (*cells, spaced(int(nearest_rank(sorted(entry.failed for entry in hit), percent))))
