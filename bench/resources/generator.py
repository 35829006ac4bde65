"""What the generator itself uses: its processes, and how long their threads waited for a processor.

It is the one witness of starvation that a thread cannot fake: a server that is slow because it
computes runs, one that is slow because others compute waits. On a crowded machine that wait is the
larger part of what a generator loses, and none of it is idle time. Linux reports ns on the processor,
ns in the run queue, and turns; a kernel without it reports nothing.
"""

import contextlib
import os
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from bench.core.clock import NS_PER_S
from bench.resources.processes import PROC, stat_of

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
        """Release the file; idempotent. What was last known stays."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


MOST_THREADS = 400
"""Of one process: beyond, its first threads speak for all."""


@dataclass(frozen=True)
class RunQueueUse:
    """Of all threads together, since they were first read; only grows."""

    ran_s: float
    waited_s: float
    worst_s: float
    """What the one thread that waited longest since the last reading waited since then."""


class RunQueue:
    """Reads the same processes again and again; their threads come and go."""

    def __init__(self, proc: Path = PROC) -> None:
        self._proc = proc
        self._known: dict[tuple[int, int], tuple[int, int]] = {}
        self._ran_ns = 0
        self._waited_ns = 0

    def read(self, pids: Iterable[int]) -> RunQueueUse | None:
        """Add up now; None where the kernel does not say. What a thread used before it was first seen,
        and after it was last seen, is not counted.
        """
        seen: dict[tuple[int, int], tuple[int, int]] = {}
        worst_ns = 0
        for pid in pids:
            for thread in self._threads(pid):
                times = self._times_ns(pid, thread)
                if times is None:
                    continue
                seen[pid, thread] = times
                ran_ns, waited_ns = self._known.get((pid, thread), times)
                self._ran_ns += max(times[0] - ran_ns, 0)
                self._waited_ns += max(times[1] - waited_ns, 0)
                worst_ns = max(worst_ns, times[1] - waited_ns)
        self._known = seen
        if not seen:
            return None
        return RunQueueUse(self._ran_ns / NS_PER_S, self._waited_ns / NS_PER_S, worst_ns / NS_PER_S)

    def _threads(self, pid: int) -> list[int]:
        try:
            found = [int(task.name) for task in (self._proc / str(pid) / "task").iterdir()]
        except OSError:
            return []
        return found[:MOST_THREADS]

    def _times_ns(self, pid: int, thread: int) -> tuple[int, int] | None:
        try:
            words = (self._proc / str(pid) / "task" / str(thread) / "schedstat").read_bytes().split()
            return int(words[0]), int(words[1])
        except (OSError, ValueError, IndexError):
            return None


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
        """How long it has waited for a processor since it was made; 0 where the kernel does not say."""
        return self._delay.ns() - self._delay_zero_ns

    def _now_ns(self) -> int:
        return time.thread_time_ns() + self._delay.ns()
