"""Whether two things differ that were measured in pairs: one run of each, in random order, at the same time.

What disturbs a machine for longer than a pair disturbs both runs of it and cancels out in their log
ratio. Were there no difference, the sign of every log ratio would be chance (the order in a pair is
drawn), so all 2^k ways to choose the signs are equally likely: the sign-flip test, exact for any
distribution of the noise (Fisher 1935; Pitman 1937). With d the log ratios of k pairs and s a choice of
signs, the statistic of a figure is

    T(s) = |sum s_i d_i| / sqrt(sum d_i^2)

which orders the choices as Student's t does. Figures of the same pairs depend on each other (P95 and
P99), so that all of them are flipped together and each is compared with the largest T of any: the
max-T of Westfall and Young 1993. The probability that any of the figures is called
different by chance is then at most the level, whatever their dependence.

The ratio is Hodges and Lehmann's (1963): the median of the means of all pairs of log ratios. Its
interval is that of the signed-rank test, whose distribution is counted, not approximated; for fewer
than six pairs, of which there is no such interval, it is Student's. Pure.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.statistics.students_t import t_quantile

Floats = NDArray[np.float64]

EXACT_PAIRS = 12
"""Up to so many pairs every choice of signs is tried; of more, DRAWN at random."""
DRAWN = 4_000
SEED = 83
LEVEL = 0.05
POWER = 0.9
"""How often the smallest change that can be told is found."""
LEAST_PAIRS = 6
"""With fewer, no choice of signs is rare enough for the level: 2 of 32 are more than 5 %."""


def sign_choices(pairs: int, seed: int = SEED) -> Floats:
    """Choices of signs, the first of them all +1; shape (choices, pairs).

    A choice and its opposite have the same T, so that the first sign is always +1.
    """
    if pairs <= EXACT_PAIRS:
        count = 1 << (pairs - 1)
        bits = (np.arange(count)[:, None] >> np.arange(pairs - 1)[None, :]) & 1
        return np.hstack([np.ones((count, 1)), 1.0 - 2.0 * bits])
    drawn: Floats = np.random.default_rng(seed).choice(np.array([-1.0, 1.0]), size=(DRAWN, pairs))
    drawn[0] = 1.0
    return drawn


@dataclass(frozen=True)
class SignFlips:
    """The test of all figures of the same pairs together."""

    p: Floats
    """By figure: how likely any of them has a T as large as its own, were there no difference."""
    critical: float
    """The T that a figure must exceed at the level."""


def sign_flips(log_ratios: Floats, seed: int = SEED) -> SignFlips:
    """Test log ratios of shape (pairs, figures). A figure without any difference in any pair has p = 1."""
    pairs = len(log_ratios)
    lengths = np.sqrt((log_ratios**2).sum(axis=0))
    scaled = np.divide(log_ratios, lengths, out=np.zeros_like(log_ratios), where=lengths > 0)
    each = np.abs(sign_choices(pairs, seed) @ scaled)
    largest = each.max(axis=1)
    # Sums of the same numbers in another order differ in their last digits.
    p = (largest[:, None] >= each[0] - 1e-9).mean(axis=0)
    p[lengths == 0] = 1.0
    above = math.ceil((1 - LEVEL) * len(largest)) - 1
    return SignFlips(p, float(np.sort(largest)[above]))


def hodges_lehmann(log_ratios: Floats) -> float:
    """The typical one of log ratios, of which there must be one at least."""
    return float(np.median(_walsh_means(log_ratios)))


def interval(log_ratios: Floats, confidence: float = 1 - LEVEL) -> tuple[float, float] | None:
    """Where the typical log ratio lies, at least with this confidence; None for a single pair."""
    pairs = len(log_ratios)
    if pairs < 2:
        return None
    if pairs < LEAST_PAIRS:
        middle = float(log_ratios.mean())
        reach = float(t_quantile(pairs - 1, (1 + confidence) / 2)) * _standard_error(log_ratios)
        return middle - reach, middle + reach
    means = np.sort(_walsh_means(log_ratios))
    dropped = _dropped_means(pairs, (1 - confidence) / 2)
    return float(means[dropped]), float(means[len(means) - 1 - dropped])


def smallest_told(log_ratios: Floats, critical: float, least: float) -> float | None:
    """The log ratio that would be found nine times in ten with this spread and so many pairs.

    `critical`: the T to exceed; `least`: the log ratio that a finding must exceed. None where no T is enough.
    """
    pairs = len(log_ratios)
    if pairs < LEAST_PAIRS or critical >= math.sqrt(pairs) - 1e-9:
        return None
    error = _standard_error(log_ratios)
    # T^2 = k t^2 / (k - 1 + t^2), solved for Student's t.
    needed_t = critical * math.sqrt((pairs - 1) / (pairs - critical**2))
    return max(needed_t * error, least) + t_quantile(pairs - 1, POWER) * error


def _standard_error(log_ratios: Floats) -> float:
    return float(log_ratios.std(ddof=1)) / math.sqrt(len(log_ratios))


def _walsh_means(log_ratios: Floats) -> Floats:
    first, second = np.triu_indices(len(log_ratios))
    means: Floats = (log_ratios[first] + log_ratios[second]) / 2
    return means


def _dropped_means(pairs: int, tail: float) -> int:
    """How many of the sorted means are left out at each end: the largest signed-rank sum that is not exceeded
    with at most this probability, counted over all choices of signs.
    """
    ways = np.zeros(pairs * (pairs + 1) // 2 + 1)
    ways[0] = 1.0
    for rank in range(1, pairs + 1):
        ways[rank:] += ways[:-rank].copy()
    cumulated = np.cumsum(ways) / 2.0**pairs
    return max(0, int(np.searchsorted(cumulated, tail, side="right")) - 1)
