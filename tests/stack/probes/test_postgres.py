"""What the probe says about a Postgres, and about everything else that can be at a port."""

import re
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace

import psycopg
import pytest

from bench.core.errors import TargetError
from bench.stack.embedded import EmbeddedStack
from bench.stack.probes.postgres import libpq_parameters, probe_postgres
from bench.stack.services.loopback_port import free_loopback_port
from bench.stack.target import Target
from bench.stack.tls import TlsSettings
from tests.helpers.waiting import eventually

SECRET = "guess 4711:/@%'"
SSL_REQUEST = b"\x00\x00\x00\x08\x04\xd2\x16\x2f"
StartServer = Callable[[Callable[[socket.socket], None]], int]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """A real server with a user who may not connect, for there are too many of him."""
    with EmbeddedStack({"postgres"}, tmp_path_factory.mktemp("logs")) as stack:
        target = stack.targets()["postgres"]
        with psycopg.connect(**libpq_parameters(target), autocommit=True) as connection:
            connection.execute("CREATE ROLE crowd LOGIN CONNECTION LIMIT 0 PASSWORD 'crowd'")
            connection.execute("CREATE ROLE team NOLOGIN PASSWORD 'team'")
        yield target


def at(port: int) -> Target:
    return Target("postgres", "postgres", "127.0.0.1", port, "user", SECRET, database="data")


def refusal(target: Target, deadline_s: float = 20.0) -> str:
    """The error's text; it names target, address, what was expected and what was found."""
    with pytest.raises(TargetError) as caught:
        probe_postgres(target, deadline_s)
    text = str(caught.value)
    assert re.fullmatch(r"target postgres at \S+: expected .+, found .+; .+", text)
    assert target.address in text
    assert SECRET not in text
    assert len(text) < 500
    return text


def test_a_postgres_says_who_it_is(server: Target) -> None:
    facts = probe_postgres(server, 20.0)
    assert facts.server == "postgres"
    assert re.match(r"18\.\d+", facts.version)
    assert 1 <= facts.connections <= facts.max_connections
    assert facts.uptime_s > 0
    assert facts.answer_ns > 0
    assert not facts.is_in_recovery


def test_a_wrong_password_is_told_and_not_shown(server: Target) -> None:
    text = refusal(replace(server, password=SECRET))
    assert "password authentication failed" in text
    assert "check the user name and the password" in text


def test_a_missing_password_is_told(server: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PGPASSWORD", raising=False)
    monkeypatch.setenv("PGPASSFILE", "/nonexistent")
    assert "put the password into the URL" in refusal(replace(server, password=None))


def test_a_database_that_does_not_exist_is_told(server: Target) -> None:
    assert "expected a database that exists" in refusal(replace(server, database="no such"))


def test_a_user_of_whom_there_are_too_many_is_told(server: Target) -> None:
    text = refusal(replace(server, username="crowd", password="crowd"))
    assert "expected a free connection" in text
    assert "max_connections" in text


def test_a_user_that_may_not_log_in_is_told(server: Target) -> None:
    assert "name a user that may log in" in refusal(replace(server, username="team", password="team"))


def test_a_server_without_tls_is_told_where_the_url_wants_it(server: Target) -> None:
    text = refusal(replace(server, tls=TlsSettings(verify=False)))
    assert "expected TLS, as sslmode asks" in text


def test_options_of_the_url_hold(server: Target) -> None:
    options = (("options", "-c application_name=named"), ("application_name", "other"))
    parameters = libpq_parameters(replace(server, options=options))
    with psycopg.connect(**parameters) as connection:
        row = connection.execute("SHOW application_name").fetchone()
    assert row == ("other",)


def test_a_port_where_nothing_listens_is_told() -> None:
    assert "nothing listens there" in refusal(at(free_loopback_port()))


def answering(*answers: bytes) -> Callable[[socket.socket], None]:
    """One answer per received piece, then silence until the other side goes."""

    def behave(connection: socket.socket) -> None:
        for answer in answers:
            if connection.recv(4096):
                connection.sendall(answer)
        while connection.recv(4096):
            pass

    return behave


def error_message(code: str, text: str) -> bytes:
    fields = f"SFATAL\0VFATAL\0C{code}\0M{text}\0\0".encode()
    return b"E" + struct.pack("!I", 4 + len(fields)) + fields


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "an HTTP server"),
        (b"-ERR unknown command\r\n", "a Redis server"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "an SSH server"),
        (SSL_REQUEST, "echoes"),
        (b"Nonsense", "not a Postgres"),
        (b"\x00" * 100_000, "not a Postgres"),
    ],
    ids=lambda value: str(value[:12]) if isinstance(value, bytes) else "",
)
def test_something_else_at_the_port_is_quoted(
    answer: bytes, found: str, scripted_server: StartServer
) -> None:
    assert found in refusal(at(scripted_server(answering(answer))))


