"""What must fit together in the SQL of a Postgres workload."""

import re
from collections.abc import Mapping
from typing import Any

from bench.core.sql_splitter import quoted_stretches
from bench.core.units import quoted
from bench.scenario.finding import Finding
from bench.scenario.paths import Path
from bench.scenario.placeholders import KEY, PLACEHOLDER, RESERVED

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
