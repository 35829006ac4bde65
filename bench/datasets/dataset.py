"""Which data a workload wants, and what was loaded for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


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
