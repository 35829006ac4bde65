"""The kinds of targets and the services of the stacks, one entry each, and what follows from them."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from bench.core.plugins import Table


@dataclass(frozen=True)
class Scheme:
    """One way in which the URL of a target may begin."""

    port: int | None = None
    """Where the URL names none; None: it must name one."""
    tls: bool = False
    is_file: bool = False
    """Whether a path follows, of the socket file where the target listens."""
    options: tuple[tuple[str, str], ...] = ()
    """What the scheme itself says, as options of the target."""


@dataclass(frozen=True)
class TargetKind:
    """A kind of target: how its URL is written, how it is asked for its health, what it reports itself."""

    name: str
    schemes: Mapping[str, Scheme]
    """The first one is written where a URL is made."""
    url_form: str
    """The whole form of its URL, for messages."""
    example: str
    """A short URL, for advice."""
    probe: str
    """A function (target, deadline_s) -> Facts (bench.stack.probes.health); raises TargetError."""
    after_host: Literal["nothing", "path", "database number", "database"] = "path"
    """What may follow the host in its URL."""
    has_login: bool = True
    """Whether its URL may hold a user and a password."""
    default_path: str = ""
    """Where its URL has none."""
    resources: str | None = None
    """A class that is made with a target and asked for figures (bench.resources.watched.Service)."""


@dataclass(frozen=True)
class ServiceSpec:
    """One service of the stacks: what a scenario names as a target."""

    name: str
    kind: TargetKind
    port: int
    """Inside a container."""
    url_variable: str | None = None
    """The environment variable that names one that runs elsewhere; None: it is no target of a scenario."""
    embedded: str | None = None
    """A ManagedService (bench.stack.services.base) that starts it on this machine."""
    container: str | None = None
    """A function () -> ContainerService (bench.stack.docker.services)."""
    server: str = ""
    """What it is called where its kind alone does not say what it is."""
    resources: str | None = None
    """Asked in place of what its kind names, where a target is this server."""
    version: int | None = None
    """Of the server, where there are services of several."""
    depends_on: tuple[str, ...] = ()
    """Services that it needs, and that come with it."""
    official_image: str | None = None
    image_folder: str | None = None
    """Of bench/stack/images, where it is not called like the service."""
    image_packages: tuple[str, ...] = ()
    """Folders of this package that its image holds, beside the modules at the top."""
    known_images: tuple[str, ...] = ()
    """Names of images by which its container is known in a compose project."""


REDIS = TargetKind(
    "redis",
    {
        "redis": Scheme(6379),
        "rediss": Scheme(6379, tls=True),
        "unix": Scheme(is_file=True),
    },
    "redis://[user:password@]host[:port][/database] or unix://[user:password@]/path[?db=number]",
    "redis://host:port",
    "bench.stack.probes.redis:probe_redis",
    after_host="database number",
    resources="bench.resources.services.redis:RedisInfo",
)
POSTGRES = TargetKind(
    "postgres",
    {"postgresql": Scheme(5432), "postgres": Scheme(5432)},
    "postgresql://[user[:password]@]host[:port][,...][/database][?sslmode=...]",
    "postgresql://user:password@host:port/database",
    "bench.stack.probes.postgres:probe_postgres",
    after_host="database",
    resources="bench.resources.services.postgres:PostgresActivity",
)
HTTP = TargetKind(
    "http",
    {"http": Scheme(80), "https": Scheme(443, tls=True)},
    "http://[user:password@]host[:port][/path]",
    "http://host:port",
    "bench.stack.probes.http:probe_http",
)
TCP = TargetKind(
    "tcp",
    {"tcp": Scheme()},
    "tcp://host:port",
    "tcp://host:port",
    "bench.stack.probes.connection:probe_tcp",
    after_host="nothing",
    has_login=False,
)
ELASTICSEARCH = TargetKind(
    "elasticsearch",
    {"elasticsearch": Scheme(9200), "elasticsearch+https": Scheme(9200, tls=True)},
    "elasticsearch://[user:password@]host[:port][/path]",
    "elasticsearch://127.0.0.1:9200",
    "bench.stack.probes.elasticsearch:probe_elasticsearch",
)
NEO4J = TargetKind(
    "neo4j",
    {
        "neo4j": Scheme(7687),
        "bolt": Scheme(7687),
        "neo4j+s": Scheme(7687, tls=True),
        "bolt+s": Scheme(7687, tls=True),
        "neo4j+http": Scheme(7474, options=(("via", "http"),)),
        "neo4j+https": Scheme(7473, tls=True, options=(("via", "http"),)),
    },
    "neo4j://host[:port]",
    "neo4j://127.0.0.1:7687",
    "bench.stack.probes.neo4j:probe_neo4j",
    after_host="nothing",
    has_login=False,
)
PROXY = TargetKind(
    "proxy",
    {"proxy": Scheme(80), "proxy+https": Scheme(443, tls=True)},
    "proxy://[user:password@]host[:port][/path]",
    "proxy://127.0.0.1:80/ping",
    "bench.stack.probes.http:probe_proxy",
    default_path="/ping",
)
_KINDS = {kind.name: kind for kind in (REDIS, POSTGRES, HTTP, TCP, ELASTICSEARCH, NEO4J, PROXY)}

_SERVICES = (
    ServiceSpec(
        "redis",
        REDIS,
        6379,
        url_variable="REDIS_URL",
        embedded="bench.stack.services.servers:ManagedRedis",
        container="bench.stack.docker.services:redis",
        official_image="redis:7",
        known_images=("redis", "valkey", "redis-stack-server", "keydb"),
    ),
    ServiceSpec(
        "postgres",
        POSTGRES,
        5432,
        url_variable="DATABASE_URL",
        embedded="bench.stack.services.servers:ManagedPostgres",
        container="bench.stack.docker.services:postgres",
        version=18,
        official_image="postgres:18",
        known_images=("postgres", "postgresql", "timescaledb", "postgis", "pgvector"),
    ),
    ServiceSpec(
        "postgres_16",
        POSTGRES,
        5432,
        url_variable="DATABASE_16_URL",
        embedded="bench.stack.services.servers:ManagedPostgres16",
        container="bench.stack.docker.services:postgres_16",
        version=16,
        official_image="postgres:16",
        image_folder="postgres",
    ),
    ServiceSpec(
        "api",
        HTTP,
        8000,
        url_variable="API_URL",
        embedded="bench.stack.services.servers:ManagedApi",
        container="bench.stack.docker.services:api",
        server="reference API",
        resources="bench.resources.services.api:ApiMetrics",
        depends_on=("redis", "postgres"),
        image_packages=("core", "reference_api", "registry", "stack"),
    ),
    ServiceSpec(
        "edge",
        HTTP,
        80,
        container="bench.stack.docker.services:edge",
        depends_on=("api",),
        official_image="nginx:1",
        known_images=("nginx", "traefik", "haproxy", "caddy", "envoy"),
    ),
)
SERVICES = Table(
    "service",
    "holdfast.services",
    {service.name: service for service in _SERVICES},
    lambda entry: isinstance(entry, ServiceSpec),
)
"""In the order in which they are started: each after what it depends on."""


def reader_of(kind: str, server: str) -> str | None:
    """The class that asks a target for figures; None where nothing is known to ask."""
    own = (spec.resources for spec in SERVICES.values() if spec.resources and spec.server == server)
    return next(own, None) or KINDS[kind].resources


class _Kinds(Mapping[str, TargetKind]):
    """The kinds above, and those that services of plug-ins bring along."""

    def __getitem__(self, name: str) -> TargetKind:
        return _KINDS[name] if name in _KINDS else self._brought()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(_KINDS | self._brought())

    def __len__(self) -> int:
        return len(_KINDS | self._brought())

    def _brought(self) -> dict[str, TargetKind]:
        kinds = {service.kind.name: service.kind for service in SERVICES.values()}
        return {name: kind for name, kind in kinds.items() if name not in _KINDS}


KINDS = _Kinds()


PRIMARY, REPLICA, STANDBY, SENTINEL, INSTANCE = "primary", "replica", "standby", "sentinel", "instance"
ROLES = (PRIMARY, REPLICA, STANDBY, SENTINEL, INSTANCE)
"""What one process of a target can be."""


@dataclass(frozen=True)
class TargetOutline:
    """What a scenario needs to know of a target before anything runs."""

    kind: str
    """Of KINDS."""
    behind: tuple[str, ...] = ()
    """The targets that it does its work with, so that it can be hit, and is sampled, through them too."""
    place: str = field(default="", compare=False)
    """How its stack comes to it: embedded, docker, compose or url. Empty where that is not known yet."""
    role: str = field(default="", compare=False)
    """Of ROLES, of one process of a target: that with which it begins. Empty for a target."""


Topology = Mapping[str, TargetOutline]
"""The targets of a stack by name."""


def instances_of(target: str, known: Iterable[str]) -> tuple[str, ...]:
    """The names of a target's instances, api#1 and api#2 of api; none where it is a single process."""
    return tuple(name for name in known if name.startswith(f"{target}#"))


