"""What the engine reports of containers: events on the run's clock, and a copy of their logs.

The engine stamps its events in ns of the wall clock of this same machine; each is turned into
monotonic time by a pair of readings taken when it arrives, so a step of the wall clock between the two
is all that can displace it.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.core.clock import NS_PER_S, WallLabel
from bench.stack.docker.container_facts import Container
from bench.stack.services.files import new_log_file
from bench.stack.supervisor.supervised import StackEvent

if TYPE_CHECKING:
    from docker import APIClient


WATCHED = (
    "start",
    "die",
    "kill",
    "pause",
    "unpause",
    "oom",
    "health_status",
    "connect",
    "disconnect",
    "destroy",
)
KINDS = {
    "pause": "paused",
    "unpause": "unpaused",
    "oom": "oom",
    "connect": "connected",
    "disconnect": "disconnected",
    "destroy": "removed",
}
SIGNALLED = 128


@dataclass(frozen=True)
class EngineEvent:
    """One event as the engine sends it."""

    at_ns: int
    """On the one clock."""
    type: str
    """container, network ..."""
    action: str
    container: str
    """Its id, of an event of a network too."""
    attributes: Mapping[str, str]

    @classmethod
    def read(cls, entry: Any) -> EngineEvent:
        """A line of the engine's stream."""
        actor, kind = entry.get("Actor", {}), entry.get("Type", "")
        attributes = actor.get("Attributes", {})
        container = attributes.get("container", "") if kind == "network" else actor.get("ID", "")
        return cls(monotonic_of(int(entry["timeNano"])), kind, str(entry["Action"]), container, attributes)


class EngineEvents:
    """Follows the engine's events of some containers in a separate thread.

    services: container id -> service. pid_of: container id -> the process that it is now, if any; the
    engine is asked where it is not given.
    replaces: id and labels of a container that starts and is none of these -> the service that it goes on
    with in the place of another, if it does.
    """

    def __init__(
        self,
        engine: APIClient,
        services: Mapping[str, str],
        pid_of: Callable[[str], int | None] | None = None,
        replaces: Callable[[str, Mapping[str, str]], str | None] = lambda container, labels: None,  # noqa: ARG005 - nothing is replaced
    ) -> None:
        self._engine = engine
        self._services = services
        self._replaces = replaces
        self.pid_of = pid_of or (lambda container: Container.read(engine.inspect_container(container)).pid)
        self._pids: dict[str, int] = {}
        self._started: set[str] = set()
        self._events: list[StackEvent] = []
        self._changed = threading.Condition()
        self._is_ending = False
        self._stream: Any = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin; every event from now on will be seen."""
        self._stream = self._engine.events(filters={"event": list(WATCHED)}, decode=True)
        self._thread = threading.Thread(target=self._follow, name="engine-events", daemon=True)
        self._thread.start()

    def note_running(self, container: str, pid: int) -> None:
        """A container that ran before the events were followed."""
        with self._changed:
            self._pids[container] = pid
            self._started.add(container)

    def all(self) -> list[StackEvent]:
        """All so far, oldest first."""
        with self._changed:
            return sorted(self._events, key=lambda event: event.at_ns)

    def pid(self, container: str) -> int | None:
        """The container's first process; None while it does not run."""
        with self._changed:
            return self._pids.get(container)

    def last_health(self, service: str, before: str) -> str:
        """What its health check said last; `before` where it has said nothing since we began."""
        said = [event.text for event in self.all() if (event.service, event.kind) == (service, "health")]
        return str(said[-1]) if said else before

    def wait_for_change(self, seen: int, timeout_s: float) -> int:
        """Wait until there are more events than `seen`; return how many there are."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._events) > seen, timeout_s)
            return len(self._events)

    def expect_end(self) -> None:
        """From now on a container that ends does so because it was asked to."""
        self._is_ending = True

    def close(self) -> None:
        """End the thread. Idempotent."""
        if self._thread is None:
            return
        close_stream(self._stream)
        self._thread.join(1.0)
        self._thread = None

    def _follow(self) -> None:
        # The engine went away, or the stream was closed: there is nothing more to follow.
        with contextlib.suppress(Exception):
            for entry in self._stream:
                self._take(EngineEvent.read(entry))

    def _take(self, event: EngineEvent) -> None:
        service = self._services.get(event.container)
        if service is None and event.type == "container" and event.action == "start":
            service = self._replaces(event.container, event.attributes)
            if service is not None:
                self._started.add(event.container)  # another life of the same service
        if service is None or event.type not in ("container", "network"):
            return
        stack_event = self._stack_event(event, service)
        with self._changed:
            self._events.append(stack_event)
            self._changed.notify_all()

    def _stack_event(self, event: EngineEvent, service: str) -> StackEvent:
        container, attributes = event.container, event.attributes
        action, _, rest = event.action.partition(": ")
        pid, status, text = self._pids.get(container), None, None
        match action:
            case "start":
                kind = "restarted" if container in self._started else "started"
                self._started.add(container)
                pid = self.pid_of(container)
                with self._changed:
                    if pid:
                        self._pids[container] = pid
            case "die":
                kind = "ended" if self._is_ending else "died"
                status, text = exit_status(int(attributes.get("exitCode") or 0))
                with self._changed:
                    self._pids.pop(container, None)
            case "kill":
                kind, text = "signalled", f"signal {attributes.get('signal', '?')}, by the engine"
            case "health_status":
                kind, text = "health", rest
            case _:
                kind = KINDS[action]
                text = attributes.get("name") if event.type == "network" else None
        return StackEvent(event.at_ns, kind, service, pid, status, text)


def monotonic_of(wall_ns: int) -> int:
    """A stamp of this machine's wall clock on the one clock."""
    label = WallLabel.read()
    return label.monotonic_ns - (label.wall_ns - wall_ns)


