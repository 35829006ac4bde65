"""When the generator itself stood still: preempted, stopped, starved of its processor.

The loop knows when it should look again at the latest. If it looks later, the time between is a stall. What
it cannot know by its clock is a wake-up that came late: an answer ended its sleep, and then its thread
waited in the run queue. The kernel counts that wait (schedstat), and after a long sleep the loop asks.

An answer that is read in the turn which ended a stall may have lain unread for as long as the stall; one
that comes later was not held up, however many stalls there were before it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.core.jit import compiled, int64
from bench.engine.wire.layout import LONGEST_STALL_NS, RUN_DELAY, SCHEDSTAT, STALL_FROM, STALL_TO
from bench.engine.wire.syscalls import read_at_start

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LEAST_STALL_NS = 500_000
"""Shorter gaps are the price of work: reading a large reply, filling many lanes."""
NOT_KNOWN = int64(-1)
_DIGIT_0, _DIGIT_9, _SPACE = 48, 57, 32


@compiled
def note_gap(state: NDArray[np.int64], gauges: NDArray[np.int64], expected: int, now: int) -> None:
    """The loop looked again at `now` and should have at `expected` at the latest."""
    gap = now - expected
    if gap < LEAST_STALL_NS or expected < 0:
        return
    if state[STALL_TO] == 0:
        state[STALL_FROM] = expected
    else:
        state[STALL_FROM] = min(state[STALL_FROM], expected)
    state[STALL_TO] = now
    gauges[LONGEST_STALL_NS] = max(gauges[LONGEST_STALL_NS], gap)


@compiled
def run_delay_ns(fd: int, text: NDArray[np.uint8]) -> int:
    """The second number of a thread's schedstat: ns that it was ready to run and did not; -1 if unknown."""
    size = read_at_start(fd, text)
    at = 0
    while at < size and text[at] != _SPACE:
        at += 1
    at += 1
    if at >= size:
        return NOT_KNOWN
    number = 0
    while at < size and _DIGIT_0 <= text[at] <= _DIGIT_9:
        number = number * 10 + (int(text[at]) - _DIGIT_0)
        at += 1
    return number


@compiled
def note_wait(
    settings: NDArray[np.int64],
    state: NDArray[np.int64],
    gauges: NDArray[np.int64],
    text: NDArray[np.uint8],
    now: int,
) -> int:
    """After a sleep that ended at `now`: for how much of it the thread waited for its processor."""
    waited = run_delay_ns(settings[SCHEDSTAT], text) if settings[SCHEDSTAT] >= 0 else NOT_KNOWN
    if waited < 0:
        return 0
    gained = waited - state[RUN_DELAY]
    state[RUN_DELAY] = waited
    note_gap(state, gauges, now - gained, now)
    return int(gained)


@compiled
def end_stall(state: NDArray[np.int64], looked: int) -> None:
    """All that the kernel had at `looked` has been read: a stall that was over by then delays no more."""
    if state[STALL_TO] <= looked:
        state[STALL_FROM] = 0
        state[STALL_TO] = 0


@compiled
def unread_by_stall(state: NDArray[np.int64], sent: int) -> int:
    """How long what is read now, the answer to a request sent at `sent`, may have lain unread."""
    return max(0, state[STALL_TO] - max(sent, state[STALL_FROM]))
