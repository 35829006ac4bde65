"""What must fit together between the checks of the data and the workloads that write it."""

from collections.abc import Mapping, Sequence
from typing import Any

from bench.core.units import quoted
from bench.scenario.faults import CHECK_SETTINGS
from bench.scenario.problems import Finding, Path
from bench.scenario.templates import PLACEHOLDER, RUN, SEQUENCE, VALUE

Fields = Mapping[str, Any]

DRIVERS_OF = {
    "acknowledged_writes": ("redis", "postgres", "http"),
    "registers": ("redis", "postgres"),
    "transfers": ("postgres",),
    "messages": ("redis_pubsub",),
}
STORES = ("postgres", "postgres_16")
WRITES = {"SET": 3, "RPUSH": 3, "LPUSH": 3, "SADD": 3, "XADD": 5}
"""Redis commands that write once for each arrival and can be read back, and their number of words."""
FORMS = 'SET key value, RPUSH, LPUSH or SADD key element, or XADD key "*" field element'
EXAMPLE = 'command: [SET, "ledger:{run}:{seq}", "{seq}"]'
MARKED_BYTES = 16
"""From this size on a value begins with the whole number of its arrival (bench.drivers.values)."""


def findings_of_integrity(checks: Sequence[Any], workloads: Sequence[Fields]) -> list[Finding]:
    """Checks of workloads that are not there, or whose writes could not be found again."""
    found: list[Finding] = []
    known = {str(w["name"]): w for w in workloads if "name" in w}
    for index, check in enumerate(checks):
        if any(
            (other.check, other.workload, other.operation) == (check.check, check.workload, check.operation)
            for other in checks[:index]
        ):
            found.append(Finding((index,), "every check once", "the same again", "remove it"))
        if check.workload not in known:
            expected = f"one of the workloads {', '.join(known)}"
            path = (index, check.check)
            found.append(Finding(path, expected, quoted(check.workload), "name one of those"))
            continue
        found += [finding.under(index) for finding in _of_one(check, known[check.workload])]
    return found


def _of_one(check: Any, workload: Fields) -> list[Finding]:
    found = _settings(check)
    driver = workload.get("driver")
    if driver is None:
        return found
    if driver not in DRIVERS_OF[check.check]:
        drivers = " or ".join(DRIVERS_OF[check.check])
        expected = f"a workload with the driver {drivers} for {check.check}"
        return [*found, Finding((check.check,), expected, quoted(driver), "name another workload")]
    if check.check == "acknowledged_writes" and "operations" in workload:
        found += _writes(check, workload, driver)
    if check.check == "transfers" and "dataset" in workload and check.total is None:
        dataset = workload["dataset"]
        if dataset is None or dataset.name is None:
            advice = "add total: SELECT sum(balance) FROM accounts, or dataset: tpcb to the workload"
            found.append(Finding((), "a total, or a workload with a built-in data set", "neither", advice))
    return found


def _settings(check: Any) -> list[Finding]:
    found = []
    for name in sorted(check.model_fields_set - {"check", "workload"} - set(CHECK_SETTINGS[check.check])):
        key = {"store": "in", "every_ns": "every"}.get(name, name)
        found.append(Finding((key,), f"no {key} with {check.check}", key, "remove it"))
    return found


def _writes(check: Any, workload: Fields, driver: str) -> list[Finding]:
    operations = workload["operations"]
    name = operation_of(check, operations)
    if name not in operations:
        known = ", ".join(operations)
        if check.operation is None:
            advice = "add operation: add"
            return [Finding((), f"the operation that writes, one of {known}", "none", advice)]
        advice = "name one of those"
        return [Finding(("operation",), f"one of the operations {known}", quoted(check.operation), advice)]
    if driver == "redis":
        return _redis(check, operations[name], workload.get("value"))
    return _sql(check, operations[name], driver)


def operation_of(check: Any, operations: Mapping[str, Any]) -> str | None:
    """The operation that a check is about: the only one, where it names none."""
    if check.operation is None and len(operations) == 1:
        return next(iter(operations))
    return None if check.operation is None else str(check.operation)


def _redis(check: Any, operation: Any, value: Any) -> list[Finding]:
    where: Path = ("operation",) if check.operation is not None else ()
    for name, given in (("found", check.found), ("in", check.store)):
        if given is not None:
            advice = "remove it: what is there follows from the command"
            return [Finding((name,), f"no {name} for a Redis workload", name, advice)]
    commands = operation.all_commands
    if len(commands) != 1 or WRITES.get(commands[0][0].upper()) != len(commands[0]):
        said = " ".join(commands[0]) if len(commands) == 1 else f"{len(commands)} commands"
        return [Finding(where, f"an operation of one command: {FORMS}", quoted(said), f"write {EXAMPLE}")]
    command = commands[0]
    name, key, item = command[0].upper(), command[1], command[-1]
    used = {word: PLACEHOLDER.findall(word) for word in command}
    if any("key" in names for names in used.values()):
        return [Finding(where, "a write without {key}, which arrivals share", "{key}", f"write {EXAMPLE}")]
    if RUN not in used[key]:
        expected = "a key with {run}, so that nothing of another run is taken for this one's"
        return [Finding(where, expected, quoted(key), f"write {EXAMPLE}")]
    if name == "SET":
        if SEQUENCE not in used[key]:
            return [Finding(where, "a key with {seq}, one for each arrival", quoted(key), f"write {EXAMPLE}")]
        return []
    if name == "XADD" and command[2] != "*":
        return [Finding(where, f"an operation of one command: {FORMS}", quoted(command[2]), 'write "*"')]
    if SEQUENCE in used[key] or VALUE in used[key]:
        return [Finding(where, f"one key for all arrivals with {name}", quoted(key), "remove {seq} from it")]
    marked = VALUE in used[item] and value is not None and value.bytes >= MARKED_BYTES
    if SEQUENCE not in used[item] and not marked:
        expected = f"an element with {{seq}}, or a {{value}} of at least {MARKED_BYTES} bytes"
        return [Finding(where, expected, quoted(item), f'write [{name}, "ledger:{{run}}", "{{seq}}"]')]
    return []


def _sql(check: Any, operation: Any, driver: str) -> list[Finding]:
    found = []
    where: Path = ("operation",) if check.operation is not None else ()
    if check.found is None:
        advice = "add found: SELECT id FROM ledger WHERE run = {run}"
        found.append(Finding((), "a query of the arrivals that are there", "none", advice))
    elif PLACEHOLDER.findall(check.found) != [RUN]:
        expected = "a query with {run} once, and no other placeholder"
        found.append(Finding(("found",), expected, quoted(check.found), "write WHERE run = {run}"))
    text = " ".join(operation.all_statements) + (str(operation.request) if operation.request else "")
    missing = [f"{{{name}}}" for name in (RUN, SEQUENCE) if name not in PLACEHOLDER.findall(text)]
    if missing:
        names = " and ".join(missing)
        expected = f"an operation that writes {names}, so that its writes can be told apart"
        found.append(Finding(where, expected, "none", f"write {names} into it"))
    if check.store is not None and check.store not in STORES:
        found.append(
            Finding(("in",), f"one of {', '.join(STORES)}", quoted(check.store), "name one of those")
        )
    if driver == "http" and check.store is None:
        advice = "add in: postgres"
        found.append(Finding((), "the Postgres target that `found` is asked of", "none", advice))
    return found