def exit_status(code: int) -> tuple[int, str]:
    """(status, words) of an engine's exit code: 128 + its number for a signal, here negative."""
    if code > SIGNALLED and code - SIGNALLED in [number.value for number in signal.Signals]:
        return SIGNALLED - code, f"exit code {code}: {signal.Signals(code - SIGNALLED).name}"
    return code, f"exit code {code}"


def wall_text(later_s: float = 0.0) -> str:
    """The wall clock of now, or later, as the engine's `since` and `until` have it."""
    seconds, rest_ns = divmod(WallLabel.read().wall_ns + int(later_s * NS_PER_S), NS_PER_S)
    return f"{seconds}.{rest_ns:09d}"


def awaited_events(
    engine: APIClient,
    container: str,
    actions: Sequence[str],
    since: str,
    deadline_s: float,
    network: str | None = None,
) -> dict[str, int]:
    """Action -> when the engine says that it was first done to a container, ns on the one clock.

    Returns with the last of the actions, or at the deadline with those that came. since: from `wall_text`,
    before it was asked to. network: for connect and disconnect, which are events of a network.
    """
    filters = {"event": list(actions)} | ({"network": [network]} if network else {"container": [container]})
    stream = engine.events(since=since, until=wall_text(deadline_s), filters=filters, decode=True)
    found: dict[str, int] = {}
    try:
        for event in map(EngineEvent.read, stream):
            if event.container == container:
                found.setdefault(event.action, event.at_ns)
            if actions[-1] in found:
                break
    finally:
        close_stream(stream)
    return found


def close_stream(stream: Any) -> None:
    """End a stream of the engine's, whatever state its socket is in; who reads it in a thread ends too."""
    with contextlib.suppress(Exception):
        stream.close()
    with contextlib.suppress(Exception):
        stream._response.close()  # or its connection would stay open until it is collected


LOOK_AGAIN_S = 0.05
END_DEADLINE_S = 2.0


class ContainerLog:
    """Follows one container's output in a separate thread."""

    def __init__(
        self, engine: APIClient, container: str, folder: Path, service: str, *, from_now: bool = False
    ) -> None:
        self.path = new_log_file(folder, service, ".log")
        self._engine = engine
        self._container = container
        self._last = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ").encode() if from_now else b""
        """The engine's stamp of the last line that was written; as text they sort by time."""
        self._is_running: Callable[[], bool] = lambda: True
        self._stream: Any = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._follow, name=f"log of {service}", daemon=True)

    def start(self, is_running: Callable[[], bool]) -> None:
        """Begin. `is_running`: whether the container has a process at the moment."""
        self._is_running = is_running
        self._thread.start()

    def end(self) -> None:
        """Stop following, when all that was printed has been written. The container has ended, for good."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join(END_DEADLINE_S)

    def let_go(self) -> None:
        """Stop following a container that runs on. Idempotent."""
        self._ended.set()
        if self._stream is not None:
            close_stream(self._stream)
        self.end()

    def _follow(self) -> None:
        # The container, or the engine, is gone: what has been written stays.
        with contextlib.suppress(Exception), self.path.open("ab", buffering=0) as file:
            while True:
                self._copy(file.write)
                if self._ended.is_set():
                    return
                # The stream ends with each of the container's lives.
                while not self._is_running() and not self._ended.wait(LOOK_AGAIN_S):
                    pass

    def _copy(self, write: Callable[[bytes], int]) -> None:
        since = {"since": _seconds(self._last)} if self._last else {}
        self._stream = self._engine.logs(self._container, stream=True, follow=True, timestamps=True, **since)
        for frame in self._stream:
            for line in bytes(frame).splitlines(keepends=True):
                stamp, space, text = line.partition(b" ")
                if space and stamp > self._last:
                    self._last = stamp
                    write(text)


def _seconds(stamp: bytes) -> int:
    """Whole seconds of a stamp such as 2025-01-31T12:00:00.123456789Z."""
    return int(datetime.fromisoformat(f"{stamp[:19].decode()}+00:00").timestamp())


class FollowedContainers:
    """Containers that run already and run on: what happens to them, and what they print from now on.

    ids: container id -> service; one that takes the place of another is added by `replaces` (EngineEvents).
    """

    def __init__(
        self,
        engine: APIClient,
        ids: Mapping[str, str],
        log_dir: Path,
        replaces: Callable[[str, Mapping[str, str]], str | None] = lambda container, labels: None,  # noqa: ARG005 - nothing is replaced
    ) -> None:
        self.events = EngineEvents(engine, ids, replaces=replaces)
        self._engine = engine
        self._ids = ids
        self._log_dir = log_dir
        self._logs: list[tuple[str, ContainerLog]] = []

    def start(self) -> None:
        """Begin with the containers of now."""
        self.events.start()
        for container, service in dict(self._ids).items():
            if pid := self.events.pid_of(container):
                self.events.note_running(container, pid)
            self.copy_log(container, service, from_now=True)

    def copy_log(self, container: str, service: str, *, from_now: bool = False) -> None:
        """Follow its log too: all of it, or what is printed from now on."""
        log = ContainerLog(self._engine, container, self._log_dir, service, from_now=from_now)
        log.start(lambda: self.events.pid(container) is not None)
        self._logs.append((service, log))

    def log_of(self, service: str) -> Path:
        """The file with the log of the container that the service is now."""
        return next(log.path for name, log in reversed(self._logs) if name == service)

    def close(self) -> None:
        """Let go of them. Idempotent."""
        self.events.close()
        for _, log in self._logs:
            log.let_go()
