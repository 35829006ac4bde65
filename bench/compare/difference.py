"""Whether a figure changed: a ratio with its interval, and what may be said about it.

Things that make a figure move without a change: the samples of the run (its own standard error, by
`bench.compare.resampling`), the run (the next one on the same machine is elsewhere), the machine's floor,
and other work on the machine (`bench.compare.noise`). With x_i the places of n earlier runs and y that
of the run now, each with its own standard error:

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
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum
from statistics import fmean
from typing import TYPE_CHECKING

from bench.compare.estimate import Estimate, Kind
from bench.core.stats import t_quantile

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

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
    before: float | None
    after: float | None
    ratio: float | None
    low: float | None
    high: float | None
    because: str = ""
    """Why it cannot be told, or what else should be known."""
    resolution: float | None = None
    """The smallest difference that could have been told, in the unit of the figure."""

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
        finding = Finding.NO_DIFFERENCE  # whatever it is, it is below what can be told
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
            return Difference(Finding.REGRESSION, value, None, None, None, None, "never")
        return Difference(Finding.CANNOT_TELL, value, None, None, None, None, "never before")
    if came:
        return Difference(Finding.CANNOT_TELL, value, after.value, None, None, None, "never before")
    return Difference(Finding.IMPROVEMENT, None, after.value, None, None, None, "never before")


def median(values: Iterable[float]) -> float:
    """The lower of the two middle ones: a value that was really seen."""
    ordered = sorted(values)
    return float(ordered[(len(ordered) - 1) // 2])


def _exp(value: float) -> float:
    return math.exp(min(value, HIGHEST_LOG))


def _expm1(value: float) -> float:
    return math.expm1(min(value, HIGHEST_LOG))
