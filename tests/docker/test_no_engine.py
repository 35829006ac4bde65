"""Without an engine: what to do is said, and the exit code is that of a target."""

from pathlib import Path

import pytest

from bench.cli.main import run
from bench.core.errors import ExitCode, TargetError
from bench.stack.docker.client import connect_engine
from bench.stack.docker.stack import DockerStack
from bench.stack.stack import open_stack

SCENARIO = Path(__file__).parents[2] / "scenarios" / "redis_latency.yaml"


@pytest.mark.parametrize("kind", ["docker", "compose"])
def test_a_run_without_an_engine_says_what_to_do_and_exits_4(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/docker.sock")
    code = run(["run", str(SCENARIO), "--quick", "--stack", kind, "--out", str(tmp_path / "out")])
    said = capsys.readouterr()
    assert code == ExitCode.TARGET
    assert "found no such socket; start Docker" in said.err
    assert "--stack embedded" in said.err
    assert "Traceback" not in said.err


@pytest.mark.parametrize("host", ["tcp://127.0.0.1:2375", "ssh://user@machine"])
def test_an_engine_of_another_machine_is_refused(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", host)
    with pytest.raises(TargetError, match="expected a Docker engine on this machine"):
        connect_engine()


def test_a_socket_where_nobody_answers_is_no_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/file")
    with pytest.raises(TargetError, match="expected a Docker engine that answers"):
        connect_engine()


def test_a_stack_that_needs_nothing_asks_for_no_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere")
    for kind in ("docker", "compose"):
        with open_stack(kind, set(), tmp_path) as stack:
            assert stack.targets() == {}
            assert stack.describe() == []


@pytest.mark.parametrize("kind", ["docker", "compose"])
def test_a_target_that_no_container_is_for_is_named(kind: str, tmp_path: Path) -> None:
    with pytest.raises(TargetError, match=r"target graph .*expected a target that it can .*'graph'"):
        open_stack(kind, {"graph"}, tmp_path)


def test_stopping_what_never_started_is_harmless(tmp_path: Path) -> None:
    stack = DockerStack({"redis"}, tmp_path)
    stack.stop()
    assert stack.events() == []
