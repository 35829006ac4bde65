"""Where the level of a series changed, and whether that is more than its noise. Pure.

The split is where the energy distance between before and after, weighted by their sizes, is largest
(Székely and Rizzo 2004; Matteson and James 2014). Whether it is real is asked twice, and the larger p
counts:

- Student's test of the two means with the variance pooled. Nights resemble their neighbours: the sizes
  are those of as many independent ones, n (1 - r) / (1 + r), with r the correlation of neighbouring
  residuals (AR(1)); - the same step in a local-level model (Harvey 1989), where the level itself may
  wander by a random walk whose part of the noise is chosen by restricted likelihood. A machine that
  drifts widens its own intervals by it.

Two steps in one series hide each other, each is noise to the other. So halves and quarters of a long
series are looked at as well, each half over the next one (seeded intervals: Kovács et al. 2023), and
the clearest step of all counts; it divides the series, and each part is asked again. Every p is
multiplied by the number of places at which a split was looked for (Bonferroni). Figures of one folder
are many questions: `benjamini_hochberg` (1995) keeps the share of false ones among those that are
answered yes.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from bench.statistics.students_t import t_quantile, t_tail

Floats = NDArray[np.float64]

LEAST_BEFORE, LEAST_AFTER = 5, 3
"""Points that a level must be known by."""
MOST_ALIKE = 0.9
"""Of the correlation of neighbours: beyond, no series is long enough."""
LEAST_PART = 30
"""Points of a part that is looked at by itself: of fewer, how alike neighbours are is not known."""
DRIFTS = (0.0, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
"""Variances of the level's own steps that are tried, as parts of the noise's."""
LEVEL = 0.05
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Step:
    """A change of the level, on the scale of the series."""

    at: int
    """The first point of the new level."""
    start: int
    end: int
    """The part of the series that was looked at: from `start` up to, not including, `end`."""
    size: float
    low: float
    high: float
    """Its 95 % interval."""
    p: float
    """How likely so clear a split is anywhere in the part, were there none."""


def steps(series: Floats, least: float, level: float = LEVEL) -> list[Step]:
    """All steps of more than `least` whose p is at most `level`, in the order of time.

    The p of each is that of the part of the series in which it was found.
    """
    return _steps(series, 0, len(series), least, level)


def benjamini_hochberg(p: Sequence[float], level: float = LEVEL) -> list[bool]:
    """Which of these p may be called found, so that at most a share `level` of those is false on average."""
    order = sorted(range(len(p)), key=lambda place: p[place])
    last = max((rank for rank, place in enumerate(order, 1) if p[place] <= level * rank / len(p)), default=0)
    kept = set(order[:last])
    return [place in kept for place in range(len(p))]


def _steps(series: Floats, start: int, end: int, least: float, level: float) -> list[Step]:
    parts = _parts(start, end)
    places = sum(_places(last - first) for first, last in parts)
    found = [step for first, last in parts if (step := _clearest(series[first:last], first, last, places))]
    found = [step for step in found if step.p <= level and abs(step.size) > least]
    if not found:
        return []
    clearest = min(found, key=lambda step: step.p)
    before = _steps(series, start, clearest.at, least, level)
    return [*before, clearest, *_steps(series, clearest.at, end, least, level)]


def _parts(start: int, end: int) -> list[tuple[int, int]]:
    """The whole, and its halves, quarters and so on that are long enough, each half over the next one."""
    found, length = [(start, end)], (end - start) // 2
    while length >= LEAST_PART:
        half = length // 2
        firsts = range(start, end - length + 1, half)
        # The last one ends with the series: what is new matters most.
        found += [(first, first + length) for first in firsts if first + length + half <= end]
        found.append((end - length, end))
        length //= 2
    return found


def _places(length: int) -> int:
    return max(0, length - LEAST_BEFORE - LEAST_AFTER + 1)


def _clearest(part: Floats, start: int, end: int, places: int) -> Step | None:
    """The one split that divides a part best; `places` are all that were looked at. None for one that is too
    short or never varies.
    """
    if not _places(len(part)) or np.ptp(part) == 0:
        return None
    at = _split(part)
    tests = (_pooled(part, at), _local_level(part, at))
    p = max(_p(size, error, freedom) for size, error, freedom in tests)
    size = tests[0][0]
    reach = max(t_quantile(freedom, (1 + CONFIDENCE) / 2) * error for _, error, freedom in tests)
    return Step(start + at, start, end, size, size - reach, size + reach, min(1.0, p * places))


def _split(part: Floats) -> int:
    """The place with the largest energy distance between what is before it and the rest."""
    count = len(part)
    sums = np.cumsum(np.cumsum(np.abs(part[:, None] - part[None, :]), axis=0), axis=1)
    at = np.arange(LEAST_BEFORE, count - LEAST_AFTER + 1)
    rest = count - at
    within = sums[at - 1, at - 1]
    between = sums[at - 1, -1] - within
    behind = sums[-1, -1] - within - 2 * between
    energy = at * rest / count * (2 * between / (at * rest) - within / at**2 - behind / rest**2)
    return int(at[np.argmax(energy)])


Test = tuple[float, float, float]
"""A step's size, its standard error, and the degrees of freedom of that."""


