"""The supervisor: a separate process that keeps one service running and never leaves it behind.

    harness ──stdin──▶ supervisor ──▶ service, in a separate session
       ▲                   │
       └── events file ────┘

The first line of stdin is the specification (JSON, see `Supervisor`); after that its being open says
that the harness is alive, and a line may say `hold`, `keep_down` or `release`. Everything ends when

- stdin reaches its end or the harness's process is gone, even by SIGKILL: the service is asked to
  end, then killed, its directory removed;
- SIGTERM, SIGINT or SIGHUP arrives: the same;
- the supervisor itself is killed: the kernel kills the service (PR_SET_PDEATHSIG).

Before its first start a service may have steps of set-up, programs that must end with status 0. A
service that dies takes all its descendants with it, as a container would, and is started again after
a short delay, until it has died too often within a minute; then the supervisor says so in its log
and in the events, and leaves it down.

This file is run by its path and starts with the standard library alone, so that it is up within some
20 ms and from any directory. That is also why all of it is in one file.
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
from typing import Any, NamedTuple

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
MINUTE_NS = 60_000_000_000
ENDING_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

prctl = ctypes.CDLL(None, use_errno=True).prctl


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


class SetUpStep(NamedTuple):
    """A program that must have ended with status 0 before the service is started for the first time."""

    command: list[str]
    input: str
    as_harness: bool


class Service:
    """One process to be kept running: what to start, where, as whom, and the restart policy."""

    def __init__(self, specification: dict[str, Any], events: EventFile) -> None:
        self.name: str = specification["name"]
        self.restart_at_ns: int | None = None
        self._set_up: deque[SetUpStep] = deque(SetUpStep(**step) for step in specification["set_up"])
        self._command: list[str] = specification["command"]
        self._directory: str = specification["directory"]
        self._log: str = specification["log"]
        self._environment: dict[str, str] = specification["environment"]
        self._user: int | None = specification["user_id"]
        self._group: int | None = specification["group_id"]
        self._ending_signal = signal.Signals[specification["ending_signal"]]
        self._restart_delay_ns = int(specification["restart_delay_s"] * 1e9)
        self._restarts_per_minute: int = specification["restarts_per_minute"]
        self._process: subprocess.Popen[bytes] | None = None
        self._restarted_ns: deque[int] = deque()
        self._events = events
        self._is_held = False
        self._is_asked_to_end = False
        self.kill_at_ns: int | None = None
        """When a process that was asked to end is killed instead."""

    @property
    def is_running(self) -> bool:
        """Whether there is a process that has not been collected."""
        return self._process is not None

    def start(self, kind: str = "started") -> None:
        """Start the next step of the set-up, or the process; a failure of the latter counts as a death."""
        self.restart_at_ns = None
        step = self._set_up[0] if self._set_up else None
        try:
            if step is None:
                self._process = self._spawn(self._command)
            else:
                self._process = self._spawn(step.command, step.input, as_harness=step.as_harness)
        except (OSError, subprocess.SubprocessError) as error:
            self._events.write("failed", self.name, text=f"cannot be started: {error}")
            if step is None:
                self._plan_restart()
        else:
            if step is None:
                self._events.write(kind, self.name, pid=self._process.pid)

    def collect(self, *, ending: bool) -> None:
        """Note what happened to the process: stopped and continued by a signal, or dead."""
        pid = None if self._process is None else self._process.pid
        _reap_strangers(pid)
        if self._process is None or pid is None:
            return
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
        self.kill_at_ns = None
        is_asked = ending or self._is_asked_to_end
        self._is_asked_to_end = False
        if not self._set_up:
            self._events.write("ended" if is_asked else "died", self.name, pid=pid, status=status)
        _kill_descendants()
        if self._set_up:
            self._after_set_up(status, ending=ending)
        elif not is_asked:
            if not self._is_held:
                self._plan_restart()
        elif not ending and not self._is_held:
            self.start("restarted")  # released before it had ended

    def hold(self, grace_s: float) -> None:
        """End the process in order and leave it down until `release`. Idempotent."""
        self._is_held = True
        if self._process is not None and not self._is_asked_to_end:
            self._is_asked_to_end = True
            self.kill_at_ns = now_ns() + int(grace_s * 1e9)
        self.ask_to_end()

    def keep_down(self) -> None:
        """Leave it down from its next death on, or the one that was just seen, until `release`."""
        self._is_held = True
        self.restart_at_ns = None

    def release(self) -> None:
        """Start it again after `hold` or `keep_down`; where it still ends, it is started when it has."""
        if self._is_held:
            self._is_held = False
            if self._process is None:
                self.start("restarted")

    def signal_group(self, number: signal.Signals) -> None:
        """Signal the process and those of its descendants that have not left its process group."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, number)

    def ask_to_end(self) -> None:
        """The signal that the service ends by, then SIGCONT so that a stopped process can hear it."""
        self.restart_at_ns = None
        self.signal_group(self._ending_signal)
        self.signal_group(signal.SIGCONT)

    def _spawn(
        self, command: list[str], text: str = "", *, as_harness: bool = False
    ) -> "subprocess.Popen[bytes]":
        user, group = (None, None) if as_harness else (self._user, self._group)
        with Path(self._log).open("ab") as log, os.fdopen(os.memfd_create("input"), "w+b", 0) as feed:
            # In memory, for it may hold a password; without text its end is read immediately.
            feed.write(text.encode())
            feed.seek(0)
            return subprocess.Popen(
                command,
                cwd=self._directory,
                env=self._environment,
                stdin=feed,
                stdout=log,
                stderr=log,
                user=user,
                group=group,
                extra_groups=None if user is None else [],
                # Its own session: a terminal's Ctrl-C is the harness's to decide about.
                start_new_session=True,
                # Called after the change of user, which would take the kernel's promise back.
                preexec_fn=_die_with(os.getpid()),  # noqa: PLW1509 - this process has one thread
            )

    def _after_set_up(self, status: int, *, ending: bool) -> None:
        program = Path(self._set_up[0].command[0]).name
        if status == 0:
            self._set_up.popleft()
            if not ending:
                self.start()
        elif not ending:
            self._events.write("failed", self.name, text=f"was not set up: {program} ended with {status}")

    def _plan_restart(self) -> None:
        at_ns = now_ns()
        while self._restarted_ns and self._restarted_ns[0] <= at_ns - MINUTE_NS:
            self._restarted_ns.popleft()
        if len(self._restarted_ns) < self._restarts_per_minute:
            self._restarted_ns.append(at_ns)
            self.restart_at_ns = at_ns + self._restart_delay_ns
            return
        text = f"died again after {len(self._restarted_ns)} restarts within a minute: left down"
        with contextlib.suppress(OSError), Path(self._log).open("ab") as log:
            log.write(f"*** holdfast supervisor: {self.name} {text} ***\n".encode())
        self._events.write("gave_up", self.name, text=text)


