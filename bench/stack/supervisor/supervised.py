"""The harness's side of the supervisor: start it, read its events, end it."""

import contextlib
import json
import os
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from bench.core.child_process import HelperProcess, for_program
from bench.stack.services.files import DataDirectory
from bench.stack.supervisor import supervisor
from bench.stack.supervisor.processes import await_end_of_orphans

GRACE_S = 2.0
"""How long a service may take to end by itself before it is killed."""
SUPERVISOR_MARGIN_S = 3.0
"""How much longer the supervisor may take before it is killed itself."""
LIFE_KINDS = ("started", "restarted", "died", "ended")


@dataclass(frozen=True)
class SetUpStep:
    """A program that must have ended with status 0 before the service is started for the first time."""

    command: tuple[str, ...]
    input: str = field(default="", repr=False)
    """What it reads from stdin; it may hold a secret."""
    as_harness: bool = False
    """Run as the user of the harness, not as the service's."""


@dataclass(frozen=True)
class ServiceCommand:
    """One process to be kept running. Its output, and that of its set-up, is appended to `log`."""

    name: str
    command: tuple[str, ...]
    directory: str
    log: str
    restart_delay_s: float = 0.1
    restarts_per_minute: int = 60
    set_up: tuple[SetUpStep, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Added to what every program gets (bench.core.child_process); it may hold secrets."""
    user_id: int | None = None
    """Whom service and set-up run as, with `group_id` as the only group. None: as the harness does."""
    group_id: int | None = None
    ending_signal: str = "SIGTERM"


@dataclass(frozen=True)
class StackEvent:
    """What happened to a service, on the one clock.

    kind: started, restarted, stopped, continued (by a signal), died, gave_up, failed (could not
    be started or set up), ended (because it was asked to), crashed (the supervisor), finished. Of a
    container also: signalled (by the engine), paused, unpaused, oom, health (text: healthy or
    unhealthy), connected and disconnected (text: the network), removed.
    """

    at_ns: int
    kind: str
    service: str | None
    pid: int | None = None
    status: int | None = None
    """Exit status; negative: the signal that ended it."""
    text: str | None = None


def read_events(path: Path) -> list[StackEvent]:
    """The events that a supervisor has written so far, oldest first; none where there is no such file."""
    with contextlib.suppress(OSError):
        # Up to the last line's end: a line may be only half written.
        lines = path.read_bytes().rpartition(b"\n")[0].splitlines()
        return [StackEvent(**json.loads(line)) for line in lines]
    return []


def living_pids(events: Iterable[StackEvent]) -> dict[str, int]:
    """Service -> the process that it is after these events; services that are down are left out."""
    pids: dict[str, int] = {}
    for event in events:
        if event.service is None or event.kind not in LIFE_KINDS:
            continue
        if event.kind in ("started", "restarted") and event.pid is not None:
            pids[event.service] = event.pid
        else:
            pids.pop(event.service, None)
    return pids


class Supervised:
    """A running supervisor and the service under it."""

    def __init__(self, events: Path) -> None:
        self._events = events
        self._helper: HelperProcess | None = None
        self._data: Path | None = None

    def start(self, service: ServiceCommand, data: DataDirectory) -> None:
        """Start the supervisor; it starts the service, and removes `data` when it has ended."""
        self._data = data.path.resolve()
        specification = {
            "harness_pid": os.getpid(),
            "events": str(self._events.resolve()),
            "grace_s": GRACE_S,
            "remove": [str(data.path)],
            "service": {**asdict(service), "environment": {**for_program(), **service.environment}},
        }
        # -I -S: no site-packages, no PYTHON* variables; half the start-up time, and nothing of
        # the user's environment can break it.
        self._helper = HelperProcess(
            ["-I", "-S", str(Path(supervisor.__file__).resolve())],
            for_program(),
            pass_fds=[data.lock_fd],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        # Where it has died already, `failure` says why.
        self._helper.write_line(json.dumps(specification).encode())

    @property
    def pid(self) -> int | None:
        """The supervisor's process id."""
        return None if self._helper is None else self._helper.pid

    @property
    def is_alive(self) -> bool:
        """Whether the supervisor is still running."""
        return self._helper is not None and self._helper.process.poll() is None

    def events(self) -> list[StackEvent]:
        """All events so far, oldest first."""
        return read_events(self._events)

    def service_pid(self) -> int | None:
        """The process id of the service, None while it is down."""
        if not self.is_alive:
            return None
        return next(iter(living_pids(self.events()).values()), None)

    def order(self, word: str) -> None:
        """Say `hold` (end the service, leave it down), `keep_down` (leave it down when it dies) or `release`
        (start it again).
        """
        if self._helper is not None:
            self._helper.write_line(word.encode())

    def failure(self) -> str:
        """Why the supervisor is gone, in its own words. Call it only when it is."""
        assert self._helper is not None
        process = self._helper.process
        assert process.stderr is not None
        text = process.stderr.read().decode(errors="replace").strip()
        return f"the supervisor ended with status {process.wait()}: {text or 'it said nothing'}"

    def end(self) -> None:
        """End the service and the supervisor; return when they are gone. Idempotent."""
        if self._helper is None:
            return
        # One that is stopped by a signal, or stuck, is killed: then the kernel kills its service with it.
        if self._helper.end(GRACE_S + SUPERVISOR_MARGIN_S) != 0 and self._data is not None:
            await_end_of_orphans(self._data, SUPERVISOR_MARGIN_S)
        self._helper = None
