"""The services of the docker stack: what each container is given, whatever image it runs from."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from bench.stack import images
from bench.stack.services.postgres import DATABASE, USER
from bench.stack.services.postgres import SETTINGS as POSTGRES_SETTINGS
from bench.stack.services.redis import SETTINGS as REDIS_SETTINGS
from bench.stack.target import Target
from bench.stack.target_url import url_of

IMAGES = Path(images.__file__).parent
HEALTHY = "/usr/local/bin/holdfast-healthy"
REDIS_DATA = "/data"
POSTGRES_DATA = "/var/lib/postgresql"
API_PORT = 8000
LOOPBACK = "127.0.0.1"
Others = Mapping[str, Target]
"""The targets of what a service needs, as containers see them: by address in the run's network."""


def _nothing(_: Others) -> dict[str, Any]:
    return {}


def _as_image_says(_: Mapping[str, Any]) -> list[str] | None:
    return None


def _check_of_health(_: Others) -> dict[str, bytes]:
    return {HEALTHY: (IMAGES / "healthy.sh").read_bytes()}


@dataclass(frozen=True)
class ContainerService:
    """One service of the stack."""

    name: str
    port: int
    """Inside its container."""
    host_number: int
    """Which address of the run's network it has."""
    target: Callable[[int], Target]
    """The target behind a port of this machine's loopback."""
    health: tuple[str, ...]
    """The engine's health check."""
    needs: tuple[str, ...] = ()
    volume: str = ""
    """Where its data is; empty for none."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """What is set otherwise than the program has it by itself."""
    command: Callable[[Mapping[str, Any]], list[str] | None] = _as_image_says
    """What to run in an image; None for what that says itself."""
    environment: Callable[[Others], dict[str, str]] = _nothing
    files: Callable[[Others], dict[str, bytes]] = _check_of_health
    """To be put into the container before its start, by absolute path."""
    ready_deadline_s: float = 60.0


def _redis() -> ContainerService:
    """A Redis that keeps what it acknowledged in its append-only file."""

    def command(image: Mapping[str, Any]) -> list[str]:
        own = (image.get("Config") or {}).get("Cmd") or [""]
        # Valkey's images name their program otherwise.
        program = own[0] if PurePosixPath(own[0]).name == "valkey-server" else "redis-server"
        options = {**REDIS_SETTINGS, "protected-mode": "no", "dir": REDIS_DATA}
        return [program, *(word for key, value in options.items() for word in (f"--{key}", value))]

    return ContainerService(
        name="redis",
        port=6379,
        host_number=2,
        target=lambda port: Target("redis", "redis", LOOPBACK, port, managed=True),
        health=("CMD", "sh", HEALTHY, "redis"),
        volume=REDIS_DATA,
        settings=REDIS_SETTINGS,
        command=command,
    )


def _postgres(name: str, host_number: int) -> ContainerService:
    """A PostgreSQL with a password that only this stack knows."""
    password = secrets.token_urlsafe(24)
    settings = {key: value for key, value in POSTGRES_SETTINGS.items() if key != "unix_socket_directories"}
    settings["listen_addresses"] = "*"
    words = [word for key, value in settings.items() for word in ("-c", f"{key}={value}")]
    environment = {
        "POSTGRES_USER": USER,
        "POSTGRES_PASSWORD": password,
        "POSTGRES_DB": DATABASE,
        # Below the volume whatever the image's version has as its own place.
        "PGDATA": f"{POSTGRES_DATA}/holdfast",
        # Only for the making of an empty data folder; the server itself syncs what it commits.
        "POSTGRES_INITDB_ARGS": "--no-sync",
    }
    return ContainerService(
        name=name,
        port=5432,
        host_number=host_number,
        target=lambda port: Target(
            name,
            "postgres",
            LOOPBACK,
            port,
            username=USER,
            password=password,
            database=DATABASE,
            managed=True,
        ),
        health=("CMD", "pg_isready", "--quiet", "--host=127.0.0.1", f"--username={USER}"),
        volume=POSTGRES_DATA,
        settings=settings,
        command=lambda _: ["postgres", *words],
        environment=lambda _: environment,
        files=_nothing,
    )


def _api() -> ContainerService:
    """The reference API, between the Redis and the Postgres of the same stack."""
    return ContainerService(
        name="api",
        needs=("redis", "postgres"),
        port=API_PORT,
        host_number=5,
        target=lambda port: Target("api", "http", LOOPBACK, port, managed=True),
        health=("CMD", "sh", HEALTHY, "http", str(API_PORT), "/health"),
        environment=lambda others: {
            "API_HOST": "0.0.0.0",  # noqa: S104 - inside its own network; published on loopback alone
            "API_PORT": str(API_PORT),
            "REDIS_URL": url_of(others["redis"]),
            "DATABASE_URL": url_of(others["postgres"]),
        },
    )


def _edge() -> ContainerService:
    """A reverse proxy in front of the API."""

    def files(others: Others) -> dict[str, bytes]:
        # By address: a name would have to be known at its start, and the API may be away just then.
        text = (IMAGES / "edge" / "nginx.conf").read_text()
        text = text.replace("server api:8000", f"server {others['api'].address}")
        return {**_check_of_health(others), "/etc/nginx/nginx.conf": text.encode()}

    return ContainerService(
        name="edge",
        needs=("api",),
        port=80,
        host_number=6,
        target=lambda port: Target("edge", "http", LOOPBACK, port, managed=True),
        health=("CMD", "sh", HEALTHY, "http", "80", "/ping"),
        files=files,
    )


SERVICES: dict[str, Callable[[], ContainerService]] = {
    "redis": _redis,
    "postgres": lambda: _postgres("postgres", 3),
    "postgres_16": lambda: _postgres("postgres_16", 4),
    "api": _api,
    "edge": _edge,
}


def with_needs(names: AbstractSet[str]) -> list[ContainerService]:
    """The services to start, each behind what it needs."""
    made = [make() for make in SERVICES.values()]
    wanted = set(names)
    for service in reversed(made):
        if service.name in wanted:
            wanted.update(service.needs)
    return [service for service in made if service.name in wanted]
