"""What must fit together in the operations of a workload: Redis commands, SQL statements, HTTP requests."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from bench.core.sql_splitter import bare, quoted_stretches
from bench.core.units import quoted
from bench.registry import DRIVERS, STEPS
from bench.scenario.operations import Request
from bench.scenario.problems import Path, Violation
from bench.scenario.templates import KEY, RESERVED, RUN, VALUE, names_in, pieces_of, placeholders_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from bench.scenario.operations import RequestStep
    from bench.scenario.templates import Choice
    from bench.scenario.workloads import Operation, Step, Workload

# Commands that are not answered exactly once, or that change what a lane is.
_NOT_ONE_ANSWER = (
    *("SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE", "UNSUBSCRIBE", "PUNSUBSCRIBE", "SUNSUBSCRIBE"),
    *("MONITOR", "SYNC", "PSYNC", "QUIT", "HELLO", "SHUTDOWN"),
)
# What would leave the connection in another state than it was found in.
_CONTROL = ("BEGIN", "START", "COMMIT", "END", "ROLLBACK", "ABORT", "SAVEPOINT", "RELEASE", "PREPARE")
_NO_ANSWER = ("COPY", "LISTEN", "SET", "RESET", "DISCARD", "DEALLOCATE", "VACUUM")
_ALLOWED_IN_TRANSACTION = ("SET", "SAVEPOINT", "RELEASE")
_FIRST_WORD = re.compile(r"\s*([A-Za-z]+)")
_NUMBERED = re.compile(r"(?<![\w$])\$[0-9]+")
MOST_SHOWN = 30
_MISSING_FORM = {
    "command": ("a command", 'add command: [GET, "{key}"]'),
    "sql": ("a statement", "add sql: SELECT 1"),
    "request": ("a request", "add request: {path: /}"),
}


def check_operations(workload: Workload) -> Iterator[Violation]:
    """Contradictions in the operations of a workload whose driver is right."""
    facts, operations = DRIVERS[workload.driver], workload.operations
    if facts.own_operations:
        if operations:
            own = " and ".join(facts.own_operations)
            driver = quoted(workload.driver)
            expected = f"no operations with the driver {driver}, which brings its own ({own})"
            advice = "remove the key operations"
            yield Violation(("operations",), expected, "operations", advice, (("driver",),))
        return
    if not operations:
        if not facts.default_operation and not facts.asks_by_itself:
            advice = "add operations: {get: {command: [GET, a]}}"
            yield Violation((), "at least one operation", "none", advice)
        return
    if sum(operation.weight for operation in operations.values()) <= 0:
        weights = tuple(("operations", name, "weight") for name in operations)
        advice = "give one operation a weight above 0"
        yield Violation(("operations",), "a sum of weights above 0", "0", advice, weights)
    for name, operation in operations.items():
        violations = list(_forms(operation, workload.driver)) or _contents(operation, workload)
        yield from (violation.under("operations", name) for violation in violations)


_STEPS: dict[str | None, tuple[type[Any], str, str]] = {
    "redis": (tuple, "a command as a list of words", 'write [SET, "ready:{run}", 1]'),
    "postgres": (str, "SQL as text", "write CREATE TABLE IF NOT EXISTS ready (n int)"),
    "http": (Request, "a request", "write {method: POST, path: /ready}"),
}
"""What the steps of a workload are, by the kind of its target."""
_NOT_ON_A_CONNECTION = (*_CONTROL, "COPY", "LISTEN")


def check_steps(workload: Workload) -> Iterator[Violation]:
    """Contradictions in what is done around the load and on each connection."""
    kind = DRIVERS[workload.driver].kind
    for key in STEPS if kind in _STEPS else ():
        form, expected, advice = _STEPS[kind]
        for index, step in enumerate(getattr(workload, key) if workload.has(key) else ()):
            if not isinstance(step, form):
                found = (
                    "SQL"
                    if isinstance(step, str)
                    else "a command"
                    if isinstance(step, tuple)
                    else "a request"
                )
                yield Violation((key, index), expected, found, advice, (("driver",),))
                continue
            violations = list(_without_arrival(step)) or _unfit_step(step, key, workload)
            yield from (violation.under(key, index) for violation in violations)


def _without_arrival(step: Step) -> Iterator[Violation]:
    """Placeholders of an arrival, which no step belongs to."""
    if isinstance(step, Request):
        texts = [step.path, step.body or "", json.dumps(step.json_body), *step.headers.values()]
    else:
        texts = [step] if isinstance(step, str) else list(step)
    for name in dict.fromkeys(name for text in texts for name in placeholders_in(text)):
        if name != RUN:
            advice = "write it out: a step belongs to no arrival"
            yield Violation((), "no placeholder but {run}", quoted("{" + name + "}"), advice)


def _unfit_step(step: Step, key: str, workload: Workload) -> Iterator[Violation]:
    if isinstance(step, Request):
        yield from _request(step, workload)
    elif isinstance(step, str):
        found = _FIRST_WORD.match(bare(step))
        word = found[1].upper() if found else ""
        if not bare(step).strip(" \n\t;"):
            yield Violation((), "a statement", "no SQL", "write one, such as SELECT 1")
        elif key == "connect" and word in _NOT_ON_A_CONNECTION:
            advice = "put it into setup, or into a transaction"
            yield Violation((), "SQL after which a connection waits for the load", quoted(word), advice)
    else:
        yield from _command(step, workload)


def check_login(workload: Workload) -> Iterator[Violation]:
    """Contradictions inside the request by which lanes log in."""
    login = workload.login
    if login is None:
        return
    yield from (one.under("login", "request") for one in _request(login.request, workload))
    yield from (one.under("login") for one in _captures(login, workload))
    for name, operation in workload.operations.items() if workload.has("operations") else ():
        for index, step in enumerate(operation.steps or ()):
            for again in step.capture.keys() & login.capture.keys():
                path: Path = ("operations", name, "steps", index, "capture", again)
                expected = "a name that the log-in does not capture, whose value stays the lane's"
                yield Violation(path, expected, quoted(again), "rename one of the two")


def _of_login(workload: Workload) -> set[str]:
    """What every request may have of the answer to the log-in."""
    return set(workload.login.capture) if workload.has("login") and workload.login else set()


def check_headers(workload: Workload) -> Iterator[Violation]:
    """Contradictions inside the headers of a whole workload."""
    for name, text in workload.headers.items():
        yield from _placeholders(text, workload, ("headers", name), captured=_of_login(workload))
        yield from _in_head(text, workload, ("headers", name))


def _forms(operation: Operation, driver: str) -> Iterator[Violation]:
    """An operation has exactly one of its driver's forms."""
    facts = DRIVERS[driver]
    forms = dict.fromkeys(form for spec in DRIVERS.values() for form in spec.forms)
    given = [form for form in forms if getattr(operation, form) is not None]
    own = [form for form in given if form in facts.forms]
    for form in given:
        if form not in facts.forms:
            expected = f"{' or '.join(facts.forms) or f'no {form}'} with the driver {driver}"
            yield Violation((form,), expected, form, "correct it")
    if len(own) > 1:
        yield Violation((own[1],), f"either {' or '.join(own)}", "both", "keep one of the two")
    if not given and facts.default_operation is None and not facts.asks_by_itself:
        expected, advice = _MISSING_FORM[facts.forms[0]]
        yield Violation((), expected, "none", advice)


