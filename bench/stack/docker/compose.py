"""The compose stack: a compose project that runs already, of which we start and stop nothing."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from bench.core.errors import TargetError
from bench.registry import SERVICES, url_variables
from bench.stack.docker.client import connect_engine, engine_host
from bench.stack.docker.container_facts import Container, cgroup_of
from bench.stack.docker.events import FollowedContainers
from bench.stack.external import named_by_the_user, url_in
from bench.stack.probes.health import Facts, ask_when_ready
from bench.stack.stack import Stack, check_names
from bench.stack.supervisor.supervised import StackEvent
from bench.stack.target import ContainerDescription, Pooler, Target, TargetDescription

if TYPE_CHECKING:
    from docker import APIClient


PROJECT, SERVICE, ONE_OFF, NUMBER = (
    f"com.docker.compose.{word}" for word in ("project", "service", "oneoff", "container-number")
)
PROJECT_VARIABLE = "HOLDFAST_COMPOSE_PROJECT"
SERVICES_VARIABLE = "HOLDFAST_COMPOSE_SERVICES"


def project_name(engine: APIClient) -> str:
    """The project that is named, or the only one that runs. Raises TargetError."""
    named = os.environ.get(PROJECT_VARIABLE, "").strip()
    running = sorted({entry["Labels"][PROJECT] for entry in engine.containers(filters={"label": PROJECT})})
    if named in running or (not named and len(running) == 1):
        return named or running[0]
    raise TargetError(
        "compose",
        engine_host(),
        f"the compose project {named}, running" if named else "one compose project that runs",
        ", ".join(running) if running else "none",
        f"set {PROJECT_VARIABLE} to one of them" if running else "start one: docker compose up --wait",
    )


def services_of(engine: APIClient, project: str) -> dict[str, list[Container]]:
    """Service -> its running containers as the engine knows them."""
    services: dict[str, list[Container]] = {}
    for entry in engine.containers(filters={"label": f"{PROJECT}={project}"}):
        labels = entry["Labels"]
        if labels.get(ONE_OFF, "False") != "True":
            container = Container.read(engine.inspect_container(entry["Id"]))
            services.setdefault(labels.get(SERVICE, ""), []).append(container)
    return services


def containers_for(
    target: str, project: str, services: Mapping[str, list[Container]], service: str | None = None
) -> list[Container]:
    """The containers of the service that a target is, by number. Raises TargetError for none or several
    services.

    It is `service`, else the service that HOLDFAST_COMPOSE_SERVICES names for it (cache=redis:
    TARGET=SERVICE, separated by commas), else the one of the same name, else the only one whose image
    says so.
    """
    named = _named_services() if service is None else {target: service}
    if target in named:
        names = [name for name in services if name == named[target]]
    else:
        names = [name for name in services if _plain(name) == _plain(target)] or [
            name
            for name, containers in services.items()
            if target in SERVICES and _image(containers[0]) in SERVICES[target].known_images
        ]
    if len(names) != 1:
        found = f"{', '.join(sorted(names or services))}" if names else f"only {', '.join(sorted(services))}"
        advice = f"name the service so, or set {SERVICES_VARIABLE}={target}=SERVICE"
        raise TargetError(target, f"compose project {project}", "one service that it is", found, advice)
    return sorted(services[names[0]], key=lambda one: int(one.labels.get(NUMBER, "1")))


def place_of(labels: Mapping[str, str]) -> tuple[str, str, str]:
    """Project, service and number: what stays when compose replaces a container by another."""
    return labels.get(PROJECT, ""), labels.get(SERVICE, ""), labels.get(NUMBER, "1")


def _named_services() -> dict[str, str]:
    pairs = (entry.partition("=") for entry in os.environ.get(SERVICES_VARIABLE, "").split(","))
    return {name.strip(): service.strip() for name, equals, service in pairs if equals}


def _plain(name: str) -> str:
    return name.replace("-", "_").lower()


def _image(container: Container) -> str:
    """The last word of an image's name: redis of registry.example:5000/library/redis:7@sha256:..."""
    return PurePosixPath(container.image.partition("@")[0]).name.partition(":")[0]


@dataclass(frozen=True)
class ComposeTarget:
    """What is looked for in a project."""

    kind: str
    port: int
    """Inside its container; where that is not published, the only port that is."""
    service: str | None = None
    """Its name there; None: that of the target, or the one whose image says so."""
    pooler: Pooler = "none"


class FollowingStack(Stack):
    """Containers that run already: their events and logs are followed, and they are left as they are."""

    def __init__(self, log_dir: Path) -> None:
        self._log_dir = log_dir
        self._targets: dict[str, Target] = {}
        self._engine: APIClient | None = None
        self._followed: FollowedContainers | None = None

    def targets(self) -> dict[str, Target]:
        """The targets that were found."""
        return dict(self._targets)

    def events(self) -> list[StackEvent]:
        """What the engine reported of the containers since we attached, oldest first."""
        return [] if self._followed is None else self._followed.events.all()

    def stop(self) -> None:
        """Let go of the containers; they run on. Idempotent."""
        if self._followed is not None:
            self._followed.close()
        if self._engine is not None:
            self._engine.close()


