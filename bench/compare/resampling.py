"""How far a figure of one run could lie elsewhere: the moving-block bootstrap over the run's windows.

Neighbouring windows are alike (a stall, a rewrite, a busy neighbour last longer than a window), so whole
blocks of neighbours are drawn, not single windows. Blocks are taken around the end of a phase (circular),
so every window is as likely as any other, and never across phases, whose loads differ. In every replicate
the drawn windows' histograms are added up and the percentile of the sum is taken: percentiles are never
averaged.

Künsch 1989 (the moving-block bootstrap), Politis and Romano 1992 (circular blocks). A block is twice the
cube root of the number of windows: the growth that is right for a standard error, with more than the least
factor, because windows here are much alike. The standard error is widened by sqrt(n / (n - block)): few
blocks make a bootstrap promise too much.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

REPLICATES = 400
SEED = 71
BLOCK_FACTOR = 2.0
LEAST_WINDOWS = 12
"""Below this there are not enough blocks to draw from."""
LEAST_KNOWN = 0.95
"""Share of the replicates that must have samples."""


def block_length(windows: int) -> int:
    """Windows in a block: 8 of 60."""
    return max(1, min(windows // 2, round(BLOCK_FACTOR * math.cbrt(windows))))


def drawn_windows(phase_of: NDArray[np.int64], seed: int = SEED) -> NDArray[np.float64]:
    """How often each window was drawn in each replicate; shape (REPLICATES, windows).

    `phase_of` has the number of each window's phase, windows in the order of time. Every replicate has as
    many windows of each phase as there are.
    """
    random = np.random.default_rng(seed)
    drawn = np.zeros((REPLICATES, len(phase_of)))
    rows = np.arange(REPLICATES)[:, None]
    for phase in np.unique(phase_of):
        windows = np.flatnonzero(phase_of == phase)
        count = len(windows)
        length = block_length(count)
        blocks = -(-count // length)
        starts = random.integers(0, count, size=(REPLICATES, blocks))
        places = (starts[:, :, None] + np.arange(length)).reshape(REPLICATES, -1)[:, :count] % count
        np.add.at(drawn, (rows, windows[places]), 1)
    return drawn


def percentile_spreads(
    counts: NDArray[np.int64],
    values_ns: NDArray[np.float64],
    drawn: NDArray[np.float64],
    percents: Sequence[float],
) -> list[float | None]:
    """The standard error of the logarithm of each percentile; None where it cannot be told.

    `counts` has shape (windows, buckets), `values_ns` the value of each bucket in rising order, above 0.
    """
    if len(counts) < LEAST_WINDOWS:
        return [None for _ in percents]
    sums = drawn @ np.cumsum(counts, axis=1, dtype=np.float64)
    totals = sums[:, -1]
    known = totals > 0
    if known.mean() < LEAST_KNOWN:
        return [None for _ in percents]
    logs = np.log(values_ns)
    spreads: list[float | None] = []
    for percent in percents:
        ranks = np.maximum(1, np.ceil(totals[known] * percent / 100 - 1e-9))
        buckets = (sums[known] < ranks[:, None] - 0.5).sum(axis=1)
        spreads.append(float(logs[buckets].std(ddof=1)) * widening(len(counts)))
    return spreads


def sum_spread(counts: NDArray[np.int64], drawn: NDArray[np.float64], extra: float = 0.5) -> float | None:
    """The standard error of log(sum + extra) of a number per window; None where it cannot be told."""
    if len(counts) < LEAST_WINDOWS:
        return None
    return float(np.log(drawn @ counts.astype(np.float64) + extra).std(ddof=1)) * widening(len(counts))


def widening(windows: int) -> float:
    """What the standard error of so many windows is multiplied by."""
    return math.sqrt(windows / (windows - block_length(windows)))
