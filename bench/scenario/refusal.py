"""What a target refused, said with its place in the scenario file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.core.errors import Problem, ScenarioError
from bench.scenario.paths import where

if TYPE_CHECKING:
    from bench.core.errors import StatementRefused
    from bench.scenario.load import LoadedScenario

NEAR_CHARACTERS = 30


def placed_refusal(loaded: LoadedScenario, number: int, refused: StatementRefused) -> ScenarioError:
    """The refusal of a part of workload `number` (from 0), as a problem of its file."""
    path = ("workloads", number, *refused.path)
    known = path
    while known and known not in loaded.marks:
        known = known[:-1]  # what an override or a default brought stands nowhere
    place = loaded.marks[known]
    line, column, found, advice = place.line, place.column, refused.found, refused.advice
    text = _text_at(loaded, number, refused.path)
    if path in loaded.secrets:
        # The server may have repeated any part of it.
        found = f"the value of the environment variable {loaded.secrets[path]} (not shown), which it refused"
        advice = f"correct {loaded.secrets[path]}"
    elif text is not None and refused.offset is not None:
        if line:
            line, column = _position(loaded.source_text, line, column, text, refused.offset)
        near = text[max(refused.offset, 0) :][:NEAR_CHARACTERS].split("\n")[0]
        found += f", at '{near}'" if near else ", at the end"
    return ScenarioError([Problem(place.file, line, column, where(path), refused.expected, found, advice)])


def _text_at(loaded: LoadedScenario, number: int, path: tuple[str | int, ...]) -> str | None:
    """The statement at a path such as ("operations", "get", "sql") of a workload."""
    workload = loaded.scenario.workloads[number]
    match path:
        case ("operations", name, "sql"):
            return workload.operations[str(name)].sql
        case ("operations", name, "transaction", int(index)):
            return (workload.operations[str(name)].transaction or ())[index]
    return None


def _position(source: str, line: int, column: int, text: str, offset: int) -> tuple[int, int]:
    """Line and column (from 1) of character `offset` of a text that begins near line and column.

    Where the file writes it in another way (folded, escaped), the place of the whole is as near as it gets.
    """
    lines = source.splitlines()
    before, rest = text[:offset].split("\n"), text.split("\n")
    wanted = rest[len(before) - 1].strip()
    nearby = list(range(line - 1, line + len(rest)))
    if lines[line - 1][column - 1 : column] in ("|", ">"):
        # A block begins in the line below its mark; the same words may stand in an earlier line of it, too.
        nearby.insert(0, line + len(before) - 1)
    for index in (index for index in nearby if index < len(lines)):
        begin = column - 1 if index == line - 1 else 0
        at = lines[index].find(wanted, begin) if wanted else -1
        if at >= 0:
            indent = len(rest[len(before) - 1]) - len(rest[len(before) - 1].lstrip())
            return index + 1, at + 1 + len(before[-1]) - indent
    return line, column
