"""What the probe says about a Neo4j, with the bytes that Bolt's specification shows; and about a TCP port."""

import json
import re
import socket
from collections.abc import Callable

import pytest

from bench.core.errors import TargetError
from bench.stack.probes.connection import probe_tcp
from bench.stack.probes.health import ask
from bench.stack.probes.neo4j import probe_neo4j
from bench.stack.target import Target
from bench.stack.target_url import target_of

StartServer = Callable[[Callable[[socket.socket], None]], int]


def refusal(port: int, kind: str = "neo4j") -> str:
    with pytest.raises(TargetError) as caught:
        ask(Target("graph", kind, "127.0.0.1", port), 20.0)
    text = str(caught.value)
    assert re.fullmatch(r"target graph at \S+: expected .+, found .+; .+", text)
    return text


def answering(*pieces: bytes, received: list[bytes] | None = None) -> Callable[[socket.socket], None]:
    """Wait for a handshake's 20 bytes, then answer in these pieces."""

    def behave(connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        question = b""
        while len(question) < 20:
            piece = connection.recv(4096)
            if not piece:
                return
            question += piece
        if received is not None:
            received.append(question)
        for piece in pieces:
            connection.sendall(piece)
        connection.recv(4096)

    return behave


@pytest.mark.parametrize(
    ("answer", "version"),
    [
        (b"\x00\x00\x04\x05", "5.4"),
        (b"\x00\x00\x08\x05", "5.8"),
        (b"\x00\x00\x04\x04", "4.4"),
        (b"\x00\x00\x00\x03", "3.0"),
    ],
)
def test_a_neo4j_is_known_by_its_handshake(answer: bytes, version: str, scripted_server: StartServer) -> None:
    received: list[bytes] = []
    whole = answering(answer, received=received)
    byte_by_byte = answering(*(bytes([byte]) for byte in answer))
    for behave in (whole, byte_by_byte):
        facts = probe_neo4j(Target("graph", "neo4j", "127.0.0.1", scripted_server(behave)))
        assert facts.health() == ("up", f"Bolt {version}")
    assert received[0][:4] == b"\x60\x60\xb0\x17"
    assert len(received[0]) == 20


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (b"\x00\x00\x00\x00", "none of Bolt 3 to 5.8"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "an HTTP server"),
        (b"-ERR unknown command\r\n", "a Redis server"),
        (b"\x60\x60\xb0\x17\x00\x08\x08\x05", "echoes"),
        (b"\x00\x00\x00\x63", "not a Neo4j"),
        (b"\x07\x00\x04\x05", "not a Neo4j"),
        (b"\x00\x00\x04\x05 and more", "not a Neo4j"),
    ],
)
def test_something_else_at_the_port_is_quoted(
    answer: bytes, found: str, scripted_server: StartServer
) -> None:
    assert found in refusal(scripted_server(answering(answer)))


def over_http(body: object) -> Callable[[socket.socket], None]:
    text = json.dumps(body).encode()

    def behave(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(text), text))

    return behave


def test_a_url_with_http_asks_its_discovery(scripted_server: StartServer) -> None:
    found = {"bolt_routing": "neo4j://h:7687", "neo4j_version": "5.24.0", "neo4j_edition": "community"}
    port = scripted_server(over_http(found))
    facts = probe_neo4j(target_of(f"neo4j+http://127.0.0.1:{port}", name="graph"))
    assert facts.version == "5.24.0"
    assert facts.health() == ("up", "community edition")


def test_another_http_server_is_no_neo4j(scripted_server: StartServer) -> None:
    port = scripted_server(over_http({"hello": "world"}))
    with pytest.raises(TargetError, match="without neo4j_version"):
        probe_neo4j(target_of(f"neo4j+http://127.0.0.1:{port}", name="graph"))


@pytest.mark.parametrize("greeting", [b"", b"220 mail.example ESMTP\r\n"])
def test_a_port_that_keeps_a_connection_is_up(greeting: bytes, scripted_server: StartServer) -> None:
    def behave(connection: socket.socket) -> None:
        connection.sendall(greeting)
        connection.recv(1)

    facts = probe_tcp(Target("door", "tcp", "127.0.0.1", scripted_server(behave)))
    assert facts.health() == ("up", "accepts connections")
    assert facts.answer_ns > 0


def test_a_port_that_closes_at_once_is_told(scripted_server: StartServer) -> None:
    """So does a forwarder whose own target is down."""

    def behave(connection: socket.socket) -> None:
        connection.shutdown(socket.SHUT_RDWR)

    text = refusal(scripted_server(behave), "tcp")
    assert "closed the connection" in text or "broke" in text
