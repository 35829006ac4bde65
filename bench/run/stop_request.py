"""A request to end, made by a signal or by another thread."""

import os
import select
import time
import weakref
from collections import deque


class StopRequest:
    """Asked for by a signal: once for an orderly end, twice for an immediate one.

    No lock is taken: a signal handler runs in the middle of whatever the main thread is at, and would wait
    for a lock that this thread itself holds. The kernel's counter wakes who waits, and a deque counts.
    """

    def __init__(self) -> None:
        self._asked: deque[None] = deque()
        self._wakeup = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        weakref.finalize(self, os.close, self._wakeup)
        self.interrupts_start = False
        """Whether a first signal ends what the main thread is at by KeyboardInterrupt."""

    @property
    def count(self) -> int:
        """How often it was asked for; an immediate end counts twice."""
        return len(self._asked)

    def ask(self) -> None:
        """Ask once more. Safe in a signal handler."""
        self._asked.append(None)
        os.eventfd_write(self._wakeup, 1)

    def ask_at_once(self) -> None:
        """Ask for an immediate end."""
        self._asked.extend((None, None))
        os.eventfd_write(self._wakeup, 1)

    @property
    def is_asked(self) -> bool:
        """Whether it was asked for at all."""
        return bool(self._asked)

    def wait(self, seconds: float) -> bool:
        """Wait for a request at most so long, in whole milliseconds; whether there is one."""
        if not self._asked:
            poll = select.poll()
            poll.register(self._wakeup, select.POLLIN)
            if milliseconds := int(max(seconds, 0.0) * 1000):
                poll.poll(milliseconds)
            else:
                time.sleep(max(seconds, 0.0))
        return self.is_asked
