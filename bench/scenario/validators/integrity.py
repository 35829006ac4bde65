"""What must fit together between the checks of the data and the workloads that write it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.core.units import quoted
from bench.registry import DRIVERS
from bench.scenario.faults import CHECK_SETTINGS
from bench.scenario.problems import Path, Violation
from bench.scenario.templates import KEY, MARKED_BYTES, RUN, SEQUENCE, VALUE, names_in

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from bench.scenario.faults import IntegrityCheck
    from bench.scenario.model import Operation, Value, Workload

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
