"""When a request must be answered, and how much of that each component may use up.

    0                                  75 %           95 %   100 %
    ├── Redis: at most 20 % a call      │              │      │
    ├── Postgres until here ────────────┤              │      │
    ├── Redis again: a stale copy, or the cache after a write ┤
    └── whatever hangs: the answer is made here ──────────────┘

The shares make the order of falling back possible: a hung Redis leaves time for Postgres, and a hung Postgres
leaves time for a stale copy from Redis.
"""

from asyncio import get_running_loop

CACHE_SHARE = 0.20
DATABASE_END = 0.75
LAST_END = 0.95


class Deadline:
    """Points on the event loop's clock, in seconds. Made when the request has come in."""

    __slots__ = ("_begin_s", "_total_s", "now_s")

    def __init__(self, total_s: float) -> None:
        self.now_s = get_running_loop().time
        self._begin_s = self.now_s()
        self._total_s = total_s

    @property
    def end_s(self) -> float:
        """The request has been answered by now."""
        return self._begin_s + self._total_s

    def cache_end_s(self) -> float:
        """A call to Redis that begins now is given up then."""
        last_s = self._begin_s + LAST_END * self._total_s
        return min(self.now_s() + CACHE_SHARE * self._total_s, last_s)

    def database_end_s(self) -> float:
        """All that Postgres is asked for is given up then."""
        return self._begin_s + DATABASE_END * self._total_s
