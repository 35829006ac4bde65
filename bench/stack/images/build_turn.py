"""One build at a time: the engine's store is shared, and tidying after one build removes another's layers."""

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.core.errors import UsageError


@contextmanager
def build_turn() -> Iterator[None]:
    """Hold the only turn of this user to build or remove images; wait while another process has it.

    The kernel gives it back when its holder ends, however that is. Raises UsageError where the lock
    cannot be made.
    """
    path = Path(tempfile.gettempdir()) / f"holdfast-images-{os.getuid()}.lock"
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise UsageError(
            f"the lock of image builds, {path}: expected a file of this user's that can be written,"
            f" found '{error.strerror}'; remove what is there, or set TMPDIR to a folder of your own"
        ) from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
