"""How late the process of the users itself was: from a clock that should strike every few milliseconds.

All users share one thread. While one of them computes, the answers of the others lie in the kernel, and
Locust counts that as response time. The clock strikes late just as long.
"""

from __future__ import annotations

from collections import deque

TICK_NS = 10_000_000
LEAST_NS = 2_000_000
"""The event loop's own timers are up to this much late without any load."""
KEPT = 20_000


class HubLag:
    """The stretches in which the clock struck late; times in ns on one clock, in order."""

    def __init__(self) -> None:
        self._late: deque[tuple[int, int]] = deque(maxlen=KEPT)

    def struck(self, due_ns: int, now_ns: int) -> None:
        """The clock was due at `due_ns` and struck at `now_ns`."""
        if now_ns - due_ns >= LEAST_NS:
            self._late.append((due_ns, now_ns))

    def worst_ns(self, start_ns: int, end_ns: int) -> int:
        """The longest part of one late stretch that lies between two times."""
        worst = 0
        for due_ns, now_ns in reversed(self._late):
            if now_ns <= start_ns:
                break
            worst = max(worst, min(now_ns, end_ns) - max(due_ns, start_ns))
        return worst
