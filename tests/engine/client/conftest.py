"""Real servers for the client engine's tests."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from bench.stack.embedded import EmbeddedStack
from bench.stack.probes.postgres import libpq_parameters
from bench.stack.stack import Stack, open_stack
from bench.stack.target import Target
from tests.helpers.http_server import Behaviour, LittleHttp


@pytest.fixture(autouse=True)
def nothing_is_left_to_the_loop(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """No task fails unheard, and no client library complains of how it is used."""
    yield
    said = [record.getMessage() for record in caplog.get_records("call") if record.levelname != "INFO"]
    assert said == []


class Server:
    """A managed Redis, to be hurt."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self.target: Target = stack.targets()["redis"]

    def signal(self, number: signal.Signals) -> None:
        """Send its present process a signal."""
        os.kill(int(self._stack.describe()[0].pid), number)

    def freeze(self) -> None:
        """It keeps its connections and answers nothing."""
        self.signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """It goes on."""
        self.signal(signal.SIGCONT)

    def kill(self) -> None:
        """It is gone at once; the supervisor starts it again."""
        self.signal(signal.SIGKILL)


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server of the test's own."""
    monkeypatch.delenv("REDIS_URL", raising=False)
    with open_stack(None, {"redis"}, tmp_path / "logs") as stack:
        yield Server(stack)


class PostgresServer:
    """A managed Postgres, to be hurt."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self.target: Target = stack.targets()["postgres"]

    def execute(self, *statements: str) -> list[tuple[object, ...]]:
        """Run SQL; the rows of the last statement."""
        rows: list[tuple[object, ...]] = []
        with psycopg.connect(**libpq_parameters(self.target), autocommit=True) as connection:  # type: ignore[arg-type]  # all are text
            for statement in statements:
                cursor = connection.execute(statement.encode())
                rows = cursor.fetchall() if cursor.description else []
        return rows

    def _processes(self) -> list[psutil.Process]:
        first = psutil.Process(int(self._stack.describe()[0].pid))
        return [first, *first.children(recursive=True)]

    def freeze(self) -> None:
        """It and its backends keep their connections and answer nothing."""
        for process in self._processes():
            process.suspend()

    def thaw(self) -> None:
        """They go on."""
        for process in self._processes():
            process.resume()

    def kill(self) -> None:
        """It is gone at once; the supervisor starts it again."""
        self._processes()[0].kill()


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """One for all tests, each of which leaves it running."""
    with EmbeddedStack({"postgres"}, tmp_path_factory.mktemp("logs")) as stack:
        yield PostgresServer(stack)


@pytest.fixture
def serve() -> Iterator[Callable[[Behaviour], LittleHttp]]:
    """Start little servers; they end with the test."""
    with contextlib.ExitStack() as cleanup:

        def start(behave: Behaviour) -> LittleHttp:
            server = LittleHttp(behave)
            cleanup.callback(server.close)
            return server

        yield start
