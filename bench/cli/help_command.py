"""`bench help [TOPIC]`: what a scenario may say, in a terminal."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import click

from bench.cli.output import say

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.scenario.reference import Block, Entries

WIDTH = 80
TERM = 26
"""Columns for what is explained, with the space behind it."""
TOPICS = {
    "metrics": "What a rule may be about, with its unit.",
    "rules": "How a rule is written.",
    "faults": "What a scenario can break, and what each fault needs.",
}


@click.command("help")
@click.argument("topic", required=False, type=click.Choice(list(TOPICS)))
def command(topic: str | None) -> None:
    """Explain what a scenario may say: metrics, rules or faults.

    `bench COMMAND --help` explains a command.
    """
    if topic is None:
        lines = [f"  bench help {name:<11}{said}" for name, said in TOPICS.items()]
        say("\n".join([*lines, "  bench COMMAND --help  What a command does, and its options."]))
        return
    from bench.scenario import reference

    blocks = {"metrics": reference.metrics, "rules": reference.rules, "faults": reference.faults}[topic]()
    say("\n".join(line for block in blocks for line in _lines(block)).rstrip())


def _lines(block: Block) -> Iterator[str]:
    from bench.scenario.reference import Entries, Grammar, Heading

    match block:
        case Entries():
            for row in block.rows:
                yield from _entry(block, row)
        case Grammar():
            yield from block.text.split("\n")
        case Heading():
            yield block.text.upper()
        case _:
            yield from textwrap.wrap(_plain(block), WIDTH, break_on_hyphens=False)
    yield ""


def _entry(table: Entries, row: tuple[str, ...]) -> Iterator[str]:
    """The term, what it means, and in brackets all else that its table says."""
    last = range(len(row))[table.meaning]
    others = [
        f"{head}: {cell}" if head else cell
        for place, (head, cell) in enumerate(zip(table.heads, row, strict=True))
        if cell and place not in (0, last)
    ]
    said = _plain(row[last] + (f" ({'; '.join(others)})" if others else ""))
    first = f"  {_plain(row[0]):<{TERM - 3}} "
    yield from textwrap.wrap(said, WIDTH, initial_indent=first, subsequent_indent=" " * TERM)


def _plain(text: str) -> str:
    return text.replace("`", "")
