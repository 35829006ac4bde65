"""What must fit together across the fields of a scenario.

The functions take the fields that are right on their own, so that a mistake in one field does not
hide the others. A field that is wrong is absent from the mapping; an optional one has its default.
"""

import json
import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from bench.core.units import format_bytes, format_duration_ns, quoted
from bench.scenario.drivers import DRIVERS, OPERATION_FORMS, OWN_SETTINGS
from bench.scenario.fields import MAX_RATE_PER_S, MAX_TOTAL_NS, SHORTEST_CYCLE_NS
from bench.scenario.problems import Finding, Path
from bench.scenario.templates import PLACEHOLDER, RESERVED
from bench.scenario.validators.operations import (
    findings_of_headers,
    findings_of_request,
    findings_of_statements,
)
from bench.scenario.validators.users import findings_of_user_phases, findings_of_users

Fields = Mapping[str, Any]

PLACEHOLDERS = ("key", "value", "seq", "run")
MAX_UNSENT_BYTES = 2 * 10**9
MAX_STREAMS = 4_000_000
MIN_MESSAGE_BYTES = 64  # publisher, sequence number and planned time travel inside the message

# Commands that are not answered exactly once, or that change what a lane is.
_NOT_ONE_ANSWER = (
    *("SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE", "UNSUBSCRIBE", "PUNSUBSCRIBE", "SUNSUBSCRIBE"),
    *("MONITOR", "SYNC", "PSYNC", "QUIT", "HELLO", "SHUTDOWN"),
)


def findings_of_workload(fields: Fields, given: Collection[str]) -> list[Finding]:
    """Contradictions inside one workload. `given` names the fields the file sets itself."""
    found = [*_rate(fields), *_lanes(fields), *_memory(fields)]
    if "driver" in fields:
        found += [*_target(fields), *_settings(fields, given), *_operations(fields)]
        found += [*_pubsub(fields, given), *_engine(fields, given), *_parameters(fields)]
        found += findings_of_users(fields, given)
    return found + _keys(fields)


def findings_of_workloads(workloads: Sequence[Fields]) -> list[Finding]:
    """Two workloads of one name could not be told apart in a rule."""
    return [finding.under("workloads") for finding in _repeated_names(workloads, "workload")]


def findings_of_phases(phases: Sequence[Fields], workloads: Sequence[Fields]) -> list[Finding]:
    """Contradictions among phases, and between phases and workloads."""
    found = _repeated_names(phases, "phase")
    if phases and not any(phase.get("measured", True) for phase in phases):
        found.append(
            Finding((), "at least one measured phase", "none", "remove measured: false from one phase")
        )
    total = sum(phase.get("duration_ns", 0) for phase in phases)
    if total > MAX_TOTAL_NS:
        limit, length = format_duration_ns(MAX_TOTAL_NS), format_duration_ns(total)
        durations = tuple((index, "for") for index in range(len(phases)))
        found.append(Finding((), f"at most {limit} in all", length, "shorten the phases", durations))
    closed = [
        workload["arrivals"] == "closed" and not _runs_users(workload)
        for workload in workloads
        if "arrivals" in workload
    ]
    for index, phase in enumerate(phases):
        found += [finding.under(index) for finding in _load(phase, bool(closed) and all(closed))]
        found += [finding.under(index) for finding in _cycles(phase)]
    found += findings_of_user_phases(phases, [one for one in workloads if _runs_users(one)])
    return [finding.under("phases") for finding in found] + _peaks(phases, workloads)


def _runs_users(workload: Fields) -> bool:
    """Whether the load of a phase says how many users the workload has, rather than at what rate it asks."""
    return "driver" in workload and DRIVERS[workload["driver"]].asks_by_itself


def _rate(fields: Fields) -> list[Finding]:
    if "arrivals" not in fields or "rate_per_s" not in fields:
        return []
    closed, rate = fields["arrivals"] == "closed", fields["rate_per_s"]
    if closed and rate is not None:
        advice = "remove rate, or write arrivals: poisson"
        return [Finding(("rate",), "no rate with arrivals: closed", "a rate", advice)]
    if not closed and rate is None:
        advice = "add a rate, or write arrivals: closed"
        return [Finding((), f"a rate with arrivals: {fields['arrivals']}", "none", advice, (("arrivals",),))]
    return []


def _lanes(fields: Fields) -> list[Finding]:
    if "lanes" in fields and "threads" in fields and fields["threads"] > fields["lanes"]:
        lanes, threads = fields["lanes"], fields["threads"]
        found = f"{threads} threads for {lanes} lane{'s' * (lanes != 1)}"
        advice = "add lanes or use fewer threads"
        return [Finding(("threads",), "at most one thread per lane", found, advice, (("lanes",),))]
    return []


