"""Every stretch of a run in which a workload had no success, and whose doing it was. Pure.

A fault of the run explains the outages that it made; those that nothing explains are news: the target
went away by itself, or was touched from outside. Found in series.csv, so that every run has them, with or
without a log of single arrivals; their edges are known to the length of a window. The edges of
recoveries, from single arrivals, are finer.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from statistics import median
from typing import Any

from bench.results.fault_records import OutageRecord
from bench.results.run_record import RunRecord
from bench.scenario.fault_kinds import PASSIVE_KINDS, REMEDIES

FAULT, NOBODY = "fault", "nobody"
FAILURES = ("error", "timeout", "reset", "refused", "dropped")
BY_CHANCE = 0.001
"""How many rows of failures as long may be expected by chance, where some arrivals fail all the time."""
LEAST_FAILED = 3
STALL_RATIO, LEAST_STALL_NS = 4, 100_000_000
"""Without any failure: so many times the usual P99 without a success, while arrivals wait for an answer."""
DRAIN = "drain"
"""The phase of windows after the last one that was planned."""


@dataclass(frozen=True)
class Slice:
    """One window of one workload; counts of what ended in it."""

    start_ns: int
    end_ns: int
    planned: int
    ok: int
    failed: int
    in_flight: int
    connected: int | None
    """Lanes that had a connection at its end."""
    phase: str
    p99_ns: int | None


def outages_of(rows: Iterable[Mapping[str, Any]], record: RunRecord) -> list[OutageRecord]:
    """The section `outages` of run.json, in the order of time. `rows` are those of series.csv."""
    outages: list[OutageRecord] = []
    by_workload = groupby(
        sorted(rows, key=lambda row: str(row["workload"])), lambda row: str(row["workload"])
    )
    for workload, own in by_workload:
        slices = [_slice(row) for row in own]
        for stretch in stretches(sorted(slices, key=lambda one: one.start_ns)):
            since, until = stretch[0].start_ns, stretch[-1].end_ns
            fault = _fault(record, workload, since, until)
            outages.append(
                OutageRecord(
                    workload=workload,
                    from_ns=since,
                    until_ns=until,
                    planned=sum(part.planned for part in stretch),
                    failed=sum(part.failed for part in stretch),
                    whose=NOBODY if fault is None else FAULT,
                    fault=fault,
                    resolution_ns=max(part.end_ns - part.start_ns for part in stretch),
                )
            )
    return sorted(outages, key=lambda outage: (outage.from_ns, outage.workload))


def stretches(slices: Sequence[Slice]) -> Iterator[list[Slice]]:
    """The rows of windows without a success in which clients were failed, and not by chance."""
    ended = sum(one.ok + one.failed for one in slices)
    failed = sum(one.failed for one in slices)
    least = _least_failed(failed / ended if ended else 0.0, ended)
    usual = [one.p99_ns for one in slices if one.ok and one.p99_ns is not None]
    had_lanes = any(one.connected for one in slices)
    stall_ns = max(LEAST_STALL_NS, STALL_RATIO * median(usual) if usual else 0)
    for is_without, group in groupby(slices, lambda one: not one.ok):
        if not is_without:
            continue
        # Where nothing was asked for, before and after, nothing failed.
        row = list(group)
        asked = [place for place, one in enumerate(row) if _is_asked(one, had_lanes)]
        if not asked:
            continue
        row = row[asked[0] : asked[-1] + 1]
        waited = row[-1].end_ns - row[0].start_ns > stall_ns and len(asked) == len(row)
        if sum(one.failed for one in row) >= least or waited:
            yield row


def _is_asked(one: Slice, had_lanes: bool) -> bool:
    """Whether an arrival wanted an answer in it. While no lane has a connection arrivals wait unseen."""
    away = had_lanes and one.connected == 0 and one.phase != DRAIN
    return bool(one.planned or one.failed or one.in_flight or away)


def _least_failed(share: float, ended: int) -> int:
    if not 0 < share < 1:
        return LEAST_FAILED
    return max(LEAST_FAILED, math.ceil(math.log(BY_CHANCE / ended) / math.log(share)))


def _slice(row: Mapping[str, Any]) -> Slice:
    def number(name: str) -> int:
        return int(float(row.get(name) or 0))

    p99 = row.get("response_p99_ns")
    return Slice(
        number("start_ns"),
        number("end_ns"),
        number("planned"),
        number("ok"),
        sum(number(name) for name in FAILURES),
        number("in_flight"),
        number("connected") if row.get("connected") not in (None, "") else None,
        str(row.get("phase") or ""),
        int(float(p99)) if p99 not in (None, "") else None,
    )


def _fault(record: RunRecord, workload: str, since_ns: int, until_ns: int) -> int | None:
    """The fault that held, or whose harm was not over, in that time; the latest where several did."""
    target = next((entry.target for entry in record.workloads if entry.name == workload), "")
    recoveries = {entry.fault: entry for entry in record.recoveries if entry.workload == workload}
    number = None
    for fault in record.faults:
        if (
            fault.kind in (*PASSIVE_KINDS, *REMEDIES)
            or fault.asked_ns is None
            or not record.may_hit(fault, target)
        ):
            continue
        ends = [fault.asked_ns, fault.healed_ns or fault.returned_ns or 0]
        if fault.healed is False or fault.healed_ns is None:
            ends.append(record.duration_ns)
        if (recovery := recoveries.get(fault.number)) is not None:
            back = recovery.stable_ns or recovery.first_success_ns or recovery.until_ns
            ends.append(back if recovery.first_failure_ns is not None else 0)
        if fault.asked_ns < until_ns and since_ns <= max(ends):
            number = fault.number
    return number
