"""How much of a connection pool was in use: every change counts, not samples, over the measured time."""

from __future__ import annotations

from collections.abc import Sequence

NO_MORE_NS = 1 << 62


class PoolUse:
    """Follows the number of connections in use; times in ns from run zero, never backwards."""

    def __init__(self, size: int, measured: Sequence[tuple[int, int]]) -> None:
        self._size = size
        self._measured = list(measured)
        """Start and end of each measured phase, in order."""
        self._phases = iter(self._measured)
        self._to_next_phase()
        self._since_ns = 0
        self._area = 0
        self._highest = 0
        self.in_use = 0

    def change(self, now_ns: int, by: int) -> None:
        """`by` connections more (or, negative, fewer) are in use from now on."""
        if self._start_ns <= self._since_ns <= now_ns < self._end_ns:
            # Twice for every arrival, so the case without a boundary in between is short.
            self._area += self.in_use * (now_ns - self._since_ns)
            self._since_ns = now_ns
        else:
            self.account(now_ns)
        self.in_use += by
        if self.in_use > self._highest and self._start_ns <= now_ns:
            self._highest = self.in_use

    def account(self, now_ns: int) -> None:
        """Count the time since the last change up to now."""
        while now_ns > self._since_ns:
            overlap = min(now_ns, self._end_ns) - max(self._since_ns, self._start_ns)
            if overlap > 0:
                self._area += self.in_use * overlap
                self._highest = max(self._highest, self.in_use)
            self._since_ns = min(now_ns, self._end_ns)
            if now_ns >= self._end_ns:
                self._to_next_phase()

    def _to_next_phase(self) -> None:
        self._start_ns, self._end_ns = next(self._phases, (NO_MORE_NS, NO_MORE_NS))

    def figures(self) -> dict[str, float]:
        """size, and the highest and mean share of it in use; 0 where no measured time has passed."""
        passed = sum(max(min(self._since_ns, end) - start, 0) for start, end in self._measured)
        mean = self._area / passed / self._size if passed else 0.0
        return {
            "size": self._size,
            "utilization_max": self._highest / self._size,
            "utilization_mean": mean,
        }
