"""The keeper: the process that holds the stack of `bench stack up` until `bench stack down`.

    python -P -m bench.stack.background.daemon REPORT_FD KIND SERVICE...

It starts the services, writes the state file, and says on the descriptor, in one JSON line, how it
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
from bench.stack.background.state import KeeperLock, forget_kept, logs_folder, write_kept
from bench.stack.stack import open_stack

ENDING_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class _ToldToEnd(BaseException):
    """Raised by a signal, wherever the keeper is then: no service may stay behind."""


def main() -> None:
    """Be the keeper."""
    report = int(sys.argv[1])
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # it outlives the terminal that it was started from
    for number in ENDING_SIGNALS:
        signal.signal(number, _tell_to_end)
    try:
        _keep(report, sys.argv[2], frozenset(sys.argv[3:]))
    except _ToldToEnd:
        _say(report, {"error": "it was told to end before the services were up", "code": ExitCode.TARGET})
    except HoldfastError as error:
        _say(report, {"error": str(error), "code": error.exit_code})
    except OSError as error:
        text = f"the stack's state cannot be kept: {error.strerror} ({error.filename})"
        _say(report, {"error": text, "code": ExitCode.USAGE})


def _keep(report: int, kind: str, services: frozenset[str]) -> None:
    lock = KeeperLock.take()
    if lock is None:
        _say(report, {"error": "another stack is up, or about to be", "code": ExitCode.USAGE})
        return
    lock.sweep()
    logs = logs_folder()
    logs.mkdir(parents=True, exist_ok=True)
    stack = open_stack(kind, services, logs)
    try:
        stack.start()
        write_kept(kind, list(stack.targets().values()), stack.describe())
        _say(report, {})
        threading.Event().wait()
    finally:
        for number in ENDING_SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        forget_kept()
        stack.stop()


def _tell_to_end(number: int, frame: object) -> None:  # noqa: ARG001 - the signal module's form
    raise _ToldToEnd


def _say(report: int, entry: dict[str, object]) -> None:
    with suppress(OSError):  # who asked may be gone, or has been told already
        os.write(report, json.dumps(entry).encode() + b"\n")
        os.close(report)


if __name__ == "__main__":
    main()
