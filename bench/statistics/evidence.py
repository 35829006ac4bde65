"""What windows of samples that depend on each other show of a share or a rate: one-sided bounds. Pure.

Samples that follow each other are alike, so n of them are worth fewer independent ones. How many fewer is
read from batch means (Law and Carson 1979): windows are put together to batches, and the variance of the
batches' sums, over that of independent samples, is the design effect (Kish 1965). Batches of three lengths
are tried and the greatest effect counts: batches that are too short share what lasts longer than they do,
few long ones know their own variance badly. Where neighbouring batches are still alike, with a correlation
r, the variance is multiplied by (1 + r) / (1 - r), as in ASAP3 (Steiger et al. 2005). Bounds of a share are
those of Clopper and Pearson (1934) for so many independent samples, fewer by (t / z)^2 because the effect is
itself an estimate.

This was chosen on processes of known quantiles and then measured on others: docs/verdicts.md has the table,
tests/benchmarks/verdicts the program.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from bench.statistics.students_t import t_quantile

Figures = NDArray[np.float64]

CONFIDENCE = 0.95
"""Of a bound, and so of a decision: one-sided."""
BATCHES = (30, 20, 10)
FEWEST_WINDOWS = BATCHES[-1]
"""Fewer say nothing of how samples depend on each other: then they are taken as independent."""
CORRELATED_BATCHES = 20
MOST_CORRELATION = 0.9
FREEDOM = BATCHES[-1] - 1
"""Of the variance: that of the longest batches, which often is the greatest."""
FEWEST_EFFECTIVE = 4.0
"""A run is worth as much at least: what fills more than a third of it is no coincidence of its time."""
NEARLY_INDEPENDENT = 1.5
"""Design effects below it are noise of their own estimate."""
EXPECTED_AT_LEAST = 10.0
"""So many independent cases a limit must allow before seeing fewer shows anything: what comes in clumps may
just not have come. (It was 6 until the first held-out processes: a queue at a load of 0.8 passed too often.)
"""


def effective_ratio(freedom: int = FREEDOM, confidence: float = CONFIDENCE) -> float:
    """The part of the effective samples that is left because their number is estimated: (z / t)^2."""
    return (NormalDist().inv_cdf(confidence) / t_quantile(freedom, confidence)) ** 2


def variance_of_sum(residuals: Figures) -> float:
    """The variance of the sum of a row of windows, from batch means; 0 for fewer than FEWEST_WINDOWS.

    `residuals`: of each window, in the order of time, what it has beyond its part; they add up to about 0.
    """
    windows = len(residuals)
    if windows < FEWEST_WINDOWS:
        return 0.0
    found = []
    for wanted in BATCHES:
        count = min(wanted, windows)
        sums = np.add.reduceat(residuals, [windows * number // count for number in range(count)])
        squares = float(np.dot(sums, sums))
        variance = squares * count / (count - 1)
        if wanted == CORRELATED_BATCHES and squares > 0:
            alike = float(np.dot(sums[:-1], sums[1:])) / squares
            alike = min(max(alike, 0.0), MOST_CORRELATION)
            variance *= (1 + alike) / (1 - alike)
        found.append(variance)
    return max(found)


def design_effect(having: Figures, sizes: Figures) -> float:
    """How many times the variance of a share exceeds that of independent samples; at least 1.

    `having`: how many samples of each window have the property; `sizes`: how many it has.
    """
    samples, cases = float(sizes.sum()), float(having.sum())
    if not 0 < cases < samples:
        return 1.0
    share = cases / samples
    return max(1.0, variance_of_sum(having - share * sizes) / (samples * share * (1 - share)))


@dataclass(frozen=True)
class ShareEvidence:
    """What was seen of a share, and how many independent samples it is worth.

    `planned_cases` of `planned_samples` lie in windows that the plan itself disturbs (faults): they count as
    they are, and only the rest could have come out otherwise.
    """

    cases: float
    samples: float
    effect: float = 1.0
    is_by_windows: bool = True
    """False where there were too few windows to say how samples depend on each other."""
    planned_cases: float = 0.0
    planned_samples: float = 0.0

    @property
    def share(self) -> float:
        """The share that was seen."""
        total = self.samples + self.planned_samples
        return (self.cases + self.planned_cases) / total if total else 0.0

    @property
    def effective(self) -> float:
        """How many independent samples those outside the planned windows are worth."""
        worth = self.samples / self.effect
        if self.effect > 1:
            worth *= effective_ratio()
        return max(worth, min(self.samples, FEWEST_EFFECTIVE))

    def upper(self, confidence: float = CONFIDENCE) -> float:
        """The share that is not exceeded with this confidence."""
        seen = self._seen
        if not self.samples or seen >= self.effective:
            return self._with_planned(1.0)
        return self._with_planned(beta_quantile(confidence, seen + 1, self.effective - seen))

    def lower(self, confidence: float = CONFIDENCE) -> float:
        """The share that is at least reached with this confidence."""
        seen = self._seen
        if not self.samples or seen <= 0:
            return self._with_planned(0.0)
        return self._with_planned(beta_quantile(1 - confidence, seen, self.effective - seen + 1))

    def is_below(self, allowed: float) -> bool:
        """Whether the share is shown to be below `allowed`."""
        rest = self._allowed_of_rest(allowed)
        if rest <= 0 or not self.samples:
            return not self.samples and self.share <= allowed
        if rest >= 1:
            return True
        if self.effect >= NEARLY_INDEPENDENT and self.effective * rest < EXPECTED_AT_LEAST:
            return False
        seen = self._seen
        return seen < self.effective and incomplete_beta(rest, seen + 1, self.effective - seen) >= CONFIDENCE

    def is_above(self, allowed: float) -> bool:
        """Whether the share is shown to be above `allowed`."""
        rest, seen = self._allowed_of_rest(allowed), self._seen
        if not self.samples:
            return self.share > allowed
        if rest < 0:
            return True
        if rest >= 1 or seen <= 0:
            return False
        return rest <= 0 or incomplete_beta(rest, seen, self.effective - seen + 1) <= 1 - CONFIDENCE

    def times(self, factor: float) -> "ShareEvidence":
        """The same from a run that is so many times as long."""
        fields = (self.planned_cases * factor, self.planned_samples * factor)
        return ShareEvidence(
            self.cases * factor, self.samples * factor, self.effect, self.is_by_windows, *fields
        )

    @property
    def _seen(self) -> float:
        return self.cases / self.samples * self.effective if self.samples else 0.0

    def _allowed_of_rest(self, allowed: float) -> float:
        total = self.samples + self.planned_samples
        return (allowed * total - self.planned_cases) / self.samples if self.samples else 0.0

    def _with_planned(self, share: float) -> float:
        total = self.samples + self.planned_samples
        return (share * self.samples + self.planned_cases) / total if total else share


def share_evidence(
    having: Figures,
    sizes: Figures,
    planned: NDArray[np.bool_] | None = None,
    levels: Sequence[Figures] = (),
) -> ShareEvidence:
    """The evidence of windows in the order of time.

    having: of each window how many samples have the property; sizes: how many it has. planned: which windows
    the plan disturbs. levels: the same as `having` for properties that come in clumps as this one does, and
    may be less rare in this run: of two latencies beyond which samples lie, the lower one.
    """
    rest = np.ones(len(having), dtype=np.bool_) if planned is None else ~planned
    own = sizes[rest]
    effect = max(design_effect(each[rest], own) for each in (having, *levels))
    return ShareEvidence(
        float(having[rest].sum()),
        float(own.sum()),
        effect,
        len(own) >= FEWEST_WINDOWS,
        float(having[~rest].sum()),
        float(sizes[~rest].sum()),
    )


@dataclass(frozen=True)
class RatioEvidence:
    """A sum per size (a rate, a mean) with its standard error, from windows."""

    ratio: float
    error: float
    freedom: int = FREEDOM

    def reach(self, confidence: float = CONFIDENCE) -> float:
        """How far a one-sided bound lies from the ratio."""
        return t_quantile(self.freedom, confidence) * self.error

    def times(self, factor: float) -> "RatioEvidence":
        """The same from a run that is so many times as long."""
        return RatioEvidence(self.ratio, self.error / math.sqrt(factor), self.freedom)


def ratio_evidence(
    having: Figures, sizes: Figures, planned: NDArray[np.bool_] | None = None
) -> RatioEvidence | None:
    """Of sums and sizes of windows in the order of time (Cochran 1977, 6.4); None for too few windows.

    What windows that the plan disturbs have counts as it is.
    """
    rest = np.ones(len(having), dtype=np.bool_) if planned is None else ~planned
    size, own = float(sizes.sum()), float(sizes[rest].sum())
    if int(rest.sum()) < FEWEST_WINDOWS or not own:
        return None
    residuals = having[rest] - float(having[rest].sum()) / own * sizes[rest]
    return RatioEvidence(float(having.sum()) / size, math.sqrt(variance_of_sum(residuals)) / size)


LONGEST = 200.0
"""Times a run: nobody measures so long, and the estimate is too rough to say so much."""
STEP = 1.1


def times_as_long(evidence: ShareEvidence, allowed: float) -> float | None:
    """How many times as long a run must be to decide, if it goes on like this; None for more than LONGEST."""
    factor = STEP
    while factor <= LONGEST:
        longer = evidence.times(factor)
        if longer.is_below(allowed) or longer.is_above(allowed):
            return factor
        factor *= STEP
    return None


MOST_TERMS = 10_000
NEGLIGIBLE = 1e-14
TINY = 1e-300
HALVINGS = 60


def incomplete_beta(x: float, a: float, b: float) -> float:
    """The regularized incomplete beta function I_x(a, b), for 0 <= x <= 1 and a, b > 0.

    The continued fraction DLMF 8.17.22, evaluated by Lentz's method.
    """
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):  # where the fraction converges fast
        return 1 - incomplete_beta(1 - x, b, a)
    log_front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    front = math.exp(log_front) / a
    c, d = 1.0, 1 - (a + b) * x / (a + 1)
    d = 1 / (d if abs(d) > TINY else TINY)
    fraction = d
    for m in range(1, MOST_TERMS):
        for term in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 + term * d
            d = 1 / (d if abs(d) > TINY else TINY)
            c = 1 + term / c
            c = c if abs(c) > TINY else TINY
            fraction *= c * d
        if abs(c * d - 1) < NEGLIGIBLE:
            break
    return front * fraction


def beta_quantile(share: float, a: float, b: float) -> float:
    """Where I_x(a, b) reaches `share`, by bisection."""
    low, high = 0.0, 1.0
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        if incomplete_beta(middle, a, b) < share:
            low = middle
        else:
            high = middle
        if high - low < 1e-9 * high:
            break
    return high
