"""One container of the docker stack: created, started on a free port, asked until it answers."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from bench.core.errors import TargetError
from bench.core.sanitize import redacted
from bench.stack.docker.client import ADDRESS, ALLOW, CHAOS, SERVICE, explanation, labels_of
from bench.stack.docker.container_facts import cgroup_of
from bench.stack.docker.events import ContainerLog, EngineEvents
from bench.stack.docker.services import ContainerService, ReadyImage, variable_of
from bench.stack.images.root_files import packed
from bench.stack.probes.health import Facts, ask
from bench.stack.services.base import (
    LOG_TAIL_LINES,
    PORT_ATTEMPTS,
    PROBE_DEADLINE_S,
    GivenUp,
    with_log_end,
)
from bench.stack.services.loopback_port import free_loopback_port
from bench.stack.target import ContainerDescription, Target, TargetDescription

if TYPE_CHECKING:
    from docker import APIClient

POLL_S = 0.02
SECOND_NS = 1_000_000_000
SHARED_MEMORY_BYTES = 256 * 1024**2
HEALTH_RETRIES = 3
RESTART_POLICY = "always"
LOG_LIMITS = {"max-size": "50m", "max-file": "2"}


@dataclass(frozen=True)
class Place:
    """Where a run's containers are made."""

    engine: APIClient
    run: str
    network: str
    address: str
    """Of this container in the network."""
    log_dir: Path


