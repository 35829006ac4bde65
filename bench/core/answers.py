"""What answers brought, whatever became of their arrivals: HTTP statuses, and lookups that found nothing.

An answer without an error can still be empty (a key that is not there, a statement that touched no row)
or be something else than was meant (a redirect to the login page). Outcomes do not show that; these
counts do.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MISSED, FOUND = range(2)
FIRST_STATUS = 100
"""Columns of a table of answers: below it MISSED and FOUND, from it on one for each HTTP status."""
ANSWER_COLUMNS = 1000

STATUS_CLASSES = ("2xx", "3xx", "4xx", "5xx")
ANSWER_SERIES = ("hits", "misses", *(f"status_{name}" for name in STATUS_CLASSES))
"""Columns of series.csv."""


@dataclass(frozen=True)
class Answers:
    """Counts of answers; they only grow during a run."""

    hits: int = 0
    """Lookups (Redis) or statements (Postgres) that found something."""
    misses: int = 0
    """Those that found nothing."""
    statuses: Mapping[int, int] = field(default_factory=dict)
    """HTTP status to its count."""

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self.hits or self.misses or self.statuses)

    @classmethod
    def of_row(cls, row: NDArray[np.int64]) -> Answers:
        """Those of one row of a table of answers."""
        statuses = {int(column): int(row[column]) for column in row.nonzero()[0] if column >= FIRST_STATUS}
        return cls(int(row[FOUND]), int(row[MISSED]), statuses)

    @classmethod
    def total(cls, parts: Iterable[Answers]) -> Answers:
        """All of them together."""
        hits = misses = 0
        statuses: dict[int, int] = {}
        for part in parts:
            hits += part.hits
            misses += part.misses
            for status, count in part.statuses.items():
                statuses[status] = statuses.get(status, 0) + count
        return cls(hits, misses, dict(sorted(statuses.items())))

    @property
    def lookups(self) -> int:
        """Hits and misses together."""
        return self.hits + self.misses

    @property
    def answered(self) -> int:
        """Answers with a status."""
        return sum(self.statuses.values())

    def in_class(self, name: str) -> int:
        """How many answers had a status of a class such as "2xx"."""
        return sum(count for status, count in self.statuses.items() if name == f"{status // 100}xx")

    def series(self, before: Answers) -> dict[str, int]:
        """What came since `before`, as columns of series.csv."""
        classes = [self.in_class(name) - before.in_class(name) for name in STATUS_CLASSES]
        gained = (self.hits - before.hits, self.misses - before.misses, *classes)
        return dict(zip(ANSWER_SERIES, gained, strict=True))

    def record(self) -> dict[str, Any]:
        """As run.json has it; a part without any count is left out."""
        found: dict[str, Any] = {}
        if self.lookups:
            found |= {"hits": self.hits, "misses": self.misses}
        if self.statuses:
            found["statuses"] = {str(status): count for status, count in self.statuses.items()}
        return found

    @classmethod
    def from_record(cls, entry: Mapping[str, Any]) -> Answers:
        """From an object that has them among its keys; a run of older versions has none.

        Raises ValueError or TypeError for what is no count.
        """
        statuses = {int(status): int(count) for status, count in (entry.get("statuses") or {}).items()}
        hits, misses = int(entry.get("hits") or 0), int(entry.get("misses") or 0)
        if min(hits, misses, *statuses.values(), 0) < 0:
            raise ValueError("a count of answers below zero")
        return cls(hits, misses, statuses)
