"""Rules whose status is another one than before, and whether that is more than chance.

A rule near its limit flips from night to night. So a flip is a regression where the value behind it differs
by what can be told: the figure of that name says so where there is one, else the two values are compared as
figures of their kind. Counts (lost messages, false alarms) and what never came need no statistics.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.compare.difference import Difference, Finding, difference
from bench.compare.estimate import ERRORS, MEMORY_GROWTH, PERCENTILES, THROUGHPUT, Estimate, Kind
from bench.core import units
from bench.judge.status import Status
from bench.scenario.rules.grammar import parse_rule

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bench.judge.verdict import Check, Verdict

HELD = (Status.PASS, Status.WARN)
KINDS = {"ns": PERCENTILES["p99"], "per_s": THROUGHPUT, "ratio": ERRORS, "bytes": MEMORY_GROWTH}
"""By unit, for a rule whose metric is no figure of its own."""
HALF = 0.5
"""Added to a count before its logarithm is taken."""


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
    because: str = ""
    """Why it cannot be told, where the rule did not come and go before."""


def status_changes(
    before: Sequence[Verdict], after: Verdict, figures: Mapping[str, Difference], threshold: float
) -> list[StatusChange]:
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
        because = ""
        if finding is not Finding.CANNOT_TELL:
            told = figures.get(check.metric) or _difference(earlier, check, threshold)
            if told is not None and told.finding is not finding and _has_values(earlier, check):
                finding = Finding.CANNOT_TELL
                because = told.because or "spread"
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
                because,
            )
        )
    return found


def _has_values(earlier: Sequence[Check], now: Check) -> bool:
    """Whether something was measured then and now: what never came has no value, and needs no statistics."""
    return now.observed is not None and earlier[-1].observed is not None


def _difference(earlier: Sequence[Check], now: Check, threshold: float) -> Difference | None:
    """The rule's values compared as figures of their kind; None for counts, and where one is missing."""
    known = [one for one in earlier if one.observed is not None and one.unit == now.unit]
    kind = KINDS.get(now.unit or "")
    if kind is None or now.observed is None or not known:
        return None
    try:
        is_lower_better = parse_rule(now.rule).op in ("<", "<=")
    except ValueError:
        return None
    kind = Kind(kind.name, kind.unit, kind.run_spread, is_lower_better or kind is ERRORS)
    estimates = [_estimate(one, kind, is_lower_better) for one in (*known, now)]
    return difference(estimates[:-1], estimates[-1], kind, threshold)


def _estimate(check: Check, kind: Kind, is_lower_better: bool) -> Estimate:
    """A share that should be high is compared by what is missing: 99.9 % and 99 % are ten times apart."""
    assert check.observed is not None
    value, samples = float(check.observed), max(check.samples or 1, 1)
    if kind.unit != "ratio":
        place = math.log(max(value, HALF))
        return Estimate(value, place, 0.0, 0.0, samples)
    value = value if is_lower_better else 1 - value
    count = max(value, 0.0) * samples
    place = math.log((count + HALF) / (samples + 2 * HALF))
    return Estimate(value, place, 1 / math.sqrt(count + HALF), 0.0, samples)


def _observed(check: Check) -> str:
    if check.observed is None or check.unit is None:
        return "no value"
    return units.format_quantity(check.observed, check.unit)
