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
from typing import TYPE_CHECKING

from bench.core.child_process import for_program, passed
from bench.core.sanitize import redacted, visible
from bench.stack.target_url import url_of

if TYPE_CHECKING:
    from bench.stack.target import Target

LOOK_S = 0.05
SHOWN_BYTES = 300
"""Of what a command said last."""
_SAME = (
    *("host", "hostaddr", "port", "user", "password", "options"),
    *("sslmode", "sslrootcert", "sslcert", "sslkey", "connect_timeout"),
)
LIBPQ = {name: f"PG{name.upper()}" for name in _SAME} | {
    "dbname": "PGDATABASE",
    "application_name": "PGAPPNAME",
    "gssencmode": "PGGSSENCMODE",
    "target_session_attrs": "PGTARGETSESSIONATTRS",
    "load_balance_hosts": "PGLOADBALANCEHOSTS",
}
"""Parameter of a connection -> the variable from which libpq's programs take it."""
SECRETS = ("PGPASSWORD", "REDISCLI_AUTH")


def why_not_found(program: str) -> str | None:
    """Why a program cannot be run; None where it can."""
    if shutil.which(program) is not None:
        return None
    if os.sep not in program:
        return "none of that name on the PATH"
    return "a file that may not be executed" if Path(program).exists() else "no such file"


def private_file(file: Path) -> Path:
    """The file, empty, and readable by this user alone. Raises OSError."""
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    os.close(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600))
    return file


def environment_for(target: Target) -> dict[str, str]:
    """What a command of the user's own sees: the usual, and how to log in to the target that it is for.

    TARGET_URL, TARGET_HOST and TARGET_PORT; the variables of libpq's programs, or of redis-cli.
    """
    found = for_program(passed()) | {
        "TARGET_URL": url_of(target),
        "TARGET_HOST": target.host,
        "TARGET_PORT": str(target.port),
    }
    if target.kind == "postgres":
        from bench.stack.probes.postgres import libpq_parameters

        found |= {LIBPQ[name]: value for name, value in libpq_parameters(target).items() if name in LIBPQ}
    elif target.kind == "redis" and target.password:
        found["REDISCLI_AUTH"] = target.password
    return found


def run_for(
    target: Target, command: Sequence[str], within_s: float, end: threading.Event | None = None
) -> str | None:
    """Run a command of the user's own in this folder, for a target; why it failed, or None."""
    return run_to_end(command, str(Path.cwd()), within_s, end, environment_for(target))


def run_to_end(
    command: Sequence[str],
    folder: str,
    within_s: float,
    end: threading.Event | None = None,
    environment: Mapping[str, str] | None = None,
) -> str | None:
    """Run a program without a shell; why it failed, with the end of what it said, or None.

    It, and all that it started, is killed after `within_s`, or when `end` is set. environment: if not
    said, the usual one. What is a password in it is taken out of what was said.
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
        secrets = [(environment or {}).get(name) for name in SECRETS]
        words = visible(redacted(said.read().decode(errors="replace").strip(), secrets))
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
