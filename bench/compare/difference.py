"""Whether a figure or the status of a rule differs from earlier runs by more than chance.

Every figure is compared on a logarithmic scale, because what matters is how many times slower something
became and because times are spread that way. `place` is where a run stands on that scale; for a share of
errors or a growth, which may be 0, it is the logarithm of something that is not (see the kind's figures).

Things that make a figure move without a change: the samples of the run (its own standard error, by the
resampling in `bench.compare.figures`), the run (the next one on the same machine is elsewhere), the
machine's floor, and other work on the machine (`held_up` and `other_work` of `bench.compare.comparison`).
With x_i the places of n earlier runs and y that of the run now, each with its own standard error:

    point     y - mean(x)
    between   (D s0^2 + sum (x_i - mean(x))^2) / (D + n - 1)
    error     sqrt(between (1 + 1/n) + own(y)^2 + mean(own(x)^2) / n)
    interval  point -+ t(D + n - 1; 97.5 %) error

The variance between runs is a moderated one (Smyth 2004, "Linear models and empirical Bayes methods"): one
earlier run says nothing about it, so an assumed spread s0 counts as D = 3 runs, and with every night the
machine's real spread takes its place. A noisy machine thereby widens its own intervals.

A REGRESSION is an interval wholly beyond the threshold whose nearer end is also a difference greater than
the resolution. NO DIFFERENCE needs a point within the threshold and an interval that excludes three times
the threshold; an interval that excludes neither a change nor none is CANNOT TELL.

A rule near its limit flips from night to night. So a flip is a regression where the value behind it differs
by what can be shown: the figure of that name says so where there is one, else the two values are compared as
figures of their kind. Counts (lost messages, false alarms) and what never came need no statistics.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from statistics import fmean

from bench.core import units
from bench.judge.verdict import Check, Status, Verdict
from bench.scenario.rules.grammar import parse_rule
from bench.statistics.students_t import t_quantile


@dataclass(frozen=True)
class Kind:
    """What is measured, in which unit, and how far two runs of the same thing lie apart."""

    name: str
    unit: str
    """"ns", "per_s", "ratio" or "bytes"."""
    run_spread: float
    """Standard deviation between runs on the logarithmic scale that is assumed until enough runs show it."""
    is_lower_better: bool = True
    by_cpu: bool = True
    """Whether it becomes worse when something else takes the machine's CPU."""


@dataclass(frozen=True)
class Estimate:
    """What one run says about a figure."""

    value: float
    """In the unit of its kind: what a report would show."""
    place: float
    """On the logarithmic scale; not finite when `never`."""
    spread: float
    """Standard error of `place` that the run itself shows."""
    resolution: float
    """The smallest difference that the run can show, in the unit: floor, lateness, distance of arrivals."""
    samples: int
    never: bool = False
    """What was waited for did not come: worse than any value."""
    basis: str = ""
    """What it was read from; figures of another basis are not compared."""


@dataclass(frozen=True)
class Unknown:
    """Why a run says nothing about a figure."""

    because: str


Reading = Estimate | Unknown

PERCENTILES = {
    "p50": Kind("p50", "ns", 0.10),
    "p95": Kind("p95", "ns", 0.10),
    "p99": Kind("p99", "ns", 0.15),
}
"""Hosted machines differ by more than a tenth from night to night; assumed too small, the first nights would
be red for nothing. Tails differ more: one stall of a neighbour is a part of them."""
THROUGHPUT = Kind("throughput", "per_s", 0.06, is_lower_better=False)
ERRORS = Kind("errors", "ratio", 0.5, by_cpu=False)
"""Errors come in clumps."""
MEMORY_GROWTH = Kind("memory_growth", "bytes", 0.02, by_cpu=False)
RECOVERY = Kind("recovery", "ns", 0.1)
DETECTION = Kind("detection", "ns", 0.2)
"""A detector looks at its own times: where in between a fault falls is chance."""


ASSUMED_RUNS = 3
CONFIDENCE = 0.95
TOLD_APART = 3
"""A change of so many times the threshold must be excluded before it is said that there is none."""

HIGHEST_LOG = 700.0
"""The exponential of more does not fit a float."""


class Finding(Enum):
    """What can be said about a figure."""

    REGRESSION = "REGRESSION"
    IMPROVEMENT = "improvement"
    NO_DIFFERENCE = "no difference"
    CANNOT_TELL = "cannot tell"


