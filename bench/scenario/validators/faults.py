"""What must fit together in the faults of a scenario."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.core.units import format_duration_ns, quoted
from bench.registry import PRIMARY, STARTED, instances_of, reachable_targets, roles_of
from bench.scenario.fault_kinds import FAULT_KINDS, PASSIVE_KINDS
from bench.scenario.problems import Violation

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bench.registry import Topology
    from bench.scenario.faults import FaultEntry


def check_faults(
    faults: Sequence[FaultEntry], targets: Sequence[str], total_ns: int, topology: Topology | None
) -> Iterator[Violation]:
    """Faults that hit nothing (with a topology), come too late, or cannot hold at the same time."""
    known = () if topology is None else reachable_targets(targets, topology)
    for index, fault in enumerate(faults):
        if fault.client is not None and topology is not None:
            yield from (each.under(index) for each in _path(fault, fault.client, targets, topology))
        elif (unfit := _aim(fault, targets, known)) is not None or (
            topology is not None and (unfit := _which(fault, topology) or _role(fault, topology)) is not None
        ):
            yield Violation((index,), *unfit)
        if (unfit := _time(fault, total_ns)) is not None:
            yield Violation((index,), *unfit)
        # A process can be in one state only; what holds on the network path composes.
        for other, before in enumerate(faults[:index]):
            if fault.target == before.target and _exclude(fault, before) and _meet(fault, before):
                expected = f"no {fault.kind} of {fault.where} while fault {other} ({before.kind}) holds"
                yield Violation((index,), expected, "both at once", "move one of them in time")


def _aim(fault: FaultEntry, targets: Sequence[str], known: Sequence[str]) -> tuple[str, str, str] | None:
    """Why the fault would hit nothing: expected, found, advice."""
    if known and fault.target not in known:
        advice = "name a target of a workload, or one that it stands on"
        return f"one of the targets {', '.join(known)}", quoted(fault.target), advice
    if known and FAULT_KINDS[fault.kind].through_proxy and fault.target not in targets:
        expected = f"{fault.kind} on the way from a workload to its target, one of {', '.join(targets)}"
        advice = f"hit {fault.target} itself (pause, kill), or the way to the target of the workload"
        return expected, f"{quoted(fault.target)}, which no workload talks to", advice
    return None


def _which(fault: FaultEntry, topology: Topology) -> tuple[str, str, str] | None:
    """Why there are no instances to choose from; how many a service of compose has, shows when it runs."""
    is_known = fault.target in topology and topology[fault.target].place != "compose"
    if fault.which is None or not is_known or instances_of(fault.target, topology):
        return None
    advice = "remove which, or let the stack file start several (instances behind a proxy, replicas)"
    return f"a target with several instances for which: {fault.which}", quoted(fault.target), advice


def _role(fault: FaultEntry, topology: Topology) -> tuple[str, str, str] | None:
    """Why no process of the target has the role."""
    if fault.role is None:
        return None
    known = roles_of(fault.target, topology)
    if not known:
        advice = "remove role, or let the stack file start replicas: embedded: {replicas: 2, sentinels: 3}"
        return f"a target of several servers for role: {fault.role}", quoted(fault.target), advice
    roles = list(dict.fromkeys(known.values()))
    if fault.role in roles:
        return None
    return f"a role of {fault.target}: {', '.join(roles)}", quoted(fault.role), "name one of those"


def _path(fault: FaultEntry, client: str, targets: Sequence[str], topology: Topology) -> Iterator[Violation]:
    """Why a fault on the way from one service to another would hit nothing, or cannot be made."""
    known: tuple[str, ...] = ()
    while known != (known := reachable_targets((*targets, *known), topology)):
        pass  # what stands behind the target of a workload, and behind that
    if client not in known:
        expected = f"one of the targets {', '.join(known)}"
        yield Violation(("from",), expected, quoted(client), "name a target of a workload, or one behind it")
        return
    outline = topology.get(client)
    behind = outline.behind if outline is not None else ()
    if fault.target not in behind:
        expected = f"a target that {client} stands behind: {', '.join(behind) or 'it has none'}"
        advice = f"name one of those, or add {fault.target} to `behind` of {client} in the stack file"
        yield Violation((), expected, quoted(fault.target), advice)
    if outline is not None and outline.place not in ("", *STARTED):
        found = "one of a compose project" if outline.place == "compose" else "one that others run (url)"
        expected = f"{client} to be started by the stack, with the address of a proxy before {fault.target}"
        advice = (
            f"use --stack embedded or docker, or let the stack file start {client} (embedded or docker); "
            f"without from the fault hits what the load sends to {fault.target}"
        )
        yield Violation(("from",), expected, found, advice)


def _time(fault: FaultEntry, total_ns: int) -> tuple[str, str, str] | None:
    """Why the fault does not fit into the run: expected, found, advice."""
    first, last = _at(fault, 0), _at(fault, fault.repeat - 1)
    begins, ends = last + (fault.jitter_ns or 0), last + _length(fault)
    advice = "make the run longer, or the fault earlier or shorter"
    end = f"the run ends at {format_duration_ns(total_ns)}"
    if first >= total_ns or begins >= total_ns:
        return f"every fault to begin before {end}", f"one at {format_duration_ns(begins)}", advice
    if ends > total_ns:
        return f"every fault to be over before {end}", f"one until {format_duration_ns(ends)}", advice
    if fault.every_ns is not None and _length(fault) >= fault.every_ns:
        expected = f"repeats that are over before the next begins after {format_duration_ns(fault.every_ns)}"
        return expected, format_duration_ns(_length(fault)), "lengthen every"
    return None


def _at(fault: FaultEntry, repeat: int) -> int:
    """When a repeat begins at the earliest."""
    return (fault.at_ns or 0) + repeat * (fault.every_ns or 0)


def _length(fault: FaultEntry) -> int:
    """From the earliest begin of a repeat to its latest end."""
    return (fault.for_ns or 0) + (fault.jitter_ns or 0)


def _meet(one: FaultEntry, other: FaultEntry) -> bool:
    """Whether a repeat of one can hold, or be made, while one of the other does."""
    times = sorted(
        (_at(fault, repeat), which, _length(fault))
        for which, fault in enumerate((one, other))
        for repeat in range(fault.repeat)
    )
    held_until = [-1, -1]
    for start_ns, which, length_ns in times:
        if start_ns <= held_until[1 - which]:
            return True
        held_until[which] = max(held_until[which], start_ns + length_ns)
    return False


def _exclude(one: FaultEntry, other: FaultEntry) -> bool:
    """Whether the two cannot hold at once on one target."""
    if one.kind in PASSIVE_KINDS or other.kind in PASSIVE_KINDS:
        return False
    if (one.role or PRIMARY) != (other.role or PRIMARY):
        return False  # two processes
    first, second = FAULT_KINDS[one.kind], FAULT_KINDS[other.kind]
    if first.through_proxy and second.through_proxy and one.client != other.client:
        return False
    if one.kind == other.kind:
        # Each half of the way can have its own.
        ways = [fault.direction or "both" for fault in (one, other)]
        return not first.through_proxy or "both" in ways or ways[0] == ways[1]
    if first.through_proxy and second.through_proxy:
        # A reset of all that stays leaves no connection for the other to act on.
        return any(map(_resets_all, (one, other)))
    return first.on_process and second.on_process


def _resets_all(fault: FaultEntry) -> bool:
    return fault.kind == "reset" and fault.for_ns is not None and fault.toxicity in (None, 1)
