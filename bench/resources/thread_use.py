"""How much of its time a thread had something to do: on a processor, or waiting for one.

On a crowded machine the wait is the larger part, and a thread that waits for a processor is as late as one
that computes. Linux tells both, in proc(5) schedstat: ns on the processor, ns in its run queue, turns.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time


class ThreadUse:
    """Of the thread that makes it; only that one may ask."""

    def __init__(self) -> None:
        self._fd: int | None = None
        path = f"/proc/self/task/{threading.get_native_id()}/schedstat"
        with contextlib.suppress(OSError):  # a kernel without it: the processor's time alone
            self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._zero_ns = self._now_ns()

    def busy_ns(self) -> int:
        """Since it was made."""
        return self._now_ns() - self._zero_ns

    def close(self) -> None:
        """Give the descriptor back; what is asked from then on is the processor's time alone."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _now_ns(self) -> int:
        used_ns = time.thread_time_ns()
        if self._fd is None:
            return used_ns
        words = os.pread(self._fd, 100, 0).split()
        return used_ns + (int(words[1]) if len(words) > 1 else 0)
