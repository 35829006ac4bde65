"""Fixtures of the stack's tests."""

import contextlib
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.helpers.processes import Harness
from tests.helpers.tls_servers import certificates, park  # noqa: F401 - fixtures
from tests.stack.scripted_server import ScriptedServer


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[Callable[[str], Harness]]:
    """Start a harness in a process of its own; whatever is left of it is killed afterwards."""
    with contextlib.ExitStack() as cleanup:

        def start(body: str) -> Harness:
            started = Harness(tmp_path, body)
            cleanup.callback(started.close)
            return started

        yield start


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for temporary files that is empty at the start."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def scripted_server() -> Iterator[Callable[[Callable[[socket.socket], None]], int]]:
    """Start a server that behaves as told; its port is returned."""
    with contextlib.ExitStack() as cleanup:

        def start(behave: Callable[[socket.socket], None]) -> int:
            server = ScriptedServer(behave)
            cleanup.callback(server.close)
            return server.port

        yield start


@pytest.fixture
def script(tmp_path: Path) -> Callable[[str], str]:
    """Write an executable shell script and return its path."""

    def write(body: str) -> str:
        path = tmp_path / "program"
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)
        return str(path)

    return write


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other users may enter, as pytest's own may not be: root's Postgres runs as another."""
    folder = Path(tempfile.mkdtemp(prefix="test-holdfast-", dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)
