"""Processes beside this one that are part of the generator: what they use counts as the generator's."""

from __future__ import annotations

import threading

_guard = threading.Lock()
_pids: set[int] = set()


def join(pid: int) -> None:
    """From now on the process counts."""
    with _guard:
        _pids.add(pid)


def leave(pid: int) -> None:
    """It no longer counts; harmless for one that never did."""
    with _guard:
        _pids.discard(pid)


def others() -> list[int]:
    """The pids of all that count now, this process left out."""
    with _guard:
        return sorted(_pids)
