"""How long threads waited for a processor while they had something to do (Linux, proc(5) schedstat).

It is the one witness of starvation that a thread cannot fake: a server that is slow because it computes runs,
one that is slow because others compute waits.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from bench.core.clock import NS_PER_S
from bench.resources.process_stat import PROC

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
        """Add up now; None where the kernel does not tell. What a thread used before it was first seen,
        and after it was last seen, counts for nobody.
        """
        seen: dict[tuple[int, int], tuple[int, int]] = {}
        worst_ns = 0
        for pid in pids:
            for thread in self._threads(pid):
                told = self._told(pid, thread)
                if told is None:
                    continue
                seen[pid, thread] = told
                ran_ns, waited_ns = self._known.get((pid, thread), told)
                self._ran_ns += max(told[0] - ran_ns, 0)
                self._waited_ns += max(told[1] - waited_ns, 0)
                worst_ns = max(worst_ns, told[1] - waited_ns)
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

    def _told(self, pid: int, thread: int) -> tuple[int, int] | None:
        try:
            words = (self._proc / str(pid) / "task" / str(thread) / "schedstat").read_bytes().split()
            return int(words[0]), int(words[1])
        except (OSError, ValueError, IndexError):
            return None
