"""The process of the users as the Locust engine holds it: started, talked with, and ended in any case.

One thread lives as long as the process: it starts it, reads what it says and what it writes to stderr, and
collects it. The process leads a group of its own, so that what a locustfile has started ends with it, and
Ctrl-C at the terminal reaches the harness alone. It ends by itself when the socket closes.
"""

import contextlib
import os
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from typing import TypeVar

from bench.core.child_process import for_users
from bench.engine.locust.messages import FROM_USERS, TASK, TO_USERS, FromUsers, ToUsers, UsersTask
from bench.resources.generator import join, leave

MODULE = "bench.swarm.users"
KEPT_LINES = 12
LINE_CHARACTERS = 200
CHUNK = 65536

M = TypeVar("M")


class UsersProcess:
    """Methods may be called from any thread."""

    def __init__(self, task: UsersTask, fds: tuple[int, ...]) -> None:
        """`task` is sent as soon as it runs; it inherits `fds` under their numbers."""
        self._task = task
        self._fds = fds
        self._changed = threading.Condition()
        self._said: list[FromUsers] = []
        self._lines: deque[str] = deque(maxlen=KEPT_LINES)
        self._half_line = b""
        self._half_message = b""
        self._ours, self._theirs = socket.socketpair()
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._run, name="locust-users", daemon=True)
        self.failure: OSError | None = None
        """Why it could not be started."""
        self.exit_code: int | None = None
        """Of the ended process; negative: the signal that ended it."""

    def start(self) -> None:
        """Start it; returns at once."""
        self._thread.start()

    @property
    def is_running(self) -> bool:
        """Whether the process, or the thread that waits for it, is there."""
        return self._thread.is_alive()

    def said(self, kind: type[M]) -> M | None:
        """The message of a kind; None before it came."""
        with self._changed:
            return next((message for message in self._said if isinstance(message, kind)), None)

    def wait_for(self, *kinds: type[M], seconds: float) -> M | None:
        """The first message of any of these kinds; None when it has ended without, or time is up."""

        def told() -> M | None:
            return next((message for message in self._said if isinstance(message, kinds)), None)

        end = time.monotonic() + seconds
        with self._changed:
            while told() is None and self.is_running and time.monotonic() < end:
                self._changed.wait(min(end - time.monotonic(), 0.1))
            return told()

    def send(self, message: ToUsers) -> None:
        """Send it a message; one that has ended needs none."""
        self._send(TO_USERS.write(message))

    def _send(self, line: bytes) -> None:
        with contextlib.suppress(OSError):
            self._ours.sendall(line)

    def last_lines(self) -> list[str]:
        """The end of what it wrote to stderr."""
        with self._changed:
            return list(self._lines)

    def wait(self, seconds: float) -> bool:
        """Wait for its end; whether it has ended."""
        if self._thread.ident is not None:
            self._thread.join(seconds)
        return not self.is_running

    def close(self) -> None:
        """End it and all that it has started. Idempotent, also before the start."""
        with contextlib.suppress(OSError):
            self._ours.shutdown(socket.SHUT_RDWR)
        self._kill()
        if self._thread.ident is not None:
            self._thread.join()
        self._ours.close()
        self._theirs.close()

    # --- its thread ------------------------------------------------------------------------------

    def _run(self) -> None:
        read_end, write_end = os.pipe()
        try:
            self._process = process = self._started(write_end)
        except OSError as error:
            self.failure = error
            os.close(read_end)
            return
        finally:
            os.close(write_end)
            self._theirs.close()
        join(process.pid)
        try:
            self._send(TASK.write(self._task))
            self._listen(read_end)
            # Not collected yet, so its number is still that of its group.
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
            self._kill()
            self.exit_code = process.wait()
        finally:
            leave(process.pid)
            os.close(read_end)
            with self._changed:
                self._changed.notify_all()

    def _started(self, stderr: int) -> subprocess.Popen[bytes]:
        there = self._theirs.fileno()
        return subprocess.Popen(
            [sys.executable, "-P", "-m", MODULE, str(there), str(os.getpid())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            pass_fds=(there, *self._fds),
            env=for_users(),
            start_new_session=True,
        )

    def _listen(self, stderr: int) -> None:
        """Until it has closed the socket, or ended: what it has started may hold stderr for longer."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._ours, selectors.EVENT_READ, self._hear)
            selector.register(stderr, selectors.EVENT_READ, self._read_line)
            while self._ours in {key.fileobj for key in selector.get_map().values()}:
                for key, _ in selector.select():
                    data = self._received(key.fd)
                    if data:
                        key.data(data)
                    else:
                        selector.unregister(key.fileobj)
            os.set_blocking(stderr, False)
            while data := self._received(stderr):
                self._read_line(data)

    def _received(self, fd: int) -> bytes:
        with contextlib.suppress(OSError):
            return os.read(fd, CHUNK)
        return b""

    def _hear(self, data: bytes) -> None:
        *lines, self._half_message = (self._half_message + data).split(b"\n")
        with self._changed:
            self._said += map(FROM_USERS.read, lines)
            self._changed.notify_all()

    def _read_line(self, data: bytes) -> None:
        *lines, rest = (self._half_line + data).split(b"\n")
        self._half_line = rest[-CHUNK:]
        with self._changed:
            self._lines += [line.decode(errors="replace")[:LINE_CHARACTERS] for line in lines if line.strip()]

    def _kill(self) -> None:
        process = self._process
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
