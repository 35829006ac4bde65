"""The status of a requirement, and the words that every form of the assessment shares: ages, dates, lists,
figures.

A requirement has a judged status, or is "not shown". The worst of a requirement's proofs is the
requirement's.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from enum import IntEnum

from bench.core import units
from bench.core.clock import NS_PER_S
from bench.judge.verdict import Status


class RequirementStatus(IntEnum):
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
        return self <= RequirementStatus.WARN

    @property
    def is_open(self) -> bool:
        """Whether it is not known."""
        return RequirementStatus.WARN < self < RequirementStatus.FAIL


def status_of(status: Status) -> RequirementStatus:
    """The requirement's status that a judged one gives."""
    return RequirementStatus[status.name]


def worst(statuses: Iterable[RequirementStatus]) -> RequirementStatus:
    """The highest of them; NOT_SHOWN for none."""
    return max(statuses, default=RequirementStatus.NOT_SHOWN)


def age(age_ns: float) -> str:
    """As one number: "40 s", "13 min", "31 h", "12 d"."""
    if age_ns < 0:
        return "dated in the future"
    seconds = age_ns / NS_PER_S
    for unit, length, up_to in (("s", 1, 120), ("min", 60, 7200), ("h", 3600, 172_800)):
        if seconds < up_to:
            return f"{int(seconds / length)} {unit}"
    return f"{int(seconds / 86_400)} d"


def old(age_ns: float) -> str:
    """ "13 min old"; of a clock that was ahead "dated in the future"."""
    return age(age_ns) if age_ns < 0 else f"{age(age_ns)} old"


def date(wall_ns: int) -> str:
    """ "2026-02-02 02:40 UTC"; "date unknown" for 0."""
    if not wall_ns:
        return "date unknown"
    return f"{datetime.fromtimestamp(wall_ns / NS_PER_S, UTC):%Y-%m-%d %H:%M} UTC"


def listed(parts: Sequence[str]) -> str:
    """ "a, b and c"."""
    if len(parts) < 2:
        return "".join(parts)
    return f"{', '.join(parts[:-1])} and {parts[-1]}"


def share(value: float | None) -> str:
    """A headroom: "88 %"; a dash for none."""
    return "-" if value is None else f"{value * 100:.0f} %"


def figure(value: float | None, unit: str | None) -> str:
    """A value in its base unit; a dash for none."""
    return "-" if value is None else units.format_quantity(value, unit or "count")
