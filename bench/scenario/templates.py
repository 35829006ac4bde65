"""Placeholders, `{name}` in a command, a statement or a request, and the parameters that fill them.

A parameter is a named number or text that every arrival draws from the plan; a name with a point is a
column of a feed. Where braces are doubled
around a name they stand for themselves: `{{name}}` is `{name}`, and `{{{name}}}` a placeholder in braces.
"""

import random
import re
import string
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import Field, field_validator, model_validator

from bench.core.units import Mismatch
from bench.scenario.fields import GrowingModel, Number, StrictModel, Whole, kind_of

# A word in braces. Text such as {"a": 1} is not one, so JSON can be sent as it stands.
_NAME = r"([A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)?)"
_TOKEN = re.compile(rf"\{{\{{\{{{_NAME}\}}\}}\}}|\{{\{{{_NAME}\}}\}}|\{{{_NAME}\}}")

KEY, VALUE, SEQUENCE, RUN, IDENTIFIER = "key", "value", "seq", "run", "uuid"
RESERVED = (KEY, VALUE, SEQUENCE, RUN, IDENTIFIER)
"""Names that no parameter may have."""
MARKED_BYTES = 16
"""From this size on a value begins with the whole number of its arrival."""
SEQUENCE_WIDTH = 12
"""Digits of an arrival's number."""

UUID_WIDTH = 36
RUN_WIDTH = 13
"""Digits of the number of a run: milliseconds since 1970."""


class Piece(NamedTuple):
    """A stretch of a text: a placeholder's name, or literal text."""

    text: str
    is_placeholder: bool


class Placeholder(NamedTuple):
    """A placeholder and where it stands: text[start:end] with its braces."""

    name: str
    start: int
    end: int


def placeholders(text: str, start: int = 0, end: int | None = None) -> Iterator[Placeholder]:
    """Every placeholder of text[start:end], in order."""
    for match in _TOKEN.finditer(text, start, len(text) if end is None else end):
        if match[1]:
            yield Placeholder(match[1], match.start() + 2, match.end() - 2)
        elif match[3]:
            yield Placeholder(match[3], match.start(), match.end())


def pieces_of(text: str) -> list[Piece]:
    """The text cut at its placeholders."""
    pieces, literal, at = list[Piece](), "", 0
    for match in _TOKEN.finditer(text):
        literal += text[at : match.start()]
        at = match.end()
        if match[2]:
            literal += match[0][1:-1]
            continue
        literal += "{" if match[1] else ""
        pieces += [Piece(literal, False)] * bool(literal) + [Piece(match[1] or match[3], True)]
        literal = "}" if match[1] else ""
    literal += text[at:]
    return pieces + [Piece(literal, False)] * bool(literal)


def filled(step: Any, run_label: int) -> Any:
    """Words or SQL of no arrival, with `{run}` filled in; a request, which is rendered later, as it is."""
    if isinstance(step, tuple):
        return tuple(filled(word, run_label) for word in step)
    if not isinstance(step, str):
        return step
    label = f"{run_label:0{RUN_WIDTH}d}"
    return "".join(label if piece.is_placeholder else piece.text for piece in pieces_of(step))


def names_in(text: str, start: int = 0, end: int | None = None) -> list[str]:
    """Names of the placeholders of a text, in order."""
    return [one.name for one in placeholders(text, start, end)]


def placeholders_in(text: str) -> list[str]:
    """The same, each name once."""
    return list(dict.fromkeys(names_in(text)))


LARGEST = 10**15
Bound = Annotated[int, Whole(-LARGEST, LARGEST)]


class Days(StrictModel):
    """All days from one to another, both included, as 2026-11-29."""

    first: date = Field(alias="from")
    last: date = Field(alias="to")

    @field_validator("first", "last", mode="before")
    @classmethod
    def _is_a_day(cls, value: Any) -> date:
        try:
            return date.fromisoformat(value)
        except (TypeError, ValueError):
            raise Mismatch("a day such as 2026-11-29", str(value), "write year, month and day") from None

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not 0 <= (self.last - self.first).days < MOST_PICKED:
            found = f"{self.first} and {self.last}"
            raise Mismatch(f"from to be at most to, and at most {MOST_PICKED} days", found, "correct them")
        return self


MOST_PICKED = 100_000
"""Texts to pick from."""
Choice = str | int | float
PER_LETTER = 62
"""Letters and digits."""
_FORMS = ("count", "pick", "text", "date")


