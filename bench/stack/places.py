"""What a stack file may say of a target: its kind, the one place where it is, and how it is reached."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from bench.registry import INSTANCE, PRIMARY, REPLICA, SENTINEL, STANDBY
from bench.scenario.fields import Duration, Name, StrictModel, Text, Whole
from bench.stack.target import Pooler

PLACES = ("url", "sentinel", "cluster", "embedded", "docker", "compose")
"""Keys of a target of which exactly one says where it is."""
MOST_TARGETS = 50
MOST_INSTANCES = 6


def _word(value: object) -> object:
    """true and false are what YAML makes of them; what else is meant stands as a word."""
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else value


Synchronous = Annotated[
    Literal["off", "on", "remote_write", "remote_apply"],
    BeforeValidator(
        _word, json_schema_input_type=Literal["off", "on", "remote_write", "remote_apply"] | bool
    ),
]


class StartedPlace(StrictModel):
    """A service that we start."""

    instances: Annotated[int, Whole(1, MOST_INSTANCES)] | None = Field(
        None, description="Of an HTTP service, behind a proxy."
    )
    proxy: Literal["haproxy", "nginx"] | None = Field(
        None, description="The reverse proxy that spreads the load over the instances."
    )


class ClusterShape(StrictModel):
    """A Redis Cluster that we start."""

    primaries: Annotated[int, Whole(3, 9)] = Field(
        3, description="Servers that the hash slots are divided among."
    )
    replicas: Annotated[int, Whole(0, 18)] = Field(
        3, description="Servers that follow them, in all: as many of each, a multiple of the primaries."
    )


class EmbeddedPlace(StartedPlace):
    """A server that we start on this machine."""

    version: Annotated[int, Whole(1, 99)] | None = Field(None, description="Of Postgres: 16 or 18.")
    replicas: Annotated[int, Whole(1, 5)] | None = Field(
        None, description="Of a Redis: servers that follow its primary."
    )
    sentinels: Annotated[int, Whole(3, 7)] | None = Field(
        None, description="Of a Redis with replicas: an odd number of Sentinels that watch over it."
    )
    cluster: ClusterShape | None = Field(None, description="Of a Redis: the servers of a cluster.")
    down_after_ns: Duration = Field(
        1_000_000_000,
        alias="down_after",
        description="How long a server must be silent before a Sentinel, or its cluster, takes it for down.",
        json_schema_extra={"default": "1s"},
    )
    standbys: Annotated[int, Whole(1, 5)] | None = Field(
        None, description="Of a Postgres: servers that follow its primary by streaming replication."
    )
    synchronous: Synchronous | None = Field(
        None,
        description="Of a Postgres with standbys: what a commit waits for at one of them: off (false), on "
        "(true), remote_write or remote_apply, as synchronous_commit has them. Off if not said.",
    )


class DockerPlace(StartedPlace):
    """A container that we start."""


class ComposePlace(StrictModel):
    """A service of a compose project that runs already."""

    service: Text | None = Field(None, description="Its name there, if it is not that of the target.")
    port: Annotated[int, Whole(1, 65535)] | None = Field(None, description="Inside its container.")


class SentinelPlace(StrictModel):
    """A Redis whose primary is found by asking Sentinels, before each connection."""

    addresses: Annotated[tuple[Text, ...], Field(min_length=1, max_length=MOST_TARGETS)] = Field(
        description="Of the Sentinels: host:port, or a host that listens on port 26379."
    )
    primary: Text = Field(description="The name by which they know it.")
    username: Text | None = Field(None, description="Of the servers that they watch over.")
    password: Text | None = None
    database: Annotated[int, Whole(0, 1_000_000)] = 0
    sentinel_username: Text | None = Field(None, description="Of the Sentinels themselves.")
    sentinel_password: Text | None = None


class ClusterPlace(StrictModel):
    """A Redis Cluster that runs already; a plain list has the addresses alone."""

    addresses: Annotated[tuple[Text, ...], Field(min_length=1, max_length=MOST_TARGETS)] = Field(
        description="Of some of its nodes, host:port: each knows all others."
    )
    username: Text | None = Field(None, description="Of every node.")
    password: Text | None = None


def _addresses(value: object) -> object:
    return {"addresses": value} if isinstance(value, list) else value


class TlsFiles(StrictModel):
    """How a target is reached over TLS. Paths are relative to the stack file."""

    ca: Text | None = Field(None, description="PEM of the authorities to trust instead of the system's.")
    certificate: Text | None = Field(None, description="PEM of our own certificate.")
    key: Text | None = Field(None, description="PEM of its key.")
    server_name: Text | None = Field(None, description="The name that the server's certificate must have.")
    verify: Annotated[bool, Field(strict=True)] = Field(
        True, description="Whether the server's certificate is checked; a run says where it is not."
    )


class StackTarget(StrictModel):
    """One target: what it is, and where."""

    kind: Literal["redis", "postgres", "http", "tcp", "elasticsearch", "neo4j"]
    url: Text | None = Field(None, description="Where it is, with what it takes to log in.")
    sentinel: SentinelPlace | None = Field(None, description="Found through Sentinels.")
    cluster: (
        Annotated[
            ClusterPlace,
            BeforeValidator(_addresses, json_schema_input_type=ClusterPlace | tuple[Text, ...]),
        ]
        | None
    ) = Field(None, description="A Redis Cluster, by some of its nodes.")
    embedded: EmbeddedPlace | None = Field(None, description="Started on this machine: {}.")
    docker: DockerPlace | None = Field(None, description="Started as a container: {}.")
    compose: ComposePlace | None = Field(None, description="Found in the compose project that runs.")
    behind: Annotated[tuple[Name, ...], Field(max_length=MOST_TARGETS)] = Field(
        (), description="The targets that it does its work with."
    )
    tls: TlsFiles | None = Field(None, description="For a URL that asks for TLS, and any of a Postgres.")
    pooler: Pooler = Field("none", description="What stands before a Postgres: none, session or transaction.")
    settings: dict[str, str] = Field(
        default_factory=dict, description="Of the server itself, where we start it on this machine."
    )

    @property
    def started(self) -> StartedPlace:
        """How we start it; of others nothing is said."""
        return self.embedded or self.docker or StartedPlace.model_validate({})

    def instances(self, name: str) -> tuple[str, ...]:
        """The names of its processes behind its proxy; none where it has no proxy."""
        count = (self.started.instances or 1) if self.started.proxy else 0
        return numbered(name, count)

    def members(self, name: str) -> dict[str, str]:
        """Its processes by name, and the role that each begins with; none where it is a single one."""
        members = dict.fromkeys(self.instances(name), INSTANCE)
        if self.embedded is not None and self.embedded.replicas is not None:
            primary, *replicas = numbered(name, 1 + self.embedded.replicas)
            members |= {primary: PRIMARY, **dict.fromkeys(replicas, REPLICA)}
            members |= dict.fromkeys(numbered(f"{name}.{SENTINEL}", self.embedded.sentinels or 0), SENTINEL)
        if self.embedded is not None and self.embedded.cluster is not None:
            shape = self.embedded.cluster
            servers = numbered(name, shape.primaries + shape.replicas)
            members |= dict.fromkeys(servers[: shape.primaries], PRIMARY)
            members |= dict.fromkeys(servers[shape.primaries :], REPLICA)
        if self.embedded is not None and self.embedded.standbys is not None:
            primary, *standbys = numbered(name, 1 + self.embedded.standbys)
            members |= {primary: PRIMARY, **dict.fromkeys(standbys, STANDBY)}
        return members

    @property
    def place(self) -> str:
        """The one of PLACES that it has."""
        return next(name for name in PLACES if getattr(self, name) is not None)


class Allow(StrictModel):
    """What may be done to targets that others run."""

    hosts: tuple[Text, ...] = Field((), description="Hosts beyond this machine to which load may go.")
    faults: tuple[Name, ...] = Field((), description="Targets that faults may hit.")
    actions: Annotated[bool, Field(strict=True)] = Field(
        False, description="Whether the commands of scenarios (actions) may be run."
    )


class StackContents(StrictModel):
    """A stack file."""

    stack: Name = Field(description="Its name, as runs and reports call it.")
    targets: Annotated[dict[Name, StackTarget], Field(min_length=1, max_length=MOST_TARGETS)]
    allow: Allow = Allow.model_validate({})


def numbered(name: str, count: int) -> tuple[str, ...]:
    """The names of so many processes of a target."""
    return tuple(f"{name}#{number}" for number in range(1, count + 1))
