"""What the probe says about a Redis, and about everything else that can be at a port."""

import itertools
import re
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from bench.core.errors import TargetError
from bench.stack.probes.redis import RespClient, probe_redis
from bench.stack.services.loopback_port import free_loopback_port
from bench.stack.stack import open_stack
from bench.stack.target import Target

PASSWORD = "correct horse:/@#%"
StartServer = Callable[[Callable[[socket.socket], None]], int]


def at(port: int, password: str | None = None, username: str | None = None, db: int = 0) -> Target:
    return Target("redis", "redis", "127.0.0.1", port, username, password, db)


def refusal(target: Target, deadline_s: float = 20.0) -> str:
    """The error's text; it names target, address, what was expected and what was found."""
    with pytest.raises(TargetError) as caught:
        probe_redis(target, deadline_s)
    text = str(caught.value)
    assert re.fullmatch(r"target redis at \S+: expected .+, found .+; .+", text, re.DOTALL)
    assert target.address in text
    assert PASSWORD not in text
    return text


@pytest.fixture(scope="module")
def guarded_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A real server with a password, and a user named reader who may not ask for INFO."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("HOLDFAST_REDIS_SERVER", raising=False)
        with open_stack("embedded", {"redis"}, tmp_path_factory.mktemp("logs")) as stack:
            port = stack.targets()["redis"].port
            with RespClient("127.0.0.1", port, 10.0) as server:
                server.ask("ACL", "SETUSER", "reader", "on", f">{PASSWORD}", "~*", "+ping", "+select", "+get")
                server.ask("CONFIG", "SET", "requirepass", PASSWORD)
            yield port


def test_the_right_password_and_database_are_let_in(guarded_port: int) -> None:
    facts = probe_redis(at(guarded_port, PASSWORD, db=3))
    assert (facts.mode, facts.role, facts.maxmemory_bytes) == ("standalone", "master", 0)
    assert re.fullmatch(r"\d+\.\d+\.\d+", facts.version)


def test_a_user_who_may_not_ask_for_info_is_let_in_without_facts(guarded_port: int) -> None:
    facts = probe_redis(at(guarded_port, PASSWORD, "reader"))
    assert (facts.version, facts.process_id, facts.is_aof_on) == ("", None, None)


def test_a_wrong_password_is_told_and_not_shown(guarded_port: int) -> None:
    text = refusal(at(guarded_port, "guess-4711"))
    assert "WRONGPASS" in text
    assert "guess-4711" not in text


def test_a_missing_password_is_told(guarded_port: int) -> None:
    assert "NOAUTH" in refusal(at(guarded_port))


def test_an_unknown_user_is_told(guarded_port: int) -> None:
    assert "WRONGPASS" in refusal(at(guarded_port, PASSWORD, "nobody"))


def test_a_database_that_the_server_does_not_have_is_told(guarded_port: int) -> None:
    text = refusal(at(guarded_port, PASSWORD, db=4000))
    assert "expected database 4000" in text
    assert "out of range" in text


def test_a_password_that_the_server_does_not_want_is_told(tmp_path: Path) -> None:
    with open_stack("embedded", {"redis"}, tmp_path) as stack:
        assert "leave both out" in refusal(at(stack.targets()["redis"].port, "needless"))


def test_a_port_where_nothing_listens_is_told() -> None:
    assert "nothing listens there" in refusal(at(free_loopback_port()))


def test_a_host_name_without_an_address_is_told() -> None:
    target = Target("redis", "redis", "no-such-host.invalid", 6379)
    assert "no address" in refusal(target) or "name service" in refusal(target)


def test_an_http_server_is_recognised() -> None:
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        BaseHTTPRequestHandler.log_message = lambda *_: None  # type: ignore[method-assign]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            text = refusal(at(server.server_port))
        finally:
            server.shutdown()
            thread.join()
    assert "not a Redis" in text or "HTTP server" in text


def answering(*answers: bytes) -> Callable[[socket.socket], None]:
    """One answer per received piece, then silence until the other side goes."""

    def behave(connection: socket.socket) -> None:
        for answer in answers:
            if connection.recv(4096):
                connection.sendall(answer)
        while connection.recv(4096):
            pass

    return behave


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "an HTTP server"),
        (b"\x15\x03\x01\x00\x02\x02\x46", "a TLS server"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "an SSH server"),
        (b"*1\r\n$4\r\nPING\r\n", "echoes"),
        (b"\x00\xff\x00garbage", "not a Redis"),
        (b"+OK POP3 ready\r\n", "OK POP3 ready"),
        (b"$-7x\r\n", "not a Redis"),
        (b"$999999999999\r\nno", "not a Redis"),
        (b":12\r\n", "the answer '12'"),
        (b"-ERR max number of clients reached\r\n", "max number of clients"),
        (b"-LOADING the data\r\n", "wait until it has loaded"),
        (b"x" * 200_000, "not a Redis"),
        (b"+" + b"x" * 200_000, "not a Redis"),
    ],
    ids=lambda value: str(value[:12]) if isinstance(value, bytes) else "",
)
def test_something_else_at_the_port_is_quoted(
    answer: bytes, found: str, scripted_server: StartServer
) -> None:
    text = refusal(at(scripted_server(answering(answer)), PASSWORD))
    assert found in text
    assert len(text) < 500


def test_a_server_that_says_nothing_is_given_up_at_the_deadline(scripted_server: StartServer) -> None:
    assert "no complete answer to PING within 0.2 s" in refusal(at(scripted_server(answering())), 0.2)


def test_a_server_that_trickles_is_given_up_at_the_deadline(scripted_server: StartServer) -> None:
    """Each byte comes in time, the whole never does: the deadline is one for the whole conversation."""

    def trickle(connection: socket.socket) -> None:
        pause = threading.Event()
        for letter in itertools.chain(b"+", itertools.repeat(ord("P"))):
            connection.sendall(bytes([letter]))
            pause.wait(0.02)

    assert "within 0.3 s, only '+P" in refusal(at(scripted_server(trickle)), 0.3)


def test_a_server_that_stops_talking_after_ping_is_given_up_at_the_deadline(
    scripted_server: StartServer,
) -> None:
    assert "no complete answer to INFO" in refusal(at(scripted_server(answering(b"+PONG\r\n"))), 0.3)


def test_a_server_that_closes_at_once_is_told(scripted_server: StartServer) -> None:
    text = refusal(at(scripted_server(lambda connection: connection.shutdown(socket.SHUT_RDWR))))
    assert "closed the connection" in text or "broke" in text


def test_a_server_that_closes_in_the_middle_of_an_answer_is_told(scripted_server: StartServer) -> None:
    def cut(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(b"+PO")
        connection.shutdown(socket.SHUT_RDWR)

    assert "closed the connection on PING after '+PO'" in refusal(at(scripted_server(cut)))


def test_a_password_is_sent_only_to_what_answered_as_a_redis(scripted_server: StartServer) -> None:
    received: list[bytes] = []

    def listen(connection: socket.socket) -> None:
        while piece := connection.recv(4096):
            received.append(piece)
            connection.sendall(b"220 mail.example ESMTP\r\n")

    refusal(at(scripted_server(listen), PASSWORD))
    assert b"".join(received) == b"*1\r\n$4\r\nPING\r\n"


def test_a_server_that_quotes_the_password_does_not_get_it_shown(scripted_server: StartServer) -> None:
    quoting = answering(b"+PONG\r\n", f"-ERR who is {PASSWORD}?\r\n".encode())
    assert "who is ***?" in refusal(at(scripted_server(quoting), PASSWORD))
