"""How often the comparison in pairs and the search for steps are wrong, and how often they find a change.

python -m tests.statistics.error_rates          prints the tables of docs/comparing.md; takes some minutes
"""

from __future__ import annotations

import math
import sys

import numpy as np

from bench.statistics.change_points import steps
from bench.statistics.pairs import LEVEL, Floats, hodges_lehmann, sign_flips

LEAST = math.log1p(0.05)
FIGURES = 8
OF_PAIRS = ("independent", "heavy tails", "drift")
OF_NIGHTS = ("independent", "alike", "outliers", "drift")


def pairs(random: np.random.Generator, noise: str, spread: float, step: float) -> Floats:
    """Log ratios of ten pairs and eight figures; only the first one differs. What a run suffers is shared."""
    if noise == "heavy tails":
        shared, single = (random.standard_t(3, size=(10, 2, wide)) / math.sqrt(3) for wide in (1, FIGURES))
    else:
        shared, single = (random.normal(size=(10, 2, wide)) for wide in (1, FIGURES))
    places = 0.6 * shared + 0.8 * single
    if noise == "drift":
        # A random walk from run to run; which variant of a pair comes first is drawn.
        level = np.cumsum(random.normal(0, 0.7, size=20)).reshape(10, 2)
        places += np.where(random.random((10, 1)) < 0.5, level, level[:, ::-1])[:, :, None]
    ratios: Floats = (places[:, 1] - places[:, 0]) * spread
    ratios[:, 0] += math.log1p(step)
    return ratios


def found(log_ratios: Floats) -> bool:
    """Whether the first figure is called different, by more than 5 %."""
    return bool(sign_flips(log_ratios).p[0] <= LEVEL and abs(hodges_lehmann(log_ratios[:, 0])) > LEAST)


def nights(random: np.random.Generator, noise: str, count: int, spread: float = 0.05) -> Floats:
    """Places of a figure without a step."""
    white: Floats = random.normal(size=count)
    if noise == "outliers":
        white += random.choice([0.0, 6.0, 10.0], p=[0.95, 0.025, 0.025], size=count)
    if noise == "drift":
        white += np.cumsum(random.normal(0, 0.2, size=count))
    if noise == "alike":
        for place in range(1, count):
            white[place] = 0.5 * white[place - 1] + math.sqrt(0.75) * white[place]
    return spread * white


def _of_pairs(trials: int) -> None:
    random = np.random.default_rng(11)
    for spread in (0.05, 0.1):
        for noise in OF_PAIRS:
            rates = [
                float(np.mean([found(pairs(random, noise, spread, step)) for _ in range(trials)]))
                for step in (0.0, 0.1, 0.2)
            ]
            sys.stdout.write(f"pairs {spread} {noise}: {rates}\n")
            sys.stdout.flush()


def _of_nights(trials: int) -> None:
    random = np.random.default_rng(12)
    for noise in OF_NIGHTS:
        false = float(np.mean([bool(steps(nights(random, noise, 90), LEAST)) for _ in range(trials)]))
        power = []
        for step, after in ((0.2, 3), (0.2, 5), (0.1, 10)):
            count = 0
            for _ in range(trials // 4):
                series = nights(random, noise, 60 + after)
                series[60:] += math.log1p(step)
                count += any(abs(one.at - 60) <= 2 for one in steps(series, LEAST))
            power.append(count / (trials // 4))
        sys.stdout.write(f"nights {noise}: {false} {power}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    _of_pairs(1000)
    _of_nights(400)
