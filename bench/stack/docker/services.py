"""The services of the docker stack: what each container is given, whatever image it runs from."""

from __future__ import annotations

import secrets
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

from bench.stack import images
from bench.stack.managed_postgres import DATABASE, USER
from bench.stack.managed_postgres import SETTINGS as POSTGRES_SETTINGS
from bench.stack.managed_redis import SETTINGS as REDIS_SETTINGS
from bench.stack.target import Target
from bench.stack.target_url import url_of

IMAGES = Path(images.__file__).parent
HEALTHY = "/usr/local/bin/holdfast-healthy"


class ContainerService(ABC):
    """One service of the stack. Ports are those inside its container."""

    name: ClassVar[str]
    needs: ClassVar[tuple[str, ...]] = ()
    port: ClassVar[int]
    host_number: ClassVar[int]
    """Which address of the run's network it has."""
    ready_deadline_s: ClassVar[float] = 60.0
    volume: ClassVar[str] = ""
    """Where its data is; empty for none."""

    @abstractmethod
    def target(self, port: int) -> Target:
        """The target behind this port of this machine's loopback."""

    @abstractmethod
    def health(self) -> list[str]:
        """The engine's health check."""

    def command(self, image: Mapping[str, Any]) -> list[str] | None:
        """What to run. None: what the image says."""
        return None

    def environment(self, others: Mapping[str, Target]) -> dict[str, str]:
        """Its environment; `others` are the targets of what it needs, as containers see them."""
        return {}

    def files(self, others: Mapping[str, Target]) -> dict[str, bytes]:
        """Files to be put into the container before its start, by absolute path."""
        return {HEALTHY: (IMAGES / "healthy.sh").read_bytes()}

    def settings(self) -> dict[str, str]:
        """What is set otherwise than the program has it by itself."""
        return {}


class Redis(ContainerService):
    """A Redis that keeps what it acknowledged in its append-only file."""

    name = "redis"
    port = 6379
    host_number = 2
    volume = "/data"

    def target(self, port: int) -> Target:
        return Target(self.name, "redis", "127.0.0.1", port, managed=True)

    def health(self) -> list[str]:
        return ["CMD", "sh", HEALTHY, "redis"]

    def command(self, image: Mapping[str, Any]) -> list[str] | None:
        own = (image.get("Config") or {}).get("Cmd") or [""]
        # Valkey's images name their program otherwise.
        program = own[0] if PurePosixPath(own[0]).name == "valkey-server" else "redis-server"
        options = {**REDIS_SETTINGS, "protected-mode": "no", "dir": self.volume}
        return [program, *(word for key, value in options.items() for word in (f"--{key}", value))]

    def settings(self) -> dict[str, str]:
        return dict(REDIS_SETTINGS)


class Postgres(ContainerService):
    """PostgreSQL 18, with a password that only this stack knows."""

    name = "postgres"
    port = 5432
    host_number = 3
    volume = "/var/lib/postgresql"

    def __init__(self) -> None:
        self._password = secrets.token_urlsafe(24)
        self._settings = {
            key: value for key, value in POSTGRES_SETTINGS.items() if key != "unix_socket_directories"
        } | {"listen_addresses": "*"}

    def target(self, port: int) -> Target:
        return Target(
            self.name,
            "postgres",
            "127.0.0.1",
            port,
            username=USER,
            password=self._password,
            database=DATABASE,
            managed=True,
        )

    def health(self) -> list[str]:
        return [
            "CMD",
            "pg_isready",
            "--quiet",
            "--host=127.0.0.1",
            f"--username={USER}",
            f"--dbname={DATABASE}",
        ]

    def command(self, image: Mapping[str, Any]) -> list[str] | None:  # noqa: ARG002 - the services' common form
        words = (word for key, value in self._settings.items() for word in ("-c", f"{key}={value}"))
        return ["postgres", *words]

    def environment(self, others: Mapping[str, Target]) -> dict[str, str]:  # noqa: ARG002 - the services' common form
        return {
            "POSTGRES_USER": USER,
            "POSTGRES_PASSWORD": self._password,
            "POSTGRES_DB": DATABASE,
            # Below the volume whatever the image's version has as its own place.
            "PGDATA": f"{self.volume}/holdfast",
            # Only for the making of an empty data folder; the server itself syncs what it commits.
            "POSTGRES_INITDB_ARGS": "--no-sync",
        }

    def files(self, others: Mapping[str, Target]) -> dict[str, bytes]:  # noqa: ARG002 - the services' common form
        return {}

    def settings(self) -> dict[str, str]:
        return dict(self._settings)


class Postgres16(Postgres):
    """PostgreSQL 16."""

    name = "postgres_16"
    host_number = 4


class Api(ContainerService):
    """The reference API, between the Redis and the Postgres of the same stack."""

    name = "api"
    needs = ("redis", "postgres")
    port = 8000
    host_number = 5

    def target(self, port: int) -> Target:
        return Target(self.name, "http", "127.0.0.1", port, managed=True)

    def health(self) -> list[str]:
        return ["CMD", "sh", HEALTHY, "http", str(self.port), "/health"]

    def environment(self, others: Mapping[str, Target]) -> dict[str, str]:
        return {
            "API_HOST": "0.0.0.0",  # noqa: S104 - inside its own network; published on loopback alone
            "API_PORT": str(self.port),
            "REDIS_URL": url_of(others["redis"]),
            "DATABASE_URL": url_of(others["postgres"]),
        }


class Edge(ContainerService):
    """A reverse proxy in front of the API."""

    name = "edge"
    needs = ("api",)
    port = 80
    host_number = 6

    def target(self, port: int) -> Target:
        return Target(self.name, "http", "127.0.0.1", port, managed=True)

    def health(self) -> list[str]:
        return ["CMD", "sh", HEALTHY, "http", str(self.port), "/ping"]

    def files(self, others: Mapping[str, Target]) -> dict[str, bytes]:
        # By address: a name would have to be known at its start, and the API may be away just then.
        text = (IMAGES / "edge" / "nginx.conf").read_text()
        text = text.replace("server api:8000", f"server {others['api'].address}")
        return {**super().files(others), "/etc/nginx/nginx.conf": text.encode()}


KINDS: tuple[type[ContainerService], ...] = (Redis, Postgres, Postgres16, Api, Edge)
SERVICES = {kind.name: kind for kind in KINDS}


def with_needs(names: set[str]) -> list[str]:
    """The services to start, each behind what it needs."""
    wanted = set(names)
    for kind in reversed(KINDS):
        if kind.name in wanted:
            wanted.update(kind.needs)
    return [name for name in SERVICES if name in wanted]
