"""What must fit together within one workload.

A check needs fields that are right on their own, and `workload.has` says whether they are: a mistake in one
field does not hide the others.
"""

import json
import math
from collections.abc import Iterator, Mapping

from bench.core.units import format_bytes, quoted
from bench.registry import DRIVERS, OTHER, Topology
from bench.scenario.problems import Path, Violation
from bench.scenario.templates import RESERVED, VALUE, Parameter, names_in
from bench.scenario.validators.operations import check_headers, check_login, check_operations, check_steps
from bench.scenario.workloads import Keys, Operation, Workload

MAX_UNSENT_BYTES = 2 * 10**9
MAX_STREAMS = 4_000_000
_SHARED = ("value", "keys", "resp", "pipeline", "channels", "subscribers")
"""Settings that are checked separately, or do no harm elsewhere."""
MIN_MESSAGE_BYTES = 64  # publisher, sequence number and planned time travel inside the message
_DRIVER: tuple[Path, ...] = (("driver",),)
_DECIDED_BY_THE_LOCUSTFILE = {
    "value": "remove it: the locustfile decides what is sent",
    "threads": "remove it: all users run in one thread of one process",
    "pipeline": "remove it: a user asks one thing after the other",
}


def check_workload(workload: Workload) -> Iterator[Violation]:
    """Contradictions inside one workload."""
    yield from _rate(workload)
    yield from _lanes(workload)
    yield from _unsent(workload)
    yield from _streams(workload)
    yield from _keys(workload)
    if not workload.has("driver"):
        return
    yield from _settings(workload)
    yield from _engine(workload)
    yield from _parameters(workload)
    if workload.has("operations"):
        yield from check_operations(workload)
    yield from check_steps(workload)
    if "headers" in DRIVERS[workload.driver].settings and workload.has("headers"):
        yield from check_headers(workload)
    if "login" in DRIVERS[workload.driver].settings and workload.has("login"):
        yield from check_login(workload)
    if DRIVERS[workload.driver].receives is not None:
        yield from _pubsub(workload)
    if DRIVERS[workload.driver].asks_by_itself:
        yield from _users(workload)


def _rate(workload: Workload) -> Iterator[Violation]:
    if not workload.has("arrivals", "rate_per_s"):
        return
    closed, rate = workload.arrivals == "closed", workload.rate_per_s
    if closed and rate is not None:
        advice = "remove rate, or write arrivals: poisson"
        yield Violation(("rate",), "no rate with arrivals: closed", "a rate", advice)
    if not closed and rate is None:
        advice = "add a rate, or write arrivals: closed"
        yield Violation((), f"a rate with arrivals: {workload.arrivals}", "none", advice, (("arrivals",),))


def _lanes(workload: Workload) -> Iterator[Violation]:
    if workload.has("lanes", "threads") and workload.threads > workload.lanes:
        shown = f"{workload.threads} threads for {workload.lanes} lane{'s' * (workload.lanes != 1)}"
        advice = "add lanes or use fewer threads"
        yield Violation(("threads",), "at most one thread per lane", shown, advice, (("lanes",),))


def _unsent(workload: Workload) -> Iterator[Violation]:
    """The generator must have room for the unsent requests of every lane."""
    if not workload.has("lanes", "pipeline", "operations", "value", "parameters", "feeds"):
        return
    longest = {VALUE: workload.value.bytes} if workload.value is not None else {}
    for name, parameter in workload.parameters.items():
        longest[name] = max((len(str(choice).encode()) for choice in parameter.choices), default=0)
    for name, feed in workload.feeds.items():
        for column, cells in feed.columns.items():
            longest[f"{name}.{column}"] = max(len(str(cell).encode()) for cell in cells)
    sizes = [_request_bytes(operation, longest) for operation in workload.operations.values()]
    total = max(sizes, default=0) * workload.lanes * workload.pipeline
    if total > MAX_UNSENT_BYTES:
        expected = f"lanes x pipeline x the largest request to be at most {format_bytes(MAX_UNSENT_BYTES)}"
        advice = "use smaller values, fewer lanes or less pipelining"
        path: Path = ("value", "bytes") if workload.value is not None else ("lanes",)
        yield Violation(path, expected, format_bytes(total), advice, (("lanes",), ("pipeline",)))


def _request_bytes(operation: Operation, longest: Mapping[str, int]) -> int:
    """Of one round trip, about; `longest`: bytes of placeholders that are texts."""
    words = [word for command in operation.all_commands for word in command]
    texts: list[str] = ["".join(words), *operation.all_statements]
    for step in operation.all_steps:
        body = step.request.body or step.request.json_body
        texts.append(body if isinstance(body, str) else json.dumps(body))
    return max(len(text) + sum(longest.get(name, 0) for name in names_in(text)) for text in texts)


