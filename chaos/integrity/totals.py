"""Transfers keep a total: whoever reads it at one moment must find the same, or money came or went."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any


@dataclass(frozen=True)
class Reading:
    """A total at one moment, ns from run zero; None where the query had no answer."""

    at_ns: int
    total: Decimal | int | None


@dataclass(frozen=True)
class TotalsJudgement:
    """Readings that differ from the first one."""

    readings: int
    wrong: int
    examples: list[dict[str, Any]]
    """The first, the worst and the last of them."""


def judge_totals(readings: Sequence[Reading]) -> TotalsJudgement:
    """Compare every reading with the first, which stands for what was there before the load.

    Only reads are looked at, so transfers of unknown outcome need no care: they happened or not, and
    the total is the same.
    """
    if not readings:
        return TotalsJudgement(0, 0, [])
    expected = readings[0].total
    wrong = [reading for reading in readings if reading.total != expected]
    if not wrong:
        return TotalsJudgement(len(readings), 0, [])
    worst = max(wrong, key=lambda reading: _distance(reading, expected))
    shown = dict.fromkeys((wrong[0], worst, wrong[-1]))
    return TotalsJudgement(
        len(readings),
        len(wrong),
        [
            {
                "what": "another total",
                "at_ns": one.at_ns,
                "expected": _text(expected),
                "found": _text(one.total),
            }
            for one in shown
        ],
    )


def _distance(reading: Reading, expected: Decimal | int | None) -> Decimal:
    if reading.total is None or expected is None:
        return Decimal("Infinity")
    return abs(Decimal(reading.total) - Decimal(expected))


def _text(total: Decimal | int | None) -> str:
    return "nothing" if total is None else str(total)
