"""URLs of targets: a target read from one, and written as one."""

from collections.abc import Callable
from urllib.parse import SplitResult, quote, unquote, urlsplit

from bench.core.errors import TargetError
from bench.registry import KINDS, Scheme, TargetKind
from bench.stack import tls as tls_options
from bench.stack.target import Target, address_of
from bench.stack.tls import TlsSettings

_ENCODING_ADVICE = "write / ? # @ : % inside a user name or password as %2F %3F %23 %40 %3A %25"
_SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_POSTGRES_OPTIONS = (
    "sslmode",
    *tls_options.POSTGRES_OPTIONS,
    "application_name",
    "connect_timeout",
    "options",
)
_OTHER_OPTIONS = frozenset(
    (
        *("service", "user", "password", "passfile", "channel_binding", "dbname", "host", "hostaddr"),
        *("port", "client_encoding", "fallback_application_name", "keepalives", "keepalives_idle"),
        *("keepalives_interval", "keepalives_count", "tcp_user_timeout", "sslnegotiation"),
        *("sslcompression", "sslcertmode", "sslpassword", "sslcrl", "sslcrldir", "sslsni", "requirepeer"),
        *("require_auth", "min_protocol_version", "max_protocol_version", "ssl_min_protocol_version"),
        *("ssl_max_protocol_version", "gssencmode", "krbsrvname", "gsslib", "gssdelegation", "replication"),
        *("target_session_attrs", "load_balance_hosts"),
    )
)
"""What else libpq has, refused by name. Any other option is not: it may be a piece of a password."""
Refusal = Callable[[str, str], TargetError]
Options = tuple[tuple[str, str], ...]


def target_of(url: str, *, name: str = "redis", source: str = "REDIS_URL", kind: str | None = None) -> Target:
    """Read a URL; its scheme says which kind of target it is. `kind` allows only that one.

    Raises TargetError for anything else, which speaks of `source` as the place of the URL. Only
    pieces that cannot hold a secret are quoted: a password with a bare `/` or `#` in it makes
    the parts of the URL shift.
    """
    url = url.strip()

    def refuse_of(form: str) -> Refusal:
        return lambda found, advice: TargetError(name, source, form, found, advice)

    word = url.partition("://")[0].lower() if "://" in url else ""
    found, scheme = _schemes().get(word, (None, Scheme()))
    wanted = KINDS[kind] if kind else None
    known = wanted or found
    refuse = refuse_of(known.url_form if known else f"a URL with one of: {', '.join(_beginnings())}")
    if word == "unix":
        raise refuse("unix://, a socket file", "let the server listen on a TCP port, and name that")
    if found is None or (wanted is not None and found != wanted):
        begin = _beginning_of(wanted) if wanted else "a scheme known here"
        begin_advice = f"{begin} before the host" if wanted else "one of the schemes before the host"
        raise refuse(f"something that does not begin with {begin}", f"write {begin_advice}")
    parts, port = _split(url, refuse)
    if port is None:
        port = scheme.port
    if port is None:
        raise refuse("a URL without a port", "end it in the port that the server listens on")
    username, password = _credentials(parts, found, refuse)
    database, path, options = _rest(parts, found, scheme, refuse)
    tls, options = _tls_of(found, scheme, options, refuse)
    return Target(
        name=name,
        kind=found.name,
        host=parts.hostname or "",
        port=port,
        username=username,
        password=password,
        db=int(database or 0) if found.after_host == "database number" else 0,
        database=database if found.after_host == "database" else "",
        path=path,
        tls=tls,
        options=options,
    )


def url_of(target: Target) -> str:
    """A URL from which the target can be read back: its password is in it, so mind where it goes."""
    kind = KINDS[target.kind]
    via = tuple(pair for pair in target.options if pair[0] == "via")
    word = next(
        word
        for word, scheme in kind.schemes.items()
        # Of Postgres it is an option that asks for TLS.
        if (scheme.tls == bool(target.tls) or kind.after_host == "database") and scheme.options == via
    )
    user = quote(target.username or "", safe="")
    if target.password:
        user += f":{quote(target.password, safe='')}"
    rest = target.path
    if kind.after_host == "database number":
        rest = f"/{target.db}" if target.db else ""
    elif kind.after_host == "database":
        rest = f"/{quote(target.database, safe='')}" if target.database else ""
    elif kind.default_path:
        rest = target.path or "/"
    options = _options_of(target, kind)
    if options:
        rest += "?" + "&".join(f"{key}={quote(value, safe='')}" for key, value in options.items())
    return f"{word}://{user + '@' if user else ''}{address_of(target.host, target.port)}{rest}"


def _options_of(target: Target, kind: TargetKind) -> dict[str, str]:
    if kind.after_host == "database":
        tls = tls_options.postgres_options_of(target.tls) if target.tls else []
        return dict(target.options) | dict(tls)
    return dict(tls_options.options_of(target.tls)) if target.tls else {}


def _schemes() -> dict[str, tuple[TargetKind, Scheme]]:
    return {word: (kind, scheme) for kind in KINDS.values() for word, scheme in kind.schemes.items()}


def _beginnings() -> list[str]:
    return [f"{word}://" for word in _schemes()]


def _beginning_of(kind: TargetKind) -> str:
    return kind.url_form.partition("://")[0] + "://"


