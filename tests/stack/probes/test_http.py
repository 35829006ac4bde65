"""What the probes say about services over HTTP, and about everything else that can be at a port."""

import base64
import itertools
import json
import re
import socket
import threading
from collections.abc import Callable

import pytest

from bench.core.errors import TargetError
from bench.stack.probes.elasticsearch import probe_elasticsearch
from bench.stack.probes.health import ask
from bench.stack.probes.http import probe_http, probe_proxy
from bench.stack.services.loopback_port import free_loopback_port
from bench.stack.target import Target
from bench.stack.tls import TlsSettings

SECRET = "guess-4711"
StartServer = Callable[[Callable[[socket.socket], None]], int]


def at(port: int, kind: str = "http", path: str = "") -> Target:
    return Target("web", kind, "127.0.0.1", port, "user", SECRET, path=path)


def refusal(target: Target, deadline_s: float = 20.0) -> str:
    """The error's text; it names target, address, what was expected and what was found."""
    with pytest.raises(TargetError) as caught:
        ask(target, deadline_s)
    text = str(caught.value)
    assert re.fullmatch(r"target web at \S+: expected .+, found .+; .+", text)
    assert SECRET not in text
    assert len(text) < 500
    return text


def requested(connection: socket.socket) -> str:
    """The head of one request."""
    head = b""
    while b"\r\n\r\n" not in head:
        piece = connection.recv(4096)
        if not piece:
            return ""
        head += piece
    return head.decode()