class Parameter(GrowingModel):
    """Whole numbers 0..count-1, or from..to, both included; or texts: one of a list, letters, a day."""

    added = ("pick", "text", "date")

    pick: Annotated[tuple[Any, ...], Field(min_length=1, max_length=MOST_PICKED)] | None = Field(
        None, description="One of these texts or numbers."
    )
    text: Annotated[int, Whole(1, 1000)] | None = Field(
        None, description="So many random letters and digits."
    )
    date: Days | None = Field(None, description="A day between two: {from: 2026-01-01, to: 2026-12-31}.")
    count: Annotated[int, Whole(1, LARGEST)] | None = Field(None, description="Numbers 0..count-1.")
    low: Bound | None = Field(None, alias="from", description="The smallest number; with `to`.")
    high: Bound | None = Field(None, alias="to", description="The largest number.")
    distribution: Literal["uniform", "zipf", "gaussian", "sequential"] = "uniform"
    exponent: Annotated[float, Number(0, 5, above_low=True)] = Field(
        0.99, description="zipf: weight of number k is 1/(k+1)^exponent."
    )
    deviations: Annotated[float, Number(0.1, 100)] = Field(
        3.0, description="gaussian: the range spans this many standard deviations on either side."
    )

    @property
    def first(self) -> int:
        """The smallest number."""
        return self.low or 0

    @property
    def choices(self) -> tuple[Choice, ...]:
        """What it picks from, where it does."""
        if self.date is not None:
            first, days = self.date.first, (self.date.last - self.date.first).days
            return tuple((first + timedelta(day)).isoformat() for day in range(days + 1))
        return self.pick or ()

    @property
    def is_number(self) -> bool:
        """Whether it is one wherever it stands."""
        if self.pick is not None:
            return not any(isinstance(choice, str) for choice in self.pick)
        return self.text is None and self.date is None

    @property
    def size(self) -> int:
        """How many different numbers there are, or texts to pick from."""
        if self.text is not None:
            return LARGEST
        if choices := self.choices:
            return len(choices)
        if self.count is not None:
            return self.count
        assert self.low is not None
        assert self.high is not None
        return self.high - self.low + 1

    @property
    def width(self) -> int:
        """Characters of the longest number, its sign included."""
        return max(len(str(self.first)), len(str(self.first + self.size - 1)))

    @field_validator("pick")
    @classmethod
    def _are_texts_or_numbers(cls, value: tuple[Any, ...] | None) -> tuple[Choice, ...] | None:
        for choice in value or ():
            if isinstance(choice, bool) or not isinstance(choice, Choice):
                raise Mismatch("texts and numbers", kind_of(choice), "put it in quotes to send it as text")
        return value

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        forms = [name for name in _FORMS if getattr(self, name) is not None]
        if len(forms) > 1 or (forms and forms != ["count"] and (self.low, self.high) != (None, None)):
            shown = " and ".join([*forms, *(["from and to"] if self.low is not None else [])])
            raise Mismatch(f"one of {', '.join(_FORMS)}, or from and to", shown, "keep one of them")
        if forms and forms != ["count"]:
            return self
        has_range = self.low is not None and self.high is not None
        is_mixed = self.count is not None and (self.low is not None or self.high is not None)
        if is_mixed or (self.count is None and not has_range):
            found = "all three" if is_mixed and has_range else "a mixture" if is_mixed else "neither"
            raise Mismatch("either count, or from and to", found, "write count: 1000, or from: 1 and to: 9")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise Mismatch("from to be at most to", f"{self.low} and {self.high}", "swap them")
        return self


def filler(size: int, seed: int) -> bytes:
    """`size` letters and digits that depend on the seed alone: nothing that compresses to nothing."""
    letters = random.Random(seed).choices(string.ascii_letters + string.digits, k=min(size, 65536))  # noqa: S311 - not a secret
    text = "".join(letters).encode()
    return (text * (size // max(len(text), 1) + 1))[:size]


def value_content(size: int, seed: int) -> tuple[bytes, int]:
    """Content of a value, and how many of its first bytes are the arrival's number."""
    digits = SEQUENCE_WIDTH if size >= MARKED_BYTES else size
    mark = b"0" * digits + (b":" if size > digits else b"")
    return mark + filler(size - len(mark), seed), digits
