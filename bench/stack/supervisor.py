"""The supervisor: a process of its own that starts service processes and never leaves one behind.

    harness ──stdin──▶ supervisor ──▶ service, in a session of its own
       ▲                   │
       └── events file ────┘

The first line of stdin is the specification (JSON, see `Supervisor`); after that stdin only says
that the harness is alive. Everything ends when

- stdin reaches its end or the harness's process is gone, even by SIGKILL: services are asked to
  end, then killed, their directories removed;
- SIGTERM, SIGINT or SIGHUP arrives: the same;
- the supervisor itself is killed: the kernel kills the services (PR_SET_PDEATHSIG).

A service that dies is started again after a short delay, until it has died too often within a
minute; then the supervisor says so in its log and in the events, and leaves it down.

This file imports only the standard library and is run by its path, so that it is up within some
20 ms and from any directory.
"""

import contextlib
import ctypes
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
import traceback
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

PR_SET_PDEATHSIG = 1
MINUTE_NS = 60_000_000_000
ENDING_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def now_ns() -> int:
    """The one clock of the product: CLOCK_MONOTONIC."""
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC)


class EventFile:
    """One JSON object a line: at_ns, kind, service, and what the kind brings along."""

    def __init__(self, path: str) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)

    def write(self, kind: str, service: str | None = None, **fields: object) -> None:
        """Append one line. A full disk must not stop the supervisor: the line is lost then."""
        entry = {"at_ns": now_ns(), "kind": kind, "service": service, **fields}
        with contextlib.suppress(OSError):
            os.write(self._fd, json.dumps(entry).encode() + b"\n")


