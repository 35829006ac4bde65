"""Processes beside this one that are part of the generator: what they use counts as the generator's."""

from __future__ import annotations

import threading

from bench.resources.process_stat import stat_of

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
    """It no longer counts; harmless for one that never did."""
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