def with_instances(topology: Topology, found: Iterable[str]) -> dict[str, TargetOutline]:
    """The topology with the instances among the targets that were found, which no file had to announce: how
    many containers a service of compose has shows when it runs.
    """
    outlines = dict(topology)
    for name in found:
        target, is_instance, _ = name.partition("#")
        if not is_instance or name in outlines or target not in topology:
            continue
        for other, outline in list(outlines.items()):
            if target in (other, *outline.behind):
                outlines[other] = replace(outline, behind=(*outline.behind, name))
        outlines[name] = topology[target]
    return outlines


def roles_of(target: str, topology: Topology) -> dict[str, str]:
    """The processes of a target whose roles move, and the role that each begins with; else none."""
    behind = topology[target].behind if target in topology else ()
    members = {name: topology[name].role for name in behind if name in topology}
    return {name: role for name, role in members.items() if role not in ("", INSTANCE)}


SHIPPED_STACKS = ("embedded", "docker", "compose", "external")
"""The stacks that need no file."""


STARTED = ("embedded", "docker")
"""Places of targets that we start ourselves."""


def shipped_topology(place: str = "") -> dict[str, TargetOutline]:
    """What a scenario may name as a target of the shipped stacks; `place`: of the one that is used."""
    return {
        name: TargetOutline(SERVICES[name].kind.name, SERVICES[name].depends_on, place)
        for name in url_variables()
    }