class Service:
    """One process to be kept running: name, command, log, directory, restart policy."""

    def __init__(self, specification: dict[str, Any], events: EventFile) -> None:
        self.name: str = specification["name"]
        self.restart_at_ns: int | None = None
        self._command: list[str] = specification["command"]
        self._directory: str = specification["directory"]
        self._log: str = specification["log"]
        self._restart_delay_ns = int(specification["restart_delay_s"] * 1e9)
        self._restarts_per_minute: int = specification["restarts_per_minute"]
        self._process: subprocess.Popen[bytes] | None = None
        self._restarted_ns: deque[int] = deque()
        self._events = events

    @property
    def is_running(self) -> bool:
        """Whether there is a process that has not been collected."""
        return self._process is not None

    def start(self, kind: str = "started") -> None:
        """Start the process; a failure counts as a death."""
        self.restart_at_ns = None
        try:
            with Path(self._log).open("ab") as log:
                self._process = subprocess.Popen(
                    self._command,
                    cwd=self._directory,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    # Its own session: a terminal's Ctrl-C is the harness's to decide about.
                    start_new_session=True,
                    preexec_fn=_die_with(os.getpid()),  # noqa: PLW1509 - this process has one thread
                )
        except (OSError, subprocess.SubprocessError) as error:
            self._events.write("failed", self.name, text=f"cannot be started: {error}")
            self._plan_restart()
        else:
            self._events.write(kind, self.name, pid=self._process.pid)

    def collect(self, *, ending: bool) -> None:
        """Note what happened to the process: stopped and continued by a signal, or dead."""
        if self._process is None:
            return
        pid = self._process.pid
        # Looked at without collecting: while it is a zombie its number cannot be given away, so
        # the signal to its group (a fork that rewrites a file, say) hits no stranger.
        look = os.WEXITED | os.WSTOPPED | os.WCONTINUED | os.WNOHANG | os.WNOWAIT
        while change := os.waitid(os.P_PID, pid, look):
            if change.si_code not in (os.CLD_STOPPED, os.CLD_CONTINUED):
                break
            stopped = change.si_code == os.CLD_STOPPED
            self._events.write("stopped" if stopped else "continued", self.name, pid=pid)
            with contextlib.suppress(ChildProcessError):  # it was killed since the look
                os.waitid(os.P_PID, pid, (os.WSTOPPED if stopped else os.WCONTINUED) | os.WNOHANG)
        else:
            return
        self.signal_group(signal.SIGKILL)
        status = self._process.wait()
        self._process = None
        self._events.write("ended" if ending else "died", self.name, pid=pid, status=status)
        if not ending:
            self._plan_restart()

    def signal_group(self, number: signal.Signals) -> None:
        """Signal the process and its descendants."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, number)

    def ask_to_end(self) -> None:
        """SIGTERM, then SIGCONT so that a stopped process can hear it."""
        self.restart_at_ns = None
        self.signal_group(signal.SIGTERM)
        self.signal_group(signal.SIGCONT)

    def _plan_restart(self) -> None:
        at_ns = now_ns()
        while self._restarted_ns and self._restarted_ns[0] <= at_ns - MINUTE_NS:
            self._restarted_ns.popleft()
        if len(self._restarted_ns) < self._restarts_per_minute:
            self._restarted_ns.append(at_ns)
            self.restart_at_ns = at_ns + self._restart_delay_ns
            return
        text = f"died again after {len(self._restarted_ns)} restarts within a minute: left down"
        self._events.write("gave_up", self.name, text=text)
        with contextlib.suppress(OSError), Path(self._log).open("ab") as log:
            log.write(f"*** holdfast supervisor: {self.name} {text} ***\n".encode())


class Supervisor:
    """Runs one specification until the harness is gone.

    {"harness_pid", "events": path, "grace_s", "remove": [directories],
     "services": [{"name", "command": [...], "directory", "log",
                   "restart_delay_s", "restarts_per_minute"}]}
    """

    def __init__(self, specification: dict[str, Any]) -> None:
        self._events = EventFile(specification["events"])
        self._services = [Service(entry, self._events) for entry in specification["services"]]
        self._grace_s: float = specification["grace_s"]
        self._remove: list[str] = specification["remove"]
        self._harness_pid: int = specification["harness_pid"]
        self._is_told_to_end = False
        self._poll = select.poll()
        self._wakeup, self._wakeup_in = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._watch_signals()
        self._watch_harness()

    def run(self) -> None:
        """Start the services, keep them running, end them. Returns when nothing is left."""
        try:
            for service in self._services:
                service.start()
            while not self._is_told_to_end:
                self._wait(self._until_next_restart_s())
                self._keep_running()
        except Exception:  # noqa: BLE001 - whatever it was, services must end and the reason be kept
            self._events.write("crashed", text=traceback.format_exc())
        finally:
            self._end()

    def _watch_signals(self) -> None:
        signal.set_wakeup_fd(self._wakeup_in, warn_on_full_buffer=False)
        self._poll.register(self._wakeup, select.POLLIN)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # only its byte in the wakeup pipe matters
        for number in ENDING_SIGNALS:
            signal.signal(number, self._tell_to_end)
        # A thread of the harness may have blocked signals, and a new process inherits that.
        signal.pthread_sigmask(signal.SIG_SETMASK, [])

    def _watch_harness(self) -> None:
        self._poll.register(sys.stdin.fileno(), select.POLLIN)
        # A fork of the harness may hold the pipe open for longer than the harness lives, so its
        # process is watched as well, where the kernel can (Linux 5.3).
        with contextlib.suppress(OSError):
            self._poll.register(os.pidfd_open(self._harness_pid), select.POLLIN)
        if os.getppid() != self._harness_pid:
            self._is_told_to_end = True  # it died before it could be watched

    def _tell_to_end(self, *_: object) -> None:
        self._is_told_to_end = True

    def _wait(self, timeout_s: float | None) -> None:
        # Rounded up to the poll's 1 ms step, or the last part of a wait would be spun away.
        timeout_ms = None if timeout_s is None else int(timeout_s * 1000) + 1
        for fd, _ in self._poll.poll(timeout_ms):
            if fd == self._wakeup:
                os.read(fd, 4096)
            elif fd != sys.stdin.fileno() or os.read(fd, 4096) == b"":
                # Level-triggered: unregistered, or every later wait would return at once.
                self._poll.unregister(fd)
                self._is_told_to_end = True

    def _until_next_restart_s(self) -> float | None:
        due = [service.restart_at_ns for service in self._services if service.restart_at_ns is not None]
        return max(0, min(due) - now_ns()) / 1e9 if due else None

    def _keep_running(self) -> None:
        for service in self._services:
            service.collect(ending=False)
            due_ns = service.restart_at_ns
            if due_ns is not None and due_ns <= now_ns() and not self._is_told_to_end:
                service.start("restarted")

    def _end(self) -> None:
        for service in self._services:
            service.ask_to_end()
        deadline_ns = now_ns() + int(self._grace_s * 1e9)
        while self._still_running() and (left_ns := deadline_ns - now_ns()) > 0:
            self._wait(left_ns / 1e9)
        for service in self._services:
            service.signal_group(signal.SIGKILL)
        while self._still_running():
            self._wait(1.0)
        for directory in self._remove:
            shutil.rmtree(directory, ignore_errors=True)
        self._events.write("finished")

    def _still_running(self) -> bool:
        for service in self._services:
            service.collect(ending=True)
        return any(service.is_running for service in self._services)


def _die_with(parent_pid: int) -> Callable[[], None]:
    """A function for the forked child: the kernel kills it when the parent dies."""
    prctl = ctypes.CDLL(None, use_errno=True).prctl

    def arm() -> None:
        prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
        if os.getppid() != parent_pid:  # it died before the call above
            os._exit(127)

    return arm


def main() -> None:
    """Read the specification from stdin and run it."""
    line = sys.stdin.buffer.readline()
    if line:
        Supervisor(json.loads(line)).run()


if __name__ == "__main__":
    main()
