"""How libpq connects to a target, and the probe that asks a Postgres who it is, as the load will log in."""

import math
import os
import re
import socket
import ssl
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.core.clock import monotonic_ns
from bench.core.errors import Passing, TargetError
from bench.core.threads import StillRunning, within
from bench.stack.addresses import Place, attempts
from bench.stack.probes.connection import (
    Connection,
    ProbeError,
    expect_postgres,
    probe_error,
    resolve,
    with_guess,
)
from bench.stack.probes.health import Facts
from bench.stack.target import SESSION_ATTRIBUTE, State, Target
from bench.stack.target_url import BALANCE
from bench.stack.tls import TlsSettings, postgres_options_of

if TYPE_CHECKING:
    import psycopg


APPLICATION_NAME = "holdfast"


def libpq_parameters(target: Target, place: Place | None = None) -> dict[str, str]:
    """Parameters of a connection, by libpq's names.

    place: the one of its places to connect to, where that was looked up before. What the URL does not say
    is left out, so that libpq's own defaults and its password file hold.
    """
    options = dict(target.options)
    places = [(place.host, place.port)] if place else target.endpoints
    parameters = {
        "host": ",".join(host for host, _ in places),
        "hostaddr": place.address if place and not place.is_file else None,
        "port": ",".join(str(port) for _, port in places),
        "user": target.username,
        "password": target.password,
        "dbname": target.database,
        "sslmode": "disable",
        "gssencmode": "disable",  # one round trip and a name look-up less; nothing here asks for it
        "application_name": options.get("application_name", APPLICATION_NAME),
        "connect_timeout": options.get("connect_timeout"),
        "options": options.get("options"),
        SESSION_ATTRIBUTE: place.attribute if place else options.get(SESSION_ATTRIBUTE),
        BALANCE: None if place else options.get(BALANCE),
    }
    if target.tls:
        parameters |= _tls_parameters(target.tls, parameters["hostaddr"], target)
    return {key: value for key, value in parameters.items() if value}


def conninfo(target: Target, place: Place | None = None, /, **ours: str) -> str:
    """How psycopg connects to a target; `ours`: parameters that come before what its URL says."""
    from psycopg.conninfo import make_conninfo

    return make_conninfo(**(libpq_parameters(target, place) | ours))


def _tls_parameters(tls: TlsSettings, peer: str | None, target: Target) -> dict[str, str | None]:
    found: dict[str, str | None] = dict(postgres_options_of(tls))
    if found["sslmode"] == "verify-full" and tls.ca is None and not LIBPQS_CA.exists():
        # libpq looks at no system's authorities by itself; SSL_CERT_FILE counts as it does elsewhere.
        found["sslrootcert"] = ssl.get_default_verify_paths().cafile or "system"
    if name := found.pop("ssl_server_name", None):
        addresses = [peer] if peer else [_address_of(target, *each) for each in target.endpoints]
        found |= {"host": ",".join(name for _ in addresses), "hostaddr": ",".join(addresses)}
    return found


def _address_of(target: Target, host: str, port: int) -> str:
    """Where to connect, when the host's name is not the server's. Raises TargetError."""
    try:
        place, *_ = resolve(host, port, RESOLVE_S)
    except ProbeError as fact:
        raise probe_error(target, "a host that can be found", str(fact)) from None
    return place.address


RESOLVE_S = 5.0
LIBPQS_CA = Path("~/.postgresql/root.crt").expanduser()


