"""The right to break and to heal: of one harness, of its watchdog after it, or of who heals by hand.

A run holds it to its end and hands it to its watchdog, so that nobody heals what another one is healing,
and no run begins on a system that is still being mended.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable
from pathlib import Path

HEALING_S = 60.0
"""Far longer than all that a run can have left takes to be undone."""
POLL_S = 0.02


class JournalLock:
    """Held until `close` by this process and every one that was given its descriptor."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    @classmethod
    def take(cls, folder: Path, is_run_under_way: Callable[[], bool]) -> JournalLock | None:
        """Take it, after whoever heals; None while a run holds it, or when HEALING_S are over.

        Raises OSError where the folder cannot be written.
        """
        descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        deadline = time.monotonic() + HEALING_S
        while not _is_locked(descriptor):
            if is_run_under_way() or time.monotonic() > deadline:
                os.close(descriptor)
                return None
            time.sleep(POLL_S)
        return cls(descriptor)

    def close(self) -> None:
        """Let it go. Again is harmless."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
        self.descriptor = -1


def _is_locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
