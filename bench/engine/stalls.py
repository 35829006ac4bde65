"""When the generator itself stood still: preempted, stopped, starved of its processor.

The loop knows when it should look again at the latest. If it looks later, the time between is a stall, and
what was late because of it is the generator's doing, not the target's: arrivals that were due meanwhile,
those that queued up behind them until the plan was caught up, and answers that lay unread. That part
goes into the histogram `late`, so that a rule which breaks by it makes the run INVALID and not FAIL.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.engine.layout import LONGEST_STALL_NS, STALL_DEBT, STALL_FROM, STALL_TO
from bench.jit import compiled

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LEAST_STALL_NS = 500_000
"""Shorter gaps are the price of work: reading a large reply, filling many lanes."""


@compiled
def note_gap(state: NDArray[np.int64], gauges: NDArray[np.int64], expected: int, now: int) -> None:
    """The loop looked again at `now` and should have at `expected` at the latest."""
    gap = now - expected
    if gap < LEAST_STALL_NS or expected < 0:
        return
    state[STALL_FROM] = expected
    state[STALL_TO] = now
    state[STALL_DEBT] += gap
    gauges[LONGEST_STALL_NS] = max(gauges[LONGEST_STALL_NS], gap)


@compiled
def behind_by_stall(state: NDArray[np.int64], planned: int, now: int) -> int:
    """How much of an arrival's delay until `now` stalls can explain; 0 once the plan was caught up."""
    return max(0, min(now - planned, state[STALL_DEBT]))


@compiled
def unread_by_stall(state: NDArray[np.int64], sent: int, done: int) -> int:
    """How much of the time between a send and the reading of its answer the last stall covers."""
    return max(0, min(done, state[STALL_TO]) - max(sent, state[STALL_FROM]))
