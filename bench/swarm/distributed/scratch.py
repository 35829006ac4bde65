"""A folder for what a worker keeps while a run goes on: operation logs, a locustfile that was sent."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

PREFIX = "holdfast-worker-"


@contextlib.contextmanager
def scratch_folder() -> Iterator[Path]:
    """A folder of this process alone, gone at the end; those of our killed predecessors go now."""
    for old in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        pid = old.name.removeprefix(PREFIX).partition("-")[0]
        is_ours = old.lstat().st_uid == os.geteuid()
        if is_ours and pid.isdecimal() and not Path("/proc", pid).exists():
            shutil.rmtree(old, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
