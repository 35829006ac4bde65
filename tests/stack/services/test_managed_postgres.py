"""PostgreSQL of the embedded stack, with real servers."""

import os
import signal
import socket
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from bench.core.errors import TargetError
from bench.stack.embedded import EmbeddedStack
from bench.stack.services import base as managed_service
from bench.stack.services.files import sweep_data_directories
from bench.stack.services.programs import PostgresPrograms, account_for_servers, find_postgres
from bench.stack.stack import Stack, open_stack
from bench.stack.target import Target, TargetDescription
from tests.helpers.processes import Harness, is_running
from tests.helpers.waiting import eventually
from tests.stack.postgres_traces import Traces, connect

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives up privileges")


@pytest.fixture(autouse=True)
def _own_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    for version in ("", "_16"):
        monkeypatch.delenv(f"HOLDFAST_POSTGRES{version}_BIN", raising=False)


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with EmbeddedStack({"postgres", "postgres_16"}, tmp_path_factory.mktemp("logs")) as stack:
        yield stack


@pytest.fixture
def temporary(open_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(open_folder))
    return open_folder


def described(stack: Stack, name: str = "postgres") -> TargetDescription:
    return next(entry for entry in stack.describe() if entry.name == name)


def pid_of(stack: Stack) -> int:
    pid = described(stack).pid
    return pid if isinstance(pid, int) else 0


def data_of(target: Target) -> Path:
    with connect(target) as connection:
        row = connection.execute("SHOW data_directory").fetchone()
    assert row is not None
    return Path(str(row[0]))


def test_both_versions_run_side_by_side_and_are_logged_into(both: Stack) -> None:
    versions = {}
    for name, target in both.targets().items():
        with connect(target) as connection:
            row = connection.execute("SELECT current_user, current_database(), version()").fetchone()
            assert row is not None
            assert row[:2] == ("holdfast", "holdfast")
            versions[name] = str(row[2]).split()[1].split(".")[0]
    assert versions == {"postgres": "18", "postgres_16": "16"}
    assert [entry.version.split(".")[0] for entry in both.describe()] == ["18", "16"]


def test_a_wrong_password_is_refused_and_so_is_the_other_servers(both: Stack) -> None:
    one, other = both.targets().values()
    assert one.password != other.password
    for password in ("guess", str(other.password)):
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            connect(one, password=password)


def test_the_password_is_in_no_description_no_log_and_no_command_line(both: Stack) -> None:
    passwords = [str(target.password) for target in both.targets().values()]
    texts = [repr(both.targets()), repr(both.describe()), repr(both.events())]
    for entry in both.describe():
        texts.append(Path(entry.log).read_text())
        pids = (entry.pid, entry.supervisor_pid)
        texts += [Path(f"/proc/{pid}/cmdline").read_text() for pid in pids]
    assert not [text for text in texts for password in passwords if password in text]


def test_what_was_set_is_described_and_in_force(both: Stack) -> None:
    for entry in both.describe():
        assert entry.settings["fsync"] == "on"
        with connect(both.targets()[entry.name]) as connection:
            for name, value in entry.settings.items():
                assert connection.execute(f"SHOW {name}").fetchone() == (value,)
            assert connection.execute("SHOW server_encoding").fetchone() == ("UTF8",)


def test_it_listens_on_loopback_and_nowhere_else(both: Stack) -> None:
    ports = {f"{target.port:04X}" for target in both.targets().values()}
    listening = [
        line.split()[1]
        for table in ("tcp", "tcp6")
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]
        if line.split()[3] == "0A" and line.split()[1].rpartition(":")[2] in ports
    ]
    assert sorted(listening) == sorted(f"0100007F:{port}" for port in ports)


def test_the_data_belongs_to_whom_it_runs_as_and_is_for_nobody_else(both: Stack) -> None:
    for target in both.targets().values():
        status = data_of(target).stat()
        account = account_for_servers()
        assert stat.S_IMODE(status.st_mode) == 0o700
        assert status.st_uid == (account.user_id if account else os.geteuid())


def test_settings_can_be_changed_for_a_database_and_for_the_server(both: Stack) -> None:
    target = both.targets()["postgres_16"]
    with connect(target) as connection:
        connection.execute("ALTER SYSTEM SET work_mem = '5MB'")
        connection.execute("ALTER DATABASE holdfast SET synchronous_commit = off")
        connection.execute("SELECT pg_reload_conf()")
    try:
        eventually(lambda: shown(target, "work_mem") == "5MB", "the setting taken over")
        assert shown(target, "synchronous_commit") == "off"
    finally:
        with connect(target) as connection:
            connection.execute("ALTER DATABASE holdfast RESET ALL")