_QUESTION = """
SELECT version(), current_setting('max_connections')::int, pg_is_in_recovery(),
       extract(epoch FROM now() - pg_postmaster_start_time())::float8,
       (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend')
"""
_IN = "to be let in"
OTHER_SESSION = "session is (not )?read-only|server is (not )?in hot standby"
"""libpq's words where a server is not as target_session_attrs asks; a failover may be under way."""
STARTING = "starting up|not yet accepting connections|in recovery mode"
# What the server or libpq says -> what was expected, and what to do. A server may speak another
# language than English; then the general words below must do.
_REFUSALS: dict[str, tuple[str, str]] = {
    "requires a valid client certificate|certificate required": (
        "a server that asks for no client certificate, or a certificate of ours",
        "name a client certificate and its key: sslcert and sslkey in the URL",
    ),
    "certificate authentication failed": (
        "to be let in with our certificate",
        "its CN must be the user's name, and pg_hba.conf must say so",
    ),
    "private key file|could not load private key|could not read certificate file": (
        "a client certificate and key that libpq can use",
        "check both files; the key may be readable by its owner only (chmod 600)",
    ),
    "certificate|SSL error|SSL connection": (
        "TLS with a certificate that is trusted here",
        "check its authority (sslrootcert), its name and when it expires, or use another sslmode",
    ),
    "password authentication failed": (
        "to be let in with the given password",
        "check the user name and the password in the URL",
    ),
    "no password supplied": (
        "to be let in without a password",
        "put the password into the URL: postgresql://user:password@host:port/database",
    ),
    "no pg_hba.conf entry.*no encryption": (
        _IN,
        "if the server wants TLS, end the URL in ?sslmode=require; "
        "else let its pg_hba.conf allow this user from here",
    ),
    "no pg_hba.conf entry": (_IN, "let the server's pg_hba.conf allow this user from here"),
    "database .* does not exist": (
        "a database that exists",
        "create it, or end the URL in the name of another",
    ),
    "role .* does not exist": ("a user that exists", "check the user name in the URL"),
    "is not permitted to log in": (_IN, "name a user that may log in"),
    "too many clients already|too many connections|connection slots are reserved": (
        "a free connection",
        "end unused connections, or raise max_connections",
    ),
    STARTING: (
        "a server that is ready",
        "wait until it has started, or let --wait do so for longer",
    ),
    "shutting down": ("a server that is ready", "start it again"),
    OTHER_SESSION: (
        "a server that is as target_session_attrs asks",
        "name all servers in the URL, or leave target_session_attrs out",
    ),
    "does not support SSL": (
        "TLS, as sslmode asks",
        "leave sslmode out, or switch ssl on in the server",
    ),
}


@dataclass(frozen=True, kw_only=True)
class PostgresFacts(Facts):
    """What a Postgres reports."""

    max_connections: int
    connections: int
    """Of clients, this one included."""
    is_in_recovery: bool
    """A standby, which takes no writes."""

    def health(self) -> tuple[State, str]:
        """(state, detail)."""
        used = f"{self.connections} of {self.max_connections} connections"
        return "up", f"standby, {used}" if self.is_in_recovery else used


def probe_postgres(target: Target, deadline_s: float = 5.0) -> PostgresFacts:
    """Log in as the load will, and ask. Raises TargetError within `deadline_s`.

    A first connection of our own makes sure that a Postgres is there: libpq would wait for what
    never speaks, its timeout knows whole seconds only, and the password goes nowhere else.
    """
    return found_postgres(target, deadline_s)[1]


def found_postgres(target: Target, deadline_s: float) -> tuple[Target, PostgresFacts]:
    """The target where it is now, of several hosts the first that is as target_session_attrs asks, and what
    it says. Raises TargetError within `deadline_s`, of several hosts with what each of them said.
    """
    try:
        import psycopg  # noqa: F401 - before the deadline begins: it may take half a second
    except ImportError as error:
        advice = "pip install 'psycopg[binary]'"
        raise probe_error(target, "psycopg, which speaks with Postgres", f"'{error}'", advice) from None
    tried = attempts(target)
    end_s, failures = time.monotonic() + deadline_s, list[TargetError]()
    for number, ((host, port), attribute) in enumerate(tried):
        options = dict(target.options) | ({SESSION_ATTRIBUTE: attribute} if target.hosts else {})
        here = replace(target.at(host, port), options=tuple(options.items()))
        left_s = deadline_s if number == 0 else max(end_s - time.monotonic(), 0.001)
        try:
            facts = _probed(here, left_s / (len(tried) - number))
        except TargetError as error:
            failures.append(error)
        else:
            return replace(target, host=host, port=port), facts
    if len(failures) == 1:
        raise failures[0]
    said = "; ".join(dict.fromkeys(f"{error.address}: {error.found}" for error in failures))
    passes = next((error.passes for error in failures if error.passes), None)
    raise replace(target, host="", port=0).error(failures[0].expected, said, failures[0].advice, passes)


