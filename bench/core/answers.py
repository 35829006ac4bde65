"""What answers contained, whatever became of their arrivals: HTTP statuses, lookups that found nothing,
and the kinds of errors.

An answer without an error can still be empty (a key that is not there, a statement that touched no
row) or be something else than was meant (a redirect to the login page). Outcomes do not show that;
these counts do.

Errors that differ only in the values they name are one kind: MOVED to any slot, a duplicate of any
key. A kind is a text with `#` for each value, that is for each run of letters and digits with a digit
in it, with the dots, colons and hyphens inside of it: a slot, an address, an id. A status or a
SQLSTATE at the beginning is no value. `bench.engine.wire.recording` is the same for compiled code.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

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


OTHERS = "other errors"
_CODE = re.compile(r"HTTP .*|[0-9A-Z]{5} ", re.DOTALL)
_RUN = re.compile(r"[0-9A-Za-z]+(?:[.:-][0-9A-Za-z]+)*")
_DIGIT = re.compile(r"[0-9]")


def kind_of(text: str) -> str:
    """The text with its values replaced. A kind is its own kind."""
    code = _CODE.match(text)
    at = code.end() if code else 0
    return text[:at] + _RUN.sub(lambda run: "#" if _DIGIT.search(run[0]) else run[0], text[at:])


@dataclass
class _Kind:
    text: str
    """The error text while it is always the same; then the kind."""
    example: str
    body: str | None = None
    count: int = 0


@dataclass(frozen=True)
class ErrorCount:
    """Errors of one operation that differ at most in the values they name."""

    operation: str
    text: str
    count: int
    example: str | None = None
    """How the server said one of them, where that says more than the text."""
    body: str | None = None
    """The beginning of the first answer that was such an error, made harmless; None where it had none."""

    def to_json(self) -> dict[str, str | int]:
        """As run.json has it."""
        more = {"example": self.example, "body": self.body}
        told = {name: text for name, text in more.items() if text is not None}
        return {"operation": self.operation, "text": self.text, "count": self.count, **told}


class ErrorKinds:
    """Counts errors by operation and kind; beyond `most` kinds all others are one."""

    def __init__(self, most: int | None = None) -> None:
        self._most = most
        self._found: dict[tuple[str, str], _Kind] = {}

    def add(
        self,
        operation: str,
        text: str,
        count: int = 1,
        example: str | None = None,
        body: str | None = None,
    ) -> None:
        """Count an error; `example` is the server's own text where `text` is a kind already."""
        kind = kind_of(text)
        known = self._found.get((operation, kind))
        if known is None:
            if self._most is not None and len(self._found) >= self._most:
                kind, text, example, body = OTHERS, OTHERS, None, None
            known = self._found.setdefault((operation, kind), _Kind(text, example or text, body))
        if known.text != text:
            known.text = kind
        known.count += count

    def __bool__(self) -> bool:
        """Whether there was any."""
        return bool(self._found)

    def entries(self) -> list[ErrorCount]:
        """The most frequent first; an example where it says more than the text."""
        return [
            ErrorCount(
                operation,
                kind.text,
                kind.count,
                kind.example if kind.example != kind.text else None,
                kind.body,
            )
            for (operation, _), kind in sorted(self._found.items(), key=lambda item: -item[1].count)
        ]
