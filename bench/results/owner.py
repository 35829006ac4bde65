"""Who is writing a partial run, and whether that process still lives.

The file says pid and boot for a person who finds the folder. Whether the writer lives is told by a
lock that the kernel drops with the process: a pid can be reused, and means nothing in another
container that shares the folder.
"""

import fcntl
import json
import os
from pathlib import Path
from typing import Self

from bench.results.layout import OWNER

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def is_under_way(folder: Path) -> bool:
    """Whether a living process is still writing the run in `folder`."""
    try:
        descriptor = os.open(folder / OWNER, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # a file system without locks: then nobody can tell
        return False
    finally:
        os.close(descriptor)
    return False


class Ownership:
    """The hold of a living process on a partial folder."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @classmethod
    def claim(cls, folder: Path) -> Self:
        """Write the owner's file into `folder` and hold it. Raises OSError."""
        descriptor = os.open(folder / OWNER, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        boot = BOOT_ID.read_text().strip() if BOOT_ID.exists() else None
        os.write(descriptor, json.dumps({"pid": os.getpid(), "boot_id": boot}).encode() + b"\n")
        return cls(descriptor)

    @classmethod
    def inherit(cls, folder: Path) -> Self | None:
        """Take over a folder whose writer is gone; None while it lives, or when another took it."""
        try:
            descriptor = os.open(folder / OWNER, os.O_RDWR | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            return None  # somebody else's, or no folder at all
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Between the open and the lock another sweep may have renamed the folder away.
            still_there = os.path.samestat(os.fstat(descriptor), (folder / OWNER).stat())
        except (BlockingIOError, FileNotFoundError):
            still_there = False
        if not still_there:
            os.close(descriptor)
            return None
        return cls(descriptor)

    def release(self) -> None:
        """Let go. Harmless when done twice."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
