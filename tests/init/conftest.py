"""What the tests of `bench init` share: a directory of a user's, and servers to point it at."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from bench.cli.main import run
from bench.registry import url_variables
from bench.stack.embedded import EmbeddedStack
from bench.stack.target import Target
from tests.init.little_api import LittleApi

Init = Callable[..., tuple[int, str, str]]


@pytest.fixture
def init(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Init:
    """`bench` in an empty directory: (exit code, standard output, standard error)."""
    folder = tmp_path / "notes"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for variable in url_variables().values():
        monkeypatch.delenv(variable, raising=False)

    def done(*words: str, command: str = "init") -> tuple[int, str, str]:
        code = run([command, *words])
        said = capsys.readouterr()
        return code, said.out, said.err

    return done


@pytest.fixture
def api() -> Iterator[LittleApi]:
    server = LittleApi()
    yield server
    server.close()


@pytest.fixture(scope="package")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, Target]]:
    with EmbeddedStack({"redis", "postgres"}, tmp_path_factory.mktemp("logs")) as stack:
        yield stack.targets()
