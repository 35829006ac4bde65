"""A service of our own: started on a free loopback port, kept running, removed without a trace.

What a kind of service adds is how its program is found, what its data directory needs, the command,
and the question that shows whether it is ready. Everything else is here, for all of them.
"""

import os
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from bench.core.errors import TargetError, UsageError
from bench.core.sanitize import redacted
from bench.core.units import duration_ns
from bench.registry import SERVICES
from bench.stack.probes.health import Facts, ask
from bench.stack.services.files import DataDirectory, last_lines, new_log_file
from bench.stack.services.loopback_port import free_loopback_port, is_listener
from bench.stack.services.programs import ServerBinary
from bench.stack.supervisor.supervised import ServiceCommand, StackEvent, Supervised
from bench.stack.target import Target, TargetDescription

RESTART_DELAY_VARIABLE = "HOLDFAST_RESTART_DELAY"
PORT_ATTEMPTS = 5
PROBE_DEADLINE_S = 2.0
LOG_TAIL_LINES = 4
LINES_ABOUT_PORT = 12  # a Postgres says five more after the one that counts


class _PortTaken(Exception):  # noqa: N818 - never leaves this module
    """Someone took the port between our look and the server's bind."""


class GivenUp(Exception):  # noqa: N818 - never leaves the stack
    """The start was given up by another thread."""


class StackService(ABC):
    """What a stack starts for one target, or for one process of it."""

    name: str
    behind: tuple[str, ...]
    """The targets that it needs."""
    target: Target | None = None
    """Where it listens; None before the start."""

    def find_program(self) -> object:
        """Look for what is to be run, before anything does. Raises TargetError."""
        return None

    @abstractmethod
    def start(self, others: Mapping[str, Target], given_up: threading.Event) -> None:
        """Return when it can be used. Raises TargetError.

        others: the targets that it needs, at least, by name.
        given_up: set by another thread to let this one end soon, with everything undone.
        """

    @abstractmethod
    def describe(self) -> TargetDescription | None:
        """What runs, for the run's record; None before the start."""

    @abstractmethod
    def events(self) -> list[StackEvent]:
        """Starts, deaths and restarts so far, oldest first; they can be read after the stop too."""

    @abstractmethod
    def stop(self) -> None:
        """End it and remove its data. Idempotent."""