@dataclass(frozen=True)
class Difference:
    """A figure before and after. `ratio` is after / before (of the places), `low` and `high` its interval."""

    finding: Finding
    before: float | None = None
    after: float | None = None
    ratio: float | None = None
    low: float | None = None
    high: float | None = None
    because: str = ""
    """Why it cannot be shown, or what else should be known."""
    resolution: float | None = None
    """The smallest difference that could have been shown, in the unit of the figure."""

    @property
    def at_least(self) -> float:
        """How many times more or less by the interval's end nearer to no change; endless for never."""
        if self.low is None or self.high is None:
            return math.inf
        return max(self.low, 1 / self.high if self.high else math.inf)


def difference(before: Sequence[Estimate], after: Estimate, kind: Kind, threshold: float) -> Difference:
    """Compare one run with the earlier ones, of which there must be one at least. `threshold` 0.1 is 10 %."""
    if after.never or any(one.never for one in before):
        return _of_what_never_came(before, after)
    count = len(before)
    middle = fmean(one.place for one in before)
    point = after.place - middle
    freedom = ASSUMED_RUNS + count - 1
    scatter = sum((one.place - middle) ** 2 for one in before)
    between = (ASSUMED_RUNS * kind.run_spread**2 + scatter) / freedom
    own = after.spread**2 + fmean(one.spread**2 for one in before) / count
    reach = t_quantile(freedom, (1 + CONFIDENCE) / 2) * math.sqrt(between * (1 + 1 / count) + own)
    value = _typical(before, middle)
    sign = 1 if kind.is_lower_better else -1
    worse, half = sign * point, math.log1p(threshold)
    nearer, further = worse - reach, worse + reach
    # One noisy night among the earlier ones must not hide everything.
    resolution = max(after.resolution, median(one.resolution for one in before))
    finding, because = Finding.CANNOT_TELL, ""
    if nearer > half or further < -half:
        near = nearer if worse > 0 else further
        # The part of the difference that the interval leaves certain.
        certain = abs(after.value - value) * near / worse
        if certain > resolution:
            finding = Finding.REGRESSION if worse > 0 else Finding.IMPROVEMENT
        else:
            because = "resolution"
    elif abs(worse) <= half and max(-nearer, further) < math.log1p(TOLD_APART * threshold):
        finding = Finding.NO_DIFFERENCE
    elif value * _expm1(max(-nearer, further)) <= resolution:
        finding = Finding.NO_DIFFERENCE  # whatever it is, it is below what can be shown
    else:
        because = "spread"
    low, high = point - reach, point + reach
    return Difference(finding, value, after.value, _exp(point), _exp(low), _exp(high), because, resolution)


def _typical(before: Sequence[Estimate], middle: float) -> float:
    """The value that stands for the earlier runs: their geometric mean, where values have one."""
    if all(one.value > 0 and math.isclose(one.place, math.log(one.value), abs_tol=1e-3) for one in before):
        return _exp(middle)
    return median(one.value for one in before)


def _of_what_never_came(before: Sequence[Estimate], after: Estimate) -> Difference:
    """What did not come has no ratio; that it came in every earlier run and not now is a regression."""
    came = [one.value for one in before if not one.never]
    value = median(came) if came else None
    if after.never:
        if len(came) == len(before):
            return Difference(Finding.REGRESSION, value, because="never")
        return Difference(Finding.CANNOT_TELL, value, because="never before")
    if came:
        return Difference(Finding.CANNOT_TELL, value, after.value, because="never before")
    return Difference(Finding.IMPROVEMENT, None, after.value, because="never before")


def median(values: Iterable[float]) -> float:
    """The lower of the two middle ones: a value that was really seen."""
    ordered = sorted(values)
    return float(ordered[(len(ordered) - 1) // 2])


def _exp(value: float) -> float:
    return math.exp(min(value, HIGHEST_LOG))


def _expm1(value: float) -> float:
    return math.expm1(min(value, HIGHEST_LOG))


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
    """Why it cannot be shown, where the rule did not come and go before."""


def status_changes(
    before: Sequence[Verdict], after: Verdict, figures: Mapping[str, Difference], threshold: float
) -> list[StatusChange]:
    """Rules that held in the newest earlier run and fail now, or the other way round.

    A rule that other earlier runs broke too is one that comes and goes: then nothing is shown.
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
            measured = figures.get(check.metric) or _difference(earlier, check, threshold)
            if measured is not None and measured.finding is not finding and _has_values(earlier, check):
                finding = Finding.CANNOT_TELL
                because = measured.because or "spread"
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
