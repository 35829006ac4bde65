"""The stack of a stack file: each target found or started where the file says, all of them as one stack."""

from __future__ import annotations

import tempfile
from collections.abc import Set as AbstractSet
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from bench.core.errors import TargetError
from bench.registry import KINDS, SENTINEL, SERVICES, Topology, load, with_instances
from bench.stack.embedded import EmbeddedStack
from bench.stack.external import ExternalStack
from bench.stack.probes.health import ServiceHealth
from bench.stack.services.base import ManagedService, StackService
from bench.stack.services.postgres_replication import postgres_group
from bench.stack.services.redis_cluster import redis_cluster
from bench.stack.services.redis_replication import redis_group
from bench.stack.services.servers import ManagedProxy
from bench.stack.stack import Stack, check_names
from bench.stack.stack_file import StackFile, service_of
from bench.stack.standing import AskedTarget, asked, asked_of
from bench.stack.supervisor.supervised import StackEvent
from bench.stack.target import Target, TargetDescription

PLACES_IN_ORDER = (("url", "sentinel", "cluster"), ("compose",), ("docker",), ("embedded",))
"""What runs already, then containers, then processes: each may need what comes before it."""


class AssembledStack(Stack):
    """One stack of several: those that run already come first, since what we start may need them."""

    def __init__(self, file: StackFile, needed: AbstractSet[str], log_dir: Path) -> None:
        """Raises TargetError for a target that the file does not have."""
        check_names(needed, file.targets, file.name, "of the stack file")
        self.kind = file.name
        self.file = file.path
        self.faults_allowed = file.allow.faults
        self.actions_allowed = file.allow.actions
        self._file = file
        self._log_dir = log_dir
        self._names = file.with_needs(set(needed))
        self.reports_events = any(file.targets[name].place not in PLACES_IN_ORDER[0] for name in self._names)
        self._stacks: list[Stack] = []
        self._opened = ExitStack()

    def topology(self) -> Topology:
        """Every target of the file, and the containers of scaled services that were found."""
        return with_instances(self._file.topology, self.targets())

    def service(self, name: str) -> ManagedService | None:
        """The service of ours that is the target of that name."""
        return next((found for stack in self._stacks if (found := stack.service(name))), None)

    def start(self) -> None:
        """Find what runs, start what does not. Raises TargetError."""
        for places in PLACES_IN_ORDER:
            names = [name for name in self._names if self._file.targets[name].place in places]
            if names:
                part = self.part(places[0], names)
                part.patience = self.patience
                part.detours = self.detours
                self._stacks.append(self._opened.enter_context(part))

    def targets(self) -> dict[str, Target]:
        """The targets that were found or started."""
        return {name: target for stack in self._stacks for name, target in stack.targets().items()}

    def describe(self) -> list[TargetDescription]:
        """One entry per target, with what it stands on."""
        outlines = self.topology()
        return [
            replace(description, behind=list(outlines[description.name].behind))
            for stack in self._stacks
            for description in stack.describe()
            if description.name in outlines
        ]

    def events(self) -> list[StackEvent]:
        """What happened to services that are seen, oldest first."""
        events = [event for stack in self._stacks for event in stack.events()]
        return sorted(events, key=lambda event: event.at_ns)

    def stop(self) -> None:
        """End what was started, the last one first. Idempotent."""
        self._opened.close()

    def part(self, place: str, names: list[str]) -> Stack:
        """The targets of one place as a separate stack."""
        if place == "url":
            return ExternalStack(set(names), self._file.described, self._file.allow.hosts)
        if place == "compose":
            return self._compose(names)
        if place == "docker":
            from bench.stack.docker.stack import DockerStack

            instances = {name: self._file.targets[name].instances(name) for name in names}
            return DockerStack(set(names), self._log_dir, instances)
        services = [service for name in names for service in self._embedded(name)]
        return EmbeddedStack.of(services, self.targets())

    def _compose(self, names: list[str]) -> Stack:
        from bench.stack.docker.compose import ComposeStack, ComposeTarget

        wanted = {}
        for name in names:
            target = self._file.targets[name]
            assert target.compose is not None
            port = target.compose.port or _default_port(target.kind)
            wanted[name] = ComposeTarget(target.kind, port, target.compose.service, target.pooler)
        return ComposeStack(set(names), self._log_dir, wanted)

    def _embedded(self, name: str) -> list[StackService]:
        """The service, or its processes and what stands before them."""
        target = self._file.targets[name]
        place = target.embedded
        if place is not None and place.replicas:
            members = target.members(name)
            sentinels = [each for each, role in members.items() if role == SENTINEL]
            servers = [each for each in members if each not in sentinels]

            return list(
                redis_group(
                    *(self._log_dir, name, target.settings),
                    servers=servers,
                    sentinels=sentinels,
                    down_after_ns=place.down_after_ns,
                )
            )
        if place is not None and place.cluster:
            servers = list(target.members(name))
            return list(
                redis_cluster(
                    *(self._log_dir, name, target.settings),
                    servers=servers,
                    primaries=place.cluster.primaries,
                    down_after_ns=place.down_after_ns,
                )
            )
        service = service_of(name, target)
        assert service is not None
        if place is not None and place.standbys:
            return list(
                postgres_group(
                    *(self._log_dir, name, target.settings, service.name),
                    servers=tuple(target.members(name)),
                    synchronous=place.synchronous or "off",
                )
            )
        assert service.embedded is not None
        instances = target.instances(name)
        made: list[StackService] = [
            load(service.embedded)(self._log_dir, target.settings, each, target.behind)
            for each in instances or (name,)
        ]
        if target.started.proxy is not None:
            made.append(ManagedProxy(self._log_dir, name, instances, target.started.proxy))
        return made


def health_of_standing(file: StackFile) -> list[ServiceHealth]:
    """How the targets of a file are that run already."""
    return [one.health for one in asked_of_standing(file)]


def asked_of_standing(file: StackFile) -> list[AskedTarget]:
    """The targets of a file that run already; nothing is started, and one hides no other."""
    rows = asked(target for name, target in file.described.items() if name in file.targets)
    with tempfile.TemporaryDirectory(prefix="holdfast-") as logs:
        whole = AssembledStack(file, set(), Path(logs))
        for name, target in file.targets.items():
            if target.place == "compose":
                try:
                    with whole.part("compose", [name]) as found:
                        rows += asked_of(found)
                except TargetError as error:
                    health = ServiceHealth(name, target.kind, "unknown", "down", str(error))
                    rows.append(AskedTarget(health))
    return rows


def _default_port(kind: str) -> int:
    """Of a service of that kind inside its container, or the first one of the kind's URLs."""
    for service in SERVICES.values():
        if service.kind.name == kind:
            return service.port
    return next((scheme.port for scheme in KINDS[kind].schemes.values() if scheme.port), 80)
