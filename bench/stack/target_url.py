"""URLs of targets: a target read from one, and written as one; and the options of a Postgres's."""

from collections.abc import Callable, Iterator
from urllib.parse import SplitResult, quote, unquote, urlsplit

from bench.core.errors import TargetError
from bench.registry import KINDS, Scheme, TargetKind
from bench.stack import tls as tls_options
from bench.stack.sentinel import Endpoint
from bench.stack.target import ANY_SESSION, SESSION_ATTRIBUTE, Target, socket_file_of
from bench.stack.tls import TlsSettings

Refusal = Callable[[str, str], TargetError]
Options = tuple[tuple[str, str], ...]

PORT = 5432
ENCODING_ADVICE = "write / ? # @ : % inside a user name or password as %2F %3F %23 %40 %3A %25"
BALANCE = "load_balance_hosts"
_VALUES = {
    "sslmode": ("disable", "allow", "prefer", "require", "verify-ca", "verify-full"),
    SESSION_ATTRIBUTE: (ANY_SESSION, "read-write", "read-only", "primary", "standby", "prefer-standby"),
    BALANCE: ("disable", "random"),
}
OF_THE_TARGET = ("host", "port", "user", "password", "dbname")
"""What may stand behind the ? instead of in its place before it; it counts more there, as libpq has it."""
_OPTIONS = (
    "sslmode",
    *tls_options.POSTGRES_OPTIONS,
    *("application_name", "connect_timeout", "options", SESSION_ATTRIBUTE, BALANCE),
    *OF_THE_TARGET,
)
_OTHER_OPTIONS = frozenset(
    (
        *("service", "servicefile", "passfile", "channel_binding", "hostaddr", "client_encoding"),
        *("fallback_application_name", "keepalives", "keepalives_idle", "keepalives_interval"),
        *("keepalives_count", "tcp_user_timeout", "sslnegotiation", "sslcompression", "sslcertmode"),
        *("sslpassword", "sslcrl", "sslcrldir", "sslsni", "sslkeylogfile", "requiressl", "requirepeer"),
        *("require_auth", "min_protocol_version", "max_protocol_version", "ssl_min_protocol_version"),
        *("ssl_max_protocol_version", "gssencmode", "krbsrvname", "gsslib", "gssdelegation", "replication"),
        *("scram_client_key", "scram_server_key", "oauth_issuer", "oauth_client_id", "oauth_client_secret"),
        *("oauth_scope", "authtype", "tty"),
    )
)
"""What else libpq has, refused by name. Any other option is not: it may be a piece of a password."""


def places_in(url: str, refuse: Refusal) -> tuple[str, tuple[Endpoint, ...]]:
    """(the URL with one host's name in place of its hosts, the hosts with their ports), read as libpq does.

    Raises what `refuse` makes.
    """
    scheme, _, rest = url.partition("://")
    end = min((at for at in map(rest.find, "/?#") if at >= 0), default=len(rest))
    login, at, hosts = rest[:end].rpartition("@")
    single = f"{scheme}://{login}{at}host{rest[end:]}"
    said = dict(postgres_options(rest.partition("#")[0].partition("?")[2], refuse))
    if "host" in said:
        named = [(host, "") for host in said["host"].split(",")]
    else:
        named = list(_named(hosts, refuse))
    if "port" in said:
        ports = said["port"].split(",")
        if len(ports) not in (1, len(named)):
            raise refuse(f"{len(ports)} ports for {len(named)} hosts", "write one port, or one for each host")
        ports *= len(named) // len(ports)
        named = [(host, port) for (host, _), port in zip(named, ports, strict=True)]
    return single, tuple(_endpoint(host, port, refuse) for host, port in named)


def _named(hosts: str, refuse: Refusal) -> Iterator[tuple[str, str]]:
    """Each host as it is written, unquoted, and its port or nothing."""
    for text in hosts.split(","):
        if unquote(text).startswith("/"):
            folder, _, port = text.partition(":")
            yield unquote(folder), port
            continue
        try:
            parts = urlsplit(f"//{text}")
            host, number = parts.hostname or "", parts.port
        except ValueError:
            raise refuse("a URL whose host or port cannot be read", ENCODING_ADVICE) from None
        yield host, "" if number is None else str(number)


