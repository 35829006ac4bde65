"""The services of the docker stack: what each container is given, and which image it runs from."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from bench.core.errors import TargetError
from bench.registry import SERVICES, ServiceSpec, load, with_dependencies
from bench.stack import images
from bench.stack.docker.client import explanation
from bench.stack.images.build import build_image, built_image, image_name, named_base
from bench.stack.services.servers import DATABASE, POSTGRES_SETTINGS, REDIS_SETTINGS, USER
from bench.stack.target import Target
from bench.stack.target_url import url_of

if TYPE_CHECKING:
    from docker import APIClient


BUILD = "python -m bench.stack.images build"


@dataclass(frozen=True)
class ImageChoice:
    """An image by name, why that one, and whether the engine has it already."""

    name: str
    origin: str
    is_here: bool


def variable_of(service: str) -> str:
    """The variable that names another image for a service."""
    return f"HOLDFAST_IMAGE_{service.upper()}"


def chosen_image(engine: APIClient, service: str) -> ImageChoice:
    """The image for a service; nothing is fetched or built yet."""
    named = os.environ.get(variable_of(service), "").strip()
    if named:
        return ImageChoice(named, variable_of(service), _is_here(engine, named))
    if built_image(engine, service):
        return ImageChoice(image_name(service), "built on this machine", True)
    if official := SERVICES[service].official_image:  # none of the API: it is built on this machine
        return ImageChoice(official, "the official image", _is_here(engine, official))
    return ImageChoice(image_name(service), "built on this machine", False)


@dataclass(frozen=True)
class ReadyImage:
    """An image that the engine has."""

    name: str
    origin: str
    id: str
    command: tuple[str, ...]
    """What it runs by itself."""


def ready_image(engine: APIClient, service: str) -> ReadyImage:
    """The image for a service, fetched or built if need be. Raises TargetError when it cannot be had."""
    choice = chosen_image(engine, service)
    if choice.name == image_name(service):
        build_image(engine, service, named_base(engine, service))
    elif not choice.is_here:
        _fetch(engine, service, choice)
    inspected = engine.inspect_image(choice.name)
    command = (inspected.get("Config") or {}).get("Cmd") or ()
    return ReadyImage(choice.name, choice.origin, inspected["Id"], tuple(command))


def _fetch(engine: APIClient, service: str, choice: ImageChoice) -> None:
    from docker.errors import APIError

    repository, _, tag = choice.name.partition("@")[0].rpartition(":")
    if not repository or "/" in tag:
        repository, tag = choice.name, "latest"
    if "@" in choice.name:
        repository, tag = choice.name.split("@", 1)
    try:
        for step in engine.pull(repository, tag=tag, stream=True, decode=True):
            if "error" in step:
                raise _missing(service, choice, str(step["error"]))
    except APIError as error:
        raise _missing(service, choice, explanation(error)) from None


def _missing(service: str, choice: ImageChoice, reason: str) -> TargetError:
    return TargetError(
        service,
        "the docker stack",
        f"the image {choice.name} ({choice.origin}), here or from its registry",
        f"none here, and the registry gave none ({' '.join(reason.split())})",
        f"name another one in {variable_of(service)}, or make one without a registry: {BUILD} {service}",
    )


def _is_here(engine: APIClient, name: str) -> bool:
    from docker.errors import APIError

    try:
        engine.inspect_image(name)
    except APIError:
        return False
    return True


IMAGES = Path(images.__file__).parent
HEALTHY = "/usr/local/bin/holdfast-healthy"
REDIS_DATA = "/data"
POSTGRES_DATA = "/var/lib/postgresql"
API_PORT = 8000
LOOPBACK = "127.0.0.1"
Others = Mapping[str, Target]
"""The targets of what a service needs, as containers see them: by address in the run's network."""


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
    volume: str = ""
    """Where its data is; empty for none."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """What is set otherwise than the program has it by itself."""
    command: Callable[[tuple[str, ...]], list[str] | None] = lambda _: None
    """What to run in an image, by what it runs by itself; None for just that."""
    environment: Callable[[Others], dict[str, str]] = lambda _: {}
    files: Callable[[Others], dict[str, bytes]] = _check_of_health
    """To be put into the container before its start, by absolute path."""
    ready_deadline_s: float = 60.0
    entry: str = ""
    """Its entry in the registry, which its image is of, where that has another name."""
    instances: tuple[str, ...] = ()
    """What it spreads the load over, where it is the proxy before them."""

    @property
    def spec(self) -> ServiceSpec:
        """Its entry in the registry."""
        return SERVICES[self.entry or self.name]

    @property
    def host_name(self) -> str:
        """Its name in the network."""
        return self.name.replace("#", "-")


def redis() -> ContainerService:
    """A Redis that keeps what it acknowledged in its append-only file."""

    def command(own: tuple[str, ...]) -> list[str]:
        # Valkey's images name their program otherwise.
        program = own[0] if own and PurePosixPath(own[0]).name == "valkey-server" else "redis-server"
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
        files=lambda _: {},
    )


def postgres() -> ContainerService:
    """The PostgreSQL of this version's measurements."""
    return _postgres("postgres", 3)


def postgres_16() -> ContainerService:
    """An older PostgreSQL, to compare with."""
    return _postgres("postgres_16", 4)


def api() -> ContainerService:
    """The reference API, between the Redis and the Postgres of the same stack."""
    return ContainerService(
        name="api",
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


def edge(name: str = "edge", host_number: int = 6, instances: tuple[str, ...] = ()) -> ContainerService:
    """A reverse proxy in front of the API, or of its instances."""

    def files(others: Others) -> dict[str, bytes]:
        # By address: a name would have to be known at its start, and the API may be away just then.
        text = (IMAGES / "edge" / "nginx.conf").read_text()
        servers = [f"server {others['api'].address} max_fails=0;"] if not instances else []
        servers += [f"server {others[each].address} max_fails=1 fail_timeout=1s;" for each in instances]
        text = text.replace("server api:8000 max_fails=0;", " ".join(servers))
        if instances:  # another one is tried after a refusal
            text = text.replace("proxy_next_upstream off;", "")
        return {**_check_of_health(others), "/etc/nginx/nginx.conf": text.encode()}

    return ContainerService(
        name=name,
        port=80,
        host_number=host_number,
        target=lambda port: Target(name, "http", LOOPBACK, port, managed=True),
        health=("CMD", "sh", HEALTHY, "http", "80", "/ping"),
        files=files,
        entry="edge",
        instances=instances,
    )


FIRST_INSTANCE = 7
"""Which address of the run's network the first instance has."""


def containers_with_needs(
    names: AbstractSet[str], instances: Mapping[str, tuple[str, ...]] | None = None
) -> list[ContainerService]:
    """The services to start, each after what it depends on; `instances`: of those that have several."""
    found: list[ContainerService] = []
    for name in with_dependencies(names):
        if (maker := SERVICES[name].container) is None:
            continue
        service: ContainerService = load(maker)()
        several = (instances or {}).get(name, ())
        for number, each in enumerate(several, start=FIRST_INSTANCE):
            target = partial(_named, service.target, each)
            found.append(replace(service, name=each, entry=name, host_number=number, target=target))
        found.append(edge(name, service.host_number, several) if several else service)
    return found


def _named(make: Callable[[int], Target], name: str, port: int) -> Target:
    return replace(make(port), name=name)