def test_the_user_and_the_password_are_sent_only_to_what_answered_as_a_postgres(
    scripted_server: StartServer,
) -> None:
    received: list[bytes] = []

    def listen(connection: socket.socket) -> None:
        while piece := connection.recv(4096):
            received.append(piece)
            connection.sendall(b"220 mail.example ESMTP\r\n")

    refusal(at(scripted_server(listen)))
    assert b"".join(received) == SSL_REQUEST


def test_a_server_that_closes_at_once_is_told(scripted_server: StartServer) -> None:
    text = refusal(at(scripted_server(lambda connection: connection.shutdown(socket.SHUT_RDWR))))
    assert "closed the connection" in text or "broke" in text


def test_a_server_that_says_nothing_is_given_up_at_the_deadline(scripted_server: StartServer) -> None:
    assert "within 0.2 s" in refusal(at(scripted_server(answering())), 0.2)


@pytest.mark.parametrize(
    ("code", "said", "expected"),
    [
        ("57P03", "the database system is starting up", "expected a server that is ready"),
        ("57P03", "the database system is shutting down", "expected a server that is ready"),
        ("53300", "sorry, too many clients already", "expected a free connection"),
        ("28000", 'no pg_hba.conf entry for host "1", user "u"', "expected to be let in"),
        ("57P03", "das Datenbanksystem startet", "found 'das Datenbanksystem startet'"),
    ],
)
def test_a_refusal_of_the_login_is_told_in_the_servers_words(
    code: str, said: str, expected: str, scripted_server: StartServer
) -> None:
    def behave(connection: socket.socket) -> None:
        piece = connection.recv(4096)
        if piece == SSL_REQUEST:
            connection.sendall(b"N")
        else:
            connection.sendall(error_message(code, said))
            connection.shutdown(socket.SHUT_WR)
            connection.recv(4096)

    text = refusal(at(scripted_server(behave)))
    assert expected in text
    assert said in text


def test_a_server_that_hangs_in_the_login_is_given_up_at_the_deadline_and_hung_up_on(
    scripted_server: StartServer,
) -> None:
    """The server lets in, and is silent from then on: as one that is stopped, or has no disk left."""
    ended = threading.Event()

    def behave(connection: socket.socket) -> None:
        piece = connection.recv(4096)
        if piece == SSL_REQUEST:
            connection.sendall(b"N")
            return
        ready = [b"R" + struct.pack("!II", 8, 0), b"Z" + struct.pack("!I", 5) + b"I"]
        connection.sendall(b"".join(ready))
        while connection.recv(4096):
            pass
        ended.set()

    assert "no complete answer to a login and a query within 0.5 s" in refusal(
        at(scripted_server(behave)), 0.5
    )
    assert ended.wait(30)
    eventually(lambda: not probing(), "the thread that asked has ended")


def probing() -> bool:
    return any(thread.name == "probe_postgres" for thread in threading.enumerate())
