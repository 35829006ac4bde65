"""Rules whose status is another one than before: what needs no statistics to be a regression."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench import units
from bench.compare.difference import Finding
from bench.judge.status import Status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.judge.verdict import Check, Verdict

HELD = (Status.PASS, Status.WARN)


@dataclass(frozen=True)
class StatusChange:
    """A rule that is judged otherwise; `failed_before` of `runs` earlier runs broke it."""

    rule: str
    finding: Finding
    before: Status
    after: Status
    observed_before: str
    observed_after: str
    failed_before: int
    runs: int


def status_changes(before: Sequence[Verdict], after: Verdict) -> list[StatusChange]:
    """Rules that held in the newest earlier run and fail now, or the other way round.

    A rule that other earlier runs broke too is one that comes and goes: then it cannot be told.
    """
    found = []
    for check in after.checks:
        earlier = [
            old for verdict in before for old in verdict.checks if old.rule == check.rule and old.is_rule
        ]
        if not earlier or not check.is_rule:
            continue
        failed = sum(old.status is Status.FAIL for old in earlier)
        newest = earlier[-1]
        if check.status is Status.FAIL and newest.status in HELD:
            finding = Finding.CANNOT_TELL if failed else Finding.REGRESSION
        elif check.status in HELD and newest.status is Status.FAIL:
            finding = Finding.IMPROVEMENT if failed == len(earlier) else Finding.CANNOT_TELL
        else:
            continue
        found.append(
            StatusChange(
                check.rule,
                finding,
                newest.status,
                check.status,
                _observed(newest),
                _observed(check),
                failed,
                len(earlier),
            )
        )
    return found


def _observed(check: Check) -> str:
    if check.observed is None or check.unit is None:
        return "no value"
    return units.format_quantity(check.observed, check.unit)
