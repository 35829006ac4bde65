"""Whom a master and its workers trust: the secret that they share, and what a worker lets a master do with
it: where load may go, and whether Python that was sent may run.

    HOLDFAST_WORKER_SECRET                        in the environment
    HOLDFAST_WORKER_SECRET_FILE, --secret-file    the content of a file
    --processes                                   made in memory: the workers are forks of the master
    else                                          a file of this user, made if it is missing

The secret is on no command line, which everybody on a machine can read.
"""

import os
import secrets
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from bench.core.errors import UsageError
from bench.stack.background.state import state_folder
from bench.stack.target import Target

VARIABLE = "HOLDFAST_WORKER_SECRET"
FILE_VARIABLE = "HOLDFAST_WORKER_SECRET_FILE"
OPTION = "--secret-file"
LEAST_CHARACTERS = 16
MADE_BYTES = 32


class WorkerSecret:
    """Made before Locust forks its workers, so that they have the same."""

    def __init__(self) -> None:
        self._given = os.environ.pop(VARIABLE, "")  # whatever we start has no use for it
        self._made = secrets.token_bytes(MADE_BYTES)

    def get(self) -> bytes:
        """The secret of this process. Raises UsageError."""
        if self._given:
            return _long_enough(self._given.encode(), VARIABLE)
        named = word_after(OPTION) or os.environ.get(FILE_VARIABLE, "")
        if named:
            return _content(Path(named))
        if workers_are_forks():
            return self._made
        return _of_this_user(state_folder() / "worker-secret", self._made)


def workers_are_forks() -> bool:
    """Whether this process, or the one that it is a fork of, makes workers of its own."""
    words = {word.partition("=")[0] for word in sys.argv[1:]}
    asked = "--processes" in words or "LOCUST_PROCESSES" in os.environ
    return asked and "--worker" not in words and "LOCUST_MODE_WORKER" not in os.environ


def word_after(option: str) -> str | None:
    """What the command line says for an option that is read before Locust reads its own."""
    for number, word in enumerate(sys.argv):
        if word == option and number + 1 < len(sys.argv):
            return sys.argv[number + 1]
        if word.startswith(f"{option}="):
            return word.partition("=")[2]
    return None


def _content(path: Path) -> bytes:
    try:
        found = path.read_bytes().strip()
    except OSError as error:
        raise UsageError(
            f"{OPTION}: expected a file with the workers' secret, found '{error.strerror}' at {path}; "
            "correct the path, or set HOLDFAST_WORKER_SECRET"
        ) from None
    return _long_enough(found, str(path))


def _long_enough(found: bytes, place: str) -> bytes:
    if len(found) >= LEAST_CHARACTERS:
        return found
    raise UsageError(
        f"{place}: expected a secret of at least {LEAST_CHARACTERS} characters, found {len(found)}; "
        "make one: openssl rand -hex 32"
    )


def _of_this_user(path: Path, made: bytes) -> bytes:
    """The content of a file that no other user can read."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        beside = path.with_name(f".{path.name}.{os.getpid()}")
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(made.hex() + "\n")
        with suppress(FileExistsError):
            os.link(beside, path)  # whole, or not there: two that begin together have one secret
        beside.unlink()
        facts = path.stat()
    except OSError as error:
        raise UsageError(
            f"{path}: expected a file for the workers' secret, found '{error.strerror}'; set {VARIABLE}"
        ) from None
    if facts.st_uid != os.geteuid() or facts.st_mode & 0o077:
        raise UsageError(
            f"{path}: expected a file that its owner alone can read, found mode "
            f"{facts.st_mode & 0o777:o}; remove it, and a new one is made"
        )
    return _content(path)


LOCUSTFILES_VARIABLE = "HOLDFAST_ALLOW_LOCUSTFILES"
FORK_VARIABLE = "BENCH_WORKER_IS_FORK"
"""Set by us alone: the worker is a fork of its master, and may what that may."""
YES = ("1", "true", "yes", "on")


def trust_variables(*, is_fork: bool, may_run_files: bool) -> dict[str, str]:
    """What an engine host gets of it."""
    found = {FORK_VARIABLE: "1"} if is_fork else {}
    return found | ({LOCUSTFILES_VARIABLE: "1"} if may_run_files else {})


def check_target(target: Target | None) -> None:
    """Raises TargetError for one on a host that this worker's owner has not allowed."""
    from bench.stack.external import check_host

    if target is not None and not _is_fork():
        check_host(target)


def check_locustfiles(paths: Sequence[str]) -> None:
    """Raises UsageError for a plan with locustfiles, where this worker's owner has not allowed them."""
    if not paths or _is_fork() or os.environ.get(LOCUSTFILES_VARIABLE, "").lower() in YES:
        return
    raise UsageError(
        f"locustfile {paths[0]}: expected a worker that may run its master's locustfiles, found one that may"
        f" not; start it with --allow-locustfiles or {LOCUSTFILES_VARIABLE}=1 if you trust who starts runs"
    )


def _is_fork() -> bool:
    return os.environ.get(FORK_VARIABLE) == "1"
