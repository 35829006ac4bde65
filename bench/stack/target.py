"""A target: one service of the stack, what is needed to connect to it, and what a stack reports of it.

What a stack reports becomes a part of run.json (`stack.targets`) and of the state file of a background stack:
`to_json` writes both, `from_json` reads what any version wrote. No secret is in it.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from bench.core.errors import Passing, TargetError
from bench.stack.cluster import ClusterLocator, ClusterView
from bench.stack.sentinel import Endpoint, NotLocated, PrimaryLocator, Sentinels
from bench.stack.tls import TlsSettings

if TYPE_CHECKING:
    import ssl


Pooler = Literal["none", "session", "transaction"]
"""What stands between us and a Postgres, by how long it keeps a client on one connection of the server."""
State = Literal["up", "degraded", "down"]
"""How a target is: degraded where it answers, and says itself that something is missing."""


@dataclass(frozen=True)
class Target:
    """Where a service listens and how to log in. The password appears in no repr and no address."""

    name: str
    kind: str
    """Of bench.registry.KINDS."""
    host: str
    """A name, an address or, beginning with a slash, a socket file; of a Postgres the folder of that."""
    port: int
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    db: int = 0
    """The number of a Redis database."""
    database: str = ""
    """The name of a Postgres database. Empty: the user's, as libpq has it."""
    path: str = ""
    """Before every path of a request over HTTP; it begins with a slash and does not end in one."""
    tls: TlsSettings | None = None
    """None: the connection is plain."""
    managed: bool = False
    """Started by us: it may be stopped, killed and restarted by us too."""
    pooler: Pooler = "none"
    """With one, no connection is left with a statement or a setting that the next client would meet."""
    sentinels: Sentinels | None = None
    """Who is asked where it is, before each connection; host and port are where it was when last asked."""
    nodes: tuple[Endpoint, ...] = ()
    """Of a Redis Cluster, some: each knows all others; host and port are those of one of its primaries."""
    hosts: tuple[Endpoint, ...] = ()
    """Where a Postgres of several may be; host and port are where it was when last asked."""
    options: tuple[tuple[str, str], ...] = ()
    """What else the URL said, in its order: application_name and such of Postgres, via=http of Neo4j. What
    it said of TLS is in `tls`."""

    @property
    def address(self) -> str:
        """`host:port`, an IPv6 address in brackets, or a socket file; never a secret."""
        if self.host:
            return address_of(self.host, self.port)
        places = self.hosts or self.nodes
        return ", ".join(address_of(*each) for each in places) or str(self.sentinels)

    @property
    def socket_file(self) -> str | None:
        """The socket file where it listens; None where that is a port."""
        return socket_file_of(self.host, self.port)

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """Every place that its URL names."""
        return self.hosts or ((self.host, self.port),)

    @property
    def session_attribute(self) -> str:
        """What libpq's target_session_attrs asks of the server of a session."""
        return dict(self.options).get(SESSION_ATTRIBUTE, ANY_SESSION)

    @property
    def url(self) -> str:
        """`http://host:port/path` of a service that is asked over HTTP, without credentials."""
        return f"{'https' if self.tls else 'http'}://{self.address}{self.path}"

    def located(self, timeout_s: float) -> Target:
        """The same where it is now; of a cluster at one of its primaries. Raises NotLocated where nobody
        knows that.
        """
        if self.nodes:
            primaries = self.cluster_view(timeout_s).primaries
            sound = [node for node in primaries if node.is_sound] or primaries
            if not sound:
                raise NotLocated("no node of the cluster serves any slot")
            return replace(self, host=sound[0].host, port=sound[0].port)
        if self.sentinels is None:
            return self
        with PrimaryLocator(self.sentinels) as locator:
            host, port = locator.locate(timeout_s)
        return replace(self, host=host, port=port)

    def cluster_locator(self) -> ClusterLocator:
        """Who is asked for the nodes of a cluster."""
        return ClusterLocator(self.nodes, self.username, self.password)

    def cluster_view(self, timeout_s: float) -> ClusterView:
        """The nodes of a cluster now. Raises NotLocated."""
        with self.cluster_locator() as cluster:
            return cluster.view(timeout_s)

    def at(self, host: str, port: int) -> Target:
        """The same at one of its places."""
        return replace(self, host=host, port=port, hosts=(), nodes=())

    def through(self, host: str, port: int) -> Target:
        """The same server, reached through something that passes bytes on: its certificate keeps its name."""
        tls = self.tls and replace(self.tls, server_name=self.tls.server_name or self.host)
        return replace(self, host=host, port=port, tls=tls)

    def tls_context(self) -> ssl.SSLContext | None:
        """What a client library takes for TLS; None for a plain connection.

        Raises TargetError for a file that cannot be used.
        """
        return self.tls.context(self.name, self.address) if self.tls else None

    def named_tls_context(self) -> ssl.SSLContext | None:
        """The same for a client library that is given an address instead of the host's name."""
        return self.through(self.host, self.port).tls_context()

    def error(self, expected: str, found: str, advice: str, passes: Passing | None = None) -> TargetError:
        """What is wrong with this target, to be raised; `passes`: why it may be over in a while."""
        return TargetError(self.name, self.address, expected, found, advice, passes)


