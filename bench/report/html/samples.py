"""Samples of resources, thinned out for drawing so that no peak is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bench.core.clock import NS_PER_S

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.judge.resources.series import Series

Samples: TypeAlias = tuple[NDArray[np.int64], NDArray[np.float64]]
"""When, in ns from run zero and in the order of time, and what."""

MOST_POINTS = 240


def shared(lines: Sequence[Samples]) -> tuple[list[float], list[list[float | None]]]:
    """Times of all lines, and each line's values there, None where it has none.

    Of too many samples each step keeps the lowest and the highest, in their order: no peak is lost, and no
    time is off by more than a step.
    """
    times = np.unique(np.concatenate([at_ns for at_ns, _ in lines]))
    if len(times) <= MOST_POINTS:
        columns = [np.full(len(times), np.nan) for _ in lines]
        for column, (at_ns, values) in zip(columns, lines, strict=True):
            column[np.searchsorted(times, at_ns)] = values
        return (times / NS_PER_S).tolist(), [_with_none(column) for column in columns]
    steps = MOST_POINTS // 2
    edges = np.linspace(times[0], times[-1], steps + 1)
    found = []
    for at_ns, values in lines:
        place = np.clip(np.searchsorted(edges, at_ns, side="right") - 1, 0, steps - 1)
        column = np.full(2 * steps, np.nan)
        for step in np.unique(place):
            part = values[place == step]
            low, high = int(part.argmin()), int(part.argmax())
            column[2 * step : 2 * step + 2] = part[min(low, high)], part[max(low, high)]
        found.append(_with_none(column))
    middle = (edges[1:] + edges[:-1]) / 2
    return (np.column_stack([edges[:-1], middle]).ravel() / NS_PER_S).tolist(), found


def _with_none(column: NDArray[np.float64]) -> list[float | None]:
    return [None if np.isnan(value) else float(value) for value in column]


def cores_used(series: Series) -> Samples:
    """CPU seconds per second over steps that are long beside the kernel's ticks of 10 ms."""
    at_ns, used_s = series.known("cpu_s")
    times: list[int] = []
    cores: list[float] = []
    least_ns = max(NS_PER_S // 4, int(at_ns[-1] - at_ns[0]) // 120) if len(at_ns) else 0
    last = 0
    for place in range(1, len(at_ns)):
        passed_ns = int(at_ns[place] - at_ns[last])
        if passed_ns < least_ns and place < len(at_ns) - 1:
            continue
        used = float(used_s[place] - used_s[last])
        # A target that was started again counts from 0: that step is not known.
        if passed_ns >= least_ns // 2 and used >= 0:
            times.append(int(at_ns[last] + at_ns[place]) // 2)
            cores.append(used * NS_PER_S / passed_ns)
        last = place
    return np.array(times, dtype=np.int64), np.array(cores)
