"""The docker stack: the same services as the embedded one, and a reverse proxy, as containers."""

from __future__ import annotations

import contextlib
import os
import secrets
import threading
import time
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import TYPE_CHECKING

from bench.registry import SERVICES
from bench.stack.docker.cleanup import Reaper, remove_run, sweep
from bench.stack.docker.client import connect_engine, create_network, labels_of
from bench.stack.docker.events import EngineEvents
from bench.stack.docker.managed_container import ManagedContainer, Place
from bench.stack.docker.services import containers_with_needs, ready_image
from bench.stack.stack import Stack, check_names, start_in_turns
from bench.stack.supervisor.supervised import StackEvent
from bench.stack.target import Target, TargetDescription

if TYPE_CHECKING:
    import ipaddress

    from docker import APIClient

HEALTHY_DEADLINE_S = 10.0


class DockerStack(Stack):
    """Starts what is needed, and what that needs; when one does not come up, none stays behind."""

    kind = "docker"

    def __init__(
        self,
        needed: AbstractSet[str],
        log_dir: Path,
        instances: Mapping[str, tuple[str, ...]] | None = None,
    ) -> None:
        """`instances`: the names of those of a service that has several, behind an nginx."""
        known = [service.name for service in SERVICES.values() if service.container is not None]
        check_names(needed, known, "the docker stack", "that it can start")
        self._services = containers_with_needs(needed, instances)
        self._log_dir = log_dir
        self._run = secrets.token_hex(6)
        self._containers: list[ManagedContainer] = []
        self._ids: dict[str, str] = {}
        self._engine: APIClient | None = None
        self._events: EngineEvents | None = None
        self._reaper: Reaper | None = None
        self._past_events: list[StackEvent] = []
        self._owner_pid = os.getpid()

    def start(self) -> None:
        """Start every service and return when all have answered. Raises TargetError."""
        if not self._services or self._reaper is not None:
            return
        self._engine = engine = connect_engine()
        try:
            self._reaper = Reaper(self._run)
            sweep(engine)
            for service in self._services:
                self._containers.append(ManagedContainer(service, ready_image(engine, service.spec.name)))
            self._reaper.wait_until_ready()
            subnet = create_network(engine, f"holdfast-{self._run}", labels_of(self._run))
            self._events = EngineEvents(engine, self._ids)
            self._events.start()
            start_in_turns(
                self._containers,
                lambda container, given_up: self._start(container, given_up, engine, subnet),
            )
            deadline = time.monotonic() + HEALTHY_DEADLINE_S
            for container in self._containers:
                container.wait_until_healthy(deadline)
        except BaseException:  # a Ctrl-C too: nothing may stay behind
            self.stop()
            raise

    def targets(self) -> dict[str, Target]:
        """The targets that have been started."""
        return {
            container.name: container.target for container in self._containers if container.target is not None
        }

    def describe(self) -> list[TargetDescription]:
        """What runs, for the run's record."""
        return [container.describe() for container in self._containers if container.target is not None]

    def events(self) -> list[StackEvent]:
        """What the engine reported of the containers, oldest first; they can be read after the stop too."""
        return self._past_events if self._events is None else self._events.all()

    def stop(self) -> None:
        """Remove the containers with their data, and the network; the logs stay. Idempotent."""
        if os.getpid() != self._owner_pid or self._reaper is None or self._engine is None:
            return  # a fork of the harness that ends: the services are still in use
        if self._events is not None:
            self._events.expect_end()
        # Whatever goes wrong here, the reaper tries again: it ends when it has removed all.
        with contextlib.suppress(Exception):
            remove_run(self._engine, self._run)
        self._reaper.end()
        for container in self._containers:
            container.end_log()
        if self._events is not None:
            self._past_events = self._events.all()
            self._events.close()
            self._events = None
        self._reaper = None
        self._containers, self._ids = [], {}
        self._engine.close()

    def _start(
        self,
        container: ManagedContainer,
        given_up: threading.Event,
        engine: APIClient,
        subnet: ipaddress.IPv4Network,
    ) -> None:
        others = {other.name: other.inner_target for other in self._containers if other.target is not None}
        assert self._events is not None
        place = Place(
            engine,
            self._run,
            f"holdfast-{self._run}",
            str(subnet[container.service.host_number]),
            self._log_dir,
        )
        # This machine, as containers see it: the network's gateway.
        seen = self.seen_by(container.name, others, str(subnet[1]))
        container.start(place, seen, self._events, self._ids, given_up)