def path_name(client: str | None, target: str) -> str:
    """Where on the network a fault acts: on the way from one service to another, or from the load (None)."""
    return target if client is None else f"{client} → {target}"


def proxy_name(client: str | None, target: str) -> str:
    """The fault proxy there, in a sentence."""
    return f"the fault proxy {f'before {target}' if client is None else f'between {client} and {target}'}"


def url_variables() -> dict[str, str]:
    """Target of a scenario -> the environment variable that names one that runs elsewhere."""
    return {name: spec.url_variable for name, spec in SERVICES.items() if spec.url_variable is not None}


def dependents_of(targets: Iterable[str], topology: Topology) -> tuple[str, ...]:
    """The targets that do their work with one of these."""
    return tuple(name for name, outline in topology.items() if set(outline.behind).intersection(targets))


def with_dependencies(services: Iterable[str]) -> list[str]:
    """These services and all that they need, each after what it depends on."""
    wanted = set(services)
    for service in reversed(list(SERVICES.values())):
        if service.name in wanted:
            wanted.update(service.depends_on)
    return [name for name in SERVICES if name in wanted]


def reachable_targets(targets: Iterable[str], topology: Topology | None = None) -> tuple[str, ...]:
    """The targets of workloads, and those that they depend on; empty names are left out.

    `topology`: of the stack; that of the shipped ones where it is not given.
    """
    known = shipped_topology() if topology is None else topology
    reached = [
        name for target in targets for name in (target, *(known[target].behind if target in known else ()))
    ]
    return tuple(dict.fromkeys(filter(None, reached)))
