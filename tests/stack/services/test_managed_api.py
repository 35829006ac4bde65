"""The reference API of the embedded stack, with what it needs."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.core.errors import TargetError
from bench.stack.embedded import EmbeddedStack
from bench.stack.probes.http import HttpFacts, probe_http
from bench.stack.services import servers
from bench.stack.stack import open_stack
from tests.helpers.processes import ROOT
from tests.helpers.waiting import eventually


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedStack]:
    with pytest.MonkeyPatch.context() as patch:
        # As from a checkout that is not installed, in somebody's folder, with addresses of other servers.
        given = os.environ.get("PYTHONPATH", "").split(os.pathsep)
        patch.setenv("PYTHONPATH", os.pathsep.join(path for path in given if path != str(ROOT)))
        patch.chdir(tmp_path_factory.mktemp("elsewhere"))
        patch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
        patch.setenv("DATABASE_URL", "postgresql://127.0.0.1:1/other")
        with EmbeddedStack({"api"}, tmp_path_factory.mktemp("logs")) as started:
            yield started


def test_the_api_brings_up_what_it_needs_before_itself(stack: EmbeddedStack) -> None:
    assert [entry.name for entry in stack.describe()] == ["redis", "postgres", "api"]
    assert {entry.state for entry in stack.describe()} == {"up"}
    assert {name: target.kind for name, target in stack.targets().items()} == {
        "redis": "redis",
        "postgres": "postgres",
        "api": "http",
    }
    first_starts = [event.service for event in stack.events() if event.kind == "started"]
    assert first_starts[-1] == "api"


def test_it_uses_the_redis_and_the_postgres_of_its_stack(stack: EmbeddedStack) -> None:
    facts = probe_http(stack.targets()["api"])
    assert facts.status == 200
    assert facts.health()[0] == "up"
    assert set(facts.components) >= {"redis", "postgres"}


def test_the_password_of_the_database_is_shown_nowhere(stack: EmbeddedStack) -> None:
    password = str(stack.targets()["postgres"].password)
    texts = [repr(stack.describe()), repr(stack.targets()), repr(stack.events())]
    for entry in stack.describe():
        texts.append(Path(entry.log).read_text())
        pids = (entry.pid, entry.supervisor_pid)
        texts += [Path(f"/proc/{pid}/cmdline").read_text() for pid in pids]
    assert not [text for text in texts if password in text]


def test_a_killed_api_comes_back_on_its_port(stack: EmbeddedStack) -> None:
    target = stack.targets()["api"]
    first = stack.describe()[-1].pid
    os.kill(first, signal.SIGKILL)

    def facts_of_another() -> HttpFacts | None:
        try:
            return probe_http(target) if stack.describe()[-1].pid not in (None, first) else None
        except TargetError:
            return None

    assert eventually(facts_of_another, "an answer after the restart").status == 200


@pytest.mark.long
def test_what_needs_others_ends_before_them(tmp_path: Path) -> None:
    with open_stack("embedded", {"api", "redis"}, tmp_path) as stack:
        pass
    ended = [event.service for event in stack.events() if event.kind == "ended"]
    assert ended == ["api", "postgres", "redis"]


def test_missing_libraries_are_told_before_anything_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(servers, "API_LIBRARIES", ("uvicorn", "no_such_library"))
    with pytest.raises(TargetError, match=r"found no no_such_library .*pip install"):
        open_stack("embedded", {"api"}, tmp_path).start()
    assert not any(tmp_path.iterdir())
