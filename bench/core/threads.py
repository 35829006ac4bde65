"""Work in another thread, whose failure is kept and raised where the work was asked for; and how soon a
thread that waits for little work gets a processor.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

Value = TypeVar("Value")

_libc = ctypes.CDLL(None, use_errno=True)
_SCHED_SETATTR = {"x86_64": 314, "aarch64": 274}
"""Numbers of the system call, which libc has no function for."""
_SCHED_ATTR = struct.Struct("=IIQiIQQQ")
"""struct sched_attr: size, policy (0: normal), flags, nice, priority, runtime, deadline, period."""


class StillRunning(Exception):  # noqa: N818 - states a fact about the work
    """The work was not over in time."""


class Work(threading.Thread, Generic[Value]):
    """A daemon thread with what its function returned, or raised."""

    def __init__(self, name: str, function: Callable[[], Value]) -> None:
        super().__init__(name=name, daemon=True)
        self._function = function
        self._results: list[Value] = []
        self.failure: BaseException | None = None
        """What the function raised."""

    def run(self) -> None:
        """Call the function."""
        try:
            self._results.append(self._function())
        except BaseException as failure:  # noqa: BLE001 - kept for the thread that asks
            self.failure = failure

    def result(self, seconds: float | None = None) -> Value:
        """What the function returned, when it is over. Raises StillRunning, and what the function raised."""
        self.join(seconds)
        if self.failure is not None:
            raise self.failure
        if not self._results:
            raise StillRunning
        return self._results[0]


def within(seconds: float, name: str, function: Callable[[], Value]) -> Value:
    """What the function returns, from a thread that is left behind when it takes longer.

    Raises StillRunning then, and what the function raises.
    """
    work = Work(name, function)
    work.start()
    return work.result(seconds)


def ask_for_turns_of(length_ns: int) -> bool:
    """Ask the kernel to give the calling thread short turns, and those soon; whether it took the request.

    Linux's scheduler (EEVDF, since 6.12) lets a thread with shorter turns run before one that is in the
    middle of a long one, and takes the time from its own share: other threads get as much as before. Nobody
    needs a right for it. Kernels before that, and other systems, leave everything as it is.
    """
    number = _SCHED_SETATTR.get(platform.machine())
    if number is None or os.sched_getscheduler(0) != os.SCHED_OTHER:
        return False  # somebody chose another policy for us
    nice = os.getpriority(os.PRIO_PROCESS, 0)
    attributes = _SCHED_ATTR.pack(_SCHED_ATTR.size, 0, 0, nice, 0, length_ns, 0, 0)
    return bool(_libc.syscall(number, 0, ctypes.create_string_buffer(attributes, len(attributes)), 0) == 0)