def _contents(operation: Operation, workload: Workload) -> Iterator[Violation]:
    for index, command in enumerate(operation.all_commands):
        path: Path = ("command",) if operation.command is not None else ("commands", index)
        yield from (violation.under(*path) for violation in _command(command, workload))
    if operation.sql:
        yield from (violation.under("sql") for violation in _statement(operation.sql, workload, ()))
    for index, statement in enumerate(operation.transaction or ()):
        violations = _statement(statement, workload, _ALLOWED_IN_TRANSACTION)
        yield from (violation.under("transaction", index) for violation in violations)
    if operation.request is not None:
        violations = _request(operation.request, workload, _of_login(workload))
        yield from (violation.under("request") for violation in violations)
    known = _of_login(workload)
    for index, step in enumerate(operation.steps or ()):
        yield from (one.under("steps", index, "request") for one in _request(step.request, workload, known))
        yield from (one.under("steps", index) for one in _captures(step, workload))
        known |= step.capture.keys()


def _captures(step: RequestStep, workload: Workload) -> Iterator[Violation]:
    """Names for parts of an answer, which must have what they name."""
    taken = {*RESERVED, *(workload.parameters if workload.has("parameters") else ())}
    for name, capture in step.capture.items():
        if name in taken:
            expected = "a name that no parameter has and that has no meaning already"
            yield Violation(("capture", name), expected, quoted(name), "rename it")
        if step.request.method == "HEAD" and capture.header is None:
            expected = "a header to capture from the answer to HEAD, which has no body"
            yield Violation(
                ("capture", name), expected, "its body", "write {header: Location}, or another method"
            )


