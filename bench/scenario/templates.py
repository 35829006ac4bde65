"""Placeholders, `{name}` in a command, a statement or a request, and the parameters that fill them.

A parameter is a named number that every arrival draws from the plan.
"""

import random
import re
import string
from typing import Annotated, Literal, NamedTuple, Self

from pydantic import Field, model_validator

from bench.core.units import Mismatch
from bench.scenario.fields import Number, StrictModel, Whole

# A word in braces. Text such as {"a": 1} is not one, so JSON can be sent as it stands.
PLACEHOLDER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")

KEY, VALUE, SEQUENCE, RUN = "key", "value", "seq", "run"
RESERVED = (KEY, VALUE, SEQUENCE, RUN)
"""Names that no parameter may have."""
MARKED_BYTES = 16
"""From this size on a value begins with the whole number of its arrival."""
SEQUENCE_WIDTH = 12
"""Digits of an arrival's number."""

RUN_WIDTH = 13
"""Digits of the number of a run: milliseconds since 1970."""


class Piece(NamedTuple):
    """A stretch of a text: a placeholder's name, or literal text."""

    text: str
    is_placeholder: bool


def pieces_of(text: str) -> list[Piece]:
    """The text cut at its placeholders."""
    return [
        Piece(piece, number % 2 == 1)
        for number, piece in enumerate(PLACEHOLDER.split(text))
        if piece or number % 2 == 1
    ]


def placeholders_in(text: str) -> list[str]:
    """Names of the placeholders of a text, each once, in order."""
    return list(dict.fromkeys(PLACEHOLDER.findall(text)))


LARGEST = 10**15
Bound = Annotated[int, Whole(-LARGEST, LARGEST)]


class Parameter(StrictModel):
    """Whole numbers 0..count-1, or from..to, both included."""

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
    def size(self) -> int:
        """How many different numbers there are."""
        if self.count is not None:
            return self.count
        assert self.low is not None
        assert self.high is not None
        return self.high - self.low + 1

    @property
    def width(self) -> int:
        """Characters of the longest number, its sign included."""
        return max(len(str(self.first)), len(str(self.first + self.size - 1)))

    @model_validator(mode="after")
    def _one_form(self) -> Self:
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
