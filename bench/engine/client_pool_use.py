"""How much of a connection pool was in use: every change counts, not samples, over the measured time."""

from __future__ import annotations

from collections.abc import Sequence


class PoolUse:
    """Follows the number of connections in use; times in ns from run zero, never backwards."""

    def __init__(self, size: int, measured: Sequence[tuple[int, int]]) -> None:
        self._size = size
        self._measured = list(measured)
        """Start and end of each measured phase, in order."""
        self._current = 0
        self._since_ns = 0
        self._area = 0
        self._highest = 0
        self.in_use = 0

    def change(self, now_ns: int, by: int) -> None:
        """`by` connections more (or, negative, fewer) are in use from now on."""
        self.account(now_ns)
        self.in_use += by
        if self._current < len(self._measured) and now_ns >= self._measured[self._current][0]:
            self._highest = max(self._highest, self.in_use)

    def account(self, now_ns: int) -> None:
        """Count the time since the last change up to now."""
        while self._current < len(self._measured) and now_ns > self._since_ns:
            start, end = self._measured[self._current]
            overlap = min(now_ns, end) - max(self._since_ns, start)
            if overlap > 0:
                self._area += self.in_use * overlap
                self._highest = max(self._highest, self.in_use)
            if now_ns < end:
                break
            self._current += 1
            self._since_ns = max(self._since_ns, end)
        self._since_ns = max(self._since_ns, now_ns)

    def figures(self) -> dict[str, float]:
        """size, and the highest and mean share of it in use; 0 where no measured time has passed."""
        passed = sum(max(min(self._since_ns, end) - start, 0) for start, end in self._measured)
        mean = self._area / passed / self._size if passed else 0.0
        return {
            "size": self._size,
            "utilization_max": self._highest / self._size,
            "utilization_mean": mean,
        }
