"""What the generator itself uses: this process, and the other processes that are part of it."""

import os
import threading
import time
from dataclasses import dataclass

from bench.resources.processes import stat_of

_guard = threading.Lock()
_pids: set[int] = set()
_cpu_s: dict[int, float] = {}
"""What each of them had used when it was last looked at."""
_gone_cpu_s = 0.0
"""What those that have left had used: it stays used."""


def join(pid: int) -> None:
    """From now on the process counts."""
    with _guard:
        _pids.add(pid)


def leave(pid: int) -> None:
    """It no longer counts. Idempotent."""
    global _gone_cpu_s
    with _guard:
        _look()
        _pids.discard(pid)
        _gone_cpu_s += _cpu_s.pop(pid, 0.0)


def cpu_s() -> float:
    """CPU seconds of all of them so far, those that have left included: it only grows."""
    with _guard:
        _look()
        return _gone_cpu_s + sum(_cpu_s.values())


def _look() -> None:
    for pid in _pids:
        if (stat := stat_of(pid)) is not None:
            _cpu_s[pid] = max(stat.cpu_s, _cpu_s.get(pid, 0.0))


def others() -> list[int]:
    """The pids of all that count now, this process left out."""
    with _guard:
        return sorted(_pids)


@dataclass(frozen=True)
class GeneratorCost:
    """What the generator used in a window, under the names of the columns of series.csv."""

    generator_cpu_ratio: float | None
    """Cores."""
    generator_rss_bytes: float | None


class GeneratorUse:
    """CPU and memory of the generator from window to window."""

    def __init__(self) -> None:
        self._before = self._look()

    def window(self) -> GeneratorCost:
        """CPU since the last call, resident memory now."""
        wall_s, cpu_s = self._look()
        before_wall_s, before_cpu_s = self._before
        self._before = (wall_s, cpu_s)
        elapsed_s = wall_s - before_wall_s
        stats = [stat for pid in (os.getpid(), *others()) if (stat := stat_of(pid)) is not None]
        used_s = cpu_s - before_cpu_s
        return GeneratorCost(
            round(used_s / elapsed_s, 3) if elapsed_s > 0 else None,
            sum(stat.rss_bytes for stat in stats) if stats else None,
        )

    def _look(self) -> tuple[float, float]:
        return time.monotonic(), time.process_time() + cpu_s()
