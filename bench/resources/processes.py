"""Processes as /proc reports them (Linux, proc(5)): CPU, memory, threads, files, bytes read and written.

A target's process is read with all its descendants, added up: Postgres has one process per connection.
"""

import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_KILO = 1024
# Fields of /proc/PID/stat after the name in brackets, which may itself hold blanks and brackets.
_PARENT, _USER, _SYSTEM, _CHILDREN_USER, _CHILDREN_SYSTEM, _THREADS, _STARTED, _RSS_PAGES = (
    *(1, 11, 12, 13, 14),
    *(17, 19, 21),
)


@dataclass(frozen=True)
class ProcessStat:
    """One reading of /proc/PID/stat."""

    pid: int
    parent: int
    started: int
    """Start in clock ticks since the boot: with the pid it names a process for good."""
    cpu_s: float
    """Of the process and of those of its children that have ended and were waited for."""
    rss_bytes: int
    threads: int


def stat_of(pid: int, proc: Path = PROC) -> ProcessStat | None:
    """The process, or None when it is gone."""
    try:
        text = (proc / str(pid) / "stat").read_bytes()
    except OSError:
        return None
    words = text.rpartition(b")")[2].split()
    if len(words) <= _RSS_PAGES:
        return None
    ticks = sum(int(words[n]) for n in (_USER, _SYSTEM, _CHILDREN_USER, _CHILDREN_SYSTEM))
    return ProcessStat(
        pid,
        int(words[_PARENT]),
        int(words[_STARTED]),
        ticks / _TICKS_PER_S,
        int(words[_RSS_PAGES]) * _PAGE_BYTES,
        int(words[_THREADS]),
    )


def open_files(pid: int, proc: Path = PROC) -> int | None:
    """Open file descriptors; None when the process is gone or another user's."""
    try:
        return sum(1 for _ in os.scandir(proc / str(pid) / "fd"))
    except OSError:
        return None


def transferred(pid: int, proc: Path = PROC) -> tuple[int, int] | None:
    """Bytes read from and written to disks; None when the process is gone or another user's."""
    found = _numbers(proc / str(pid) / "io")
    if "read_bytes" not in found or "write_bytes" not in found:
        return None
    return found["read_bytes"], found["write_bytes"]


def pss_bytes(pid: int, proc: Path = PROC) -> int | None:
    """Memory with what is shared counted in shares; None when the process is gone or another user's.

    The kernel walks the page tables for it: a millisecond for every 100 MB or so.
    """
    found = _numbers(proc / str(pid) / "smaps_rollup")
    return found["Pss"] * _KILO if "Pss" in found else None


def _numbers(path: Path) -> dict[str, int]:
    """Lines such as "Pss: 123 kB" as numbers."""
    try:
        text = path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return {}
    found = {}
    for line in text.split("\n"):
        name, _, rest = line.partition(":")
        words = rest.split()
        if words and words[0].isdigit():
            found[name] = int(words[0])
    return found


SEARCH_S = 2.0
"""How long a list of descendants holds where the kernel keeps none, so that all of /proc must be read."""


@dataclass(frozen=True)
class ProcessUse:
    """What a process and its descendants use. None where it was not asked for or is unknown."""

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
        """PSS of all of them in bytes; None where one is unknown."""
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
