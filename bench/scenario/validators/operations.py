"""What must fit together in the operations of a workload: SQL statements and HTTP requests."""

import json
import re
from collections.abc import Mapping
from typing import Any

from bench.core.sql_splitter import quoted_stretches
from bench.core.units import quoted
from bench.scenario.problems import Finding, Path
from bench.scenario.templates import KEY, PLACEHOLDER, RESERVED, VALUE, placeholders_in

# What would leave the connection in another state than it was found in.
_CONTROL = ("BEGIN", "START", "COMMIT", "END", "ROLLBACK", "ABORT", "SAVEPOINT", "RELEASE", "PREPARE")
_NO_ANSWER = ("COPY", "LISTEN", "SET", "RESET", "DISCARD", "DEALLOCATE", "VACUUM")
_ALLOWED_IN_TRANSACTION = ("SET", "SAVEPOINT", "RELEASE")
_FIRST_WORD = re.compile(r"\s*([A-Za-z]+)")
_NUMBERED = re.compile(r"(?<![\w$])\$[0-9]+")


def findings_of_statements(operation: Any, fields: Mapping[str, Any]) -> list[Finding]:
    """Contradictions inside the statements of one operation."""
    found: list[Finding] = []
    statements = operation.transaction or ((operation.sql,) if operation.sql else ())
    for index, statement in enumerate(statements):
        path: Path = ("transaction", index) if operation.transaction else ("sql",)
        is_inside = operation.transaction is not None
        found += [finding.under(*path) for finding in _statement(statement, fields, is_inside=is_inside)]
    return found


def bare(statement: str) -> str:
    """The statement with every string, quoted name and comment blanked out, at the same length."""
    pieces, at = [], 0
    for start, end in quoted_stretches(statement):
        pieces += [statement[at:start], " " * (end - start)]
        at = end
    return "".join([*pieces, statement[at:]])


def _statement(statement: str, fields: Mapping[str, Any], *, is_inside: bool) -> list[Finding]:
    found = []
    code = bare(statement)
    first = _FIRST_WORD.match(code)
    word = first[1].upper() if first else ""
    allowed = _ALLOWED_IN_TRANSACTION if is_inside else ()
    if not code.strip(" \n\t;"):
        found.append(Finding((), "a statement", "no SQL", "write one, such as SELECT 1"))
    elif word in _CONTROL + _NO_ANSWER and word not in allowed:
        advice = "list the statements under transaction: BEGIN and COMMIT are sent around them"
        if word in _NO_ANSWER:
            advice = "put it under session: or into the data set's SQL"
        found.append(Finding((), "a statement that leaves the connection as it was", quoted(word), advice))
    if ";" in code.rstrip(" \n\t;"):
        advice = "list the statements under transaction"
        found.append(Finding((), "one statement", "several, separated by ;", advice))
    if "\0" in statement:
        found.append(Finding((), "SQL as text", "a NUL character", "remove it"))
    if numbered := _NUMBERED.search(code):
        advice = "name it under parameters and write its name in braces"
        found.append(Finding((), "parameters by their names", quoted(numbered[0]), advice))
    known = (*fields.get("parameters", {}), *(name for name in RESERVED if name != KEY))
    for name in dict.fromkeys(PLACEHOLDER.findall(code)):
        shown = quoted("{" + name + "}")
        if name not in known:
            if "parameters" not in fields:
                continue  # they are wrong themselves, which is told
            choices = ", ".join("{" + one + "}" for one in known)
            advice = f"add it to the workload: parameters: {{{name}: {{count: 1000}}}}"
            found.append(Finding((), f"one of {choices}", f"the placeholder {shown}", advice))
        elif name == "value" and "value" in fields and fields["value"] is None:
            advice = "add value: {bytes: 128} to the workload"
            found.append(Finding((), f"a value in the workload for {shown}", "none", advice))
    for start, end in quoted_stretches(statement):
        inside = [name for name in PLACEHOLDER.findall(statement, start, end) if name in known]
        if inside and statement[start] in "'eE":
            shown = "{" + inside[0] + "}"
            advice = f"write {shown} without quotes: it is sent as a parameter, with its type"
            found.append(Finding((), f"no quotes around {shown}", "it inside a string", advice))
    return found


