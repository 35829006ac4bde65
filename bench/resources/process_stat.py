"""One process as /proc tells it: CPU, memory, threads, files, bytes read and written (Linux, proc(5))."""

from __future__ import annotations

import os
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
