"""`bench doctor` describes any machine and never fails."""

import json
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from bench.cli import doctor_command
from bench.registry import url_variables
from bench.stack import machine
from bench.stack.background.state import BackgroundStack
from bench.stack.machine import Finding, findings
from bench.stack.supervisor.processes import ProcessIdentity
from bench.stack.target import Target


@pytest.fixture(autouse=True)
def _own_surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        *url_variables().values(),
        "HOLDFAST_REDIS_SERVER",
        "HOLDFAST_POSTGRES_BIN",
        "HOLDFAST_POSTGRES_16_BIN",
        "DOCKER_HOST",
        "NUMBA_DISABLE_JIT",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))


def doctor(*arguments: str) -> str:
    result = CliRunner().invoke(doctor_command.command, list(arguments))
    assert result.exit_code == 0
    return result.output


def test_every_line_of_the_table_fits_a_terminal_unless_it_holds_a_long_path() -> None:
    lines = doctor().splitlines()
    assert lines[0].startswith("cores")
    assert all(len(line) <= 80 or "/" in line for line in lines)


def test_json_has_one_finding_per_source() -> None:
    found = {finding["name"]: finding for finding in json.loads(doctor("--json"))["findings"]}
    assert list(found) == list(doctor_command.SOURCES)
    assert found["cores"]["values"]["usable"] >= 1
    assert found["redis server"]["values"]["version"]
    assert found["postgres 18"]["values"]["version"].startswith("18.")
    assert found["postgres 16"]["values"]["version"].startswith("16.")
    assert found["libpq"]["values"]["psycopg"]
    assert found["libpq"]["values"]["libpq"]
    assert found["stack"]["values"] == {"kind": "embedded", "is_up": False}


def test_a_source_that_fails_becomes_a_finding() -> None:
    def broken() -> Finding:
        raise OSError(5, "the disk is gone")

    (finding,) = findings({"disk": broken})
    assert finding.name == "disk"
    assert "the disk is gone" in finding.text


def test_advice_stands_below_its_finding() -> None:
    row = doctor_command.table_row(Finding("load", "9.00", {}, "let it finish " * 10))
    first, *others = row.splitlines()
    assert first == "load          9.00"
    assert others[0].startswith(" " * 14 + "! let it finish")
    assert max(map(len, others)) <= 80


def test_a_url_with_a_password_is_named_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://:guess-4711@db.example:7000")
    text = doctor() + doctor("--json")
    assert "db.example:7000" in text
    assert "guess-4711" not in text


def test_a_url_that_cannot_be_used_is_advice_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "rediss://:guess-4711@db.example:7000?ssl_cert_reqs=maybe")
    text = doctor() + doctor("--json")
    assert "ssl_cert_reqs" in text
    assert "guess-4711" not in text


def test_a_stack_that_is_up_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    target = Target("redis", "redis", "127.0.0.1", 1)
    kept = BackgroundStack(ProcessIdentity(1, 1, ""), "embedded", (target,), (), (), Path())
    monkeypatch.setattr(machine, "background_stack", lambda: kept)
    finding = machine.default_stack()
    assert finding.text == "embedded, up since bench stack up: redis"
    assert finding.values == {"kind": "embedded", "is_up": True}


def test_postgres_programs_that_are_missing_are_advice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOLDFAST_POSTGRES_BIN", str(tmp_path))
    finding = machine.postgres_18()
    assert finding.text == "none"
    assert "HOLDFAST_POSTGRES_BIN" in (finding.advice or "")


def test_a_psycopg_that_is_missing_is_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_version", lambda _: None)
    assert "pip install" in (machine.postgres_client().advice or "")


def test_a_server_program_that_is_missing_is_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDFAST_REDIS_SERVER", "/nowhere/redis-server")
    finding = machine.redis_server()
    assert finding.text == "none"
    assert "HOLDFAST_REDIS_SERVER" in (finding.advice or "")


def test_a_program_that_is_no_server_is_advice(
    script: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOLDFAST_REDIS_SERVER", script("echo hello"))
    assert "is it a redis-server" in (machine.redis_server().advice or "")


@pytest.mark.parametrize("by", ["path", "PATH"])
def test_a_server_that_obeys_the_name_it_is_called_by_is_called_by_that_name(
    tmp_path: Path, script: Callable[[str], str], monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    """Debian's redis-server is a link to redis-check-rdb."""
    program = script('case "$0" in */redis-server) echo "Redis server v=7.0.15";; *) exit 1;; esac')
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "redis-server").symlink_to(program)
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    monkeypatch.setenv(
        "HOLDFAST_REDIS_SERVER", str(folder / "redis-server") if by == "path" else "redis-server"
    )
    finding = machine.redis_server()
    assert finding.values["version"] == "7.0.15"
    assert finding.values["program"] == str(folder / "redis-server")


def test_numba_switched_off_is_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")
    assert "NUMBA_DISABLE_JIT" in (machine.compiler().advice or "")


@pytest.mark.parametrize(("answer", "is_engine"), [(b"HTTP/1.0 200 OK\r\n", True), (b"SSH-2.0\r\n", False)])
def test_a_docker_engine_is_known_by_its_answer(
    answer: bytes, is_engine: bool, scripted_server: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def behave(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(answer)

    monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{scripted_server(behave)}")
    assert machine.docker_engine().values["engine"] is is_engine


@pytest.mark.parametrize("host", ["unix:///nowhere/docker.sock", "ssh://machine", "tcp://127.0.0.1:notaport"])
def test_no_docker_engine_is_no_problem(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", host)
    finding = machine.docker_engine()
    assert finding.values["engine"] is False
    assert finding.advice is None


def test_a_missing_kernel_file_is_survived(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("bench.stack.machine.Path", lambda _: tmp_path / "missing")
    text = doctor()
    assert "not visible here" in text
    assert "cannot be read" in text