class ManagedService(StackService):
    """One service under its own supervisor. Its log stays in `log_dir`."""

    service: ClassVar[str]
    """Its entry in the registry."""
    ready_deadline_s: ClassVar[float]
    poll_s: ClassVar[float] = 0.003
    ready_means: ClassVar[str]
    """Completes "expected ...", when it never became ready."""

    def __init__(
        self,
        log_dir: Path,
        settings: Mapping[str, str] | None = None,
        name: str | None = None,
        behind: Sequence[str] | None = None,
    ) -> None:
        """`settings`: of the server itself, before our own; where it takes none they are not used.

        name: of the target, if not that of the service. behind: the targets that it needs, if not those of
        the same names as the services that it depends on.
        """
        self.name = name or self.service
        if behind is None:
            behind = SERVICES[self.service].depends_on if self.service in SERVICES else ()
        self.behind = tuple(behind)
        self._asked: Mapping[str, str] = settings or {}
        self._log_dir = log_dir
        self._log: Path | None = None
        self._data: DataDirectory | None = None
        self._supervised: Supervised | None = None
        self._binary: ServerBinary | None = None
        self._facts: Facts | None = None
        self._past_events: list[StackEvent] = []
        self._owner_pid = 0
        self._needed: Sequence[Target] = ()
        """What it needs, in the order of `behind`."""
        self._given_up = threading.Event()
        self._stopping = threading.RLock()

    @abstractmethod
    def find_program(self) -> ServerBinary:
        """What is to be run. Raises TargetError."""

    @abstractmethod
    def _target_on(self, port: int) -> Target:
        """The target that the service will be on this port."""

    @abstractmethod
    def _service_command(self, target: Target, directory: Path, log: Path) -> ServiceCommand:
        """What to run in the new, empty directory, which may be furnished here. Raises TargetError."""

    def _probe(self, target: Target, deadline_s: float) -> Facts:
        """Ask whether it is ready. Raises TargetError while it is not, within `deadline_s`."""
        return ask(target, deadline_s)

    def _settings(self) -> dict[str, str]:
        """What is set otherwise than the program has it by itself."""
        return {}

    def _run_as(self) -> str:
        """Whom it runs as, when not as the harness does; else empty."""
        return ""

    def start(self, others: Mapping[str, Target], given_up: threading.Event) -> None:
        """Start it and return when it answers. Raises TargetError with the end of its log.

        others: the targets that it needs, at least, by name.
        given_up: set by another thread to let this one end soon, with everything undone.
        """
        if self._supervised is not None:
            return
        self._owner_pid = os.getpid()
        self._needed = [others[name] for name in self.behind]
        self._given_up = given_up
        self._binary = self.find_program()
        try:
            for _ in range(PORT_ATTEMPTS):
                try:
                    self._start_on(free_loopback_port())
                except _PortTaken:
                    self.stop()
                else:
                    return
        except BaseException:  # a Ctrl-C too: nothing may stay behind
            self.stop()
            raise
        raise TargetError(
            self.name,
            "127.0.0.1",
            "a free port",
            f"a port taken by others between the look and the start, {PORT_ATTEMPTS} times",
            "look for a program that opens and closes many ports on this machine",
        )

    def describe(self) -> TargetDescription | None:
        """What runs, for the run's record; None before the start."""
        if self.target is None or self._facts is None or self._binary is None:
            return None
        pid = self._supervised.service_pid() if self._supervised else None
        return TargetDescription(
            name=self.name,
            kind=self.target.kind,
            address=self.target.address,
            server=self._facts.server,
            version=self._facts.version,
            started_by=f"supervisor{self._run_as()}; the program is from {self._binary.origin}",
            state="down" if pid is None else "up",
            program=str(self._binary.path),
            pid=pid,
            supervisor_pid=self._supervised.pid if self._supervised else None,
            log=str(self._log),
            data_directory=str(self._data.path) if self._data else None,
            settings=self._settings(),
        )

    def events(self) -> list[StackEvent]:
        """Starts, deaths and restarts so far, oldest first; they can be read after the stop too."""
        supervised = self._supervised
        return self._past_events if supervised is None else supervised.events()

    def hold(self) -> None:
        """End it in order and leave it down; its data stays."""
        if self._supervised is not None:
            self._supervised.order("hold")

    def keep_down(self) -> None:
        """Leave it down when it dies next, until `release`."""
        if self._supervised is not None:
            self._supervised.order("keep_down")

    def release(self) -> None:
        """Start it again after `hold`, or a death after `keep_down`."""
        if self._supervised is not None:
            self._supervised.order("release")

    def stop(self) -> None:
        """End it and remove its data. Idempotent."""
        if os.getpid() != self._owner_pid:
            return  # a fork of the harness that ends: the service is still in use
        with self._stopping:
            # Taken away only when done: a second Ctrl-C here leaves them for the next call.
            if self._supervised is not None:
                self._supervised.end()
                self._past_events = self._supervised.events()
                self._supervised = None
            if self._data is not None:
                self._data.remove()
                self._data = None

    def _start_on(self, port: int) -> None:
        self._log = new_log_file(self._log_dir, self.name, ".log")
        events = new_log_file(self._log_dir, f"{self.name}-events", ".jsonl")
        data = self._make_data_directory()
        target = self._target_on(port)
        command = self._service_command(target, data.path, self._log)
        command = replace(command, restart_delay_s=restart_delay_s())
        self._supervised = Supervised(events)
        self._supervised.start(command, data)
        self._facts = self._wait_until_ready(target)
        self.target = target

    def _make_data_directory(self) -> DataDirectory:
        try:
            self._data = DataDirectory()
            return self._data.create()
        except OSError as error:
            raise TargetError(
                self.name,
                "the embedded stack",
                "a directory for temporary files",
                f"{error.strerror} ({error.filename})",
                "set TMPDIR to a directory with free space that this user may write to",
            ) from None

    def _wait_until_ready(self, target: Target) -> Facts:
        deadline = time.monotonic() + self.ready_deadline_s
        last = "it was not started"
        while (left_s := deadline - time.monotonic()) > 0:
            pid = self._living_pid(target)
            if pid is not None:
                # A stranger that has the port is not asked, and gets no password. Where the kernel
                # does not let us look (None), or nothing listens yet, the answer has to do.
                if is_listener(pid, target.port) is False:
                    last = "another process listens there"
                else:
                    try:
                        return self._probe(target, min(left_s, PROBE_DEADLINE_S))
                    except TargetError as error:
                        last = str(error)
            time.sleep(self.poll_s)
        raise self._not_ready(target, f"no such answer within {self.ready_deadline_s:g} s ({last})")

    def _living_pid(self, target: Target) -> int | None:
        """The service's process, None while it is not yet started.

        What the supervisor would mend later, by a restart, is an error while the service comes up.
        """
        if self._given_up.is_set():
            raise GivenUp
        assert self._supervised is not None
        is_alive = self._supervised.is_alive  # asked first: so its last words are among the events
        pid = None
        for event in self._supervised.events():
            if event.kind == "started":
                pid = event.pid
            elif event.kind == "died":
                if any("address already in use" in line.lower() for line in self._log_tail(LINES_ABOUT_PORT)):
                    raise _PortTaken
                found = f"a server that ended with status {event.status} before it answered"
                raise self._not_ready(target, found)
            elif event.kind == "failed":
                raise self._not_ready(target, f"a program that {event.text}")
        if not is_alive:
            raise self._not_ready(target, self._supervised.failure())
        return pid

    def _log_tail(self, count: int) -> list[str]:
        return [] if self._log is None else last_lines(self._log, count)

    def _not_ready(self, target: Target, found: str) -> TargetError:
        tail = " | ".join(self._log_tail(LOG_TAIL_LINES))
        for known in (target, *self._needed):
            tail = redacted(tail, [known.password])
        advice = f"read {self._log}; the program was {self._binary.path if self._binary else '-'}"
        return target.error(self.ready_means, with_log_end(found, tail), advice)


def with_log_end(found: str, tail: str) -> str:
    """What was found of a service that did not come up, and the last words of its log."""
    return f"{found}; its log ends: {tail}" if tail else f"{found}; its log is empty"


def restart_delay_s() -> float:
    """How long the supervisor waits before it starts a dead service again. Raises UsageError."""
    text = os.environ.get(RESTART_DELAY_VARIABLE, "").strip()
    if not text:
        return ServiceCommand.restart_delay_s
    try:
        return duration_ns(text) / 1e9
    except ValueError as error:
        raise UsageError(f"{RESTART_DELAY_VARIABLE}: {error}") from None
