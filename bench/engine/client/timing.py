"""Time in an event loop of Python: a precise timer, how late the loop was, and short pauses.

asyncio's and libuv's own timers have steps of a millisecond; a timerfd is a descriptor that becomes
readable at an absolute time of CLOCK_MONOTONIC. Python has it since 3.13 only, hence ctypes.

All requests of such a loop share one thread. While it computes, or waits for a processor, answers lie
unread in the kernel and count as response time. The clock that should strike every few milliseconds
strikes late just as long, and the kernel reports how long the thread waited in its run queue between
two strokes. A stretch of lateness holds up what is read right after it. An answer that comes later was
read at once, however late the loop had been before; only an operation of several round trips may have
lost time to each stretch within it.

Two pauses of the interpreter would show as lateness. A full garbage collection walks over every object
of the imported libraries, tens of milliseconds; `gc.freeze` takes those out of it. And a thread that
computes keeps the interpreter for 5 ms at a time; the switch interval shortens that.
"""

import asyncio
import contextlib
import ctypes
import gc
import os
import sys
import threading
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from bench.core.clock import NS_PER_S
from bench.core.jit import compiled

CLOCK_MONOTONIC = 1
ABSOLUTE = 1

_libc = ctypes.CDLL(None, use_errno=True)
_Itimerspec = ctypes.c_long * 4
"""struct itimerspec: interval and first expiry, each as seconds and nanoseconds."""


class PreciseTimer:
    """Calls back, in the loop, at the time it was last set to."""

    def __init__(self, loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> None:
        self._loop = loop
        self._callback = callback
        self._fd = int(_libc.timerfd_create(CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC))
        if self._fd < 0:
            number = ctypes.get_errno()
            raise OSError(number, f"timerfd_create: {os.strerror(number)}")
        loop.add_reader(self._fd, self._expired)

    def set(self, at_ns: int) -> None:
        """Ring at `at_ns` of CLOCK_MONOTONIC; at once when that is past. Replaces what was set before."""
        # All zero would switch the timer off.
        seconds, nanoseconds = divmod(max(at_ns, 1), NS_PER_S)
        wanted = _Itimerspec(0, 0, seconds, nanoseconds)
        if _libc.timerfd_settime(self._fd, ABSOLUTE, ctypes.byref(wanted), None) != 0:
            number = ctypes.get_errno()
            raise OSError(number, f"timerfd_settime: {os.strerror(number)}")

    def _expired(self) -> None:
        with contextlib.suppress(BlockingIOError):  # it was set anew in the meantime
            os.read(self._fd, 8)
            self._callback()

    def close(self) -> None:
        """Release the descriptor; harmless when repeated."""
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1


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


SWITCH_S = 0.0002

_guard = threading.Lock()
_engines = 0
_usual_s = sys.getswitchinterval()


def calm() -> None:
    """Begin; once per engine, each ended by `uncalm`."""
    global _engines, _usual_s
    with _guard:
        _engines += 1
        if _engines == 1:
            _usual_s = sys.getswitchinterval()
            sys.setswitchinterval(min(SWITCH_S, _usual_s))
        gc.collect()
        gc.freeze()


def uncalm() -> None:
    """End; when the last engine has, everything is as it was."""
    global _engines
    with _guard:
        _engines -= 1
        if _engines == 0:
            sys.setswitchinterval(_usual_s)
            gc.unfreeze()
