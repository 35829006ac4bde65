"""How long a thread was ready to run and did not: the second number of its schedstat in /proc (proc(5)).

On a crowded machine that is the larger part of what a generator loses, and none of it is idle time. Linux
tells ns on the processor, ns in the run queue, and turns; a kernel without it tells nothing.
"""

from __future__ import annotations

import contextlib
import os


class RunDelay:
    """Of the thread that makes it; any thread of the process may ask."""

    def __init__(self) -> None:
        self.fd = -1
        """The open file, -1 where the kernel has none."""
        with contextlib.suppress(OSError):
            self.fd = os.open("/proc/thread-self/schedstat", os.O_RDONLY | os.O_CLOEXEC)
        self._last_ns = 0

    def ns(self) -> int:
        """Since the thread began; of one that has ended, as it was last asked."""
        with contextlib.suppress(OSError, IndexError, ValueError):
            if self.fd >= 0:
                self._last_ns = max(int(os.pread(self.fd, 100, 0).split()[1]), self._last_ns)
        return self._last_ns

    def close(self) -> None:
        """Release the file; harmless when repeated. What was last known stays."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