def _placeholders(
    text: str,
    workload: Workload,
    path: Path = (),
    *,
    has_keys: bool = False,
    captured: Iterable[str] = (),
) -> Iterator[Violation]:
    """Names in braces that nothing is put in for. All but KEY and what was captured stand everywhere."""
    known: tuple[str, ...] | None = None  # they are wrong themselves, which is reported
    if workload.has("parameters", "feeds"):
        columns = [f"{feed}.{column}" for feed in workload.feeds for column in workload.feeds[feed].columns]
        known = (
            *workload.parameters,
            *columns,
            *(name for name in RESERVED if has_keys or name != KEY),
            *captured,
        )
    for name in placeholders_in(text):
        shown = quoted("{" + name + "}")
        feed, point, _ = name.partition(".")
        if known is not None and point and feed in workload.feeds and not workload.feeds[feed].columns:
            continue  # its file was not read yet
        if known is not None and name not in known:
            choices = ", ".join("{" + choice + "}" for choice in known[:MOST_SHOWN])
            advice = f"add it to the workload: parameters: {{{name}: {{count: 1000}}}}"
            if workload.has("operations") and name in workload.captures:
                advice = "capture it in an earlier step of the same operation"
            elif point:
                advice = f"add it to the workload: feeds: {{{feed}: {{file: {feed}.csv}}}}"
            yield Violation(path, f"one of {choices}", f"the placeholder {shown}", advice)
        elif has_keys and name == KEY and workload.has("keys") and workload.keys is None:
            advice = "add keys: {count: 1000} to the workload"
            yield Violation(path, f"keys in the workload for {shown}", "none", advice)
        elif name == VALUE and workload.has("value") and workload.value is None:
            advice = "add value: {bytes: 128} to the workload"
            yield Violation(path, f"a value in the workload for {shown}", "none", advice)


def _command(command: Sequence[str], workload: Workload) -> Iterator[Violation]:
    name = command[0].upper()
    if not name:
        yield Violation((0,), "the name of a command", "empty text", "write a command such as GET")
    if name in _NOT_ONE_ANSWER or (name == "CLIENT" and len(command) > 1 and command[1].upper() == "REPLY"):
        advice = "remove it; for messages use the driver redis_pubsub"
        yield Violation((0,), "a command that the server answers exactly once", quoted(name), advice)
    for index, word in enumerate(command):
        yield from _placeholders(word, workload, (index,), has_keys=True)


def _statement(statement: str, workload: Workload, allowed: Sequence[str]) -> Iterator[Violation]:
    code = bare(statement)
    first = _FIRST_WORD.match(code)
    word = first[1].upper() if first else ""
    if not code.strip(" \n\t;"):
        yield Violation((), "a statement", "no SQL", "write one, such as SELECT 1")
    elif word in _CONTROL + _NO_ANSWER and word not in allowed:
        advice = "list the statements under transaction: BEGIN and COMMIT are sent around them"
        if word in _NO_ANSWER:
            advice = "put it under session: or into the data set's SQL"
        yield Violation((), "a statement that leaves the connection as it was", quoted(word), advice)
    if ";" in code.rstrip(" \n\t;"):
        advice = "list the statements under transaction"
        yield Violation((), "one statement", "several, separated by ;", advice)
    if "\0" in statement:
        yield Violation((), "SQL as text", "a NUL character", "remove it")
    if numbered := _NUMBERED.search(code):
        advice = "name it under parameters and write its name in braces"
        yield Violation((), "parameters by their names", quoted(numbered[0]), advice)
    yield from _placeholders(code, workload)
    known = {*(workload.parameters if workload.has("parameters") else ()), *RESERVED} - {KEY}
    for start, end in quoted_stretches(statement):
        inside = [
            name
            for name in names_in(statement, start, end)
            if name in known or _has_feed(workload, name.partition(".")[0])
        ]
        if inside and statement[start] in "'eE":
            shown = "{" + inside[0] + "}"
            advice = f"write {shown} without quotes: it is sent as a parameter, with its type"
            yield Violation((), f"no quotes around {shown}", "it inside a string", advice)


