"""Processes of the product that need no time to import it: forked from one that has (`fork_server.py`)."""

from __future__ import annotations

import atexit
import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import IO, Any

from tests.helpers.waiting import COMPILE_S

ROOT = Path(__file__).parents[2]
PR_SET_CHILD_SUBREAPER = 36
READ_BY_PYTHON = (*("PYTHON", "NUMBA_", "LC_", "LANG", "LD_", "TZ", "HOME"), "XDG_CACHE_HOME", "COVERAGE")
"""Read from the environment when Python and libraries start: in a forked process that has been already."""


class _Server:
    """The process that forks, for all tests of this one."""

    def __init__(self) -> None:
        self.environment = dict(os.environ)
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.helpers.fork_server", str(theirs.fileno())],
                cwd=ROOT,
                # A thread of a library's would be missing in what is forked.
                env=self.environment | {"OPENBLAS_NUM_THREADS": "1"},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )
        atexit.register(self.close)

    def fork(self, order: Mapping[str, object], streams: list[int]) -> int:
        """A new child of this process; its id."""
        libc = ctypes.CDLL(None)
        libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        try:
            socket.send_fds(self._channel, [json.dumps(order).encode()], streams)
            answer = self._channel.recv(32)
        finally:
            libc.prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
        assert answer, "the fork server has ended; what it said is above"
        return int(answer)

    def close(self) -> None:
        self._channel.close()
        self._process.wait()


@cache
def _server() -> _Server:
    return _Server()


def can_be_forked(environment: Mapping[str, str]) -> bool:
    """Whether a process in this environment is the same if it is forked from one that has ours."""
    ours = _server().environment
    return all(
        ours.get(name) == environment.get(name)
        for name in ours.keys() | environment.keys()
        if name.startswith(READ_BY_PYTHON)
    )


class _Forked(subprocess.Popen[str]):
    """A process as Popen starts it, but for the one step in which it would fork and exec."""

    def __init__(self, order: Mapping[str, object], command: list[str], **streams: Any) -> None:
        self._order = order
        super().__init__(command, text=True, **streams)

    def _execute_child(self, *arguments: Any) -> None:
        # Three pairs of descriptors for its standard streams, of which -1 is one that it has from us.
        p2cread, p2cwrite, c2pread, c2pwrite, errread, errwrite = arguments[10:16]
        theirs = [own if own != -1 else number for number, own in enumerate((p2cread, c2pwrite, errwrite))]
        self.pid = _server().fork(self._order, theirs)
        self._child_created = True
        self._close_pipe_fds(p2cread, p2cwrite, c2pread, c2pwrite, errread, errwrite)  # type: ignore[attr-defined]  # typeshed has public names only


def start_bench(
    arguments: Sequence[str | Path],
    environment: Mapping[str, str],
    folder: Path = ROOT,
    *,
    under: Sequence[str] = (),
    preexec_fn: Callable[[], None] | None = None,
    stdin: int | IO[Any] | None = None,
    stdout: int | IO[Any] | None = subprocess.PIPE,
    stderr: int | IO[Any] | None = subprocess.PIPE,
) -> subprocess.Popen[str]:
    """Start `python -m bench ARGUMENTS`, `under` another command if any; forked where that is the same."""
    words = [str(word) for word in arguments]
    command = [*under, sys.executable, "-m", "bench", *words]
    if not under and preexec_fn is None and can_be_forked(environment):
        return _Forked(
            {"arguments": words, "environment": {**environment}, "folder": str(folder)},
            command,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
        )

    def in_child() -> None:
        # A background shell may have made us ignore Ctrl-C; the process under test must not inherit that.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if preexec_fn is not None:
            preexec_fn()

    return subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        text=True,
        preexec_fn=in_child,
    )


def run_bench(
    arguments: Sequence[str | Path], environment: Mapping[str, str], folder: Path = ROOT
) -> subprocess.CompletedProcess[str]:
    """The same to its end."""
    process = start_bench(arguments, environment, folder)
    try:
        out, err = process.communicate(timeout=COMPILE_S)
    finally:
        process.kill()
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)
