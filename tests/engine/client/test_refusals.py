"""What the client engine says when the target is not what it should be."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest

from bench.core.errors import TargetError
from bench.core.outcome import Outcome
from bench.stack.probes.redis import RespClient
from bench.stack.target import Target
from tests.engine.client.conftest import Server
from tests.helpers.client_runs import client, plan_of, run

PASSWORD = "correct-horse"


@contextlib.contextmanager
def listening(answer: bytes) -> Iterator[Target]:
    """A server that answers everything with the same bytes, then hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.05)
        over = threading.Event()

        def serve() -> None:
            while not over.is_set():
                with contextlib.suppress(OSError):
                    connection, _ = listener.accept()
                    with connection:
                        connection.settimeout(5)
                        connection.recv(4096)
                        connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield Target("redis", "redis", "127.0.0.1", listener.getsockname()[1])
        finally:
            over.set()
            thread.join()


def refusal(target: Target) -> str:
    engine = client(plan_of(), target)
    try:
        with pytest.raises(TargetError) as caught:
            engine.prepare()
    finally:
        engine.close()
    assert target.address in str(caught.value)
    return str(caught.value)


def test_nothing_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert "target redis at" in refusal(Target("redis", "redis", "127.0.0.1", port))


def test_something_else_listens() -> None:
    with listening(b"HTTP/1.1 400 Bad Request\r\n\r\n") as target:
        assert "a Redis" in refusal(target)


def test_a_wrong_password_is_refused_and_not_shown(server: Server) -> None:
    with RespClient(server.target.host, server.target.port, 5.0) as dialogue:
        dialogue.ask("CONFIG", "SET", "requirepass", PASSWORD)
    assert "let in" in refusal(server.target)
    assert "battery-staple" not in refusal(replace(server.target, password="battery-staple"))
    ran = run(client(plan_of(phases={"short": "500ms"}), replace(server.target, password=PASSWORD)))
    assert ran.outcomes() == {Outcome.OK: 100}


def test_a_server_with_too_few_places_cannot_hold_the_pool(server: Server) -> None:
    with RespClient(server.target.host, server.target.port, 5.0) as dialogue:
        dialogue.ask("CONFIG", "SET", "maxclients", "5")
    assert "a pool of 10 connections" in refusal(server.target)


def test_a_database_that_does_not_exist(server: Server) -> None:
    assert "database 99" in refusal(replace(server.target, db=99))
