"""A real server for the client engine's tests."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.stack.stack import Stack, open_stack
from bench.stack.target import Target


class Server:
    """A managed Redis, to be hurt."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self.target: Target = stack.targets()["redis"]

    def signal(self, number: signal.Signals) -> None:
        """Send its present process a signal."""
        os.kill(int(self._stack.describe()[0]["pid"]), number)

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