_NO_BODY = ("GET", "HEAD")
DECLARED = "JSON, as its content type says"


def findings_of_request(request: Any, fields: Mapping[str, Any]) -> list[Finding]:
    """Contradictions inside one request."""
    found = [finding.under("path") for finding in _placeholders(request.path, fields)]
    for name, text in request.headers.items():
        found += [finding.under("headers", name) for finding in _placeholders(text, fields)]
    if request.body is not None and request.json_body is not None:
        found.append(Finding(("body",), "either json or body", "both", "keep one of the two"))
    has_body = request.body is not None or request.json_body is not None
    if has_body and request.method in _NO_BODY:
        key = "body" if request.body is not None else "json"
        found.append(
            Finding((key,), f"no body with {request.method}", key, "remove it, or write method: POST")
        )
    if request.method == "HEAD" and request.expect.contains is not None:
        path: Path = ("expect", "contains")
        found.append(Finding(path, "no body check with HEAD, whose answer has none", "one", "remove it"))
    if request.body is not None:
        found += [finding.under("body") for finding in _placeholders(request.body, fields)]
        if declares_json(request.headers, fields.get("headers", {})):
            found += [finding.under("body") for finding in _json_text(request.body, DECLARED)]
    if isinstance(request.json_body, str):
        found += [finding.under("json") for finding in _placeholders(request.json_body, fields)]
        found += [finding.under("json") for finding in _json_text(request.json_body, "JSON")]
    elif request.json_body is not None:
        try:
            texts = json.dumps(request.json_body, allow_nan=False)
        except ValueError:
            advice = "write null or a number"
            return [
                *found,
                Finding(("json",), "JSON", "a number that JSON does not have, such as .nan", advice),
            ]
        found += [finding.under("json") for finding in _placeholders(texts, fields)]
    return found


def findings_of_headers(headers: Mapping[str, str], fields: Mapping[str, Any]) -> list[Finding]:
    """Contradictions inside the headers of a whole workload."""
    return [
        finding.under("headers", name)
        for name, text in headers.items()
        for finding in _placeholders(text, fields)
    ]


def _placeholders(text: str, fields: Mapping[str, Any]) -> list[Finding]:
    found = []
    known = (*fields.get("parameters", {}), *(name for name in RESERVED if name != KEY))
    for name in placeholders_in(text):
        shown = quoted("{" + name + "}")
        if name not in known:
            if "parameters" in fields:
                choices = ", ".join("{" + one + "}" for one in known)
                advice = f"add it to the workload: parameters: {{{name}: {{count: 1000}}}}"
                found.append(Finding((), f"one of {choices}", f"the placeholder {shown}", advice))
        elif name == "value" and "value" in fields and fields["value"] is None:
            advice = "add value: {bytes: 128} to the workload"
            found.append(Finding((), f"a value in the workload for {shown}", "none", advice))
    return found


def declares_json(own: Mapping[str, str], common: Mapping[str, str]) -> bool:
    """Whether a request with these headers, its own before those of the workload, says that it sends JSON."""
    for headers in (own, common):
        for name, text in headers.items():
            if name.lower() == "content-type":
                return "json" in text.lower()
    return False


def _stand_in(match: re.Match[str]) -> str:
    """What a placeholder becomes, at the same length: letters, or a number behind the blanks that pad it."""
    return ("x" * len(match[0])) if match[1] == VALUE else "1".rjust(len(match[0]))


def _no_constant(name: str) -> None:
    raise ValueError(f"{name}, a number that JSON does not have")


def _json_text(text: str, expected: str) -> list[Finding]:
    """Whether a template is JSON once its placeholders are replaced."""
    try:
        json.loads(PLACEHOLDER.sub(_stand_in, text), parse_constant=_no_constant)
    except RecursionError:
        return [Finding((), expected, "too many levels of nesting", "flatten it")]
    except ValueError as error:
        at = f"line {error.lineno}, column {error.colno}" if isinstance(error, json.JSONDecodeError) else ""
        reason = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
        found = f"{reason} at {at} of the body" if at else reason
        return [Finding((), expected, quoted(found, 200), "correct the body")]
    return []