def shown(target: Target, setting: str) -> object:
    with connect(target) as connection:
        row = connection.execute(f"SHOW {setting}").fetchone()
    return row and row[0]


def test_a_killed_server_comes_back_on_its_port_with_what_was_committed(
    tmp_path: Path, temporary: Path
) -> None:
    with open_stack("embedded", {"postgres"}, tmp_path) as stack:
        target, first = stack.targets()["postgres"], pid_of(stack)
        with connect(target) as connection:
            connection.execute("CREATE TABLE kept (number int)")
            connection.execute("INSERT INTO kept VALUES (4711)")
            before = Traces(first, data_of(target))
            # A backend that is stopped keeps the old server's memory, and a new one from starting.
            os.kill(connection.info.backend_pid, signal.SIGSTOP)
            os.kill(first, signal.SIGKILL)
            second = eventually(lambda: pid_of(stack) not in (0, first) and pid_of(stack), "a restart")
        assert eventually(lambda: rows_or_none(target), "an answer after the restart") == [(4711,)]
        assert [event.kind for event in stack.events()] == ["started", "died", "restarted"]
        assert pid_of(stack) == second
        assert [trace for trace in before.left() if trace.startswith("process")] == []
        after = Traces(second, data_of(target))
    assert before.left() + after.left() == []
    assert not any(temporary.iterdir())


def rows_or_none(target: Target) -> object:
    try:
        with connect(target) as connection:
            return connection.execute("SELECT number FROM kept").fetchall()
    except psycopg.OperationalError:
        return None


def test_an_end_with_clients_connected_and_one_stopped_leaves_nothing(
    tmp_path: Path, temporary: Path
) -> None:
    with open_stack("embedded", {"postgres_16"}, tmp_path) as stack:
        target = stack.targets()["postgres_16"]
        clients = [connect(target) for _ in range(3)]
        postmaster = described(stack, "postgres_16").pid
        assert isinstance(postmaster, int)
        traces = Traces(postmaster, data_of(target))
        os.kill(postmaster, signal.SIGSTOP)
    assert traces.left() == []
    assert not any(temporary.iterdir())
    for client in clients:
        client.close()


def test_a_supervisor_that_is_killed_takes_the_server_and_its_backends_with_it(
    tmp_path: Path, temporary: Path
) -> None:
    with open_stack("embedded", {"postgres"}, tmp_path) as stack:
        target = stack.targets()["postgres"]
        client = connect(target)
        traces = Traces(pid_of(stack), data_of(target))
        assert client.info.backend_pid in traces.processes
        os.kill(client.info.backend_pid, signal.SIGSTOP)
        supervisor = described(stack).supervisor_pid
        assert isinstance(supervisor, int)
        os.kill(supervisor, signal.SIGKILL)
        eventually(lambda: pid_of(stack) == 0, "the death noted")
    assert traces.left() == []
    assert not any(temporary.iterdir())
    client.close()


def test_a_harness_that_is_killed_leaves_no_postgres(open_folder: Path) -> None:
    harness = Harness(open_folder, "sys.stdin.readline()", "postgres")
    try:
        (data,) = open_folder.glob("tmp/holdfast-*/data")
        traces = Traces(harness.server_pid, data)
        harness.process.kill()
        eventually(harness.has_left_nothing, "server, supervisor and data gone")
        assert traces.left() == []
    finally:
        harness.close()


@pytest.mark.long
def test_the_sweep_ends_a_query_that_outlived_harness_and_supervisor(
    temporary: Path, open_folder: Path
) -> None:
    harness = Harness(open_folder, TALKATIVE, "postgres_16")
    try:
        backend = int(harness.read_line())
        (data,) = open_folder.glob("tmp/holdfast-*/data")
        traces = Traces(harness.server_pid, data)
        os.kill(backend, signal.SIGSTOP)
        os.kill(harness.supervisor_pid, signal.SIGKILL)
        harness.process.kill()
        harness.process.wait()
        eventually(lambda: not is_running(harness.server_pid), "server gone")
        assert is_running(backend)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(tempfile, "tempdir", str(open_folder / "tmp"))
            assert sweep_data_directories() == [data.parent]
        assert traces.left() == []
    finally:
        harness.close()


TALKATIVE = """\
import psycopg
from bench.stack.probes.postgres import libpq_parameters
connection = psycopg.connect(**libpq_parameters(stack.targets()['postgres_16']))
say(connection.info.backend_pid)
sys.stdin.readline()"""


