"""What real servers refuse: whoever has no password, and whoever comes without TLS."""

import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bench.stack.embedded import EmbeddedStack
from bench.stack.probes.redis import RespClient
from bench.stack.probes.refusals import refuses_without_password, refuses_without_tls
from bench.stack.services.loopback_port import free_loopback_port
from bench.stack.target import Target
from tests.helpers.tls_servers import Certificates, Park, redis_over_tls

KINDS = ("redis", "http", "postgres")
NOWHERE = Path()


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Target]:
    with redis_over_tls(tmp_path / "redis", NOWHERE, (NOWHERE, NOWHERE), plain=True) as port:
        yield Target("cache", "redis", "127.0.0.1", port, password="sesame")


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    with EmbeddedStack({"postgres"}, tmp_path_factory.mktemp("logs")) as stack:
        yield stack.targets()["postgres"]


def test_a_redis_refuses_whoever_has_no_password_once_it_wants_one(redis: Target) -> None:
    answer = refuses_without_password(redis)
    assert (answer.holds, answer.said) == (False, "lets in whoever names no password")
    with RespClient.of(redis, 5.0) as server:
        server.ask("CONFIG", "SET", "requirepass", "sesame")
    answer = refuses_without_password(redis)
    assert answer.holds
    assert "NOAUTH" in answer.said


def test_a_postgres_with_passwords_asks_for_one_and_one_that_trusts_does_not(
    postgres: Target, park: Park
) -> None:
    answer = refuses_without_password(postgres)
    assert (answer.holds, answer.said) == (True, "asks for a password")
    answer = refuses_without_password(park.target("postgres"))
    assert (answer.holds, answer.said) == (False, "lets in whoever names no password")


@pytest.mark.parametrize(
    ("status", "holds"),
    [("401 No", True), ("403 No", True), ("200 OK", False), ("404 No", None), ("500 No", None)],
)
def test_http_is_asked_for_a_path_without_credentials(
    status: str, holds: bool | None, scripted_server: Callable[[Callable[[socket.socket], None]], int]
) -> None:
    asked = []

    def behave(connection: socket.socket) -> None:
        asked.append(connection.recv(65536).decode())
        connection.sendall(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode())

    port = scripted_server(behave)
    target = Target("web", "http", "127.0.0.1", port, "user", "sesame", path="/shop")
    answer = refuses_without_password(target, "/orders")
    assert answer.holds is holds
    assert answer.said == f"GET /shop/orders without a password is answered {status}"
    assert asked[0].startswith("GET /shop/orders HTTP/1.1\r\n")
    assert "authorization" not in asked[0].lower()


@pytest.mark.parametrize("kind", KINDS)
def test_a_server_of_tls_alone_refuses_plain_text(park: Park, kind: str) -> None:
    answer = refuses_without_tls(park.target(kind))
    assert answer.holds, answer.said


def test_a_server_that_also_answers_in_plain_text_does_not(
    redis: Target, postgres: Target, scripted_server: Callable[[Callable[[socket.socket], None]], int]
) -> None:
    assert refuses_without_tls(redis).holds is False
    assert refuses_without_tls(postgres).holds is False

    def behave(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n")

    web = Target("web", "http", "127.0.0.1", scripted_server(behave))
    assert refuses_without_tls(web).holds is False


@pytest.mark.parametrize("ask", [refuses_without_password, refuses_without_tls])
@pytest.mark.parametrize("kind", [*KINDS, "neo4j"])
def test_where_nobody_answers_nothing_is_known(kind: str, ask: Callable[[Target], object]) -> None:
    target = Target("gone", kind, "127.0.0.1", free_loopback_port())
    answer = ask(target)
    assert answer.holds is None  # type: ignore[attr-defined]  # both give an Answer
    assert ("cannot be asked of a target of kind neo4j" in answer.said) == (kind == "neo4j")  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", KINDS)
def test_a_server_that_is_silent_is_waited_for_no_longer_than_the_deadline(
    kind: str, scripted_server: Callable[[Callable[[socket.socket], None]], int]
) -> None:
    def behave(connection: socket.socket) -> None:
        while connection.recv(65536):
            pass

    target = Target("mute", kind, "127.0.0.1", scripted_server(behave))
    for ask in (refuses_without_password, refuses_without_tls):
        answer = ask(target, deadline_s=0.2)
        assert answer.holds is None
        assert "within 0.2 s" in answer.said


def test_the_password_is_sent_to_nobody(
    certificates: Certificates, scripted_server: Callable[[Callable[[socket.socket], None]], int]
) -> None:
    heard = []

    def behave(connection: socket.socket) -> None:
        heard.append(connection.recv(65536))

    port = scripted_server(behave)
    for kind in KINDS:
        target = Target("x", kind, "127.0.0.1", port, "user", "sesame")
        refuses_without_password(target, deadline_s=0.3)
        refuses_without_tls(replace(target, tls=None), deadline_s=0.3)
    assert heard
    assert not any(b"sesame" in each or b"c2VzYW1l" in each for each in heard)
