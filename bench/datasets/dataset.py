"""Which data a workload wants, what was loaded for it, and the refusal of a user's SQL file, with its
place.

Of a built-in set: what it is made of, and how many rows it has, which a scenario's parameters may
count on.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from bench.core.errors import Problem, ScenarioError

if TYPE_CHECKING:
    from collections.abc import Callable

    from psycopg import Connection


@dataclass(frozen=True)
class SqlFile:
    """SQL of the user's. `path` is how messages name it."""

    path: str
    text: str


@dataclass(frozen=True)
class DataSet:
    """A built-in set by name and scale, or SQL files in their order; never both.

    Files are run on every load, kept or not: what they make is not known.
    """

    name: Literal["tpcb", "app"] | None
    scale: int = 1
    keep: bool = False
    """Use the set again where it is there and verifies, and leave it there."""
    files: tuple[SqlFile, ...] = ()

    def __post_init__(self) -> None:
        if (self.name is None) != bool(self.files):
            raise ValueError("a data set is either a name or files")
        if self.scale < 1:
            raise ValueError(f"a scale begins at 1, found {self.scale}")


@dataclass(frozen=True)
class Loaded:
    """What is in place now."""

    name: str | None
    scale: int
    reused: bool
    """It was there and verified: nothing was written."""
    took_ns: int
    rows: dict[str, int] = field(default_factory=dict)
    """Rows per table of a built-in set."""
    statements: int = 0
    """Statements of SQL files."""


EXCERPT_CHARACTERS = 80


class SqlRefused(ScenarioError):  # noqa: N818 - what happened is the name
    """One statement of a file was refused. Lines and columns count from 1, columns in characters."""

    def __init__(
        self,
        path: str,
        line: int,
        column: int,
        sqlstate: str,
        message: str,
        statement: str,
        *,
        hint: str = "",
        left_behind: bool = False,
    ) -> None:
        self.path, self.line, self.column = path, line, column
        self.sqlstate, self.message = sqlstate, message
        self.statement = excerpt(statement)
        self.left_behind = left_behind
        """Earlier statements ran outside a transaction of ours and have stayed."""
        stayed = "what ran before it has stayed" if left_behind else "nothing of the files has stayed"
        code = f" (SQLSTATE {sqlstate})" if sqlstate else ""
        super().__init__(
            [
                Problem(
                    file=path,
                    line=line,
                    column=column,
                    where=f"in '{self.statement}'",
                    expected="SQL that the server accepts",
                    found=f"'{message}'{code}",
                    advice=f"{hint.rstrip('.') or 'correct the statement'}; {stayed}",
                )
            ]
        )


def excerpt(statement: str) -> str:
    """The beginning of a statement, in one line."""
    line = " ".join(statement[: 4 * EXCERPT_CHARACTERS].split())
    return line if len(line) <= EXCERPT_CHARACTERS else f"{line[: EXCERPT_CHARACTERS - 1]}…"


TPCB_ROWS = {"pgbench_branches": 1, "pgbench_tellers": 10, "pgbench_accounts": 100_000, "pgbench_history": 0}
APP_ROWS = {"accounts": 10_000, "orders": 50_000, "events": 50_000}
_ROWS = {"tpcb": TPCB_ROWS, "app": APP_ROWS}


def rows_of(name: str, scale: int) -> dict[str, int]:
    """Table -> rows right after the load. Keys count from 1 to the number of rows without gaps."""
    return {table: rows * scale for table, rows in _ROWS[name].items()}


def accounts_of(scale: int, name: str = "tpcb") -> int:
    """Accounts: `aid` of tpcb, `account_id` of app."""
    return rows_of(name, scale)["pgbench_accounts" if name == "tpcb" else "accounts"]


def tellers_of(scale: int) -> int:
    """Tellers of tpcb: `tid`."""
    return rows_of("tpcb", scale)["pgbench_tellers"]


def branches_of(scale: int) -> int:
    """Branches of tpcb: `bid`."""
    return rows_of("tpcb", scale)["pgbench_branches"]


def orders_of(scale: int) -> int:
    """Orders of app: `order_id`."""
    return rows_of("app", scale)["orders"]


def events_of(scale: int) -> int:
    """Events of app: `event_id`."""
    return rows_of("app", scale)["events"]


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