def _streams(workload: Workload) -> Iterator[Violation]:
    """The generator must have room for the numbers of every stream."""
    if not workload.has("lanes", "channels", "subscribers"):
        return
    streams = math.prod((workload.lanes, workload.channels or 0, workload.subscribers or 0))
    if streams > MAX_STREAMS:
        expected = f"lanes x channels x subscribers to be at most {MAX_STREAMS:,}"
        advice = "use fewer of them: each stream is checked off by itself"
        yield Violation(("channels",), expected, f"{streams:,}", advice, (("lanes",), ("subscribers",)))


def check_target(workload: Workload, topology: Topology) -> Iterator[Violation]:
    """A target that the stack does not have, or of another kind than the driver's."""
    if not workload.has("driver", "target") or DRIVERS[workload.driver].kind is None:
        return
    driver = DRIVERS[workload.driver]
    known = driver.targets_in(topology)
    if workload.target in known:
        return
    expected = f"the target {' or '.join(map(quoted, known))} for the driver {quoted(workload.driver)}"
    advice = f"write target: {known[0]}" if known else ""
    if not known:
        expected = f"a stack with a target of the kind {driver.kind} for the driver {quoted(workload.driver)}"
        advice = f"add one to the stack, which has {', '.join(topology)}"
    yield Violation(("target",), expected, quoted(workload.target), advice, _DRIVER)


def _settings(workload: Workload) -> Iterator[Violation]:
    """Keys that belong to other drivers."""
    facts, given = DRIVERS[workload.driver], workload.model_fields_set
    own = facts.settings
    is_pubsub = facts.receives is not None
    particular = dict.fromkeys(name for spec in DRIVERS.values() for name in spec.settings)
    for name in (*(name for name in particular if name not in _SHARED), "keys"):
        if name not in given or name in own or (name == "keys" and (not own or is_pubsub)):
            continue
        drivers = " or ".join(known for known, other in DRIVERS.items() if name in other.settings)
        advice = "remove it"
        if name == "keys" and "parameters" in own:
            advice = "write parameters: {item: {count: 1000}} instead"
        if name == "connect" and "login" in own:
            advice = "write login: instead, a request for each lane before it carries arrivals"
        yield Violation((name,), f"{name} only with the driver {drivers}", name, advice, _DRIVER)
    if not is_pubsub:
        for name in ("channels", "subscribers"):
            if name in given:
                advice = "remove it, or write driver: redis_pubsub"
                yield Violation((name,), f"{name} only with a pub/sub driver", name, advice)


def _parameters(workload: Workload) -> Iterator[Violation]:
    for name, parameter in workload.parameters.items() if workload.has("parameters") else ():
        path: Path = ("parameters", name)
        if name in RESERVED:
            expected = f"a name other than {', '.join(RESERVED)}, which have a meaning already"
            yield Violation(path, expected, quoted(name), "rename it")
        yield from _distribution(parameter, path)
    for name, feed in workload.feeds.items() if workload.has("feeds") else ():
        if feed.order == "unique" and workload.has("arrivals") and workload.arrivals == "closed":
            expected = "a number of arrivals that is known, for rows that are unique"
            advice = "plan arrivals (constant, poisson), or use another order"
            yield Violation(("feeds", name, "order"), expected, "arrivals: closed", advice, (("arrivals",),))
    dataset = workload.dataset if workload.has("dataset") else None
    if dataset is not None and bool(dataset.name) == bool(dataset.sql):
        advice = "write dataset: tpcb, or dataset: {sql: [setup.sql]}"
        yield Violation(("dataset",), "either name or sql", "both" if dataset.sql else "neither", advice)


def _pubsub(workload: Workload) -> Iterator[Violation]:
    for name in ("threads", "pipeline"):
        # Messages are numbered where they are acknowledged: one publish at a time, in one thread.
        if workload.has(name) and (count := getattr(workload, name)) != 1:
            expected = f"{name}: 1 with a pub/sub workload, whose messages are checked off by number"
            yield Violation((name,), expected, str(count), f"remove {name}; add lanes for more load")
    for name, example in (("channels", "4"), ("subscribers", "8"), ("value", "{bytes: 128}")):
        if workload.has(name) and getattr(workload, name) is None:
            yield Violation((), f"{name} for a pub/sub workload", "none", f"add {name}: {example}")
    if workload.has("keys") and workload.keys is not None:
        yield Violation(("keys",), "no keys with a pub/sub workload", "keys", "remove the key keys")
    value = workload.value if workload.has("value") else None
    if value is not None and value.bytes < MIN_MESSAGE_BYTES:
        expected = f"at least {MIN_MESSAGE_BYTES} bytes, which carry publisher, number and planned time"
        advice = f"write bytes: {MIN_MESSAGE_BYTES} or more"
        yield Violation(("value", "bytes"), expected, str(value.bytes), advice)


