"""docs/reference.md, made from the tables of the product that say what a scenario may write."""

from __future__ import annotations

import ast
import inspect
from enum import IntEnum
from typing import TYPE_CHECKING

from bench.cli.help_command import Block, Entries, Grammar, Heading, code, faults, metrics, rules
from bench.core.outcome import Outcome
from bench.judge.verdict import EXIT_CODES, Status
from bench.registry import DRIVERS, shipped_topology
from bench.scenario.rules.metrics import UNIT_WORDS

if TYPE_CHECKING:
    from collections.abc import Iterable

HEAD = """\
# Reference: rules, metrics, drivers, faults

This page is generated from the tables that the product itself uses.
`tests/architecture/test_reference_page.py` keeps the two equal and says how to update it.
[scenarios/README.md](../scenarios/README.md) explains the format.
"""


def reference_page() -> str:
    """The whole page."""
    tables = [("Rules", rules()), ("Metrics", metrics()), ("Drivers", None), ("Faults", faults())]
    parts = [HEAD]
    for title, blocks in tables:
        parts += _drivers() if blocks is None else [f"## {title}\n", *_markdown(blocks)]
    return "\n".join([*parts, *_ends()])


def _markdown(blocks: Iterable[Block]) -> list[str]:
    lines: list[str] = []
    for block in blocks:
        match block:
            case Entries():
                lines += _table(block.heads, block.rows)
            case Grammar():
                lines += ["```text", block.text, "```\n"]
            case Heading():
                lines.append(f"### {block.text}\n")
            case _:
                lines.append(block + "\n")
    return lines


def _drivers() -> list[str]:
    rows = [
        (
            f"`{name}`",
            code(facts.targets_in(shipped_topology())) or "any name, nothing is contacted",
            code(facts.engines),
            code(facts.forms) or code(facts.own_operations) + (" (its own)" if facts.own_operations else ""),
            code(facts.settings),
        )
        for name, facts in DRIVERS.items()
    ]
    return ["## Drivers\n", *_table(("driver", "targets", "engines", "operations", "settings"), rows)]


def _ends() -> list[str]:
    said = _said_of(Status)
    statuses = [(f"`{status.name}`", said[status.name], str(int(EXIT_CODES[status]))) for status in Status]
    outcomes = [(f"`{outcome.label}`", _said_of(Outcome)[outcome.name]) for outcome in Outcome]
    return [
        "## Outcomes of an arrival\n",
        *_table(("outcome", "meaning"), outcomes),
        "## Verdicts\n",
        "The worst of all checks is the run's; the last in this table is the worst.\n",
        *_table(("status", "meaning", "exit code"), statuses),
        "## Units of results\n",
        *_table(
            ("unit", "in a rule written as"), [(f"`{unit}`", words) for unit, words in UNIT_WORDS.items()]
        ),
    ]


def _said_of(kinds: type[IntEnum]) -> dict[str, str]:
    """The sentence below each member of an enumeration."""
    (definition,) = ast.parse(inspect.getsource(kinds)).body
    assert isinstance(definition, ast.ClassDef)
    said = {}
    for member, below in zip(definition.body, definition.body[1:], strict=False):
        if isinstance(member, ast.Assign) and isinstance(below, ast.Expr):
            assert isinstance(member.targets[0], ast.Name)
            said[member.targets[0].id] = ast.literal_eval(below.value)
    return said


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    lines += [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows]
    return [*lines, ""]
