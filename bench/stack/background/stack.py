"""The stack that `bench stack up` has left running, as a run uses it: ours, but not ours to end."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import replace
from pathlib import Path

from bench.registry import with_dependencies
from bench.stack.background.state import BackgroundStack
from bench.stack.docker.client import connect_engine
from bench.stack.docker.compose import FollowingStack
from bench.stack.docker.container_facts import Container, cgroup_of
from bench.stack.docker.events import FollowedContainers
from bench.stack.probes.health import ask
from bench.stack.stack import Stack
from bench.stack.supervisor.supervised import StackEvent, living_pids, read_events
from bench.stack.target import Target, TargetDescription


class AttachedStack(Stack):
    """Embedded services under a daemon. They may be killed, for they are ours; they outlive the run."""

    kind = "embedded"

    def __init__(self, background: BackgroundStack, needed: AbstractSet[str]) -> None:
        self._background = background
        self._used = with_dependencies(needed)

    def start(self) -> None:
        """Check that the targets answer. Raises TargetError."""
        for target in self.targets().values():
            ask(target)

    def targets(self) -> dict[str, Target]:
        """The needed targets, and those that they need themselves."""
        return {target.name: target for target in self._background.targets if target.name in self._used}

    def describe(self) -> list[TargetDescription]:
        """What runs, with the process ids of now."""
        pids = living_pids(self.events())
        return [
            replace(started, pid=(pid := pids.get(started.name)), state="down" if pid is None else "up")
            for started in self._background.described
            if started.name in self._used
        ]

    def events(self) -> list[StackEvent]:
        """What happened to the services since the stack was started, oldest first."""
        files = self._background.logs.glob("*events*.jsonl")
        events = [event for file in files for event in read_events(file)]
        used = (event for event in events if event.service in (None, *self._used))
        return sorted(used, key=lambda event: event.at_ns)

    def stop(self) -> None:
        """Nothing: the stack stays up until `bench stack down`."""


class AttachedContainers(FollowingStack):
    """Containers under a daemon: ours, so that faults may hit them, but they outlive the run."""

    kind = "docker"

    def __init__(self, background: BackgroundStack, needed: AbstractSet[str], log_dir: Path) -> None:
        super().__init__(log_dir)
        used = set(with_dependencies(needed))
        self._targets = {target.name: target for target in background.targets if target.name in used}
        self._started = {target.name: target for target in background.described if target.name in used}
        self._health: dict[str, str] = {}

    def start(self) -> None:
        """Check that the targets answer, and follow their containers. Raises TargetError."""
        if self._followed is not None:
            return
        for target in self._targets.values():
            ask(target)
        self._engine = engine = connect_engine()
        ids = {
            started.container.id: name
            for name, started in self._started.items()
            if started.container is not None
        }
        self._followed = FollowedContainers(engine, ids, self._log_dir)
        self._followed.start()
        for container, name in ids.items():
            self._health[name] = Container.read(engine.inspect_container(container)).health_check

    def describe(self) -> list[TargetDescription]:
        """What runs: as it was started, with the processes of now."""
        assert self._followed is not None
        events = self._followed.events
        descriptions = []
        for name, started in self._started.items():
            assert started.container is not None
            pid = events.pid(started.container.id)
            health = events.last_health(name, self._health[name])
            descriptions.append(
                replace(
                    started,
                    pid=pid,
                    state="down" if pid is None else "up",
                    log=str(self._followed.log_of(name)),
                    container=replace(started.container, cgroup=cgroup_of(pid), health_check=health),
                )
            )
        return descriptions