def _in_head(text: str, workload: Workload, path: Path, *, is_path: bool = False) -> Iterator[Violation]:
    """Texts to pick from that would break the head of a request, whose parts such characters separate."""
    for name in placeholders_in(text):
        for choice in map(str, _choices(name, workload)):
            if not (choice.isascii() and choice.isprintable()) or (is_path and set(choice) & {" ", "#"}):
                where = "a path, without spaces and #" if is_path else "a header"
                expected = f"printable ASCII for {{{name}}} in {where}"
                yield Violation(path, expected, quoted(choice), "encode it, such as with %20")
                break


def _choices(name: str, workload: Workload) -> Sequence[Choice]:
    """What a placeholder is one of, where it is one of a list that is right."""
    feed, point, column = name.partition(".")
    if point:
        return workload.feeds[feed].columns.get(column, ()) if _has_feed(workload, feed) else ()
    parameter = workload.parameters.get(name) if workload.has("parameters") else None
    return (parameter and parameter.pick) or ()


def _has_feed(workload: Workload, name: str) -> bool:
    return workload.has("feeds") and name in workload.feeds


def _request(request: Request, workload: Workload, captured: Iterable[str] = ()) -> Iterator[Violation]:
    """Contradictions in a request; `captured`: what it may have of earlier answers."""
    yield from _placeholders(request.path, workload, ("path",), captured=captured)
    yield from _in_head(request.path, workload, ("path",), is_path=True)
    for name, text in request.headers.items():
        yield from _placeholders(text, workload, ("headers", name), captured=captured)
        yield from _in_head(text, workload, ("headers", name))
    body, json_body = request.body, request.json_body
    if body is not None and json_body is not None:
        yield Violation(("body",), "either json or body", "both", "keep one of the two")
    if (body is not None or json_body is not None) and request.method == "HEAD":
        key = "body" if body is not None else "json"
        yield Violation((key,), "no body with HEAD", key, "remove it, or write method: POST")
    for key in ("contains", "json_values") if request.method == "HEAD" else ():
        if getattr(request.expect, key):
            expected, name = "no body check with HEAD, whose answer has none", key.removesuffix("_values")
            yield Violation(("expect", name), expected, "one", "remove it")
    if body is not None:
        yield from _placeholders(body, workload, ("body",), captured=captured)
        if request.declares_json(workload.headers if workload.has("headers") else {}):
            yield from _json_text(body, ("body",), "JSON, as its content type says")
    if isinstance(json_body, str):
        yield from _placeholders(json_body, workload, ("json",), captured=captured)
        yield from _json_text(json_body, ("json",), "JSON")
    elif json_body is not None:
        try:
            text = json.dumps(json_body, allow_nan=False)
            yield from _placeholders(text, workload, ("json",), captured=captured)
        except ValueError:
            advice = "write null or a number"
            yield Violation(("json",), "JSON", "a number that JSON does not have, such as .nan", advice)


def _json_text(text: str, path: Path, expected: str) -> Iterator[Violation]:
    """Whether a template is JSON once its placeholders are replaced."""
    pieces = pieces_of(text)
    whole = "".join(_stand_in(piece.text) if piece.is_placeholder else piece.text for piece in pieces)
    try:
        json.loads(whole, parse_constant=_no_constant)
    except RecursionError:
        yield Violation(path, expected, "too many levels of nesting", "flatten it")
    except json.JSONDecodeError as error:
        reason = f"{error.msg} at line {error.lineno}, column {error.colno} of the body"
        yield Violation(path, expected, quoted(reason, 200), "correct the body")
    except ValueError as error:
        yield Violation(path, expected, quoted(str(error), 200), "correct the body")


def _stand_in(name: str) -> str:
    """What a placeholder becomes, at the same length: letters, or a number behind the blanks that pad it."""
    size = len(name) + 2
    return "x" * size if name == VALUE else "1".rjust(size)


def _no_constant(name: str) -> None:
    raise ValueError(f"{name}, a number that JSON does not have")