def _memory(fields: Fields) -> list[Finding]:
    """What the generator must have room for: unsent requests of every lane, numbers of every stream."""
    wanted = ("lanes", "pipeline", "operations", "value")
    if all(name in fields for name in wanted):
        size = max(
            (_request_bytes(operation, fields) for operation in fields["operations"].values()), default=0
        )
        total = size * fields["lanes"] * fields["pipeline"]
        if total > MAX_UNSENT_BYTES:
            limit, found = format_bytes(MAX_UNSENT_BYTES), format_bytes(total)
            expected = f"lanes x pipeline x the largest request to be at most {limit}"
            advice = "use smaller values, fewer lanes or less pipelining"
            others = (("lanes",), ("pipeline",))
            path: Path = ("value", "bytes") if fields["value"] is not None else ("lanes",)
            return [Finding(path, expected, found, advice, others)]
    streams = [fields.get(name) for name in ("lanes", "channels", "subscribers")]
    if all(isinstance(count, int) for count in streams) and math.prod(streams) > MAX_STREAMS:  # type: ignore[arg-type]
        expected = f"lanes x channels x subscribers to be at most {MAX_STREAMS:,}"
        advice = "use fewer of them: each stream is checked off by itself"
        others = (("lanes",), ("subscribers",))
        return [Finding(("channels",), expected, f"{math.prod(streams):,}", advice, others)]  # type: ignore[arg-type]
    return []


def _request_bytes(operation: Any, fields: Fields) -> int:
    """Of one round trip, about."""
    words = [word for command in operation.all_commands for word in command]
    texts: list[str] = ["".join(words), *operation.all_statements]
    if operation.request is not None:
        body = operation.request.body or operation.request.json_body
        texts.append(body if isinstance(body, str) else json.dumps(body))
    value = fields["value"]
    value_bytes = int(value.bytes) if value is not None else 0
    return max(len(text) + text.count("{value}") * value_bytes for text in texts)


def _target(fields: Fields) -> list[Finding]:
    known = DRIVERS[fields["driver"]].targets
    if "target" in fields and known and fields["target"] not in known:
        names = " or ".join(quoted(name) for name in known)
        expected = f"the target {names} for the driver {quoted(fields['driver'])}"
        advice = f"write target: {known[0]}"
        return [Finding(("target",), expected, quoted(fields["target"]), advice, (("driver",),))]
    return []


def _settings(fields: Fields, given: Collection[str]) -> list[Finding]:
    """Keys that belong to other drivers."""
    own = DRIVERS[fields["driver"]].settings
    found = []
    for name in (*OWN_SETTINGS, "keys"):
        if name not in given or name in own or (name == "keys" and (not own or "subscribers" in own)):
            continue
        drivers = " or ".join(known for known, facts in DRIVERS.items() if name in facts.settings)
        advice = "remove it"
        if name == "keys" and "parameters" in own:
            advice = "write parameters: {item: {count: 1000}} instead"
        found.append(Finding((name,), f"{name} only with the driver {drivers}", name, advice, (("driver",),)))
    return found


def _parameters(fields: Fields) -> list[Finding]:
    found = []
    for name, parameter in (fields.get("parameters") or {}).items():
        path: Path = ("parameters", name)
        if name in RESERVED:
            expected = f"a name other than {', '.join(RESERVED)}, which have a meaning already"
            found.append(Finding(path, expected, quoted(name), "rename it"))
        found += [finding.under(*path) for finding in _distribution(parameter)]
    dataset = fields.get("dataset")
    if dataset is not None and bool(dataset.name) == bool(dataset.sql):
        said = "both" if dataset.sql else "neither"
        advice = "write dataset: tpcb, or dataset: {sql: [setup.sql]}"
        found.append(Finding(("dataset",), "either name or sql", said, advice))
    if DRIVERS[fields["driver"]].settings and "headers" in DRIVERS[fields["driver"]].settings:
        found += findings_of_headers(fields.get("headers") or {}, fields)
    return found


def _operations(fields: Fields) -> list[Finding]:
    if "operations" not in fields:
        return []
    facts, operations = DRIVERS[fields["driver"]], fields["operations"]
    driver = (("driver",),)
    if facts.own_operations:
        if not operations:
            return []
        own = " and ".join(facts.own_operations)
        expected = f"no operations with the driver {quoted(fields['driver'])}, which brings its own ({own})"
        return [Finding(("operations",), expected, "operations", "remove the key operations", driver)]
    if not operations:
        if facts.default_operation or facts.asks_by_itself:
            return []
        return [Finding((), "at least one operation", "none", "add operations: {get: {command: [GET, a]}}")]
    found = []
    if sum(operation.weight for operation in operations.values()) <= 0:
        advice = "give one operation a weight above 0"
        weights = tuple(("operations", name, "weight") for name in operations)
        found.append(Finding(("operations",), "a sum of weights above 0", "0", advice, weights))
    for name, operation in operations.items():
        problems = _commands(operation, fields)
        found += [finding.under("operations", name) for finding in problems]
    return found


