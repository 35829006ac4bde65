"""A report as sections of sentences, lists and tables, before it is HTML, Markdown or text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from pathlib import Path

    from bench.assess.status import Standing


@dataclass(frozen=True)
class Badge:
    """A standing in a cell: its shape and its word."""

    standing: Standing


@dataclass(frozen=True)
class Link:
    """A text that leads to a file or folder."""

    text: str
    path: Path


Cell: TypeAlias = "str | Badge | Link"


@dataclass(frozen=True)
class Table:
    """Rows of cells below their heads; `numeric` are the places of columns with numbers."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    numeric: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Bullets:
    """A list; each entry is cells in a row."""

    entries: tuple[tuple[Cell, ...], ...]


@dataclass(frozen=True)
class Commands:
    """What to type, to be copied."""

    lines: tuple[str, ...]


@dataclass(frozen=True)
class Folded:
    """What only some readers want: behind a line that opens it."""

    summary: str
    blocks: tuple[Block, ...]


Block: TypeAlias = "str | Table | Bullets | Commands | Folded"


@dataclass(frozen=True)
class Section:
    """A part of the report under its own heading."""

    title: str
    blocks: tuple[Block, ...]


def table(
    caption: str, columns: tuple[str, ...], rows: list[tuple[Cell, ...]], *numeric: int
) -> tuple[Table, ...]:
    """A table; none for no rows."""
    return (Table(caption, columns, tuple(rows), frozenset(numeric)),) if rows else ()
