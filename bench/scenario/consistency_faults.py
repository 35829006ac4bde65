"""What must fit together in the faults of a scenario."""

from collections.abc import Sequence
from typing import Any

from bench.scenario.fault_kinds import FAULT_KINDS
from bench.scenario.finding import Finding
from bench.units import format_duration_ns, quoted

BEHIND = {"api": ("redis", "postgres")}
"""Targets that another target stands on, so that they can be hit too."""


def reachable_targets(targets: Sequence[str]) -> list[str]:
    """The targets of the workloads, and those behind them."""
    found: dict[str, None] = dict.fromkeys(targets)
    for name in targets:
        found.update(dict.fromkeys(BEHIND.get(name, ())))
    return list(found)


def findings_of_faults(faults: Sequence[Any], targets: Sequence[str], total_ns: int) -> list[Finding]:
    """Faults that hit nothing, come too late, or cannot hold at the same time."""
    found: list[Finding] = []
    known = reachable_targets(targets)
    for index, fault in enumerate(faults):
        if known and fault.target not in known:
            choices = ", ".join(known)
            advice = "name a target of a workload, or one that it stands on"
            found.append(Finding((index,), f"one of the targets {choices}", quoted(fault.target), advice))
        last = _windows(fault)[-1][1]
        if last > total_ns:
            expected = f"every fault to be over before the run ends at {format_duration_ns(total_ns)}"
            advice = "make the run longer, or the fault earlier or shorter"
            found.append(Finding((index,), expected, format_duration_ns(last), advice))
        elif fault.every_ns is not None and _length(fault) >= fault.every_ns:
            expected = (
                f"repeats that are over before the next begins after {format_duration_ns(fault.every_ns)}"
            )
            found.append(Finding((index,), expected, format_duration_ns(_length(fault)), "lengthen every"))
    return found + _overlaps(faults)


def _length(fault: Any) -> int:
    return int((fault.for_ns or 0) + (fault.jitter_ns or 0))


def _windows(fault: Any) -> list[tuple[int, int]]:
    """From the earliest begin to the latest end of each repeat."""
    starts = [fault.at_ns + number * (fault.every_ns or 0) for number in range(fault.repeat)]
    return [(start, start + _length(fault)) for start in starts]


def _overlaps(faults: Sequence[Any]) -> list[Finding]:
    """A process can be in one state only; what holds on the network path composes."""
    found = []
    for index, fault in enumerate(faults):
        for other in range(index):
            before = faults[other]
            if fault.target != before.target or not _exclude(fault.kind, before.kind):
                continue
            if any(a[0] <= b[1] and b[0] <= a[1] for a in _windows(fault) for b in _windows(before)):
                expected = f"no {fault.kind} of {fault.target} while fault {other} ({before.kind}) holds"
                found.append(Finding((index,), expected, "both at once", "move one of them in time"))
    return found


def _exclude(kind: str, other: str) -> bool:
    if kind == other and kind != "nothing":
        return True
    return FAULT_KINDS[kind].on_process and FAULT_KINDS[other].on_process