class Supervisor:
    """Runs one specification until the harness is gone.

    {"harness_pid", "events": path, "grace_s", "remove": [directories], "service": a ServiceCommand
     of bench.stack.supervisor.supervised with its fields as keys; `environment` is all that it gets}
    """

    def __init__(self, specification: dict[str, Any]) -> None:
        self._events = EventFile(specification["events"])
        self._service = Service(specification["service"], self._events)
        self._grace_s: float = specification["grace_s"]
        self._remove: list[str] = specification["remove"]
        self._harness_pid: int = specification["harness_pid"]
        self._is_ending = False
        self._lines = b""
        self._poll = select.poll()
        self._wakeup, self._wakeup_in = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        # What a dead service leaves behind becomes our child, to be found and killed.
        prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        self._watch_signals()
        self._watch_harness()

    def run(self) -> None:
        """Start the service, keep it running, end it. Returns when nothing is left."""
        try:
            if not self._is_ending:
                self._service.start()
            while not self._is_ending:
                self._wait(self._until_due_s())
                self._obey()
                self._keep_running()
        except Exception:  # noqa: BLE001 - whatever it was, the service must end and the reason be kept
            self._events.write("crashed", text=traceback.format_exc())
        finally:
            self._end()

    def _watch_signals(self) -> None:
        signal.set_wakeup_fd(self._wakeup_in, warn_on_full_buffer=False)
        self._poll.register(self._wakeup, select.POLLIN)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # only its byte in the wakeup pipe matters
        for number in ENDING_SIGNALS:
            signal.signal(number, self._ask_to_end)
        # A thread of the harness may have blocked signals, and a new process inherits that.
        signal.pthread_sigmask(signal.SIG_SETMASK, [])

    def _watch_harness(self) -> None:
        self._poll.register(sys.stdin.fileno(), select.POLLIN)
        # A fork of the harness may hold the pipe open for longer than the harness lives, so its
        # process is watched as well, where the kernel can (Linux 5.3).
        with contextlib.suppress(OSError):
            self._poll.register(os.pidfd_open(self._harness_pid), select.POLLIN)
        if os.getppid() != self._harness_pid:
            self._is_ending = True  # it died before it could be watched

    def _ask_to_end(self, *_: object) -> None:
        self._is_ending = True

    def _wait(self, timeout_s: float | None) -> None:
        # Rounded up to the poll's 1 ms step, or the last part of a wait would be spun away.
        timeout_ms = None if timeout_s is None else int(timeout_s * 1000) + 1
        for fd, _ in self._poll.poll(timeout_ms):
            if fd == self._wakeup:
                os.read(fd, 4096)
                continue
            received = os.read(fd, 4096) if fd == sys.stdin.fileno() else b""
            self._lines += received
            if not received:
                # Level-triggered: unregistered, or every later wait would return immediately.
                self._poll.unregister(fd)
                self._is_ending = True

    def _obey(self) -> None:
        """Lines on stdin: `hold` ends the service and leaves it down, `keep_down` leaves it down when it
        dies, `release` starts it again.
        """
        *lines, self._lines = self._lines.split(b"\n")
        for line in lines:
            if line == b"hold":
                self._service.hold(self._grace_s)
            elif line == b"keep_down":
                self._service.keep_down()
            elif line == b"release":
                self._service.release()

    def _until_due_s(self) -> float | None:
        due = [at for at in (self._service.restart_at_ns, self._service.kill_at_ns) if at is not None]
        return max(0, min(due) - now_ns()) / 1e9 if due else None

    def _keep_running(self) -> None:
        self._service.collect(ending=False)
        due_ns = self._service.restart_at_ns
        if due_ns is not None and due_ns <= now_ns() and not self._is_ending:
            self._service.start("restarted")
        kill_ns = self._service.kill_at_ns
        if kill_ns is not None and kill_ns <= now_ns():
            self._service.kill_at_ns = None
            self._service.signal_group(signal.SIGKILL)

    def _end(self) -> None:
        self._service.ask_to_end()
        deadline_ns = now_ns() + int(self._grace_s * 1e9)
        while self._still_running() and (left_ns := deadline_ns - now_ns()) > 0:
            self._wait(left_ns / 1e9)
        self._service.signal_group(signal.SIGKILL)
        while self._still_running():
            self._wait(1.0)
        for directory in self._remove:
            _remove_shared_memory(Path(directory))
            shutil.rmtree(directory, ignore_errors=True)
        self._events.write("finished")

    def _still_running(self) -> bool:
        self._service.collect(ending=True)
        return self._service.is_running


def _children() -> list[int]:
    """The processes whose parent is this one, zombies too: what is killed here is never a stranger."""
    found = []
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            with contextlib.suppress(OSError):  # it ended meanwhile
                status = Path(entry.path, "stat").read_bytes()
                # "pid (name) state parent ...", and a name may hold anything.
                if int(status.rpartition(b")")[2].split()[1]) == os.getpid():
                    found.append(int(entry.name))
    return found


def _kill_descendants() -> None:
    """Kill what a dead service has left; the children of those killed become ours in turn."""
    while children := _children():
        for pid in children:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def _reap_strangers(service_pid: int | None) -> None:
    """Collect ended descendants that a living service has let go of."""
    for pid in _children():
        if pid != service_pid:
            os.waitpid(pid, os.WNOHANG)


def _remove_shared_memory(directory: Path) -> None:
    # At the end of the path, where the package hides no module of the standard library's.
    sys.path.append(str(Path(__file__).resolve().parents[3]))
    with contextlib.suppress(ImportError):  # it was uninstalled or moved while we ran
        from bench.stack.services.files import remove_shared_memory

        remove_shared_memory(directory)


def _die_with(parent_pid: int) -> Callable[[], None]:
    """A function for the forked child: the kernel kills it when the parent dies."""

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