SESSION_ATTRIBUTE = "target_session_attrs"
ANY_SESSION = "any"


def socket_file_of(host: str, port: int) -> str | None:
    """The socket file that a host stands for; None for a name or an address."""
    if not host.startswith("/"):
        return None
    return f"{host}/.s.PGSQL.{port}" if port else host


def address_of(host: str, port: int) -> str:
    """`host:port`, with brackets around an IPv6 address; the path of a socket file."""
    if (file := socket_file_of(host, port)) is not None:
        return file
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_loopback_literal(host: str) -> bool:
    """Whether `host` is written as a loopback address: 127.x.x.x or ::1."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def names_loopback(netloc: str) -> bool:
    """Whether a Host header is a loopback name. A page whose name leads here (DNS rebinding) sends that."""
    try:
        host = (urlsplit(f"//{netloc}").hostname or "").rstrip(".")
    except ValueError:
        return False
    return host == "localhost" or is_loopback_literal(host)


_LEFT_OUT = ("credentials", "data_directory", "settings", "behind", "tls", "listener_pid")
"""Not written where a stack knows nothing of them; all else is written as null."""
_KEYS = {"id": "container"}


@dataclass(frozen=True)
class ContainerDescription:
    """The container that a target runs in."""

    id: str
    image: str
    image_id: str
    cgroup: str | None
    """Below the root of control groups; None where it cannot be seen."""
    restart_policy: str
    faults_allowed: bool
    is_port_fixed: bool
    """Whether its published port stays the same over a restart."""
    health_check: str
    """What the engine's health check said last."""
    health_check_ns: int | None
    """How long the service must be down for its health check to fail; None where it has no check."""


@dataclass(frozen=True)
class TargetDescription:
    """One target of a stack, as it is now."""

    name: str
    kind: str
    address: str
    server: str
    version: str
    started_by: str
    state: str
    """up or down."""
    credentials: str | None = None
    """Where they are from."""
    program: str | None = None
    pid: int | None = None
    """Of its first process; None while it is down, and where it is not ours to see."""
    listener_pid: int | None = None
    """Of a target that others run here at a socket file: the process that listens there."""
    supervisor_pid: int | None = None
    log: str | None = None
    data_directory: str | None = None
    settings: Mapping[str, str] | None = None
    """Of the server, where they are not its defaults."""
    tls: str | None = None
    """How far the certificate of a target over TLS is checked."""
    behind: list[str] | None = None
    """The targets that it does its work with, as a stack file says."""
    container: ContainerDescription | None = None

    def to_json(self) -> dict[str, Any]:
        """For a file: the container's facts stand beside the target's."""
        entry = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "container"}
        for name in _LEFT_OUT:
            if entry[name] is None:
                del entry[name]
        if self.container is not None:
            entry |= {_KEYS.get(name, name): value for name, value in vars(self.container).items()}
        return entry

    @classmethod
    def from_json(cls, entry: Any) -> TargetDescription:
        """What `to_json` made. Raises KeyError or TypeError for anything else."""
        known = {field.name: entry[field.name] for field in fields(cls) if field.name in entry}
        if "container" in entry:
            names = (field.name for field in fields(ContainerDescription))
            known["container"] = ContainerDescription(*(entry.get(_KEYS.get(name, name)) for name in names))
        return cls(**known)
