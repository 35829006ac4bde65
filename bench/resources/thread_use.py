"""How much of its time a thread had something to do: on a processor, or waiting for one.

On a crowded machine the wait is the larger part, and a thread that waits for a processor is as late as one
that computes.
"""

from __future__ import annotations

import time

from bench.resources.run_delay import RunDelay


class ThreadUse:
    """Of the thread that makes it; only that one may ask."""

    def __init__(self) -> None:
        self._delay = RunDelay()
        self._delay_zero_ns = self._delay.ns()
        self._zero_ns = self._now_ns()

    def busy_ns(self) -> int:
        """Since it was made."""
        return self._now_ns() - self._zero_ns

    def close(self) -> None:
        """Release the file; what is asked from then on is the processor's time alone."""
        self._delay.close()

    def run_delay_ns(self) -> int:
        """How long it has waited for a processor since it was made; 0 where the kernel does not tell."""
        return self._delay.ns() - self._delay_zero_ns

    def _now_ns(self) -> int:
        return time.thread_time_ns() + self._delay.ns()
