"""Pressure stall information (Linux 4.20, PSI): how long work stood still for want of CPU, memory or disk.

`some`: at least one task waited; `full`: all that had something to do did. Of CPU the system knows no `full`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bench.resources.process_stat import PROC

_US_PER_S = 1_000_000


@dataclass(frozen=True)
class Pressure:
    """Seconds since the boot; None where the kernel was built without, or keeps it from us."""

    cpu_s: float | None
    """Some task waited for a processor."""
    memory_s: float | None
    """All tasks waited for memory."""
    io_s: float | None
    """All tasks waited for a disk."""


def read_pressure(proc: Path = PROC) -> Pressure:
    """The machine's, now."""
    folder = proc / "pressure"
    return Pressure(
        _total_s(folder / "cpu", "some"), _total_s(folder / "memory", "full"), _total_s(folder / "io", "full")
    )


def _total_s(path: Path, kind: str) -> float | None:
    found = _fields(path, kind).get("total")
    return None if found is None else int(found) / _US_PER_S


def _fields(path: Path, kind: str) -> dict[str, str]:
    """Of a line such as "some avg10=0.00 avg60=0.00 avg300=0.00 total=123"."""
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except (OSError, ValueError):
        return {}
    for line in lines:
        words = line.split()
        if words[:1] == [kind]:
            return dict(word.split("=", 1) for word in words[1:] if "=" in word)
    return {}
