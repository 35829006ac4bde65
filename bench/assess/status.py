"""How a requirement stands: a judged status, or not shown at all. The worst of its proofs wins."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

from bench.judge.status import Status

if TYPE_CHECKING:
    from collections.abc import Iterable


class Standing(IntEnum):
    """A lattice of its own: a FAIL stands above everything, so nothing hides it.

    In a run INVALID wins, because all of that run says nothing. Here other runs may say something.
    """

    PASS = 0
    WARN = 1
    NOT_SHOWN = 2
    """No run that counts says anything about it."""
    INCONCLUSIVE = 3
    INVALID = 4
    FAIL = 5

    @property
    def words(self) -> str:
        """As it is shown: "NOT SHOWN"."""
        return self.name.replace("_", " ")

    @property
    def is_shown(self) -> bool:
        """Whether a run shows that it holds."""
        return self <= Standing.WARN

    @property
    def is_open(self) -> bool:
        """Whether nobody can tell."""
        return Standing.WARN < self < Standing.FAIL


def standing_of(status: Status) -> Standing:
    """The standing that a judged status gives."""
    return Standing[status.name]


def worst(standings: Iterable[Standing]) -> Standing:
    """The highest of them; NOT_SHOWN for none."""
    return max(standings, default=Standing.NOT_SHOWN)
