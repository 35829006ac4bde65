"""What probes say about where the capacity lies: a distribution over rates, on a logarithmic scale.

A probe below the capacity holds and one above it breaks, but near it either can happen, and anywhere a
probe can go wrong once (probabilistic bisection: Waeber, Frazier and Henderson, SIAM J. Control Optim.
51(3), 2013). So one probe proves nothing by itself, and two that contradict each other leave both
possible until others decide. Pure.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LAPSE = 0.02
"""How often a probe goes wrong however far it is from the capacity."""
BLUR = 0.5
"""Of the precision asked: the standard deviation of the rate, as a logarithm, at which a probe turns."""
LIKE_NORMAL = 1.702
STEPS_PER_PRECISION = 8
REACH = 8.0
"""How far beyond the outermost probes the capacity may lie, as a factor."""


@dataclass(frozen=True)
class Belief:
    """How likely the capacity is at each of some rates, which rise in equal logarithmic steps."""

    log_rates: NDArray[np.float64]
    weights: NDArray[np.float64]

    def share_above(self, rate_per_s: float) -> float:
        """The probability that the capacity is at least `rate_per_s`."""
        return float(self.weights[self.log_rates >= math.log(rate_per_s) - 1e-12].sum())

    def quantile(self, share: float) -> float:
        """The rate below which the capacity lies with a probability of `share`."""
        place = int(np.searchsorted(np.cumsum(self.weights), share))
        return math.exp(float(self.log_rates[min(place, len(self.log_rates) - 1)]))


def belief(decided: Iterable[tuple[float, bool]], precision: float) -> Belief:
    """After probes, each a rate per second and whether the rules held. Raises ValueError for none."""
    probes = list(decided)
    logs = np.log([rate for rate, _ in probes])
    step = math.log1p(precision) / STEPS_PER_PRECISION
    grid = np.arange(logs.min() - math.log(REACH), logs.max() + math.log(REACH) + step, step)
    likely = np.zeros(len(grid))
    for rate, held in probes:
        holds = LAPSE + (1 - 2 * LAPSE) * _normal((grid - math.log(rate)) / (BLUR * math.log1p(precision)))
        likely += np.log(holds if held else 1 - holds)
    weights = np.exp(likely - likely.max())
    return Belief(grid, weights / weights.sum())


def _normal(z: NDArray[np.float64]) -> NDArray[np.float64]:
    """The normal distribution, to 1 %, by the logistic one."""
    found: NDArray[np.float64] = 1 / (1 + np.exp(-np.clip(LIKE_NORMAL * z, -60, 60)))
    return found