def _p(size: float, error: float, freedom: float) -> float:
    return 2 * t_tail(abs(size) / error, freedom) if error > 0 else 0.0


def _pooled(part: Floats, at: int) -> Test:
    before, after = part[:at], part[at:]
    rest = np.concatenate([before - before.mean(), after - after.mean()])
    squares = float(rest @ rest)
    independent = 1.0
    if squares > 0:
        alike = float(rest[1:] @ rest[:-1]) / squares
        # Of short series the estimate is too small: by (1 + 4 r) / n (Kendall 1954).
        alike = min(max(alike + (1 + 4 * alike) / len(part), 0.0), MOST_ALIKE)
        independent = (1 - alike) / (1 + alike)
    sizes = (at * independent, (len(part) - at) * independent)
    freedom = max(1.0, sum(max(2.0, size) for size in sizes) - 2)
    error = math.sqrt(squares / (len(part) - 2) * (1 / sizes[0] + 1 / sizes[1]))
    return float(after.mean() - before.mean()), error, freedom


def _local_level(part: Floats, at: int) -> Test:
    """Least squares, weighted for each drift; of all, that with the highest restricted likelihood."""
    count = len(part)
    model = np.column_stack([np.ones(count), np.arange(count) >= at])
    best, found = -math.inf, (0.0, math.inf, 1.0)
    for whitening, log_determinant in _whitenings(count):
        whitened, values = whitening @ model, whitening @ part
        information = whitened.T @ whitened
        covariance = np.linalg.inv(information)
        fitted = covariance @ (whitened.T @ values)
        rest = values - whitened @ fitted
        variance = float(rest @ rest) / (count - 2)
        if variance <= 0:
            return float(fitted[1]), 0.0, count - 2.0
        likelihood = -0.5 * (
            log_determinant + float(np.linalg.slogdet(information)[1]) + (count - 2) * math.log(variance)
        )
        if likelihood > best:
            best = likelihood
            found = (float(fitted[1]), math.sqrt(variance * covariance[1, 1]), count - 2.0)
    return found


@lru_cache(maxsize=64)
def _whitenings(count: int) -> tuple[tuple[Floats, float], ...]:
    """For each drift what makes noise and wandering level of `count` points independent, and the logarithm of
    their covariance's determinant.
    """
    number = np.arange(1, count + 1)
    wandering = np.minimum(number[:, None], number[None, :]).astype(np.float64)
    found = []
    for drift in DRIFTS:
        covariance = np.eye(count) + drift * wandering
        whitening = np.linalg.inv(np.linalg.cholesky(covariance))
        found.append((whitening, float(np.linalg.slogdet(covariance)[1])))
    return tuple(found)
