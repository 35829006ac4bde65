"""The containers of a compose project that runs, and which of them a target is."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from bench.core.errors import TargetError
from bench.stack.docker.client import engine_host

if TYPE_CHECKING:
    from docker import APIClient

PROJECT, SERVICE, ONE_OFF, NUMBER = (
    f"com.docker.compose.{word}" for word in ("project", "service", "oneoff", "container-number")
)
PROJECT_VARIABLE = "HOLDFAST_COMPOSE_PROJECT"
SERVICES_VARIABLE = "HOLDFAST_COMPOSE_SERVICES"
IMAGES: Mapping[str, tuple[str, ...]] = {
    "redis": ("redis", "valkey", "redis-stack-server", "keydb"),
    "postgres": ("postgres", "postgresql", "timescaledb", "postgis", "pgvector"),
    "edge": ("nginx", "traefik", "haproxy", "caddy", "envoy"),
}
"""By what images a target is known where no service bears its name."""
Inspected = dict[str, Any]


def project_name(engine: APIClient) -> str:
    """The project that is named, or the only one that runs. Raises TargetError."""
    named = os.environ.get(PROJECT_VARIABLE, "").strip()
    running = sorted({one["Labels"][PROJECT] for one in engine.containers(filters={"label": PROJECT})})
    if named in running or (not named and len(running) == 1):
        return named or running[0]
    raise TargetError(
        "compose",
        engine_host(),
        f"the compose project {named}, running" if named else "one compose project that runs",
        ", ".join(running) if running else "none",
        f"set {PROJECT_VARIABLE} to one of them" if running else "start one: docker compose up --wait",
    )


def services_of(engine: APIClient, project: str) -> dict[str, list[Inspected]]:
    """Service -> its running containers as the engine knows them."""
    found: dict[str, list[Inspected]] = {}
    for one in engine.containers(filters={"label": f"{PROJECT}={project}"}):
        labels = one["Labels"]
        if labels.get(ONE_OFF, "False") != "True":
            found.setdefault(labels.get(SERVICE, ""), []).append(engine.inspect_container(one["Id"]))
    return found


def container_for(target: str, project: str, services: Mapping[str, list[Inspected]]) -> Inspected:
    """The one container that a target of a scenario is. Raises TargetError when there is not exactly one.

    It is the service that HOLDFAST_COMPOSE_SERVICES names for it (cache=redis: TARGET=SERVICE, separated by
    commas), else the one of the same name, else the only one whose image says so.
    """
    told = _told()
    if target in told:
        names = [name for name in services if name == told[target]]
    else:
        names = [name for name in services if _plain(name) == _plain(target)] or [
            name for name, containers in services.items() if _image(containers[0]) in IMAGES.get(target, ())
        ]
    if len(names) != 1:
        found = f"{', '.join(sorted(names or services))}" if names else f"only {', '.join(sorted(services))}"
        raise _refusal(target, project, "one service that it is", found, target)
    containers = services[names[0]]
    if len(containers) != 1:
        raise TargetError(
            target,
            f"compose project {project}",
            f"one container of the service {names[0]}",
            f"{len(containers)}",
            "scale it to one, or put the load on what stands in front of them",
        )
    return containers[0]


def place_of(labels: Mapping[str, str]) -> tuple[str, str, str]:
    """Project, service and number: what stays when compose replaces a container by another."""
    return labels.get(PROJECT, ""), labels.get(SERVICE, ""), labels.get(NUMBER, "1")


def _refusal(target: str, project: str, expected: str, found: str, example: str) -> TargetError:
    advice = f"name the service so, or set {SERVICES_VARIABLE}={example}=SERVICE"
    return TargetError(target, f"compose project {project}", expected, found, advice)


def _told() -> dict[str, str]:
    pairs = (entry.partition("=") for entry in os.environ.get(SERVICES_VARIABLE, "").split(","))
    return {name.strip(): service.strip() for name, equals, service in pairs if equals}


def _plain(name: str) -> str:
    return name.replace("-", "_").lower()


def _image(container: Inspected) -> str:
    """The last word of an image's name: redis of registry.example:5000/library/redis:7@sha256:..."""
    name = str((container.get("Config") or {}).get("Image") or "")
    return PurePosixPath(name.partition("@")[0]).name.partition(":")[0]