def _split(url: str, refuse: Refusal) -> tuple[SplitResult, int | None]:
    if "," in url.partition("://")[2].partition("/")[0].rpartition("@")[2]:
        advice = (
            "name one, or a name that always leads to the one to measure: it is looked up at every connection"
        )
        raise refuse("several hosts", advice)
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


def _credentials(parts: SplitResult, kind: TargetKind, refuse: Refusal) -> tuple[str | None, str | None]:
    username, password = unquote(parts.username or ""), unquote(parts.password or "")
    if not kind.has_login and (username or password):
        raise refuse("a user or a password", "leave it out: only the connection is looked at")
    if username and not password and kind.after_host != "database":
        begin = _beginning_of(kind)
        other = f" or {begin}:password@host" if kind.name == "redis" else ""
        raise refuse("a user without a password", f"write {begin}user:password@host{other}")
    if kind.after_host == "database" and "\0" in username + password:
        raise refuse("a user or password with a NUL in it", "Postgres has none such: check the %00")
    return username or None, password or None


def _rest(parts: SplitResult, kind: TargetKind, scheme: Scheme, refuse: Refusal) -> tuple[str, str, Options]:
    """(database, path, options): what stands behind the host."""
    options: Options = ()
    if kind.after_host != "database" and parts.query and scheme.tls:
        options = _options_among(tls_options.OPTIONS, parts.query, refuse)
    elif parts.fragment or (parts.query and kind.after_host != "database"):
        raise refuse("something after a ? or a #", f"leave options out; {_ENCODING_ADVICE}")
    if parts.fragment:
        raise refuse("something after a ? or a #", f"leave options out; {_ENCODING_ADVICE}")
    rest = parts.path.removeprefix("/")
    if kind.after_host == "database number":
        if rest and not (rest.isascii() and rest.isdigit()):
            raise refuse("a database that is not a number", f"end the URL in /0 or such; {_ENCODING_ADVICE}")
        return rest, "", options
    if "@" in rest:
        raise refuse("an @ behind the first /", _ENCODING_ADVICE)
    if kind.after_host == "database":
        database = unquote(rest)
        if "/" in rest or "\0" in database:
            raise refuse(
                "a database whose name cannot be read", f"end the URL in its name; {_ENCODING_ADVICE}"
            )
        return database, "", _postgres_options(parts.query, refuse)
    if kind.after_host == "nothing":
        if rest:
            raise refuse("something behind the port", "end the URL in the port")
        return "", "", options
    path = parts.path.rstrip("/")
    if not (path.isascii() and path.isprintable() and " " not in path):
        raise refuse("a path with spaces or other characters in it", "write them as %20 and such")
    return "", path or ("" if parts.path else kind.default_path), options


def _options_among(known: tuple[str, ...], query: str, refuse: Refusal) -> Options:
    advice = f"of the options only {', '.join(known)} are known here; {_ENCODING_ADVICE}"
    # A name or a value may be a piece of a password with a bare ? in it: none is quoted. A + is a
    # plus, as libpq has it.
    pairs = [pair.partition("=") for pair in query.split("&") if pair]
    if not all(equals for _, equals, _ in pairs):
        raise refuse("options that cannot be read", advice)
    options = tuple((unquote(key), unquote(value)) for key, _, value in pairs)
    names = [key for key, _ in options]
    if not set(names) <= set(known):
        raise refuse("an option that is not known here", advice)
    if len(set(names)) < len(names):
        raise refuse("an option that is given twice", "leave one of the two out")
    if any("\0" in value for _, value in options):
        raise refuse("an option with a NUL in it", "no option has one: check the %00")
    return options


def _postgres_options(query: str, refuse: Refusal) -> Options:
    names = {unquote(pair.partition("=")[0]) for pair in query.split("&")}
    if others := sorted(names & _OTHER_OPTIONS):
        known = ", ".join(_POSTGRES_OPTIONS)
        raise refuse(
            f"libpq's option {others[0]}", f"leave it out: of libpq's options only {known} are used here"
        )
    options = _options_among(_POSTGRES_OPTIONS, query, refuse)
    values = dict(options)
    if values.get("sslmode", "disable") not in _SSL_MODES:
        raise refuse("an sslmode that does not exist", f"write one of {', '.join(_SSL_MODES)}")
    timeout = values.get("connect_timeout", "1")
    if not (timeout.isascii() and timeout.isdigit()):
        raise refuse("a connect_timeout that is not a number", "write whole seconds")
    return options


def _tls_of(
    kind: TargetKind, scheme: Scheme, options: Options, refuse: Refusal
) -> tuple[TlsSettings | None, Options]:
    """(how to reach it over TLS, the options that are left)."""
    if kind.after_host != "database":
        try:
            return (
                (tls_options.read_options(options), scheme.options) if scheme.tls else (None, scheme.options)
            )
        except tls_options.OptionError as error:
            raise refuse(*error.args) from None
    mode = dict(options).get("sslmode", "")
    left = tuple(pair for pair in options if pair[0] not in tls_options.POSTGRES_OPTIONS)
    if mode in tls_options.TLS_MODES:
        found = tls_options.read_postgres_options(mode, options)
        return found, tuple(pair for pair in left if pair[0] != "sslmode")
    if left != options:
        raise refuse(
            "certificates without an sslmode that uses them", f"add sslmode={tls_options.TLS_MODES[-1]}"
        )
    return None, options
