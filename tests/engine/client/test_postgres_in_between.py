"""What stands between us and a Postgres, or hangs up before the run: told as it is, nothing left behind."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from bench.core.errors import ExitCode, TargetError
from bench.drivers.postgres.connection import open_connection
from bench.drivers.postgres.dry_run import rehearse
from bench.engine.wire.dialler import Dialler
from bench.scenario.workloads import Workload
from bench.stack.probes.postgres import libpq_parameters
from bench.stack.target import Target
from tests.helpers.pooler import Pooler

pytestmark = pytest.mark.timeout(300)


def workload(**values: object) -> Workload:
    return Workload.model_validate(
        {
            "name": "db",
            "target": "postgres",
            "driver": "postgres",
            "lanes": 4,
            "parameters": {"id": {"count": 100}},
            "session": {"statement_timeout": "7s"},
            "operations": {"get": {"sql": "SELECT {id}::int + 1"}},
            "arrivals": "constant",
            "rate": "10/s",
            "deadline": "1s",
            **values,
        }
    )


@pytest.fixture
def target(postgres: Any) -> Target:
    return postgres.target


class HangsUpAtParse:
    """A way to a good Postgres that closes the connection at the first statement to be prepared."""

    def __init__(self, target: Target, last_words: bytes = b"") -> None:
        self._last_words = last_words
        self._behind = (target.host, target.port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.target = replace(target, host="127.0.0.1", port=self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with closing(client), socket.create_connection(self._behind) as server, suppress(OSError):
            back = threading.Thread(target=self._back, args=(server, client), daemon=True)
            back.start()
            while data := client.recv(65536):
                # psycopg's own questions without parameters are simple queries: Q.
                if data[:1] == b"P":
                    client.sendall(self._last_words)
                    client.shutdown(socket.SHUT_RDWR)
                    return
                server.sendall(data)

    def _back(self, server: socket.socket, client: socket.socket) -> None:
        with suppress(OSError):
            while data := server.recv(65536):
                client.sendall(data)

    def close(self) -> None:
        self._listener.close()


@pytest.mark.parametrize("engine", ["wire", "client"])
def test_a_server_that_hangs_up_during_the_rehearsal_is_a_target_that_does_not_answer(
    target: Target, engine: str
) -> None:
    way = HangsUpAtParse(target)
    try:
        with pytest.raises(TargetError) as refused:
            rehearse(way.target, workload(engine=engine, session={}))
    finally:
        way.close()
    assert refused.value.exit_code == ExitCode.TARGET
    assert "server closed the connection unexpectedly" in str(refused.value)
    assert "found ''" not in str(refused.value)


def test_a_session_that_the_server_ends_at_a_statement_is_told_with_the_servers_words(
    target: Target,
) -> None:
    """A failover, an administrator: the statement is as good as before."""
    said = b"SFATAL\0VFATAL\0C57P01\0Mterminating connection due to administrator command\0\0"
    way = HangsUpAtParse(target, b"E" + (len(said) + 4).to_bytes(4) + said)
    try:
        with pytest.raises(TargetError, match="terminating connection due to administrator command"):
            rehearse(way.target, workload(session={}))
    finally:
        way.close()


@pytest.fixture
def pooled(target: Target, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Target]:
    mode, size = request.param
    pooler = Pooler(target, tmp_path, mode, size)
    yield pooler.target
    pooler.close()


@pytest.mark.parametrize("pooled", [("transaction", 1)], indirect=True)
@pytest.mark.parametrize("engine", ["wire", "client"])
def test_a_pooler_in_transaction_mode_is_called_so_and_finds_nothing_of_ours_afterwards(
    pooled: Target, engine: str
) -> None:
    with pytest.raises(TargetError, match="found what looks like a pooler in transaction mode") as refused:
        rehearse(pooled, workload(engine=engine))
    assert refused.value.exit_code == ExitCode.TARGET
    assert "declare `pooler: transaction`" in str(refused.value)
    assert "pool_mode=session" in str(refused.value)
    assert "server's log" not in str(refused.value)
    with psycopg.connect(**libpq_parameters(pooled), autocommit=True) as connection:
        left = connection.execute("SELECT count(*) FROM pg_prepared_statements").fetchone()
        timeout = connection.execute("SHOW statement_timeout").fetchone()
        mark = connection.execute("SELECT current_setting('holdfast.pooled', true)").fetchone()
    assert left == (0,)
    assert timeout == ("0",)
    assert mark is not None
    assert not mark[0]


@pytest.mark.parametrize("pooled", [("session", 3)], indirect=True)
def test_through_a_pooler_by_session_lanes_are_not_counted_against_the_servers_connections(
    pooled: Target,
) -> None:
    rehearse(pooled, workload(lanes=5000))
    asyncio.run(open_connection(Dialler(pooled), pooled, workload())).close()


def test_without_a_pooler_more_lanes_than_the_server_takes_are_refused_before_the_run(
    target: Target,
) -> None:
    with pytest.raises(TargetError, match=r"a server that takes \d+ in all"):
        rehearse(target, workload(lanes=5000))
