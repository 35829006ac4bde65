"""The daemon: the process that holds the stack of `bench stack up` until `bench stack down`.

    python -P -m bench.stack.background.daemon REPORT_FD KIND SERVICE...

It starts the services, writes the state file, and reports on the descriptor, in one JSON line, how it
went: {} or {"error": text, "code": exit code}. Then it waits for SIGTERM. Should it be killed, the
services end all the same: each supervisor watches it.
"""

import json
import os
import signal
import sys
import threading
from contextlib import suppress

from bench.core.errors import ExitCode, HoldfastError
from bench.stack.background.state import DaemonLock, forget_state, logs_folder, write_state
from bench.stack.stack import open_stack

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
        _report(report, {"error": "it was told to end before the services were up", "code": ExitCode.TARGET})
    except HoldfastError as error:
        _report(report, {"error": str(error), "code": error.exit_code})
    except OSError as error:
        text = f"the stack's state cannot be kept: {error.strerror} ({error.filename})"
        _report(report, {"error": text, "code": ExitCode.USAGE})


def _keep(report: int, kind: str, services: frozenset[str]) -> None:
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
