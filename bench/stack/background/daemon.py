"""The daemon: the process that holds the stack of `bench stack up` until `bench stack down`.

    python -P -m bench.stack.background.daemon REPORT_FD KIND SERVICE...

It starts the services, writes the state file, and reports on the descriptor, in one JSON line, how it
went: {} or {"error": text, "code": exit code}. Then it waits for SIGTERM. Should it be killed, the
services end all the same: each supervisor watches it.
"""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Set as AbstractSet
from contextlib import suppress
from pathlib import Path
from typing import Literal

from bench.core.child_process import OF_THE_REFERENCE_API, for_python
from bench.core.errors import ExitCode, HoldfastError, UsageError
from bench.stack.background.state import (
    BackgroundStack,
    DaemonLock,
    forget_state,
    living_daemon,
    logs_folder,
    read_state,
    state_folder,
    write_state,
)
from bench.stack.services.files import last_lines, sweep_data_directories

MODULE = "bench.stack.background.daemon"
END_DEADLINE_S = 20.0
KILLED_DEADLINE_S = 10.0
LOG_TAIL_LINES = 3


class DaemonError(HoldfastError):
    """The daemon could not start the stack; the text is its own."""

    def __init__(self, text: str, code: int) -> None:
        self.exit_code = ExitCode(code)
        super().__init__(text)


def background_stack() -> BackgroundStack | None:
    """The stack that is up."""
    background = read_state()
    return background if background is not None and background.is_up() else None


def start_daemon(kind: str, services: AbstractSet[str]) -> BackgroundStack:
    """Start the services so that they outlive this process; return when all have answered.

    Raises HoldfastError. A Ctrl-C meanwhile ends what was begun.
    """
    folder = state_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise UsageError(
            f"stack up: expected a folder for the stack's state at {folder}, found '{error.strerror}'; "
            "set XDG_STATE_HOME to a folder that this user may write to"
        ) from None
    log = folder / "daemon.log"
    if living_daemon() is None:
        _await_end_of(read_state())
        log.unlink(missing_ok=True)
    reports, report = os.pipe()
    try:
        with log.open("ab") as errors:
            process = subprocess.Popen(
                # -P: the folder that it is started from may hold modules of any name.
                [sys.executable, "-P", "-m", MODULE, str(report), kind, *sorted(services)],
                stdin=subprocess.DEVNULL,
                stdout=errors,
                stderr=errors,
                start_new_session=True,
                pass_fds=[report],
                env=for_python(OF_THE_REFERENCE_API),
            )
    finally:
        os.close(report)
    try:
        with os.fdopen(reports, "rb") as answers:
            line = answers.readline()
    except BaseException:
        process.terminate()
        process.wait()
        raise
    return _stack_of(line, process, log)


def end_daemon() -> Literal["ended", "swept", "none"]:
    """End the stack that is up, or about to be. Idempotent.

    Returns when its services have ended; swept: they were those of a daemon that had been killed.
    """
    background = read_state()
    daemon = living_daemon() or (background.daemon if background is not None and background.is_up() else None)
    if daemon is not None:
        daemon.send(signal.SIGTERM)
        daemon.send(signal.SIGCONT)  # a stopped process would not hear the other
        if not daemon.wait(END_DEADLINE_S):
            daemon.send(signal.SIGKILL)
            daemon.wait(KILLED_DEADLINE_S)
    _await_end_of(background)
    if living_daemon() is None:
        forget_state()
        sweep_data_directories()
    if daemon is not None:
        return "ended"
    return "none" if background is None else "swept"


def _await_end_of(background: BackgroundStack | None) -> None:
    """Supervisors end by themselves when their daemon is gone, and their services before them."""
    for supervisor in background.supervisors if background is not None else ():
        if not supervisor.wait(KILLED_DEADLINE_S):
            supervisor.send(signal.SIGKILL)
            supervisor.wait(KILLED_DEADLINE_S)


def _stack_of(line: bytes, process: "subprocess.Popen[bytes]", log: Path) -> BackgroundStack:
    if not line:
        status = process.wait()
        tail = " | ".join(last_lines(log, LOG_TAIL_LINES)) or "it said nothing"
        raise DaemonError(
            f"the process that keeps the stack ended with status {status} before the services were up: "
            f"{tail}; read {log}",
            ExitCode.TARGET,
        )
    answer = json.loads(line)
    if "error" in answer:
        process.wait()
        raise DaemonError(f"{answer['error']}; logs are in {logs_folder()}", answer["code"])
    process.returncode = 0  # it runs on, and this object must not complain about that
    background = read_state()
    if background is None:
        raise DaemonError("the stack ended as soon as it was up", ExitCode.TARGET)
    return background


ENDING_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class _Terminated(BaseException):
    """Raised by a signal, wherever the daemon is then: no service may stay behind."""


def main() -> None:
    """Be the daemon."""
    report = int(sys.argv[1])
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # it outlives the terminal that it was started from
    for number in ENDING_SIGNALS:
        signal.signal(number, _terminate)
    try:
        _keep(report, sys.argv[2], frozenset(sys.argv[3:]))
    except _Terminated:
        _report(report, {"error": "it was asked to end before the services were up", "code": ExitCode.TARGET})
    except HoldfastError as error:
        _report(report, {"error": str(error), "code": error.exit_code})
    except OSError as error:
        text = f"the stack's state cannot be kept: {error.strerror} ({error.filename})"
        _report(report, {"error": text, "code": ExitCode.USAGE})


def _keep(report: int, kind: str, services: frozenset[str]) -> None:
    from bench.stack.stack import open_stack

    lock = DaemonLock.take()
    if lock is None:
        _report(report, {"error": "another stack is up, or about to be", "code": ExitCode.USAGE})
        return
    lock.sweep()
    logs = logs_folder()
    logs.mkdir(parents=True, exist_ok=True)
    stack = open_stack(kind, services, logs)
    try:
        stack.start()
        write_state(kind, list(stack.targets().values()), stack.describe())
        _report(report, {})
        threading.Event().wait()
    finally:
        for number in ENDING_SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        forget_state()
        stack.stop()


def _terminate(number: int, frame: object) -> None:  # noqa: ARG001 - the signal module's form
    raise _Terminated


def _report(report: int, entry: dict[str, object]) -> None:
    with suppress(OSError):  # who asked may be gone, or has the report already
        os.write(report, json.dumps(entry).encode() + b"\n")
        os.close(report)


if __name__ == "__main__":
    main()
