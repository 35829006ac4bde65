"""Room on the disk for a file that is mapped into memory, taken before it is written.

A mapped file is sparse. Where the disk is full when a page of it is touched, the kernel ends the
process with SIGBUS: no message, no verdict. Room that was taken before turns that into an error.
"""

import errno
import os
from pathlib import Path

from bench.core.errors import ResultError
from bench.core.units import format_bytes

_CANNOT = (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS)
"""A file system that knows no reservation."""

RAW_LOG_PREFIX = ".operations-"
"""Begins the name of what an engine writes of a run's operations; operations.npy is made of it at the end."""


def reserve(path: Path, size_bytes: int) -> None:
    """Make `path` at least `size_bytes` long, with room for all of them; what is in it stays.

    Raises ResultError where the disk has no such room.
    """
    try:
        with path.open("ab") as file:
            if size_bytes:
                os.posix_fallocate(file.fileno(), 0, size_bytes)
    except OSError as error:
        if error.errno in _CANNOT:
            return
        raise ResultError(
            f"results cannot be written to {path.parent}: {error.strerror}, and the operation log needs "
            f"{format_bytes(size_bytes)}; make room or choose another folder with --out"
        ) from None


def free_bytes(folder: Path) -> int:
    """What is free on the disk of a folder for this user."""
    facts = os.statvfs(folder)
    return facts.f_bavail * facts.f_frsize
