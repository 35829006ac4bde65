"""A target's process with all its descendants, added up: Postgres has one process per connection."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from bench.resources.process_stat import PROC, ProcessStat, open_files, pss_bytes, stat_of, transferred

SEARCH_S = 2.0
"""How long a list of descendants holds where the kernel keeps none, so that all of /proc must be read."""


@dataclass(frozen=True)
class ProcessUse:
    """What a process and its descendants use. None where it was not asked for or is not told."""

    pid: int
    processes: int
    cpu_s: float
    rss_bytes: int
    """Shared pages count once for each process that has them."""
    fds: int | None
    threads: int
    read_bytes: int | None
    write_bytes: int | None


class ProcessTree:
    """Reads the same process again and again; its descendants come and go."""

    def __init__(
        self,
        pid: int,
        *,
        with_descendants: bool = True,
        others: Callable[[], list[int]] = list,
        proc: Path = PROC,
    ) -> None:
        """`others`: processes that are added up with it, asked for at each reading."""
        self.pid = pid
        self._proc = proc
        self._others = others
        self._with_descendants = with_descendants
        self._known: list[int] = [pid]
        self._searched_s: float | None = None
        self._cpu_s = 0.0

    def read(self, *, with_files: bool = True) -> ProcessUse | None:
        """Add up now; None when the process is gone. Files and bytes, two thirds of the work, if wanted.

        CPU never falls: what a child has used is counted with its parent once the parent has waited
        for it, and in the moment in between with neither.
        """
        if self._with_descendants:
            self._search()
        else:
            self._known = [self.pid, *self._others()]
        # The children first: one that ends meanwhile is counted twice rather than not at all.
        stats = [stat for pid in reversed(self._known) if (stat := stat_of(pid, self._proc)) is not None]
        if not stats or stats[-1].pid != self.pid:
            return None
        alive = [stat.pid for stat in stats]
        fds = [open_files(pid, self._proc) for pid in alive] if with_files else []
        bytes_moved = [transferred(pid, self._proc) for pid in alive] if with_files else []
        moved = [pair for pair in bytes_moved if pair is not None]
        self._cpu_s = max(self._cpu_s, sum(stat.cpu_s for stat in stats))
        return ProcessUse(
            pid=self.pid,
            processes=len(stats),
            cpu_s=self._cpu_s,
            rss_bytes=sum(stat.rss_bytes for stat in stats),
            fds=_sum(fds),
            threads=sum(stat.threads for stat in stats),
            read_bytes=sum(pair[0] for pair in moved) if moved else None,
            write_bytes=sum(pair[1] for pair in moved) if moved else None,
        )

    @property
    def pids(self) -> list[int]:
        """The processes that were there at the last reading, or had just gone."""
        return list(self._known)

    def read_pss(self) -> int | None:
        """PSS of all of them in bytes; None where one does not tell."""
        sizes = {pid: pss_bytes(pid, self._proc) for pid in self._known}
        if any(size is None and stat_of(pid, self._proc) is not None for pid, size in sizes.items()):
            return None
        return sum(size for size in sizes.values() if size is not None) or None

    def _search(self) -> None:
        found = _told_children(self.pid, self._proc)
        if found is not None:
            self._known = found
            return
        now_s = time.monotonic()
        if self._searched_s is None or now_s - self._searched_s >= SEARCH_S:
            self._searched_s = now_s
            self._known = _descendants(self.pid, _all_processes(self._proc))


def _told_children(pid: int, proc: Path) -> list[int] | None:
    """The process and its descendants, parents first; None where the kernel was built without that list."""
    found, next_one = [pid], 0
    while next_one < len(found):
        tasks = proc / str(found[next_one]) / "task"
        next_one += 1
        try:
            for task in tasks.iterdir():
                found += [int(child) for child in (task / "children").read_text().split()]
        except FileNotFoundError:
            if next_one == 1:
                return None
        except OSError:
            continue
    return found


def _all_processes(proc: Path) -> Iterable[ProcessStat]:
    pids = [int(entry.name) for entry in proc.iterdir() if entry.name.isdigit()]
    return [stat for pid in pids if (stat := stat_of(pid, proc)) is not None]


def _descendants(pid: int, processes: Iterable[ProcessStat]) -> list[int]:
    """The process and its descendants, parents first."""
    children: dict[int, list[int]] = {}
    for process in processes:
        children.setdefault(process.parent, []).append(process.pid)
    found, next_one = [pid], 0
    while next_one < len(found):
        found += children.get(found[next_one], [])
        next_one += 1
    return found


def _sum(values: list[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None
