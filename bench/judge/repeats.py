"""One value for each fault, and what may be missing: it never happened, or the watch ended too early."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from bench.core import units

if TYPE_CHECKING:
    from collections.abc import Sequence


One = TypeVar("One")
KNOWN, CUT_SHORT, NEVER = "known", "cut_short", "never"
SLOW = "slow"
"""It answers again, but was not as fast as before when the watch ended."""


@dataclass(frozen=True)
class Repeat:
    """What one fault gave. `value` is in ns; of one cut short or that never happened it is a lower bound."""

    fault: str
    """As in "fault 2 (kill redis)"."""
    value: float
    kind: str = KNOWN

    @property
    def shown(self) -> str:
        """For a list: "4.21 s", "> 2.00 s" where more was to come, "never" where it did not come."""
        if self.kind == NEVER:
            return "never"
        value = units.format_duration_ns(self.value)
        return value if self.kind == KNOWN else f"> {value}"


def worse(one: Repeat, other: Repeat) -> Repeat:
    """Of the same fault seen by two workloads the one that counts: never, then slow, else the longer one.

    What was cut short somewhere is not known to be over anywhere.
    """
    for kind in (NEVER, SLOW):
        if kind in (one.kind, other.kind):
            return one if one.kind == kind else other
    longer = max(one, other, key=lambda repeat: repeat.value)
    kind = CUT_SHORT if CUT_SHORT in (one.kind, other.kind) else KNOWN
    return Repeat(longer.fault, longer.value, kind)


def nearest_rank(ordered: Sequence[One], percent: float) -> One:
    """The percentile of sorted values: the one that at least `percent` of them do not exceed."""
    return ordered[max(1, math.ceil(len(ordered) * percent / 100 - 1e-9)) - 1]