def page(status: str, body: bytes = b"", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def serving(pages: dict[str, bytes], heads: list[str] | None = None) -> Callable[[socket.socket], None]:
    """A server of pages by path, which leaves connections open; 404 for others."""

    def behave(connection: socket.socket) -> None:
        while head := requested(connection):
            if heads is not None:
                heads.append(head)
            connection.sendall(pages.get(head.split()[1], page("404 Not Found")))

    return behave


HEALTH = {
    "status": "ok",
    "version": "1.2.3",
    "uptime_s": 61.5,
    "components": {"redis": {"state": "up", "latency_ms": 1}, "postgres": "up", "notes": {}},
}


def health(**changes: object) -> bytes:
    return page("200 OK", json.dumps({**HEALTH, **changes}).encode(), "Server: little/1")


def test_a_service_with_a_health_page_says_how_it_is(scripted_server: StartServer) -> None:
    facts = probe_http(at(scripted_server(serving({"/health": health()}))))
    assert (facts.status, facts.server, facts.version, facts.uptime_s) == (200, "little/1", "1.2.3", 61.5)
    assert facts.components == {"redis": "up", "postgres": "up"}
    assert facts.health() == ("up", "200 for /health")
    assert facts.answer_ns > 0


@pytest.mark.parametrize(
    ("changes", "detail"),
    [
        ({"status": "degraded"}, "says degraded"),
        ({"components": {"redis": {"state": "down"}, "postgres": "up"}}, "redis down"),
        (
            {"status": "warn", "components": {"redis": {"status": "open"}}},
            "says warn, redis open",
        ),
    ],
)
def test_a_service_that_misses_something_is_degraded(
    changes: dict[str, object], detail: str, scripted_server: StartServer
) -> None:
    facts = probe_http(at(scripted_server(serving({"/health": health(**changes)}))))
    assert facts.health() == ("degraded", detail)


@pytest.mark.parametrize("status", ["200 OK", "301 Moved Permanently", "401 Unauthorized", "404 Not Found"])
def test_any_answer_below_500_counts_as_up(status: str, scripted_server: StartServer) -> None:
    facts = probe_http(at(scripted_server(serving({"/health": page(status, b"<html>")}))))
    assert facts.health()[0] == "up"
    assert (facts.state, facts.components, facts.uptime_s) == ("", {}, None)


def test_the_health_page_is_below_the_base_path(scripted_server: StartServer) -> None:
    assert probe_http(at(scripted_server(serving({"/v1/health": health()})), path="/v1")).path == "/v1/health"


def test_without_a_health_page_the_path_itself_is_asked(scripted_server: StartServer) -> None:
    port = scripted_server(serving({"/status": page("200 OK")}))
    assert probe_http(at(port, path="/status")).path == "/status"
    assert "500 Broken" in refusal(
        at(scripted_server(serving({"/status": page("500 Broken")})), path="/status")
    )


def test_credentials_go_along(scripted_server: StartServer) -> None:
    heads: list[str] = []
    probe_http(at(scripted_server(serving({"/health": health()}, heads))))
    assert f"Authorization: Basic {base64.b64encode(f'user:{SECRET}'.encode()).decode()}" in heads[0]


def test_an_unavailable_service_is_told_with_what_it_misses(scripted_server: StartServer) -> None:
    body = json.dumps({"status": "down", "components": {"redis": "down", "postgres": "up"}}).encode()
    text = refusal(at(scripted_server(serving({"/health": page("503 Service Unavailable", body)}))))
    assert "503 Service Unavailable" in text
    assert "redis down" in text
    assert "wait until it has started" in text


def test_an_answer_in_chunks_or_up_to_the_end_is_read(scripted_server: StartServer) -> None:
    body = json.dumps(HEALTH).encode()

    def chunked(connection: socket.socket) -> None:
        requested(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for byte in body:
            connection.sendall(b"1\r\n%c\r\n" % byte)
        connection.sendall(b"0\r\n\r\n")

    def until_the_end(connection: socket.socket) -> None:
        requested(connection)
        connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n" + body)
        connection.shutdown(socket.SHUT_WR)

    for behave in (chunked, until_the_end):
        assert probe_http(at(scripted_server(behave))).version == "1.2.3"


@pytest.mark.parametrize(
    "body", [b"[1]", b"nonsense", b"[" * 100_000, b'{"status": {"x": 1}, "components": 3, "uptime_s": "old"}']
)
def test_a_health_page_of_another_form_says_nothing(body: bytes, scripted_server: StartServer) -> None:
    facts = probe_http(at(scripted_server(serving({"/health": page("200 OK", body)}))))
    assert facts.health() == ("up", "200 for /health")
    assert facts.uptime_s is None


def sending(answer: bytes) -> Callable[[socket.socket], None]:
    def behave(connection: socket.socket) -> None:
        requested(connection)
        connection.sendall(answer)
        connection.shutdown(socket.SHUT_WR)
        connection.recv(4096)

    return behave


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (b"-ERR wrong number of arguments for 'get' command\r\n", "a Redis server"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "an SSH server"),
        (b"GET /health HTTP/1.1\r\n", "echoes"),
        (b"\x15\x03\x01\x00\x02\x02\x46", "a TLS server"),
        (b"\x00garbage", "not an HTTP server"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "cannot be read"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", "cannot be read"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1000 + b"\r\n", "cannot be read"),
        (b"", "without a word"),
    ],
    ids=lambda value: str(value[:12]) if isinstance(value, bytes) else "",
)
def test_something_else_at_the_port_is_quoted(
    answer: bytes, found: str, scripted_server: StartServer
) -> None:
    assert found in refusal(at(scripted_server(sending(answer))))


def test_a_postgres_at_the_port_is_recognised(scripted_server: StartServer) -> None:
    """It closes without a word on everything but its own protocol, whose first question is this one."""

    def behave(connection: socket.socket) -> None:
        if connection.recv(4096) == b"\x00\x00\x00\x08\x04\xd2\x16\x2f":
            connection.sendall(b"N")
        connection.shutdown(socket.SHUT_WR)

    port = scripted_server(behave)
    kinds: tuple[str, ...] = ("http", "redis", "elasticsearch", "neo4j", "proxy")
    for kind in kinds:
        assert "a Postgres server, it seems" in refusal(at(port, kind))


def test_a_server_that_trickles_is_given_up_at_the_deadline(scripted_server: StartServer) -> None:
    def trickle(connection: socket.socket) -> None:
        pause = threading.Event()
        for letter in itertools.chain(b"HTTP/1.1 200 OK\r\nX: ", itertools.repeat(ord("y"))):
            connection.sendall(bytes([letter]))
            pause.wait(0.01)

    assert "no complete answer to GET /health within 0.3 s" in refusal(at(scripted_server(trickle)), 0.3)


def test_a_server_that_says_nothing_is_given_up_at_the_deadline(scripted_server: StartServer) -> None:
    def silent(connection: socket.socket) -> None:
        while connection.recv(4096):
            pass

    port = scripted_server(silent)
    kinds: tuple[str, ...] = ("http", "redis", "postgres", "elasticsearch", "neo4j", "proxy")
    for kind in kinds:
        assert "within 0.2 s" in refusal(at(port, kind), 0.2)


@pytest.mark.parametrize("kind", ["http", "redis", "postgres", "tcp", "elasticsearch", "neo4j", "proxy"])
def test_a_port_where_nothing_listens_is_told(kind: str) -> None:
    assert "nothing listens there" in refusal(at(free_loopback_port(), kind))


@pytest.mark.parametrize("kind", ["http", "elasticsearch", "neo4j", "proxy"])
def test_a_server_without_tls_is_told_where_the_url_wants_it(kind: str, scripted_server: StartServer) -> None:
    def behave(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(page("400 Bad Request"))
        connection.recv(4096)

    port = scripted_server(behave)
    assert "no TLS there" in refusal(Target("web", kind, "127.0.0.1", port, tls=TlsSettings()))


CLUSTER = {"cluster_name": "c", "status": "yellow", "number_of_nodes": 3, "unassigned_shards": 2}
ABOUT = {"version": {"number": "8.15.0"}}
NODES = {"nodes": {"x": {"jvm": {"uptime_in_millis": 90_500}}}}
NODES_PATH = "/_nodes/_local/stats/jvm?filter_path=nodes.*.jvm.uptime_in_millis"


def cluster(**changes: object) -> dict[str, bytes]:
    """The pages of an Elasticsearch, as its documentation shows them."""
    bodies = {"/_cluster/health": {**CLUSTER, **changes}, "/": ABOUT, NODES_PATH: NODES}
    return {path: page("200 OK", json.dumps(body).encode()) for path, body in bodies.items()}


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("green", ("up", "green, 3 nodes, 2 shards unassigned")),
        ("yellow", ("up", "yellow, 3 nodes, 2 shards unassigned")),
        ("red", ("down", "red, 3 nodes, 2 shards unassigned")),
    ],
)
def test_a_cluster_is_up_as_long_as_no_data_is_missing(
    status: str, expected: tuple[str, str], scripted_server: StartServer
) -> None:
    port = scripted_server(serving(cluster(status=status)))
    facts = probe_elasticsearch(at(port, "elasticsearch"))
    assert facts.health() == expected
    assert (facts.server, facts.version, facts.uptime_s) == ("elasticsearch", "8.15.0", 90.5)


