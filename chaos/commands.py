"""Commands of the user's own: run without a shell, in a given time, with what they said if they fail."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.core.child_process import for_program, passed
from bench.core.sanitize import visible

LOOK_S = 0.05
SHOWN_BYTES = 300
"""Of what a command said last."""


def why_not_found(program: str) -> str | None:
    """Why a program cannot be run; None where it can."""
    if shutil.which(program) is not None:
        return None
    if os.sep not in program:
        return "none of that name on the PATH"
    return "a file that may not be executed" if Path(program).exists() else "no such file"


def run_to_end(
    command: Sequence[str],
    folder: str,
    within_s: float,
    end: threading.Event | None = None,
    environment: Mapping[str, str] | None = None,
) -> str | None:
    """Run a program without a shell; why it failed, with the end of what it said, or None.

    It, and all that it started, is killed after `within_s`, or when `end` is set. environment: if not
    said, what the user's own commands are given.
    """
    with tempfile.TemporaryFile() as said:
        try:
            process = subprocess.Popen(
                command,
                cwd=folder,
                env=for_program(passed()) if environment is None else environment,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,
            )
        except OSError as error:
            return f"it cannot be started: {error.strerror}"
        why = _ended(process, time.monotonic() + within_s, end)
        if why is None and process.returncode == 0:
            return None
        said.seek(0, os.SEEK_END)
        said.seek(max(0, said.tell() - SHOWN_BYTES))
        words = visible(said.read().decode(errors="replace").strip())
        status = why or f"it ended with status {process.returncode}"
        return f"{status}: {words}" if words else status


def _ended(process: subprocess.Popen[bytes], until: float, end: threading.Event | None) -> str | None:
    """Wait; why it was killed, or None."""
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(LOOK_S)
            return None
        is_late = time.monotonic() >= until
        if is_late or (end is not None and end.is_set()):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return "it was killed, since it took too long" if is_late else "it was killed at the run's end"
