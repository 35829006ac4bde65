"""A report as a document: sections of sentences, findings, lists and tables, before they have a form.

A report is content: it says what a run, a comparison or an assessment has shown, in these pieces.
`bench.report.render` makes text, Markdown and HTML of them; no renderer knows what a report is about.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from bench.judge.verdict import Status


@dataclass(frozen=True)
class Badge:
    """A status by its word and its sign; its colour only adds to them."""

    word: str
    status: Status | None
    """Whose colour and sign it has; None: those of what was not judged."""

    @classmethod
    def of(cls, status: Status) -> Badge:
        """A status by its name."""
        return cls(status.name, status)


@dataclass(frozen=True)
class Link:
    """A text that leads to a file or folder."""

    text: str
    path: Path


@dataclass(frozen=True)
class Code:
    """A text in the type of code."""

    text: str


@dataclass(frozen=True)
class Strong:
    """What stands out among its neighbours."""

    content: str | Badge


@dataclass(frozen=True)
class Lines:
    """Several texts below each other in one cell."""

    lines: tuple[str, ...]


Cell: TypeAlias = "str | Badge | Link | Code | Strong | Lines"


@dataclass(frozen=True)
class Column:
    """The head of a table's column; numbers stand at its right edge."""

    title: str
    numeric: bool = False
    width: int | None = None
    """Characters in a text report; None: as many as its cells need."""


@dataclass(frozen=True)
class Table:
    """Rows of cells below their heads, if they have any.

    A row may be shorter than the head: a heading among the rows.
    """

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]


@dataclass(frozen=True)
class Bullets:
    """A list; each entry is cells in a row."""

    entries: tuple[tuple[Cell, ...], ...]


@dataclass(frozen=True)
class Facts:
    """Sentences beside their labels."""

    entries: tuple[tuple[str, str], ...]
    width: int = 11
    """Characters that a label takes in a text report, with the space behind it."""


@dataclass(frozen=True)
class Line:
    """Cells in a row, as one paragraph."""

    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Note:
    """A sentence that must not be missed, set off from the others."""

    text: str


@dataclass(frozen=True)
class Headline:
    """The outcome of it all: a status, of what, and a few words."""

    badge: Badge | None
    subject: str = ""
    text: str = ""


@dataclass(frozen=True)
class Finding:
    """Something judged: its status, what it is, what there is to say below it, and what to do."""

    text: str
    badge: Badge | None = None
    below: tuple[str | Finding, ...] = ()
    advice: str | None = None


@dataclass(frozen=True)
class Findings:
    """What was judged, in a list."""

    entries: tuple[Finding, ...]


@dataclass(frozen=True)
class Preformatted:
    """Lines to be shown as they are: commands to copy, a drawing."""

    lines: tuple[str, ...]


@dataclass(frozen=True)
class Folded:
    """What only some readers want: behind a line that opens it."""

    summary: str
    blocks: tuple[Block, ...]
    opened: bool = False


Block: TypeAlias = "str | Line | Note | Headline | Table | Bullets | Facts | Findings | Preformatted | Folded"


@dataclass(frozen=True)
class Section:
    """A part of a report; without a title it has no heading."""

    title: str
    blocks: tuple[Block, ...]


def columns(heads: str) -> tuple[Column, ...]:
    """Heads of a table, as in "what | #how many | #how long:11": # before numbers, : before a width."""
    found = []
    for head in heads.split(" | "):
        title, _, width = head.partition(":")
        found.append(Column(title.removeprefix("#"), title.startswith("#"), int(width) if width else None))
    return tuple(found)


def table(caption: str, heads: str, rows: Sequence[tuple[Cell, ...]]) -> tuple[Table, ...]:
    """A table with such heads; none for no rows."""
    return (Table(caption, columns(heads), tuple(rows)),) if rows else ()