class ManagedContainer:
    """A service in a container of our own; the engine restarts it when it dies."""

    def __init__(self, service: ContainerService, image: ReadyImage) -> None:
        self.service = service
        self.name = service.name
        self.behind = service.instances or service.spec.depends_on
        self.target: Target | None = None
        self.id = ""
        self._image = image
        self._place: Place | None = None
        self._events: EngineEvents | None = None
        self._log: ContainerLog | None = None
        self._facts: Facts | None = None
        self._cgroup: tuple[int | None, str | None] = (None, None)

    @property
    def inner_target(self) -> Target:
        """The target as the other containers see it: by address and its own port."""
        assert self._place is not None
        return replace(self.service.target(0), host=self._place.address, port=self.service.port)

    def start(
        self,
        place: Place,
        others: Mapping[str, Target],
        events: EngineEvents,
        ids: dict[str, str],
        given_up: threading.Event,
    ) -> None:
        """Start it and return when it answers. Raises TargetError with the end of its log.

        others: what it needs, as containers see it. ids: container id -> service, added to before the start.
        """
        self._place, self._events = place, events
        target = self._started(place, others, ids)
        self._log = ContainerLog(place.engine, self.id, place.log_dir, self.name)
        self._log.start(lambda: events.pid(self.id) is not None)
        self._facts = self._wait_until_ready(target, given_up)
        self.target = target

    def describe(self) -> TargetDescription:
        """What runs, for the run's record."""
        assert self.target is not None
        assert self._facts is not None
        assert self._events is not None
        pid = self._events.pid(self.id)
        if self._cgroup[0] != pid:
            self._cgroup = (pid, cgroup_of(pid))
        return TargetDescription(
            name=self.name,
            kind=self.target.kind,
            address=self.target.address,
            server=self._facts.server or self._image.name,
            version=self._facts.version,
            started_by=f"the Docker engine, by us; image: {self._image.origin}",
            state="down" if pid is None else "up",
            program=self._image.name,
            pid=pid,
            log=str(self._log.path) if self._log else None,
            settings=dict(self.service.settings),
            container=ContainerDescription(
                id=self.id,
                image=self._image.name,
                image_id=self._image.id,
                cgroup=self._cgroup[1],
                restart_policy=RESTART_POLICY,
                faults_allowed=True,
                is_port_fixed=True,
                health_check=self._health_check(),
                health_check_ns=(HEALTH_RETRIES - 1) * SECOND_NS,
            ),
        )

    def wait_until_healthy(self, deadline: float) -> None:
        """Wait for the engine's own first good health check, so that the first event of a run is no relic.

        At most until `deadline`: an image may lack what the check needs, and the service answers even so.
        """
        assert self._events is not None
        seen = 0
        while self._health_check() != "healthy" and (left_s := deadline - time.monotonic()) > 0:
            seen = self._events.wait_for_change(seen, left_s)

    def _health_check(self) -> str:
        assert self._events is not None
        return self._events.last_health(self.name, "starting")

    def end_log(self) -> None:
        """Let the log be complete. For when the container is gone."""
        if self._log is not None:
            self._log.end()

    def _started(self, place: Place, others: Mapping[str, Target], ids: dict[str, str]) -> Target:
        from docker.errors import APIError

        found = ""
        for _ in range(PORT_ATTEMPTS):
            port = free_loopback_port()
            try:
                self.id = self._create(place, port, others)
                ids[self.id] = self.name
                place.engine.start(self.id)
            except APIError as error:
                found = explanation(error)
                if self.id:
                    place.engine.remove_container(self.id, force=True)
                    ids.pop(self.id, None)
                if not _is_port_taken(found):
                    break
            else:
                return self.service.target(port)
        raise TargetError(
            self.name,
            "the docker stack",
            f"a container of {self._image.name} that starts",
            found,
            f"look at the image, or name another one in {variable_of(self.service.spec.name)}",
        )

    def _create(self, place: Place, port: int, others: Mapping[str, Target]) -> str:
        from docker.types import LogConfig

        engine, service = place.engine, self.service
        name = f"holdfast-{place.run}-{service.host_name}"
        labels = {**labels_of(place.run), SERVICE: service.name, CHAOS: ALLOW, ADDRESS: place.address}
        binds = {}
        if service.volume:
            engine.create_volume(name, labels=labels)
            binds = {name: {"bind": service.volume, "mode": "rw"}}
        host = engine.create_host_config(
            binds=binds,
            port_bindings={service.port: ("127.0.0.1", port)},
            restart_policy={"Name": RESTART_POLICY},
            shm_size=SHARED_MEMORY_BYTES,
            log_config=LogConfig(type="json-file", config=LOG_LIMITS),
            network_mode=place.network,
        )
        endpoint = engine.create_endpoint_config(aliases=[service.host_name], ipv4_address=place.address)
        created = engine.create_container(
            self._image.name,
            command=service.command(self._image.command),
            name=name,
            hostname=service.host_name,
            environment=service.environment(others),
            labels=labels,
            ports=[service.port],
            host_config=host,
            networking_config=engine.create_networking_config({place.network: endpoint}),
            healthcheck={
                "test": list(service.health),
                "interval": SECOND_NS,
                "timeout": SECOND_NS,
                "retries": HEALTH_RETRIES,
                "start_period": SECOND_NS,
            },
        )
        container = str(created["Id"])
        if files := service.files(others):
            engine.put_archive(container, "/", packed(files))
        return container

    def _wait_until_ready(self, target: Target, given_up: threading.Event) -> Facts:
        deadline = time.monotonic() + self.service.ready_deadline_s
        last = "it was not asked"
        while (left_s := deadline - time.monotonic()) > 0:
            if given_up.is_set():
                raise GivenUp
            self._check_alive(target)
            try:
                # Its own answer, not a connection: the engine's proxy takes connections before it listens.
                facts = ask(target, min(left_s, PROBE_DEADLINE_S))
            except TargetError as error:
                last = str(error)
            else:
                state, detail = facts.health()
                if state == "up":
                    return facts
                last = detail
            given_up.wait(POLL_S)
        raise self._not_ready(target, f"no such answer within {self.service.ready_deadline_s:g} s ({last})")

    def _check_alive(self, target: Target) -> None:
        """What the restart policy would mend later is an error while the service comes up."""
        assert self._events is not None
        for event in self._events.all():
            if event.service == self.name and event.kind == "died":
                raise self._not_ready(target, f"a container that ended with {event.text} before it answered")

    def _not_ready(self, target: Target, found: str) -> TargetError:
        from docker.errors import APIError

        assert self._place is not None
        try:
            raw = self._place.engine.logs(self.id, tail=LOG_TAIL_LINES)
        except APIError:
            raw = b""
        lines = [line.strip() for line in raw.decode(errors="replace").splitlines() if line.strip()]
        tail = redacted(" | ".join(lines[-LOG_TAIL_LINES:]), [target.password])
        variable = variable_of(self.service.spec.name)
        advice = f"look at the image {self._image.name}, or name another one in {variable}"
        return target.error("a service that is up by its own answer", with_log_end(found, tail), advice)


def _is_port_taken(text: str) -> bool:
    return any(word in text.lower() for word in ("port is already allocated", "address already in use"))
