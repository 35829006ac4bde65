"""The stack that `bench stack up` has left running, as a run uses it: ours, but not ours to end."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Set as AbstractSet
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from bench.stack.background.state import BackgroundStack
from bench.stack.docker.client import connect_engine
from bench.stack.docker.container_facts import cgroup_of, health_of
from bench.stack.docker.events import ContainerLog, EngineEvents
from bench.stack.docker.services import containers_with_needs
from bench.stack.embedded import with_needs
from bench.stack.probes.health import ask, health_rows
from bench.stack.supervisor.supervised import StackEvent
from bench.stack.target import Target

if TYPE_CHECKING:
    from docker import APIClient


LIVES = ("started", "restarted", "died", "ended")


class AttachedStack:
    """Embedded services under a keeper. They may be killed, for they are ours; they outlive the run."""

    kind = "embedded"

    def __init__(self, kept: BackgroundStack, needed: AbstractSet[str]) -> None:
        self._kept = kept
        self._used = with_needs(needed)

    def start(self) -> None:
        """Check that the targets answer. Raises TargetError."""
        for target in self.targets().values():
            ask(target)

    def targets(self) -> dict[str, Target]:
        """The needed targets, and those that they need themselves."""
        return {target.name: target for target in self._kept.targets if target.name in self._used}

    def describe(self) -> list[dict[str, Any]]:
        """What runs, with the process ids of now."""
        pids = _pids(self.events())
        return [
            {**entry, "pid": (pid := pids.get(str(entry["name"]))), "state": "down" if pid is None else "up"}
            for entry in self._kept.described
            if entry["name"] in self._used
        ]

    def health(self) -> list[dict[str, Any]]:
        """How each target is now: see health_rows."""
        return health_rows(self.targets().values())

    def events(self) -> list[StackEvent]:
        """What happened to the services since the stack was started, oldest first."""
        found = []
        for path in self._kept.logs.glob("*events*.jsonl"):
            with contextlib.suppress(OSError):
                # Up to the last line's end: a line may be only half written.
                lines = path.read_bytes().rpartition(b"\n")[0].splitlines()
                found += [StackEvent(**json.loads(line)) for line in lines]
        return sorted(
            (event for event in found if event.service in (None, *self._used)), key=lambda event: event.at_ns
        )

    def stop(self) -> None:
        """Nothing: the stack stays up until `bench stack down`."""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _pids(events: list[StackEvent]) -> dict[str, int]:
    """Service -> the process that it is now; services that are down are left out."""
    pids: dict[str, int] = {}
    for event in events:
        if event.service is None or event.kind not in LIVES:
            continue
        if event.kind in ("started", "restarted") and event.pid is not None:
            pids[event.service] = event.pid
        else:
            pids.pop(event.service, None)
    return pids


class KeptContainers:
    """Containers under a keeper: ours, so that faults may hit them, but they outlive the run."""

    kind = "docker"

    def __init__(self, kept: BackgroundStack, needed: AbstractSet[str], log_dir: Path) -> None:
        used = {service.name for service in containers_with_needs(needed)}
        self._targets = {target.name: target for target in kept.targets if target.name in used}
        self._entries = {str(entry["name"]): entry for entry in kept.described if entry["name"] in used}
        self._log_dir = log_dir
        self._logs: dict[str, ContainerLog] = {}
        self._health: dict[str, str] = {}
        self._engine: APIClient | None = None
        self._events: EngineEvents | None = None

    def start(self) -> None:
        """Check that the targets answer, and follow their containers. Raises TargetError."""
        if self._events is not None:
            return
        for target in self._targets.values():
            ask(target)
        self._engine = engine = connect_engine()

        def pid_of(container: str) -> int | None:
            return engine.inspect_container(container)["State"]["Pid"] or None

        ids = {str(entry["container"]): name for name, entry in self._entries.items()}
        self._events = events = EngineEvents(engine, ids, pid_of)
        events.start()
        for container, name in ids.items():
            if pid := pid_of(container):
                events.note_running(container, pid)
            self._health[name] = health_of(engine.inspect_container(container))
            self._logs[name] = log = ContainerLog(engine, container, self._log_dir, name, from_now=True)
            log.start(lambda container=container: events.pid(container) is not None)  # type: ignore[misc]

    def targets(self) -> dict[str, Target]:
        """The needed targets, and those that they need themselves."""
        return dict(self._targets)

    def describe(self) -> list[dict[str, Any]]:
        """What runs: as it was started, with the processes of now."""
        assert self._events is not None
        found = []
        for name, entry in self._entries.items():
            pid = self._events.pid(str(entry["container"]))
            now = {"pid": pid, "state": "down" if pid is None else "up", "cgroup": cgroup_of(pid)}
            told = [one for one in self._events.all() if one.service == name and one.kind == "health"]
            health = str(told[-1].text) if told else self._health[name]
            found.append({**entry, **now, "log": str(self._logs[name].path), "health_check": health})
        return found

    def health(self) -> list[dict[str, Any]]:
        """How each target is now: see health_rows."""
        return health_rows(self._targets.values())

    def events(self) -> list[StackEvent]:
        """What the engine said of the containers since the run began, oldest first."""
        return [] if self._events is None else self._events.all()

    def stop(self) -> None:
        """Let go of the containers; they run on until `bench stack down`. Again is harmless."""
        if self._events is not None:
            self._events.close()
        for log in self._logs.values():
            log.let_go()
        if self._engine is not None:
            self._engine.close()

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
