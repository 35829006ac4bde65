"""What must fit together in the faults of a scenario, and in the checks of its data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.core.units import format_duration_ns, quoted
from bench.registry import DRIVERS, PRIMARY, STARTED, instances_of, reachable_targets, roles_of
from bench.scenario.fault_kinds import FAULT_KINDS, PASSIVE_KINDS
from bench.scenario.faults import CHECK_SETTINGS
from bench.scenario.problems import Path, Violation
from bench.scenario.templates import KEY, MARKED_BYTES, RUN, SEQUENCE, VALUE, names_in

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from bench.registry import Topology
    from bench.scenario.faults import FaultEntry, IntegrityCheck
    from bench.scenario.workloads import Operation, Value, Workload


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
    if fault.which == "in_turn" and roles_of(fault.target, topology):
        advice = "write which: random, or an entry for each"
        return "no which: in_turn for servers that change their roles", quoted(fault.target), advice
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


STORES = ("postgres", "postgres_16")
WRITES = {"SET": 3, "RPUSH": 3, "LPUSH": 3, "SADD": 3, "XADD": 5}
"""Redis commands that write once for each arrival and can be read back, and their number of words."""
FORMS = 'SET key value, RPUSH, LPUSH or SADD key element, or XADD key "*" field element'
EXAMPLE = 'command: [SET, "ledger:{run}:{seq}", "{seq}"]'


def check_integrity(checks: Sequence[IntegrityCheck], workloads: Sequence[Workload]) -> Iterator[Violation]:
    """Checks of workloads that are not there, or whose writes could not be found again."""
    known = {workload.name: workload for workload in workloads if workload.has("name")}
    seen = set()
    for index, check in enumerate(checks):
        subject = (check.check, check.workload, check.operation)
        if subject in seen:
            yield Violation((index,), "every check once", "the same again", "remove it")
        seen.add(subject)
        if check.workload in known:
            violations = _check(check, known[check.workload])
            yield from (violation.under(index) for violation in violations)
        else:
            expected = f"one of the workloads {', '.join(known)}"
            yield Violation((index, check.check), expected, quoted(check.workload), "name one of those")


def operation_of(check: IntegrityCheck, operations: Mapping[str, Operation]) -> str | None:
    """The operation that a check is about: the only one, where it names none."""
    if check.operation is None and len(operations) == 1:
        return next(iter(operations))
    return check.operation


def _check(check: IntegrityCheck, workload: Workload) -> Iterator[Violation]:
    for name in sorted(check.model_fields_set - {"check", "workload", *CHECK_SETTINGS[check.check]}):
        key = type(check).model_fields[name].alias or name
        yield Violation((key,), f"no {key} with {check.check}", key, "remove it")
    if not workload.has("driver"):
        return
    if check.check not in DRIVERS[workload.driver].integrity:
        drivers = " or ".join(spec.name for spec in DRIVERS.values() if check.check in spec.integrity)
        expected = f"a workload with the driver {drivers} for {check.check}"
        yield Violation((check.check,), expected, quoted(workload.driver), "name another workload")
        return
    if check.check == "acknowledged_writes" and workload.has("operations"):
        yield from _writes(check, workload)
    has_built_in = not workload.has("dataset") or (workload.dataset is not None and workload.dataset.name)
    if check.check == "transfers" and check.total is None and not has_built_in:
        advice = "add total: SELECT sum(balance) FROM accounts, or dataset: tpcb to the workload"
        yield Violation((), "a total, or a workload with a built-in data set", "neither", advice)


def _writes(check: IntegrityCheck, workload: Workload) -> Iterator[Violation]:
    name = operation_of(check, workload.operations)
    if name in workload.operations:
        operation = workload.operations[name]
        if workload.driver == "redis":
            yield from _redis(check, operation, workload.value if workload.has("value") else None)
        else:
            yield from _sql(check, operation, workload.driver)
        return
    known = ", ".join(workload.operations)
    if name is None:
        yield Violation((), f"the operation that writes, one of {known}", "none", "add operation: add")
    else:
        yield Violation(("operation",), f"one of the operations {known}", quoted(name), "name one of those")


def _redis(check: IntegrityCheck, operation: Operation, value: Value | None) -> Iterator[Violation]:
    path: Path = ("operation",) if check.operation is not None else ()
    for key, given in (("found", check.found), ("in", check.store)):
        if given is not None:
            advice = "remove it: what is there follows from the command"
            yield Violation((key,), f"no {key} for a Redis workload", key, advice)
            return
    if (unfit := _unfit(operation.all_commands, value)) is not None:
        yield Violation(path, *unfit)


def _unfit(commands: Sequence[Sequence[str]], value: Value | None) -> tuple[str, str, str] | None:
    """Why what such commands write could not be found again: expected, found, advice."""
    if len(commands) != 1 or WRITES.get(commands[0][0].upper()) != len(commands[0]):
        shown = " ".join(commands[0]) if len(commands) == 1 else f"{len(commands)} commands"
        return f"an operation of one command: {FORMS}", quoted(shown), f"write {EXAMPLE}"
    command = commands[0]
    name, key, item = command[0].upper(), command[1], command[-1]
    in_key, in_item = names_in(key), names_in(item)
    if any(KEY in names_in(word) for word in command):
        return "a write without {key}, which arrivals share", "{key}", f"write {EXAMPLE}"
    if RUN not in in_key:
        expected = "a key with {run}, so that nothing of another run is taken for this one's"
        return expected, quoted(key), f"write {EXAMPLE}"
    if name == "SET":
        if SEQUENCE in in_key:
            return None
        return "a key with {seq}, one for each arrival", quoted(key), f"write {EXAMPLE}"
    if name == "XADD" and command[2] != "*":
        return f"an operation of one command: {FORMS}", quoted(command[2]), 'write "*"'
    if SEQUENCE in in_key or VALUE in in_key:
        return f"one key for all arrivals with {name}", quoted(key), "remove {seq} from it"
    marked = VALUE in in_item and value is not None and value.bytes >= MARKED_BYTES
    if SEQUENCE not in in_item and not marked:
        expected = f"an element with {{seq}}, or a {{value}} of at least {MARKED_BYTES} bytes"
        return expected, quoted(item), f'write [{name}, "ledger:{{run}}", "{{seq}}"]'
    return None


def _sql(check: IntegrityCheck, operation: Operation, driver: str) -> Iterator[Violation]:
    path: Path = ("operation",) if check.operation is not None else ()
    if check.found is None:
        advice = "add found: SELECT id FROM ledger WHERE run = {run}"
        yield Violation((), "a query of the arrivals that are there", "none", advice)
    elif names_in(check.found) != [RUN]:
        expected = "a query with {run} once, and no other placeholder"
        yield Violation(("found",), expected, quoted(check.found), "write WHERE run = {run}")
    text = " ".join([*operation.all_statements, *(str(step.request) for step in operation.all_steps)])
    missing = [f"{{{name}}}" for name in (RUN, SEQUENCE) if name not in names_in(text)]
    if missing:
        names = " and ".join(missing)
        expected = f"an operation that writes {names}, so that its writes can be told apart"
        yield Violation(path, expected, "none", f"write {names} into it")
    if check.store is not None and check.store not in STORES:
        yield Violation(("in",), f"one of {', '.join(STORES)}", quoted(check.store), "name one of those")
    if driver == "http" and check.store is None:
        expected, advice = "the Postgres target that `found` is asked of", "add in: postgres"
        yield Violation((), expected, "none", advice)
