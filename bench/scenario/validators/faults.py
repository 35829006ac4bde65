"""What must fit together in the faults of a scenario."""

from collections.abc import Sequence
from typing import Any

from bench.core.units import format_duration_ns, quoted
from bench.scenario.fault_kinds import FAULT_KINDS, LOOKING_ON
from bench.scenario.problems import Finding

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
    for index, fault in enumerate(faults):
        found += [Finding((index,), *words) for words in (*_aims(fault, targets), *_times(fault, total_ns))]
    return found + _overlaps(faults)


def _aims(fault: Any, targets: Sequence[str]) -> list[tuple[str, str, str]]:
    known = reachable_targets(targets)
    if not known:
        return []
    if fault.target not in known:
        advice = "name a target of a workload, or one that it stands on"
        return [(f"one of the targets {', '.join(known)}", quoted(fault.target), advice)]
    if FAULT_KINDS[fault.kind].through_proxy and fault.target not in targets:
        expected = f"{fault.kind} on the way from a workload to its target, one of {', '.join(targets)}"
        advice = f"hit {fault.target} itself (pause, kill), or the way to the target of the workload"
        return [(expected, f"{quoted(fault.target)}, which no workload talks to", advice)]
    return []


def _times(fault: Any, total_ns: int) -> list[tuple[str, str, str]]:
    first, last = fault.at_ns, fault.at_ns + (fault.repeat - 1) * (fault.every_ns or 0)
    begins, ends = last + (fault.jitter_ns or 0), last + _length(fault)
    advice = "make the run longer, or the fault earlier or shorter"
    if first >= total_ns or begins >= total_ns:
        expected = f"every fault to begin before the run ends at {format_duration_ns(total_ns)}"
        return [(expected, f"one at {format_duration_ns(begins)}", advice)]
    if ends > total_ns:
        expected = f"every fault to be over before the run ends at {format_duration_ns(total_ns)}"
        return [(expected, f"one until {format_duration_ns(ends)}", advice)]
    if fault.every_ns is not None and _length(fault) >= fault.every_ns:
        expected = f"repeats that are over before the next begins after {format_duration_ns(fault.every_ns)}"
        return [(expected, format_duration_ns(_length(fault)), "lengthen every")]
    return []


def _length(fault: Any) -> int:
    """From the earliest begin of a repeat to its latest end."""
    return int((fault.for_ns or 0) + (fault.jitter_ns or 0))


def _overlaps(faults: Sequence[Any]) -> list[Finding]:
    """A process can be in one state only; what holds on the network path composes."""
    found = []
    for index, fault in enumerate(faults):
        for other in range(index):
            before = faults[other]
            if fault.target == before.target and _exclude(fault, before) and _meet(fault, before):
                expected = f"no {fault.kind} of {fault.target} while fault {other} ({before.kind}) holds"
                found.append(Finding((index,), expected, "both at once", "move one of them in time"))
    return found


def _meet(one: Any, other: Any) -> bool:
    """Whether a repeat of one can hold, or be made, while one of the other does."""
    times = sorted(
        (fault.at_ns + number * (fault.every_ns or 0), which, _length(fault))
        for which, fault in enumerate((one, other))
        for number in range(fault.repeat)
    )
    held_until = [-1, -1]
    for start_ns, which, length_ns in times:
        if start_ns <= held_until[1 - which]:
            return True
        held_until[which] = max(held_until[which], start_ns + length_ns)
    return False


def _exclude(one: Any, other: Any) -> bool:
    """Whether the two cannot hold at once on one target."""
    if one.kind in LOOKING_ON or other.kind in LOOKING_ON:
        return False
    first, second = FAULT_KINDS[one.kind], FAULT_KINDS[other.kind]
    if one.kind == other.kind:
        # Each half of the way can have its own.
        return not first.through_proxy or "both" in (ways := (_way(one), _way(other))) or ways[0] == ways[1]
    if first.through_proxy and second.through_proxy:
        # A reset that stays leaves no connection for the other to act on.
        return any(fault.kind == "reset" and fault.for_ns is not None for fault in (one, other))
    return first.on_process and second.on_process


def _way(fault: Any) -> str:
    return fault.direction or "both"
