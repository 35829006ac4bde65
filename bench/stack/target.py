"""A target: one service of the stack, with what is needed to connect to it."""

import ipaddress
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import unquote, urlsplit

from bench.errors import TargetError

DEFAULT_PORT = 6379
_ENCODING_ADVICE = "write / ? # @ : % inside a user name or password as %2F %3F %23 %40 %3A %25"


@dataclass(frozen=True)
class Target:
    """Where a service listens and how to log in. The password appears in no repr and no address."""

    name: str
    kind: Literal["redis"]
    host: str
    port: int
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    db: int = 0
    managed: bool = False
    """Started by us: it may be stopped, killed and restarted by us too."""

    @property
    def address(self) -> str:
        """`host:port`, an IPv6 address in brackets; never a secret."""
        return address_of(self.host, self.port)

    @classmethod
    def from_url(cls, url: str, *, name: str = "redis", source: str = "REDIS_URL") -> "Target":
        """Read `redis://[user:password@]host[:port][/db]`.

        Raises TargetError for anything else. Only pieces that cannot hold a secret are quoted:
        a password with a bare `/` or `#` in it makes the parts of the URL shift.
        """
        return _parse(url.strip(), name, source)


def address_of(host: str, port: int) -> str:
    """`host:port`, with brackets around an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_loopback_literal(host: str) -> bool:
    """Whether `host` is written as a loopback address: 127.x.x.x or ::1."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _parse(url: str, name: str, source: str) -> Target:
    form = "redis://[user:password@]host[:port][/database]"

    def refuse(found: str, advice: str) -> TargetError:
        return TargetError(name, source, form, found, advice)

    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        # The cause quotes the URL, password and all: it is dropped on purpose.
        raise refuse("a URL whose host or port cannot be read", _ENCODING_ADVICE) from None
    if parts.scheme == "rediss":
        raise refuse(
            "rediss://, which is Redis over TLS",
            "name a port without TLS: the wire engine speaks plain TCP, and this version has no other way",
        )
    if parts.scheme == "unix":
        raise refuse("unix://, a socket file", "let the server listen on a TCP port, and name that")
    if parts.scheme != "redis":
        raise refuse("something that does not begin with redis://", "write redis:// before the host")
    if parts.query or parts.fragment:
        raise refuse("something after a ? or a #", f"leave options out; {_ENCODING_ADVICE}")
    if not parts.hostname:
        raise refuse("a URL without a host", _ENCODING_ADVICE)
    if port == 0:
        raise refuse("port 0", "name the port that the server listens on")
    database = parts.path.removeprefix("/")
    if database and not (database.isascii() and database.isdigit()):
        raise refuse("a database that is not a number", f"end the URL in /0 or such; {_ENCODING_ADVICE}")
    username, password = unquote(parts.username or ""), unquote(parts.password or "")
    if username and not password:
        raise refuse(
            "a user without a password", "write redis://user:password@host or redis://:password@host"
        )
    return Target(
        name=name,
        kind="redis",
        host=parts.hostname,
        port=port if port is not None else DEFAULT_PORT,
        username=username or None,
        password=password or None,
        db=int(database or 0),
    )
