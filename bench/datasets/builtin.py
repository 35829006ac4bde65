"""What a built-in set is made of; `tpcb` and `app` each provide one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from psycopg import Connection


@dataclass(frozen=True)
class Invariant:
    """Two numbers that must be equal: one row, (expected, found), of a query."""

    says: str
    query: str


@dataclass(frozen=True)
class BuiltIn:
    """A set's statements and functions. Schema and tables are plain identifiers."""

    name: str
    schema: str
    tables: tuple[str, ...]
    """In the order in which they can be dropped."""
    create: str
    fill: Callable[[Connection, int], dict[str, int]]
    """COPY the rows of a scale; returns figures that are known from the contents, by name."""
    finish: str
    """Indexes and keys, after the data."""
    figures: str
    """A query of the same figures: one row, columns by name."""
    invariants: Callable[[int], tuple[Invariant, ...]]
    """What holds after every run on that scale."""
    complete: Callable[[int], tuple[Invariant, ...]]
    """What must hold besides for the set to be used again."""

    def qualified(self, table: str) -> str:
        """`schema.table`."""
        return f"{self.schema}.{table}"
