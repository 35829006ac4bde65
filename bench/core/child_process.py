"""Child processes: what each is given of our environment, and a Python of ours that ends with the harness.

A shell or a CI job holds keys of other systems. They are no business of a server that we start, and every
process of the same user could read them there.

    a program                   how to find its files, its language, its folder for scratch
    + a Python of ours          where its modules and its cache are, and the container engine's address
    + a run of ours             our own settings, secrets too, and the addresses of targets
    + a program of the user's   what HOLDFAST_PASS_ENVIRONMENT names
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

NAMES_VARIABLE = "HOLDFAST_PASS_ENVIRONMENT"
"""Names, with * for any rest, separated by commas: what a locustfile may see beside the usual."""

OF_A_PROGRAM = (
    *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "TERM", "LANG", "LANGUAGE", "LC_*", "TZ", "TZDIR"),
    *("TMPDIR", "TEMP", "TMP", "LD_LIBRARY_PATH", "LD_PRELOAD", "MALLOC_*", "GLIBC_TUNABLES"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "OPENSSL_CONF", "NO_COLOR"),
)
OF_PYTHON = (
    *("PYTHON*", "VIRTUAL_ENV", "XDG_*", "NUMBA_*", "PYDANTIC_*", "COV_*", "COVERAGE_*"),
    *("DOCKER_HOST", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH", "DOCKER_API_VERSION"),
    *("DOCKER_CONFIG", "DOCKER_CONTEXT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
)
OF_THE_REFERENCE_API = (
    *("API_DEADLINE_MS", "API_POOL", "API_REDIS_POOL", "API_CACHE_TTL_S", "API_STALE_TTL_S"),
    *("API_BREAKER_FAILURES", "API_BREAKER_RESET_S", "API_ITEMS", "API_TOKEN_S"),
    *("API_HEAP", "API_COLLECT_S", "API_DRAIN_S"),
)
OF_A_RUN = (*OF_THE_REFERENCE_API, "REDIS_URL", "DATABASE_URL", "API_URL", "HOLDFAST_*")
SECRETS = ("HOLDFAST_*PASSWORD*", "HOLDFAST_*SECRET*", "HOLDFAST_*TOKEN*", "HOLDFAST_SERVICES")
"""Those of our own settings that hold one, or may: HOLDFAST_SERVICES has URLs."""
OF_THE_ENTRANCE_ALONE = ("HOLDFAST_UI_*", "HOLDFAST_WORKER_*", "HOLDFAST_PROMETHEUS_*")
"""What only the process that listens needs."""


def for_program(more: Iterable[str] = ()) -> dict[str, str]:
    """Of a server, or any other program; `more` names what this one reads."""
    return _matching([*OF_A_PROGRAM, *more]) | _matching(["HOLDFAST_*"], [*SECRETS, *OF_THE_ENTRANCE_ALONE])


def for_python(more: Iterable[str] = ()) -> dict[str, str]:
    """Of a Python that runs modules of ours, which it finds wherever this package lies."""
    package = str(Path(__file__).resolve().parents[2])
    given = os.environ.get("PYTHONPATH")
    path = os.pathsep.join([package, given] if given else [package])
    return for_program([*OF_PYTHON, *more]) | {"PYTHONPATH": path}


def for_run(added: Mapping[str, str] | None = None) -> dict[str, str]:
    """Of a Python that runs a session, and can start all that belongs to one; `added` comes on top."""
    ours = _matching([*OF_A_RUN, *passed()], OF_THE_ENTRANCE_ALONE)
    return for_python() | ours | dict(added or {})


def for_users() -> dict[str, str]:
    """Of a Python that imports a user's locustfile."""
    return for_python(passed())


def passed() -> list[str]:
    """The names in HOLDFAST_PASS_ENVIRONMENT."""
    return [name for text in os.environ.get(NAMES_VARIABLE, "").split(",") if (name := text.strip())]


def _matching(patterns: Iterable[str], but: Iterable[str] = ()) -> dict[str, str]:
    wanted, unwanted = tuple(patterns), tuple(but)

    def is_one(name: str, of: tuple[str, ...]) -> bool:
        return any(fnmatchcase(name, pattern) for pattern in of)

    return {
        name: value
        for name, value in os.environ.items()
        if is_one(name, wanted) and not is_one(name, unwanted)
    }


class HelperProcess:
    """Started in a separate session, so that what kills the harness's group, or a Ctrl-C, does not reach it.

    Should a Ctrl-C hit between the start and the assignment of this object, its stdin closes with the lost
    object, and it ends by itself.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        *,
        pass_fds: Sequence[int] = (),
        stdout: int = subprocess.PIPE,
        stderr: int = subprocess.DEVNULL,
    ) -> None:
        self.process = subprocess.Popen(
            [sys.executable, *arguments],
            stdin=subprocess.PIPE,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
            pass_fds=pass_fds,
            env=environment,
            cwd="/",
        )
        self.pid = self.process.pid

    def first_line(self) -> bytes:
        """What it says when it is ready; empty where it ended before. Waits for it."""
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def write_line(self, line: bytes) -> None:
        """Write a line to its stdin, if it still runs."""
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(line + b"\n")
            self.process.stdin.flush()

    def end(self, patience_s: float) -> int:
        """Close its stdin and wait for its end; one that is stopped or hangs is killed. Idempotent.

        Returns its status.
        """
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        try:
            self.process.wait(patience_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()
        return self.process.returncode