def test_a_cluster_that_tells_only_its_health_is_up(scripted_server: StartServer) -> None:
    pages = {
        "/_cluster/health": page("200 OK", json.dumps({"status": "green", "number_of_nodes": 1}).encode())
    }
    facts = probe_elasticsearch(at(scripted_server(serving(pages)), "elasticsearch"))
    assert facts.health() == ("up", "green, 1 node")
    assert (facts.version, facts.uptime_s) == ("", None)


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (page("401 Unauthorized"), "expected to be let in"),
        (page("503 Service Unavailable", b'{"error": "master_not_discovered"}'), "has found its master"),
        (page("200 OK", b"<html>nginx</html>"), "without the status of a cluster"),
        (page("404 Not Found"), "without the status of a cluster"),
        (page("200 OK", b'{"status": "purple"}'), "without the status of a cluster"),
    ],
)
def test_what_is_no_healthy_elasticsearch_is_told(
    answer: bytes, found: str, scripted_server: StartServer
) -> None:
    port = scripted_server(serving({"/_cluster/health": answer}))
    assert found in refusal(at(port, "elasticsearch"))


def test_a_proxy_is_up_when_its_ping_page_answers_200(scripted_server: StartServer) -> None:
    body = b"pong\n\x1b[31m" + b" more" * 10_000
    port = scripted_server(serving({"/ping": page("200 OK", body, "Server: edge")}))
    facts = probe_proxy(at(port, "proxy", "/ping"))
    assert facts.server == "edge"
    assert facts.body.startswith("pong")
    assert len(facts.body) <= 40
    assert facts.body.isprintable()


@pytest.mark.parametrize("status", ["404 Not Found", "204 No Content", "302 Found", "502 Bad Gateway"])
def test_any_other_answer_than_200_of_a_proxy_is_told(status: str, scripted_server: StartServer) -> None:
    text = refusal(at(scripted_server(serving({"/ping": page(status)})), "proxy", "/ping"))
    assert "expected 200 for GET /ping" in text
    assert status in text
