"""What a run says about the memory of its targets: how many times more it is at the end than at the start.

The growth itself may be 0 or negative and has no ratio; a growth from 1 MB to 3 MB of 200 MB is no change.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from bench.compare.estimate import MEMORY_GROWTH, Estimate, Kind, Reading, Unknown
from bench.judge.observation import Unmeasurable
from bench.judge.resources.growth import by_memory, growth
from bench.judge.resources.series import refuse_restarts, series_of, targets_of, times_of

if TYPE_CHECKING:
    from bench.results.reader import Run

SPREAD = 0.005
RESOLUTION_BYTES = 4 * 2**20
"""Allocators take and give back memory in such pieces."""


def memory_figures(run: Run) -> dict[str, tuple[Kind, Reading]]:
    """By metric, as rules name it. Raises ResultError for a damaged run."""
    return {f"{target}.memory_growth": (MEMORY_GROWTH, _reading(run, target)) for target in targets_of(run)}


def _reading(run: Run, target: str) -> Reading:
    times = times_of(run)
    try:
        series = series_of(run, target)
        refuse_restarts(series, times)
        found, name = by_memory(series, lambda column: growth(series, times, column))
    except Unmeasurable as reason:
        return Unknown(reason.because)
    if found.first <= 0 or found.last <= 0:
        return Unknown(f"{target} has no memory by its samples")
    place = math.log(found.last / found.first)
    return Estimate(found.value, place, SPREAD, RESOLUTION_BYTES, found.samples, basis=name)
