"""A target: one service of the stack, with what is needed to connect to it."""

import ipaddress
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["redis", "postgres", "http", "tcp", "elasticsearch", "neo4j", "proxy"]
State = Literal["up", "degraded", "down"]
"""How a target is: degraded where it answers, and says itself that something is missing."""


@dataclass(frozen=True)
class Target:
    """Where a service listens and how to log in. The password appears in no repr and no address."""

    name: str
    kind: Kind
    host: str
    port: int
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    db: int = 0
    """The number of a Redis database."""
    database: str = ""
    """The name of a Postgres database. Empty: the user's, as libpq has it."""
    path: str = ""
    """Before every path of a request over HTTP; it begins with a slash and does not end in one."""
    tls: bool = False
    managed: bool = False
    """Started by us: it may be stopped, killed and restarted by us too."""
    options: tuple[tuple[str, str], ...] = ()
    """What else the URL said, in its order: sslmode, application_name and such of Postgres, via=http
    of Neo4j."""

    @property
    def address(self) -> str:
        """`host:port`, an IPv6 address in brackets; never a secret."""
        return address_of(self.host, self.port)

    @property
    def url(self) -> str:
        """`http://host:port/path` of a service that is asked over HTTP, without credentials."""
        return f"{'https' if self.tls else 'http'}://{self.address}{self.path}"

    @classmethod
    def from_url(
        cls, url: str, *, name: str = "redis", source: str = "REDIS_URL", kind: Kind | None = None
    ) -> "Target":
        """Read a URL; its scheme says which kind of target it is. `kind` allows only that one.

        Raises TargetError for anything else, which speaks of `source` as the place of the URL. Only
        pieces that cannot hold a secret are quoted: a password with a bare `/` or `#` in it makes
        the parts of the URL shift.
        """
        from bench.stack.target_url import read_url

        return read_url(url, name, source, kind)


def address_of(host: str, port: int) -> str:
    """`host:port`, with brackets around an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_loopback_literal(host: str) -> bool:
    """Whether `host` is written as a loopback address: 127.x.x.x or ::1."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