class ComposeStack(FollowingStack):
    """The targets of a scenario in a project of the user's."""

    kind = "compose"

    def __init__(
        self, needed: AbstractSet[str], log_dir: Path, wanted: Mapping[str, ComposeTarget] | None = None
    ) -> None:
        """`wanted`: what a stack file says of its targets; else they are those of the shipped stacks."""
        self._wanted = wanted or {
            name: ComposeTarget(spec.kind.name, port=spec.port) for name, spec in SERVICES.items()
        }
        check_names(needed, self._wanted, "the compose stack", "that it can find")
        super().__init__(log_dir)
        self._needed = sorted(needed)
        self._project = ""
        self._containers: dict[str, Container] = {}
        self._ports: dict[str, int] = {}
        self._facts: dict[str, Facts] = {}
        self._ids: dict[str, str] = {}

    def start(self) -> None:
        """Find the targets' containers and ask each. Raises TargetError."""
        if not self._needed or self._followed is not None:
            return
        self._engine = engine = connect_engine()
        self._project = project_name(engine)
        services = services_of(engine, self._project)
        for name in self._needed:
            found = containers_for(name, self._project, services, self._wanted[name].service)
            for number, container in enumerate(found, start=1):
                each = f"{name}#{number}" if len(found) > 1 else name
                self._containers[each] = container
                self._targets[each] = self._target(each, container)
        for name, target in self._targets.items():
            self._facts[name] = ask_when_ready(target, self.patience)
        self._ids = {container.id: name for name, container in self._containers.items()}
        self._followed = FollowedContainers(engine, self._ids, self._log_dir, self._replaced)
        self._followed.start()

    def describe(self) -> list[TargetDescription]:
        """What runs, for the run's record."""
        return [self._described(name) for name in self._facts]

    def _target(self, name: str, container: Container) -> Target:
        published = self._published(name, container)
        wanted = self._wanted[name.partition("#")[0]]
        kind = wanted.kind
        if url_in(name):
            target = named_by_the_user(name)
        elif kind == "postgres":
            settings = container.environment
            user = settings.get("POSTGRES_USER") or "postgres"
            target = Target(
                name,
                kind,
                "",
                0,
                username=user,
                password=settings.get("POSTGRES_PASSWORD") or None,
                database=settings.get("POSTGRES_DB") or user,
            )
        else:
            target = Target(name, kind, "", 0)
        target = replace(target, pooler=wanted.pooler)
        return replace(target, host=published[0], port=published[1], managed=container.is_opted_in)

    def _published(self, name: str, container: Container) -> tuple[str, int]:
        """Where its own port is published; where that is not, the only port that is. An instance of a scaled
        service gets no load, so it is asked in its network.
        """
        open_ports = container.open_ports
        target, is_instance, _ = name.partition("#")
        own = self._wanted[target].port
        if is_instance and container.address:
            self._ports[name] = own
            return container.address, own
        inner = own if own in open_ports or len(open_ports) != 1 else open_ports[0]
        published = container.published.get(inner)
        if published is None:
            raise TargetError(
                name,
                f"compose project {self._project}",
                f"port {inner} published on loopback",
                f"published: {', '.join(map(str, sorted(open_ports))) or 'none'}",
                f'write under the service: ports: ["127.0.0.1:{inner}:{inner}"]',
            )
        self._ports[name] = inner
        return published

    def _replaced(self, container: str, labels: Mapping[str, str]) -> str | None:
        """The target that a new container goes on with: that of its project, service and number.

        In the thread of the events. Faults, health, events and the log are then those of the new one.
        """
        from docker.errors import APIError

        for name, before in self._containers.items():
            if labels.get(ONE_OFF, "False") == "True" or place_of(labels) != place_of(before.labels):
                continue
            assert self._engine is not None
            assert self._followed is not None
            with contextlib.suppress(APIError, TargetError):  # gone again already
                successor = Container.read(self._engine.inspect_container(container))
                self._targets[name] = self._target(name, successor)
                self._containers[name] = successor
                self._ids[container] = name
                self._followed.copy_log(container, name)
                return name
        return None

    def _described(self, name: str) -> TargetDescription:
        assert self._followed is not None
        container, facts = self._containers[name], self._facts[name]
        pid = self._followed.events.pid(container.id)
        return TargetDescription(
            name=name,
            kind=self._targets[name].kind,
            address=self._targets[name].address,
            server=facts.server or container.image,
            version=facts.version,
            started_by=f"not by us: compose project {self._project}",
            state="down" if pid is None else "up",
            credentials=url_variables()[name] if url_in(name) else "the container's environment",
            program=container.image,
            pid=pid,
            log=str(self._followed.log_of(name)),
            container=ContainerDescription(
                id=container.id,
                image=container.image,
                image_id=container.image_id,
                cgroup=cgroup_of(pid),
                restart_policy=container.restart_policy,
                faults_allowed=container.is_opted_in,
                # In its network it has its address again after a restart: the lowest free one.
                is_port_fixed="#" in name or self._ports[name] in container.fixed_ports,
                health_check=container.health_check,
                health_check_ns=container.health_check_ns,
            ),
        )