def _forms(operation: Any, fields: Fields) -> list[Finding]:
    """An operation says what it does in exactly one of its driver's forms."""
    facts = DRIVERS[fields["driver"]]
    given = [form for form in OPERATION_FORMS if getattr(operation, form) is not None]
    expected = " or ".join(facts.forms)
    found = []
    for form in given:
        if form not in facts.forms:
            wanted = expected or f"no {form}"
            found.append(Finding((form,), f"{wanted} with the driver {fields['driver']}", form, "correct it"))
    own = [form for form in given if form in facts.forms]
    if len(own) > 1:
        found.append(Finding((own[1],), f"either {' or '.join(own)}", "both", "keep one of the two"))
    if not own and not found and facts.default_operation is None and not facts.asks_by_itself:
        found.append(Finding((), _FORM_WORDS[facts.forms[0]], "none", _FORM_ADVICE[facts.forms[0]]))
    return found


_FORM_WORDS = {"command": "a command", "sql": "a statement", "request": "a request"}
_FORM_ADVICE = {
    "command": 'add command: [GET, "{key}"]',
    "sql": "add sql: SELECT 1",
    "request": "add request: {path: /}",
}


def _commands(operation: Any, fields: Fields) -> list[Finding]:
    found = _forms(operation, fields)
    if found:
        return found
    for index, command in enumerate(operation.all_commands):
        path: Path = ("command",) if operation.command is not None else ("commands", index)
        found += [finding.under(*path) for finding in _words(command, fields)]
    found += findings_of_statements(operation, fields)
    if operation.request is not None:
        found += [finding.under("request") for finding in findings_of_request(operation.request, fields)]
    return found


def _words(command: Sequence[str], fields: Fields) -> list[Finding]:
    found = []
    name = command[0].upper()
    if not name:
        found.append(Finding((0,), "the name of a command", "empty text", "write a command such as GET"))
    if name in _NOT_ONE_ANSWER or (name == "CLIENT" and len(command) > 1 and command[1].upper() == "REPLY"):
        advice = "remove it; for messages use the driver redis_pubsub"
        found.append(Finding((0,), "a command that the server answers exactly once", quoted(name), advice))
    for index, word in enumerate(command):
        for placeholder in dict.fromkeys(PLACEHOLDER.findall(word)):
            shown = quoted("{" + placeholder + "}")
            if placeholder not in PLACEHOLDERS:
                known = ", ".join("{" + known + "}" for known in PLACEHOLDERS)
                found.append(
                    Finding((index,), f"one of {known}", f"the placeholder {shown}", "use one of those")
                )
            elif placeholder == "key" and "keys" in fields and fields["keys"] is None:
                advice = "add keys: {count: 1000} to the workload"
                found.append(Finding((index,), f"keys in the workload for {shown}", "none", advice))
            elif placeholder == "value" and "value" in fields and fields["value"] is None:
                advice = "add value: {bytes: 128} to the workload"
                found.append(Finding((index,), f"a value in the workload for {shown}", "none", advice))
    return found


def _pubsub(fields: Fields, given: Collection[str]) -> list[Finding]:
    found = []
    if not DRIVERS[fields["driver"]].is_pubsub:
        for name in ("channels", "subscribers"):
            if name in given and name in fields:
                advice = "remove it, or write driver: redis_pubsub"
                found.append(Finding((name,), f"{name} only with a pub/sub driver", name, advice))
        return found
    for name in ("threads", "pipeline"):
        # Messages are numbered where they are acknowledged: one publish at a time, in one thread.
        if fields.get(name, 1) != 1:
            expected = f"{name}: 1 with a pub/sub workload, whose messages are checked off by number"
            found.append(
                Finding((name,), expected, str(fields[name]), f"remove {name}; add lanes for more load")
            )
    for name, example in (("channels", "4"), ("subscribers", "8"), ("value", "{bytes: 128}")):
        if name in fields and fields[name] is None:
            found.append(Finding((), f"{name} for a pub/sub workload", "none", f"add {name}: {example}"))
    if fields.get("keys") is not None:
        found.append(Finding(("keys",), "no keys with a pub/sub workload", "keys", "remove the key keys"))
    value = fields.get("value")
    if value is not None and value.bytes < MIN_MESSAGE_BYTES:
        expected = f"at least {MIN_MESSAGE_BYTES} bytes, which carry publisher, number and planned time"
        advice = f"write bytes: {MIN_MESSAGE_BYTES} or more"
        found.append(Finding(("value", "bytes"), expected, str(value.bytes), advice))
    return found


