"""The reaper: a process that removes a run's containers when the harness is gone, however it ended.

    python -P -m bench.stack.docker.reaper RUN HARNESS_PID

It says "ready" when it watches. Then it waits for the end of its stdin, or of the harness's process,
and removes what carries the run's label. Signals of a terminal do not reach it, for it has a session of
its own; SIGTERM makes it remove everything too. Should it be killed together with the harness, the next
start sweeps.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import time

from bench.core.child_environment import for_python
from bench.stack.docker.client import connect_engine, no_engine
from bench.stack.docker.removal import remove_run

READY_DEADLINE_S = 20.0
END_DEADLINE_S = 40.0
LAST_LOOK_AFTER_S = 1.0
IN_ORDER = b"end\n"


class Reaper:
    """The harness's side of it."""

    def __init__(self, run: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", __name__, run, str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=for_python(),
            start_new_session=True,
            cwd="/",
        )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def wait_until_ready(self) -> None:
        """Return when it watches; from then on nothing that is made stays behind. Raises TargetError."""
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], READY_DEADLINE_S)
        if not ready or self._process.stdout.readline() != b"ready\n":
            expected = "a reaper that watches over the containers"
            raise no_engine(
                expected, "one that did not come up", "start it again when the engine is less busy"
            )

    def end(self) -> None:
        """Let it remove what is left, and wait for its end. Again is harmless."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        if not self._process.stdin.closed:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.write(IN_ORDER)
                self._process.stdin.close()
        try:
            self._process.wait(END_DEADLINE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()  # the engine hangs: the next start sweeps
            self._process.wait()
        self._process.stdout.close()


def main() -> None:
    """Be the reaper."""
    run, harness_pid = sys.argv[1], int(sys.argv[2])
    reading, writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    signal.set_wakeup_fd(writing)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    engine = connect_engine()
    poll = select.poll()
    poll.register(sys.stdin.fileno(), select.POLLIN)
    poll.register(reading, select.POLLIN)
    is_gone = False
    try:
        # A fork of the harness may hold the pipe open for longer than the harness lives.
        poll.register(os.pidfd_open(harness_pid), select.POLLIN)
    except OSError:
        is_gone = os.getppid() != harness_pid
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    if not is_gone:
        poll.poll()
    remove_run(engine, run)
    if not _ended_in_order():
        # The engine may still be at work on what the harness asked for just before its end.
        time.sleep(LAST_LOOK_AFTER_S)
        remove_run(engine, run)


def _ended_in_order() -> bool:
    os.set_blocking(sys.stdin.fileno(), False)
    with contextlib.suppress(BlockingIOError):
        return os.read(sys.stdin.fileno(), len(IN_ORDER)) == IN_ORDER
    return False


if __name__ == "__main__":
    main()
