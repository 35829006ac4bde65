"""What the URL of a Postgres has beyond others': several hosts, socket files, and the options of libpq."""

from collections.abc import Callable, Iterator
from urllib.parse import quote, unquote, urlsplit

from bench.core.errors import TargetError
from bench.stack import tls as tls_options
from bench.stack.sentinel import Endpoint
from bench.stack.target import ANY_SESSION, SESSION_ATTRIBUTE

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