def _engine(fields: Fields, given: Collection[str]) -> list[Finding]:
    if "engine" not in fields:
        return []
    found, engine = [], fields["engine"]
    engines = DRIVERS[fields["driver"]].engines
    if engine not in engines and "engine" not in given:
        engine = engines[0]
    if engine not in engines:
        expected = f"engine: {' or '.join(engines)} for the driver {quoted(fields['driver'])}"
        found.append(
            Finding(("engine",), expected, quoted(engine), f"write engine: {engines[0]}", (("driver",),))
        )
    if engine != "client" and "pool" in given:
        advice = "remove it, or write engine: client" if "client" in engines else "remove it"
        found.append(Finding(("pool",), "pool only with engine: client", "pool", advice))
    if engine == "wire" and fields["driver"] in ("http", "postgres") and fields.get("pipeline", 1) != 1:
        expected = f"pipeline: 1 with the driver {fields['driver']}: one request at a time on a connection"
        advice = "remove pipeline; add lanes for more load"
        found.append(Finding(("pipeline",), expected, str(fields["pipeline"]), advice, (("driver",),)))
    for name in ("threads", "pipeline"):
        if engine == "client" and fields.get(name, 1) != 1:
            expected = (
                f"{name}: 1 with engine: client, which runs one event loop and one request per connection"
            )
            found.append(
                Finding((name,), expected, str(fields[name]), f"remove {name}, or write engine: wire")
            )
    return found


def _keys(fields: Fields) -> list[Finding]:
    keys = fields.get("keys")
    if keys is None:
        return []
    found = [finding.under("keys") for finding in _distribution(keys)]
    if keys.preload and "value" in fields and fields["value"] is None:
        advice = "add value: {bytes: 128} to the workload"
        found.append(Finding(("keys", "preload"), "a value in the workload for preload", "none", advice))
    return found


def _distribution(numbers: Any) -> list[Finding]:
    """Settings of one distribution given with another."""
    found = []
    for name, distribution in (("exponent", "zipf"), ("deviations", "gaussian")):
        if name in numbers.model_fields_set and numbers.distribution != distribution:
            expected = f"{name} only with distribution: {distribution}"
            found_text = f"distribution: {numbers.distribution}"
            advice = f"remove {name}, or write distribution: {distribution}"
            found.append(Finding((name,), expected, found_text, advice, (("distribution",),)))
    return found


def _load(phase: Fields, all_closed: bool) -> list[Finding]:
    if "load" not in phase:
        return []
    if all_closed and "load" in phase.get("given", ()):
        advice = "remove load, or give a workload a rate"
        return [Finding(("load",), "no load where all arrivals are closed", "a load", advice)]
    if max(phase["load"].start, phase["load"].end) == 0:
        return [Finding(("load",), "a load above 0%", "0%", "write a load above 0%")]
    return []


def _cycles(phase: Fields) -> list[Finding]:
    if "cycles" not in phase or "rest" not in phase:
        return []
    cycles, rest = phase["cycles"], phase["rest"]
    if cycles is None and rest is None:
        return []
    if rest is None:
        advice = "add rest: 30%, or remove cycles"
        return [Finding((), "a rest with cycles, the share of each without load", "none", advice)]
    if cycles is None:
        return [Finding(("rest",), "rest only with cycles", "rest", "add cycles: 50, or remove rest")]
    length = phase.get("duration_ns")
    if length is not None and length < cycles * SHORTEST_CYCLE_NS:
        expected = f"cycles of at least {format_duration_ns(SHORTEST_CYCLE_NS)}"
        found = f"{cycles} in {format_duration_ns(length)}"
        return [Finding(("cycles",), expected, found, "use fewer cycles or a longer phase", (("for",),))]
    return []


def _peaks(phases: Sequence[Fields], workloads: Sequence[Fields]) -> list[Finding]:
    """Rates that only a phase's load makes impossible."""
    found = []
    for number, phase in enumerate(phases):
        for index, workload in enumerate(workloads):
            if "load" not in phase or workload.get("rate_per_s") is None:
                continue
            peak = max(phase["load"].start, phase["load"].end) * workload["rate_per_s"]
            if peak > MAX_RATE_PER_S:
                expected = f"at most {MAX_RATE_PER_S}/s after applying the load"
                involved = (("workloads", index, "rate"),)
                advice = "lower the load or the rate"
                found.append(Finding(("phases", number, "load"), expected, f"{peak:.0f}/s", advice, involved))
    return found


def _repeated_names(parts: Sequence[Fields], word: str) -> list[Finding]:
    first: dict[str, int] = {}
    found = []
    for index, part in enumerate(parts):
        if "name" not in part:
            continue
        if part["name"] in first:
            shown, advice = quoted(part["name"]), f"rename this {word}"
            involved = ((first[part["name"]], "name"),)
            found.append(
                Finding((index, "name"), f"a {word} name used once", f"{shown} again", advice, involved)
            )
        else:
            first[part["name"]] = index
    return found
