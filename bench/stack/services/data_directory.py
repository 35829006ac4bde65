"""A temporary directory for a service's data, and the sweep of those whose owners were killed.

A directory is in use while someone holds the lock on the file `lock` in it. The kernel lets go
of a lock when its holders die, however they die, so the sweep needs no process ids.
"""

import contextlib
import fcntl
import os
import shutil
import tempfile
from pathlib import Path

from bench.stack.services.shared_memory import remove_shared_memory
from bench.stack.supervisor.orphans import await_end_of_strays

PREFIX = "holdfast-"
STRAYS_DEADLINE_S = 3.0
_LOCK = "lock"


class DataDirectory:
    """A directory of its own with its lock held. Pass `lock_fd` on to who must keep it alive."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix=PREFIX))
        # Locked under another name first: a sweep never sees a `lock` that nobody holds yet.
        unlocked = self.path / "new-lock"
        self.lock_fd = os.open(unlocked, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self.lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        unlocked.rename(self.path / _LOCK)

    def remove(self) -> None:
        """Remove the directory if it is still there, and let go of the lock. Again is harmless.

        Nothing may be running in it any more.
        """
        if self.lock_fd >= 0:
            _remove(self.path)
            os.close(self.lock_fd)
            self.lock_fd = -1


def sweep_data_directories() -> list[Path]:
    """Remove the directories of this user that nobody holds any more; return them."""
    swept = []
    for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            if path.is_symlink() or path.stat().st_uid != os.geteuid() or not (path / _LOCK).is_file():
                continue
            with (path / _LOCK).open("rb+") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                await_end_of_strays(path, STRAYS_DEADLINE_S)
                _remove(path)
                swept.append(path)
    return swept


def _remove(path: Path) -> None:
    remove_shared_memory(path)
    shutil.rmtree(path, ignore_errors=True)