def _engine(workload: Workload) -> Iterator[Violation]:
    if not workload.has("engine"):
        return
    engine, engines = workload.engine, DRIVERS[workload.driver].engines
    if engine not in engines:
        expected = f"engine: {' or '.join(engines)} for the driver {quoted(workload.driver)}"
        yield Violation(("engine",), expected, quoted(engine), f"write engine: {engines[0]}", _DRIVER)
    if engine != "client" and "pool" in workload.model_fields_set:
        advice = "remove it, or write engine: client" if "client" in engines else "remove it"
        yield Violation(("pool",), "pool only with engine: client", "pool", advice)
    for name in ("threads", "pipeline"):
        count = getattr(workload, name) if workload.has(name) else 1
        if count == 1:
            continue
        if engine == "client":
            reason = "which runs one event loop and one request per connection"
            expected = f"{name}: 1 with engine: client, {reason}"
            yield Violation((name,), expected, str(count), f"remove {name}, or write engine: wire")
        elif engine == "wire" and name == "pipeline" and not DRIVERS[workload.driver].pipelines:
            expected = f"pipeline: 1 with the driver {workload.driver}: one request at a time on a connection"
            yield Violation(
                (name,), expected, str(count), "remove pipeline; add lanes for more load", _DRIVER
            )


def _keys(workload: Workload) -> Iterator[Violation]:
    keys = workload.keys if workload.has("keys") else None
    if keys is None:
        return
    yield from _distribution(keys, ("keys",))
    if keys.preload and workload.has("value") and workload.value is None:
        advice = "add value: {bytes: 128} to the workload"
        yield Violation(("keys", "preload"), "a value in the workload for preload", "none", advice)


def _distribution(numbers: Keys | Parameter, path: Path) -> Iterator[Violation]:
    """Settings of one distribution given with another."""
    for name, distribution in (("exponent", "zipf"), ("deviations", "gaussian")):
        if name in numbers.model_fields_set and numbers.distribution != distribution:
            expected = f"{name} only with distribution: {distribution}"
            advice = f"remove {name}, or write distribution: {distribution}"
            shown = f"distribution: {numbers.distribution}"
            yield Violation((*path, name), expected, shown, advice, ((*path, "distribution"),))


def _users(workload: Workload) -> Iterator[Violation]:
    """A workload whose users are Locust's."""
    driver = quoted(workload.driver)
    if workload.has("locustfile") and workload.locustfile is None:
        advice = "add locustfile: journey.py, a path from the scenario's folder"
        yield Violation((), f"a locustfile for the driver {driver}", "none", advice, _DRIVER)
    if workload.has("arrivals") and workload.arrivals != "closed":
        expected = f"arrivals: closed with the driver {driver}, whose users ask again when they were answered"
        advice = "write arrivals: closed, and more lanes for more load"
        yield Violation(("arrivals",), expected, quoted(workload.arrivals), advice, _DRIVER)
    for name, advice in _DECIDED_BY_THE_LOCUSTFILE.items():
        if name in workload.model_fields_set:
            yield Violation((name,), f"no {name} with the driver {driver}", name, advice, _DRIVER)
    classes = workload.user_classes if workload.has("user_classes") else ()
    for index, name in enumerate(classes):
        if name in classes[:index]:
            shown = f"{quoted(name)} again"
            yield Violation(("user_classes", index), "every user class once", shown, "remove it")
    if workload.has("operations"):
        yield from _names_of_requests(workload, driver)


def _names_of_requests(workload: Workload, driver: str) -> Iterator[Violation]:
    first: dict[str, str] = {}
    for name, operation in workload.operations.items():
        path = ("operations", name)
        if name == OTHER:
            expected = f"a name other than {OTHER}, where all requests go that no operation names"
            yield Violation(path, expected, quoted(name), "rename it")
        if "weight" in operation.model_fields_set:
            expected = f"no weight with the driver {driver}, whose locustfile decides how often"
            yield Violation((*path, "weight"), expected, "a weight", "remove it")
        request = operation.locust or name
        if request in first:
            advice = f"name others, or remove one of {first[request]} and {name}"
            expected = "requests that no other operation names"
            yield Violation((*path, "locust"), expected, f"{quoted(request)} again", advice)
        first.setdefault(request, name)