def _probed(target: Target, deadline_s: float) -> PostgresFacts:
    try:
        with Connection(target.host, target.port, deadline_s) as server:
            expect_postgres(server)
            left_s, place = server.left_s("a request for TLS"), server.place
    except ProbeError as fact:
        raise probe_error(target, "a Postgres server", with_guess(target, fact)) from None
    inquiry = _Inquiry(target, replace(place, attribute=target.session_attribute))
    try:
        return within(left_s, "probe_postgres", lambda: inquiry.ask(left_s))
    except StillRunning:
        inquiry.hang_up()
        found = f"no complete answer to a login and a query within {deadline_s:g} s"
        raise probe_error(target, "a Postgres server", found) from None
    except Exception as problem:  # noqa: BLE001 - psycopg's, of whatever kind
        raise _refusal(target, problem) from None


class _Inquiry:
    """A conversation through libpq that can be left behind at the deadline."""

    def __init__(self, target: Target, place: Place) -> None:
        self._target = target
        self._place = place
        self._lock = threading.Lock()
        self._is_late = False
        self._connection: psycopg.Connection[Any] | None = None

    def ask(self, left_s: float) -> PostgresFacts:
        from psycopg import connect

        how = conninfo(self._target, self._place, connect_timeout=str(math.ceil(left_s)))
        with connect(how, autocommit=True) as connection:
            with self._lock:
                self._connection = connection
                if self._is_late:
                    self._wake()
            row = connection.execute(_QUESTION).fetchone()
            assert row is not None
            # A second question, because the first one has the server read its catalog.
            begin = monotonic_ns()
            connection.execute("SELECT 1")
            answer_ns = monotonic_ns() - begin
        with self._lock:
            self._connection = None
        words = str(row[0]).split()
        return PostgresFacts(
            server="postgres" if words[0] == "PostgreSQL" else words[0],
            version=words[1] if len(words) > 1 else "",
            max_connections=row[1],
            is_in_recovery=row[2],
            uptime_s=row[3],
            connections=row[4],
            answer_ns=answer_ns,
        )

    def hang_up(self) -> None:
        """Wake the thread that waits for a server, now or later: it ends, and leaves no socket behind."""
        with self._lock:
            self._is_late = True
            self._wake()

    def _wake(self) -> None:
        if self._connection is not None:
            with suppress(Exception), socket.socket(fileno=os.dup(self._connection.fileno())) as line:
                line.shutdown(socket.SHUT_RDWR)


def _refusal(target: Target, problem: Exception) -> Exception:
    text = _short(str(problem))
    for pattern, (expected, advice) in _REFUSALS.items():
        if re.search(pattern, text):
            passes: Passing | None = "starting" if pattern in (STARTING, OTHER_SESSION) else None
            return probe_error(target, expected, f"the answer '{text}'", advice, passes)
    return probe_error(target, "to be let in and answered", f"'{text}'")


def _short(text: str) -> str:
    """The server's own words, else libpq's without what the error says anyway."""
    message = re.search(r"(?:FATAL|ERROR|PANIC):\s*(.+)", text)
    if message:
        return message[1].strip()
    line = text.strip().splitlines()[0] if text.strip() else "no reason given"
    return line.removeprefix("connection failed: ").rpartition(" failed: ")[2]