@pytest.mark.long
def test_a_port_taken_between_the_look_and_the_start_is_replaced(
    tmp_path: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = managed_service.free_loopback_port()
    with socket.create_server(("127.0.0.1", managed_service.free_loopback_port())) as taken:
        ports = [taken.getsockname()[1], free]
        monkeypatch.setattr(managed_service, "free_loopback_port", lambda: ports.pop(0))
        with open_stack("embedded", {"postgres"}, tmp_path) as stack:
            assert stack.targets()["postgres"].port == free
    assert not any(temporary.iterdir())


def test_programs_that_are_not_there_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder, found in ((tmp_path / "nowhere", "no folder"), (tmp_path, "a folder without them")):
        monkeypatch.setenv("HOLDFAST_POSTGRES_BIN", str(folder))
        with pytest.raises(TargetError, match=rf"HOLDFAST_POSTGRES_BIN .*initdb, found {found}"):
            open_stack("embedded", {"postgres"}, tmp_path).start()


def test_the_users_own_programs_are_taken_from_the_folder_or_its_bin(monkeypatch: pytest.MonkeyPatch) -> None:
    wheels = find_postgres("postgres_16").bin
    for folder in (wheels, wheels.parent):
        monkeypatch.setenv("HOLDFAST_POSTGRES_BIN", str(folder))
        assert find_postgres("postgres") == PostgresPrograms(wheels, "HOLDFAST_POSTGRES_BIN", False)


def test_a_set_up_that_fails_is_told_with_the_end_of_its_log(
    tmp_path: Path, temporary: Path, open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = open_folder / "programs"
    programs.mkdir(mode=0o755)
    for name, body in (("postgres", "exit 0"), ("initdb", "echo the moon is full\nexit 3")):
        (programs / name).write_text(f"#!/bin/sh\n{body}\n")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("HOLDFAST_POSTGRES_BIN", str(programs))
    with pytest.raises(TargetError, match=r"was not set up: initdb ended with 3; .*ends: the moon is full"):
        open_stack("embedded", {"postgres"}, tmp_path).start()
    assert list(temporary.iterdir()) == [programs]


def test_data_is_made_once_and_copied_with_another_password(
    tmp_path: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    passwords, identifiers, logs = [], [], []
    for number in range(2):
        with open_stack("embedded", {"postgres"}, tmp_path / f"logs{number}") as stack:
            target = stack.targets()["postgres"]
            with connect(target) as connection:
                row = connection.execute("SELECT system_identifier FROM pg_control_system()").fetchone()
                connection.execute("CREATE TABLE mine (number int)")  # which the other one must not have
            passwords.append(str(target.password))
            identifiers.append(row)
            logs.append((tmp_path / f"logs{number}" / "postgres.log").read_text())
    assert passwords[0] != passwords[1]
    assert identifiers[0] == identifiers[1]
    assert ["creating configuration files" in log for log in logs] == [True, False]
    (kept,) = (tmp_path / "cache" / "holdfast" / "postgres").iterdir()
    assert not any(
        password.encode() in file.read_bytes() for password in passwords for file in kept.glob("global/*")
    )


def test_data_that_others_may_write_is_not_copied(
    tmp_path: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "cache" / "holdfast" / "postgres"
    folder.mkdir(parents=True)
    folder.chmod(0o777)
    with open_stack("embedded", {"postgres"}, tmp_path / "logs"):
        assert "creating configuration files" in (tmp_path / "logs" / "postgres.log").read_text()
    assert not any(folder.iterdir())


@as_root
def test_a_wheel_where_its_user_may_not_go_is_copied_for_the_stack(open_folder: Path) -> None:
    package = find_postgres("postgres").bin.parents[1]
    closed = open_folder / "closed"
    closed.mkdir(mode=0o700)
    for name in (package.name, f"{package.name}.libs"):
        (closed / name).symlink_to(package.with_name(name))
    programs = PostgresPrograms(closed / package.name / "pginstall18" / "bin", "the wheel", True)
    account = account_for_servers()
    assert account is not None
    copied = programs.usable_by(account, open_folder / "copy", "postgres")
    assert copied.bin.is_relative_to(open_folder / "copy")
    assert copied.origin == "a copy of the wheel"
    assert account.succeeds(str(copied.bin / "initdb"), "--version")  # it needs the libraries beside it
    own = PostgresPrograms(programs.bin, "HOLDFAST_POSTGRES_BIN", False)
    with pytest.raises(TargetError, match="refuses to run as root"):
        own.usable_by(account, open_folder / "other", "postgres")


@as_root
def test_a_temporary_folder_where_its_user_may_not_go_is_told(
    tmp_path: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary.chmod(0o700)
    with pytest.raises(TargetError, match="set TMPDIR to a folder that is open to others"):
        open_stack("embedded", {"postgres"}, tmp_path).start()
    assert not any(temporary.iterdir())