def _endpoint(host: str, port: str, refuse: Refusal) -> Endpoint:
    if not host:
        raise refuse("a URL without a host", f"name it, or a folder of socket files; {ENCODING_ADVICE}")
    is_port = port.isascii() and port.isdigit() and int(port) < 1 << 16
    is_host = host.isprintable() and (host.startswith("/") or not set(host) & set(" @?#"))
    if not (is_port or not port) or not is_host:
        raise refuse("a URL whose host or port cannot be read", ENCODING_ADVICE)
    if port and int(port) == 0:
        raise refuse("port 0", "name the port that the server listens on")
    return host, int(port or PORT)


def place_text(endpoint: Endpoint) -> str:
    """A host and its port as a URL has them."""
    host, port = endpoint
    if host.startswith("/"):
        return f"{quote(host, safe='')}:{port}"
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def postgres_options(query: str, refuse: Refusal) -> Options:
    """What stands behind the ?, unquoted. Raises what `refuse` makes for what is not known or used here."""
    names = {unquote(pair.partition("=")[0]) for pair in query.split("&")}
    if others := sorted(names & _OTHER_OPTIONS):
        known = ", ".join(_OPTIONS)
        raise refuse(
            f"libpq's option {others[0]}", f"leave it out: of libpq's options only {known} are used here"
        )
    options = options_among(_OPTIONS, query, refuse)
    values = dict(options)
    for name, known_values in _VALUES.items():
        if values.get(name, known_values[0]) not in known_values:
            an = "an" if name.startswith("s") else "a"
            raise refuse(f"{an} {name} that does not exist", f"write one of {', '.join(known_values)}")
    timeout = values.get("connect_timeout", "1")
    if not (timeout.isascii() and timeout.isdigit()):
        raise refuse("a connect_timeout that is not a number", "write whole seconds")
    return options


def options_among(known: tuple[str, ...], query: str, refuse: Refusal) -> Options:
    """The options of a URL, each one of those that are known, and each once."""
    advice = f"of the options only {', '.join(known)} are known here; {ENCODING_ADVICE}"
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
    if found is None or (wanted is not None and found != wanted):
        begin = _beginning_of(wanted) if wanted else "a scheme known here"
        begin_advice = f"{begin} before the host" if wanted else "one of the schemes before the host"
        raise refuse(f"something that does not begin with {begin}", f"write {begin_advice}")
    places: tuple[Endpoint, ...] = ()
    if found.after_host == "database":
        url, places = places_in(url, refuse)
    parts, port = _split(url, scheme, refuse)
    places = places or ((parts.hostname or "", port),)
    username, password = _credentials(parts, found, refuse)
    if scheme.is_file:
        file, database = _file(parts, refuse)
        return Target(name, found.name, file, 0, username, password, db=int(database))
    database, path, options = _rest(parts, found, scheme, refuse)
    if found.after_host == "database":
        said = dict(options)
        username, password = said.get("user", username), said.get("password", password)
        database = said.get("dbname", database)
        options = tuple(pair for pair in options if pair[0] not in OF_THE_TARGET)
    tls, options = _tls_of(found, scheme, options, refuse)
    if tls is not None and any(socket_file_of(*each) for each in places):
        if len(places) > 1:
            raise refuse("TLS, and a socket file among the hosts", "name hosts of one sort")
        tls = None  # libpq passes over its options there
    host, port = places[0] if len(places) == 1 else ("", 0)
    return Target(
        name=name,
        kind=found.name,
        host=host,
        port=port,
        username=username,
        password=password,
        db=int(database or 0) if found.after_host == "database number" else 0,
        database=database if found.after_host == "database" else "",
        path=path,
        tls=tls,
        hosts=places if len(places) > 1 else (),
        options=options,
    )


