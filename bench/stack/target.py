"""A target: one service of the stack, with what is needed to connect to it, read from a URL and written as
one.
"""

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import SplitResult, quote, unquote, urlsplit

from bench.core.errors import TargetError

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


_ENCODING_ADVICE = "write / ? # @ : % inside a user name or password as %2F %3F %23 %40 %3A %25"
_SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_TLS_MODES = ("require", "verify-ca", "verify-full")
_POSTGRES_OPTIONS = ("sslmode", "application_name", "connect_timeout", "options")
Refusal = Callable[[str, str], TargetError]


@dataclass(frozen=True)
class _Scheme:
    kind: Kind
    port: int | None
    tls: bool = False
    options: tuple[tuple[str, str], ...] = ()


_SCHEMES = {
    "redis": _Scheme("redis", 6379),
    "postgresql": _Scheme("postgres", 5432),
    "postgres": _Scheme("postgres", 5432),
    "http": _Scheme("http", 80),
    "https": _Scheme("http", 443, tls=True),
    "tcp": _Scheme("tcp", None),
    "elasticsearch": _Scheme("elasticsearch", 9200),
    "elasticsearch+https": _Scheme("elasticsearch", 9200, tls=True),
    "neo4j": _Scheme("neo4j", 7687),
    "bolt": _Scheme("neo4j", 7687),
    "neo4j+s": _Scheme("neo4j", 7687, tls=True),
    "bolt+s": _Scheme("neo4j", 7687, tls=True),
    "neo4j+http": _Scheme("neo4j", 7474, options=(("via", "http"),)),
    "neo4j+https": _Scheme("neo4j", 7473, tls=True, options=(("via", "http"),)),
    "proxy": _Scheme("proxy", 80),
    "proxy+https": _Scheme("proxy", 443, tls=True),
}
_FORMS: dict[Kind, str] = {
    "redis": "redis://[user:password@]host[:port][/database]",
    "postgres": "postgresql://[user[:password]@]host[:port][/database][?sslmode=...]",
    "http": "http://[user:password@]host[:port][/path]",
    "tcp": "tcp://host:port",
    "elasticsearch": "elasticsearch://[user:password@]host[:port][/path]",
    "neo4j": "neo4j://host[:port]",
    "proxy": "proxy://[user:password@]host[:port][/path]",
}
DEFAULT_PING_PATH = "/ping"


def read_url(url: str, name: str, source: str, kind: Kind | None) -> Target:
    """The target that the URL names; see Target.from_url. Raises TargetError."""
    url = url.strip()

    def refuse_of(form: str) -> Refusal:
        return lambda found, advice: TargetError(name, source, form, found, advice)

    word = url.partition("://")[0].lower() if "://" in url else ""
    scheme = _SCHEMES.get(word)
    refuse = refuse_of(_form(kind or (scheme.kind if scheme else None)))
    if word == "rediss":
        raise refuse_of(_FORMS["redis"])(
            "rediss://, which is Redis over TLS",
            "name a port without TLS: the wire engine speaks plain TCP, and this version has no other way",
        )
    if word == "unix":
        raise refuse("unix://, a socket file", "let the server listen on a TCP port, and name that")
    if scheme is None or (kind is not None and scheme.kind != kind):
        begin = f"{_FORMS[kind].partition('://')[0]}://" if kind else "a scheme known here"
        begin_advice = f"{begin} before the host" if kind else "one of the schemes before the host"
        raise refuse(f"something that does not begin with {begin}", f"write {begin_advice}")
    parts, port = _split(url, refuse)
    if port is None:
        port = scheme.port
    if port is None:
        raise refuse("a URL without a port", "end it in the port that the server listens on")
    username, password = _credentials(parts, scheme, refuse)
    database, path, options = _rest(parts, scheme, refuse)
    return Target(
        name=name,
        kind=scheme.kind,
        host=parts.hostname or "",
        port=port,
        username=username,
        password=password,
        db=int(database or 0) if scheme.kind == "redis" else 0,
        database=database if scheme.kind == "postgres" else "",
        path=path,
        tls=scheme.tls or dict(options).get("sslmode") in _TLS_MODES,
        options=scheme.options + options,
    )


def url_of(target: Target) -> str:
    """A URL from which the target can be read back: its password is in it, so mind where it goes."""
    scheme = next(
        word
        for word, one in _SCHEMES.items()
        if one.kind == target.kind
        and (one.tls == target.tls or target.kind == "postgres")
        and one.options == tuple(pair for pair in target.options if pair[0] == "via")
    )
    user = quote(target.username or "", safe="")
    if target.password:
        user += f":{quote(target.password, safe='')}"
    rest = target.path
    if target.kind == "redis" and target.db:
        rest = f"/{target.db}"
    elif target.kind == "postgres":
        rest = f"/{quote(target.database, safe='')}" if target.database else ""
        options = dict(target.options)
        if target.tls:
            options.setdefault("sslmode", "require")
        if options:
            rest += "?" + "&".join(f"{key}={quote(value, safe='')}" for key, value in options.items())
    elif target.kind == "proxy":
        rest = target.path or "/"
    return f"{scheme}://{user + '@' if user else ''}{address_of(target.host, target.port)}{rest}"


