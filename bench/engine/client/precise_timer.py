"""An alarm clock for an event loop, on time to the microsecond.

asyncio's and libuv's own timers have steps of a millisecond; a timerfd is a descriptor that becomes
readable at an absolute time of CLOCK_MONOTONIC. Python has it since 3.13 only, hence ctypes.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from bench.core.clock import NS_PER_S

if TYPE_CHECKING:
    import asyncio

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
