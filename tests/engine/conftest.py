"""Fixtures of the engine's tests. The first compiled run of a machine takes half a minute."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bench.stack.stack import Stack, open_stack
from tests.helpers.servers import Behaviour, LittleServer, Talk


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.nodeid.startswith("tests/engine/") and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(300))


@pytest.fixture
def serve() -> Iterator[Callable[..., LittleServer]]:
    """Start little servers; they end with the test."""
    with contextlib.ExitStack() as cleanup:

        def start(behave: Behaviour, log_in: Callable[[Talk], bool] = Talk.log_in) -> LittleServer:
            server = LittleServer(behave, log_in)
            cleanup.callback(server.close)
            return server

        yield start


@pytest.fixture
def valkey(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    """A real server under our supervisor."""
    monkeypatch.delenv("REDIS_URL", raising=False)
    with open_stack("embedded", {"redis"}, tmp_path / "logs") as stack:
        yield stack
