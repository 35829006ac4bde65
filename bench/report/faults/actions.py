"""What the actions of a run cost its clients: how many arrivals failed or waited, and up to how many may.

The bound is that of Clopper and Pearson for independent arrivals: of the same action at another time so large
a share may fail, with 95 % confidence.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.core import units
from bench.core.units import spaced
from bench.judge.faults.times import took_effect
from bench.scenario.fault_kinds import ACTION, ACTIONS
from bench.statistics.evidence import ShareEvidence

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.results.fault_records import FaultRecord, RecoveryRecord
    from bench.results.reader import Run


def costs_of_actions(run: Run) -> Iterator[str]:
    """A sentence for each action and workload; none for a run without actions."""
    names = {fault.number: _named(fault) for fault in took_effect(run) if fault.kind in ACTIONS}
    several = len({entry.workload for entry in run.record.recoveries}) > 1
    for entry in run.record.recoveries:
        if entry.fault in names and entry.arrivals:
            whose = f" of {entry.workload}" if several else ""
            yield f"Action {names[entry.fault]}: {_failed(entry, entry.arrivals, whose)}{_waited(entry)}."


def _named(fault: FaultRecord) -> str:
    return fault.where if fault.kind == ACTION else f"{fault.kind} of {fault.where}"


def _failed(entry: RecoveryRecord, arrivals: int, whose: str) -> str:
    counts = f"{spaced(entry.failed)} of {spaced(arrivals)} arrivals{whose} failed"
    return f"{counts} (at most {_bound(entry.failed, arrivals)} with 95 % confidence)"


def _waited(entry: RecoveryRecord) -> str:
    """Those that were answered, but later than anything was before the first fault."""
    if entry.baseline.stall_ns is None or not entry.arrivals:
        return ""
    longer = f"for longer than {units.format_duration_ns(entry.baseline.stall_ns)}"
    bound = _bound(entry.stalled, entry.arrivals)
    return f", {spaced(entry.stalled) if entry.stalled else 'none'} waited {longer} (at most {bound})"


def _bound(cases: int, of: int) -> str:
    return units.format_ratio(ShareEvidence(cases, of).upper())