def url_of(target: Target) -> str:
    """A URL from which the target can be read back: its password is in it, so mind where it goes."""
    kind = KINDS[target.kind]
    via = tuple(pair for pair in target.options if pair[0] == "via")
    is_file = target.socket_file is not None and kind.after_host != "database"
    word = next(
        word
        for word, scheme in kind.schemes.items()
        # Of Postgres it is an option that asks for TLS.
        if (scheme.tls == bool(target.tls) or kind.after_host == "database")
        and scheme.options == via
        and scheme.is_file == is_file
    )
    user = quote(target.username or "", safe="")
    if target.password:
        user += f":{quote(target.password, safe='')}"
    rest = target.path
    if is_file:
        rest = f"?db={target.db}" if target.db else ""
        return f"{word}://{user + '@' if user else ''}{quote(target.host)}{rest}"
    if kind.after_host == "database number":
        rest = f"/{target.db}" if target.db else ""
    elif kind.after_host == "database":
        rest = f"/{quote(target.database, safe='')}" if target.database else ""
    elif kind.default_path:
        rest = target.path or "/"
    options = _options_of(target, kind)
    if options:
        rest += "?" + "&".join(f"{key}={quote(value, safe='')}" for key, value in options.items())
    places = ",".join(map(place_text, target.endpoints))
    return f"{word}://{user + '@' if user else ''}{places}{rest}"


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


def _split(url: str, scheme: Scheme, refuse: Refusal) -> tuple[SplitResult, int]:
    try:
        url.encode()
        parts = urlsplit(url)
        port = scheme.port if parts.port is None else parts.port
    except ValueError:
        # The cause quotes the URL, password and all: it is dropped on purpose.
        raise refuse("a URL whose host or port cannot be read", ENCODING_ADVICE) from None
    if scheme.is_file:
        if parts.hostname or parts.port is not None:
            raise refuse("a host before the path", "write unix:///path, with a user and a password before it")
        return parts, 0
    if not parts.hostname:
        raise refuse("a URL without a host", ENCODING_ADVICE)
    if parts.hostname.lower().startswith("%2f"):
        raise refuse("a socket file", "let the server listen on a TCP port, and name that")
    if port == 0:
        raise refuse("port 0", "name the port that the server listens on")
    if port is None:
        raise refuse("a URL without a port", "end it in the port that the server listens on")
    return parts, port


def _file(parts: SplitResult, refuse: Refusal) -> tuple[str, str]:
    """(path, number of the database) of a Redis at a socket file, as redis-py has it."""
    path = unquote(parts.path)
    if parts.fragment:
        raise refuse("something after a #", ENCODING_ADVICE)
    if not path.strip("/") or "\0" in path or "@" in path:
        raise refuse("a path that cannot be read", f"name the socket file; {ENCODING_ADVICE}")
    database = dict(options_among(("db",), parts.query, refuse)).get("db", "0")
    if not (database.isascii() and database.isdigit()):
        raise refuse("a database that is not a number", "write ?db=0 or such")
    return path, database


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
        options = options_among(tls_options.OPTIONS, parts.query, refuse)
    elif parts.fragment or (parts.query and kind.after_host != "database"):
        raise refuse("something after a ? or a #", f"leave options out; {ENCODING_ADVICE}")
    if parts.fragment:
        raise refuse("something after a ? or a #", f"leave options out; {ENCODING_ADVICE}")
    rest = parts.path.removeprefix("/")
    if kind.after_host == "database number":
        if rest and not (rest.isascii() and rest.isdigit()):
            raise refuse("a database that is not a number", f"end the URL in /0 or such; {ENCODING_ADVICE}")
        return rest, "", options
    if "@" in rest:
        raise refuse("an @ behind the first /", ENCODING_ADVICE)
    if kind.after_host == "database":
        database = unquote(rest)
        if "/" in rest or "\0" in database:
            raise refuse(
                "a database whose name cannot be read", f"end the URL in its name; {ENCODING_ADVICE}"
            )
        return database, "", postgres_options(parts.query, refuse)
    if kind.after_host == "nothing":
        if rest:
            raise refuse("something behind the port", "end the URL in the port")
        return "", "", options
    path = parts.path.rstrip("/")
    if not (path.isascii() and path.isprintable() and " " not in path):
        raise refuse("a path with spaces or other characters in it", "write them as %20 and such")
    return "", path or ("" if parts.path else kind.default_path), options


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
