"""Markdown as GitHub shows it: text that stays text, tables, parts that unfold.

Names, rules and what servers said come from outside. In Markdown a bar would end a cell, a `<` begin an
element, `@name` call a person, `#12` link an issue; so each of these is taken apart or written as an entity.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bench.judge.verdict import Status
from bench.report.html.page import UNSHOWABLE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MARKS = {
    Status.PASS: "✅",
    Status.WARN: "⚠️",
    Status.INCONCLUSIVE: "❔",
    Status.FAIL: "❌",
    Status.INVALID: "🚫",
}

APART = "&#8203;"
"""A space without width: the reader sees none, and the name or link before it is no name or link any more."""

ENTITIES = {
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    "@": f"@{APART}",
    "#": f"#{APART}",
    "$": "<span>$</span>",  # two of them on a line would be a formula
    **{sign: f"\\{sign}" for sign in "\\`*_{}[]|~"},
}
HTML = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
SIGNS = re.compile("[" + re.escape("".join(ENTITIES)) + "]")
ADDRESS = re.compile(
    r"(?i)(?<=\w)(?=://)|(?<=\bwww)(?=\.)|(?<=\bGH)(?=-\d)|(?<!\d):(?=[a-z+_-][a-z0-9+_-]*:)"
)
"""Where addresses, references such as GH-12 and names of emoji (:bug:) are taken apart."""


def text(value: str) -> str:
    """Any text on one line, shown as it is: without markup, mentions, references and links of its own."""
    marked = SIGNS.sub(lambda sign: ENTITIES[sign[0]], _one_line(value))
    return ADDRESS.sub(lambda found: found[0] + APART, marked)


def code(value: str) -> str:
    """Any text on one line in the type of code; a bar in it does not end a cell."""
    shown = _one_line(value).replace("|", "\\|")
    ticks = "`" * (max(map(len, re.findall("`+", shown)), default=0) + 1)
    edge = " " if shown[:1] == "`" or shown[-1:] == "`" else ""
    return f"{ticks}{edge}{shown}{edge}{ticks}" if shown else ""


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A table of cells that are Markdown already; a column whose name begins with `>` stands to the right."""
    heads = [column.removeprefix(">") for column in columns]
    lines = ["---:" if column.startswith(">") else "---" for column in columns]
    return [_row(heads), _row(lines), *(_row(row) for row in rows)]


def block(value: str) -> list[str]:
    """Lines as they are, in the type of code; what they hold cannot end it."""
    shown = UNSHOWABLE.sub("\ufffd", value).rstrip("\n")
    fence = "`" * max(3, max(map(len, re.findall("`+", shown)), default=0) + 1)
    return [f"{fence}text", shown, fence]


def folded(summary: str, lines: Sequence[str], opened: bool = False) -> list[str]:
    """Lines behind one that unfolds them; `summary` is any text."""
    head = "<details open>" if opened else "<details>"
    # The line is HTML: Markdown's own signs mean nothing in it.
    named = re.sub("[@#]", lambda sign: sign[0] + APART, _one_line(summary).translate(HTML))
    return [f"{head}<summary>{named}</summary>", "", *lines, "", "</details>"]


def mark(status: Status) -> str:
    """A status by its sign and its word."""
    return f"{MARKS[status]} {status.name}"


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _one_line(value: str) -> str:
    return " ".join(UNSHOWABLE.sub("\ufffd", value).split())
