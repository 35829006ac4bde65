"""How late an event loop of Python was: from a clock that should strike every few milliseconds.

All requests of such a loop share one thread. While it computes, or waits for a processor, answers lie
unread in the kernel and count as response time. The clock strikes late just as long, and the kernel
tells how long the thread waited in its run queue between two strokes.

A stretch of lateness holds up what is read right after it. An answer that comes later was read at once,
however late the loop had been before; only an operation of several round trips may have lost time to
each stretch within it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bench.core.jit import compiled

if TYPE_CHECKING:
    from numpy.typing import NDArray

TICK_NS = 10_000_000
LEAST_NS = 2_000_000
"""The event loop's own timers are up to this much late without any load."""
AFTERWARDS_NS = 5_000_000
"""What lay unread is read within this time after a late stretch."""
KEPT = 1024
FROM, TO, LOST = range(3)
COLUMNS = 3


class LoopLag:
    """The stretches in which the clock struck late; times in ns on one clock, in order."""

    def __init__(self) -> None:
        self._rows = np.zeros((2 * KEPT, COLUMNS), dtype=np.int64)
        self._length = 0
        self._struck_ns: int | None = None

    def struck(self, due_ns: int, now_ns: int, waited_ns: int = 0) -> None:
        """The clock was due at `due_ns` and struck at `now_ns`; since the stroke before, the thread waited
        `waited_ns` for a processor.
        """
        since_ns = due_ns
        lost_ns = now_ns - due_ns
        if waited_ns > lost_ns and self._struck_ns is not None:
            since_ns, lost_ns = min(self._struck_ns, due_ns), waited_ns
        self._struck_ns = now_ns
        if lost_ns < LEAST_NS:
            return
        if self._length == len(self._rows):
            self._rows[:KEPT] = self._rows[KEPT:]
            self._length = KEPT
        self._rows[self._length] = (since_ns, now_ns, lost_ns)
        self._length += 1

    def stretches(self) -> NDArray[np.int64]:
        """stretches[n, column]: FROM, TO and LOST of the last ones, in the order of time."""
        return self._rows[: self._length]


@compiled
def unread_ns(stretches: NDArray[np.int64], sent: int, done: int, several: bool) -> int:
    """How long the answer that was read at `done` may have lain unread; `several`: of several round trips."""
    lost = 0
    for number in range(stretches.shape[0] - 1, -1, -1):
        stretch = stretches[number]
        if stretch[TO] <= sent:
            break
        if several or done <= stretch[TO] + AFTERWARDS_NS:
            lost += max(0, min(stretch[LOST], min(stretch[TO], done) - max(stretch[FROM], sent)))
    return min(lost, done - sent)