def _form(kind: Kind | None) -> str:
    return _FORMS[kind] if kind else "a URL with one of: " + ", ".join(f"{word}://" for word in _SCHEMES)


def _split(url: str, refuse: Refusal) -> tuple[SplitResult, int | None]:
    try:
        url.encode()
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        # The cause quotes the URL, password and all: it is dropped on purpose.
        raise refuse("a URL whose host or port cannot be read", _ENCODING_ADVICE) from None
    if not parts.hostname:
        raise refuse("a URL without a host", _ENCODING_ADVICE)
    if parts.hostname.lower().startswith("%2f"):
        raise refuse("a socket file", "let the server listen on a TCP port, and name that")
    if port == 0:
        raise refuse("port 0", "name the port that the server listens on")
    return parts, port


def _credentials(parts: SplitResult, scheme: _Scheme, refuse: Refusal) -> tuple[str | None, str | None]:
    username, password = unquote(parts.username or ""), unquote(parts.password or "")
    if scheme.kind in ("tcp", "neo4j") and (username or password):
        raise refuse("a user or a password", "leave it out: only the connection is looked at")
    if username and not password and scheme.kind != "postgres":
        word = _FORMS[scheme.kind].partition("://")[0]
        other = f" or {word}://:password@host" if scheme.kind == "redis" else ""
        raise refuse("a user without a password", f"write {word}://user:password@host{other}")
    if scheme.kind == "postgres" and "\0" in username + password:
        raise refuse("a user or password with a NUL in it", "Postgres has none such: check the %00")
    return username or None, password or None


def _rest(
    parts: SplitResult, scheme: _Scheme, refuse: Refusal
) -> tuple[str, str, tuple[tuple[str, str], ...]]:
    """(database, path, options): what stands behind the host."""
    if parts.fragment or (parts.query and scheme.kind != "postgres"):
        raise refuse("something after a ? or a #", f"leave options out; {_ENCODING_ADVICE}")
    rest = parts.path.removeprefix("/")
    if scheme.kind == "redis":
        if rest and not (rest.isascii() and rest.isdigit()):
            raise refuse("a database that is not a number", f"end the URL in /0 or such; {_ENCODING_ADVICE}")
        return rest, "", ()
    if "@" in rest:
        raise refuse("an @ behind the first /", _ENCODING_ADVICE)
    if scheme.kind == "postgres":
        database = unquote(rest)
        if "/" in rest or "\0" in database:
            raise refuse(
                "a database whose name cannot be read", f"end the URL in its name; {_ENCODING_ADVICE}"
            )
        return database, "", _postgres_options(parts.query, refuse)
    if scheme.kind in ("tcp", "neo4j"):
        if rest:
            raise refuse("something behind the port", "end the URL in the port")
        return "", "", ()
    path = parts.path.rstrip("/")
    if not (path.isascii() and path.isprintable() and " " not in path):
        raise refuse("a path with spaces or other characters in it", "write them as %20 and such")
    return "", path or (DEFAULT_PING_PATH if scheme.kind == "proxy" and not parts.path else path), ()


def _postgres_options(query: str, refuse: Refusal) -> tuple[tuple[str, str], ...]:
    advice = f"of the options only {', '.join(_POSTGRES_OPTIONS)} are known here; {_ENCODING_ADVICE}"
    # A name or a value may be a piece of a password with a bare ? in it: none is quoted. A + is a
    # plus, as libpq has it.
    pairs = [pair.partition("=") for pair in query.split("&") if pair]
    if not all(equals for _, equals, _ in pairs):
        raise refuse("options that cannot be read", advice)
    options = tuple((unquote(key), unquote(value)) for key, _, value in pairs)
    names = [key for key, _ in options]
    if not set(names) <= set(_POSTGRES_OPTIONS):
        raise refuse("an option that is not known here", advice)
    if len(set(names)) < len(names):
        raise refuse("an option that is given twice", "leave one of the two out")
    values = dict(options)
    if values.get("sslmode", "disable") not in _SSL_MODES:
        raise refuse("an sslmode that does not exist", f"write one of {', '.join(_SSL_MODES)}")
    timeout = values.get("connect_timeout", "1")
    if not (timeout.isascii() and timeout.isdigit()):
        raise refuse("a connect_timeout that is not a number", "write whole seconds")
    if any("\0" in value for value in values.values()):
        raise refuse("an option with a NUL in it", "Postgres has none such: check the %00")
    return options
