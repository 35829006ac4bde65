"""What is known of an application's connection pool: in use, created, lost, opened again."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

from bench.engine.client.pool_use import PoolUse
from bench.engine.client.request import RunClock

KEPT_NOTES = 100_000


class PoolMonitor:
    """Told by a client library's pool what it does; connections have numbers from 0.

    Written in the loop's thread; other threads may read the counts and pop the notes.
    """

    def __init__(
        self, workload: str, size: int, measured: Sequence[tuple[int, int]], clock: RunClock
    ) -> None:
        self.size = size
        self.use = PoolUse(size, measured)
        self.created = 0
        """Connections made known to the pool."""
        self.opened = 0
        """Times that a connection was opened and greeted."""
        self.lost = 0
        self.reconnected = 0
        self.broken_replies = 0
        """Times that bytes were no reply of the protocol."""
        self.stray_replies = 0
        """Replies that nothing had asked for."""
        self.notes: deque[dict[str, Any]] = deque(maxlen=KEPT_NOTES)
        self._workload = workload
        self._clock = clock
        self._greeted: set[int] = set()
        self._away: dict[int, tuple[int, int]] = {}
        """Number of a lost connection -> when it was found lost, attempts to open it since."""

    @property
    def connected(self) -> int:
        """Connections that are open as far as the application knows."""
        return len(self._greeted) - len(self._away)

    def on_created(self) -> int:
        """A connection became part of the pool; returns its number."""
        self.created += 1
        return self.created - 1

    def on_acquired(self) -> None:
        """One more is in use."""
        self.use.change(self._clock.now_ns(), 1)

    def on_returned(self) -> None:
        """One fewer is in use."""
        self.use.change(self._clock.now_ns(), -1)

    def on_lost(self, number: int) -> None:
        """The connection was found broken, or could not be opened."""
        found, attempts = self._away.get(number, (0, 0))
        if number not in self._greeted:
            return
        if attempts == 0:
            self.lost += 1
            found = self._clock.now_ns()
        self._away[number] = (found, attempts + 1)

    def on_parted(self, number: int) -> None:
        """The connection was closed in peace: the next of that number is no reconnection."""
        self._greeted.discard(number)
        self._away.pop(number, None)

    def on_opened(self, number: int) -> None:
        """The connection is open and the server has answered on it."""
        self.opened += 1
        if number not in self._greeted:
            self._greeted.add(number)
            return
        if number not in self._away:  # it had broken while nobody used it
            self.on_lost(number)
        found, attempts = self._away.pop(number)
        now = self._clock.now_ns()
        self.reconnected += 1
        self.notes.append(
            {
                "at_ns": now + self._clock.start_ns,
                "kind": "reconnected",
                "workload": self._workload,
                "thread": 0,
                "lane": number,
                "away_ns": now - found,
                "attempts": attempts,
            }
        )

    def leaked(self) -> int:
        """Connections still in use, plus those beyond the pool's size; asked when all arrivals have ended."""
        return self.use.in_use + max(self.created - self.size, 0)
