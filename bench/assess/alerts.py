"""The levels at which to be told: the warning levels of the rules, and 70 % and 80 % of each limit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.assess.requirement import FLAGS
from bench.assess.words import share

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bench.assess.capacity import Headroom
    from bench.assess.matrix import RequirementResult, Row
    from bench.assess.requirement import Requirement

KEPT_LOW = ("<", "<=")


@dataclass(frozen=True)
class Alert:
    """What to watch, in base units: the proofs of a requirement that have one limit.

    `levels` are 70 % and 80 % of it.
    """

    requirement: Requirement
    rows: tuple[Row, ...]
    levels: tuple[float, ...]

    @property
    def worst(self) -> Row | None:
        """The proof whose value is highest; None where none has one."""
        known = [row for row in self.rows if row.check and row.check.observed is not None]
        return max(known, key=_observed, default=None)

    @property
    def reached(self) -> str:
        """Where the highest value stands: "below 70 %", "past 70 %", "past 80 %"."""
        return reached(_observed(self.worst) if self.worst else None, self.levels)


@dataclass(frozen=True)
class LoadAlert:
    """The load at which to be told, of what was validated."""

    room: Headroom
    validated_per_s: float
    levels_per_s: tuple[float, ...]

    @property
    def reached(self) -> str:
        """Where the load that production needs stands."""
        return reached(self.room.capacity.required_per_s, self.levels_per_s)


def alerts(mets: Iterable[RequirementResult]) -> list[Alert]:
    """One for each limit that a value must stay below: of the others a share of the limit means nothing."""
    found = []
    for met in mets:
        kept_low = [
            row
            for row in met.rows
            if row.rule.op in KEPT_LOW and row.rule.limit > 0 and not row.is_recorded_only
        ]
        for limit in dict.fromkeys((row.rule.limit, row.rule.warn, row.rule.unit) for row in kept_low):
            rows = [row for row in kept_low if (row.rule.limit, row.rule.warn, row.rule.unit) == limit]
            found.append(Alert(met.requirement, tuple(rows), tuple(limit[0] * level for level in FLAGS)))
    return found


def _observed(row: Row) -> float:
    return row.check.observed or 0.0 if row.check else 0.0


def load_alerts(rooms: Iterable[Headroom]) -> list[LoadAlert]:
    """One for each capacity with a validated rate."""
    return [
        LoadAlert(room, room.best.rate_per_s, tuple(room.best.rate_per_s * level for level in FLAGS))
        for room in rooms
        if room.best is not None
    ]


def reached(value: float | None, levels: tuple[float, ...]) -> str:
    """The highest level that a value is at or past, in words."""
    if value is None:
        return "unknown"
    passed = [flag for flag, level in zip(FLAGS, levels, strict=True) if value >= level]
    return f"past {share(passed[-1])}" if passed else f"below {share(FLAGS[0])}"
