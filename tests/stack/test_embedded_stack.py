"""The embedded stack with a real server."""

import os
import signal
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.core.errors import TargetError, UsageError
from bench.stack.probes.redis import RespClient, probe_redis
from bench.stack.services import base as managed_service
from bench.stack.services.servers import ManagedRedis
from bench.stack.stack import Stack, open_stack
from bench.stack.supervisor import supervised
from tests.helpers.processes import is_running
from tests.helpers.waiting import eventually


@pytest.fixture(autouse=True)
def _own_surroundings(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REDIS_URL", raising=False)
    monkeypatch.delenv("HOLDFAST_REDIS_SERVER", raising=False)


def pid_of(stack: Stack) -> int:
    return int(stack.describe()[0].pid or 0)


def new_pid(stack: Stack, old: int) -> int:
    pid: int = eventually(lambda: pid_of(stack) not in (0, old) and pid_of(stack), "a restart")
    return pid


def ask(stack: Stack, *words: str) -> object:
    target = stack.targets()["redis"]
    with RespClient(target.host, target.port, 10.0) as server:
        return server.ask(*words)


def test_the_server_answers_inside_the_block_and_is_gone_after_it(tmp_path: Path, temporary: Path) -> None:
    with open_stack(None, {"redis"}, tmp_path / "logs") as stack:
        facts = probe_redis(stack.targets()["redis"])
        (described,) = stack.describe()
        assert facts.process_id == described.pid
        assert facts.is_aof_on
        assert described.state == "up"
        assert described.version == facts.version
        assert stack.targets()["redis"].managed
    assert not is_running(described.pid)
    assert not is_running(described.supervisor_pid)
    assert not any(temporary.iterdir())
    assert [event.kind for event in stack.events()] == ["started", "ended", "finished"]


def test_only_loopback_is_listened_on(tmp_path: Path) -> None:
    with open_stack("embedded", {"redis"}, tmp_path) as stack:
        port = stack.targets()["redis"].port
        listening = [
            line.split()[1]
            for table in ("tcp", "tcp6")
            for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]
            if line.split()[1].endswith(f":{port:04X}") and line.split()[3] == "0A"
        ]
    assert listening == [f"0100007F:{port:04X}"]


def test_the_data_is_for_this_user_only(tmp_path: Path, temporary: Path) -> None:
    with open_stack("embedded", {"redis"}, tmp_path):
        (directory,) = temporary.iterdir()
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700


def test_a_killed_server_comes_back_on_its_port_with_its_acknowledged_data(tmp_path: Path) -> None:
    with open_stack("embedded", {"redis"}, tmp_path) as stack:
        first, port = pid_of(stack), stack.targets()["redis"].port
        assert ask(stack, "SET", "key", "kept") == "OK"
        os.kill(first, signal.SIGKILL)
        second = new_pid(stack, first)
        answer = eventually(lambda: answer_or_none(stack, "GET", "key"), "an answer after the restart")
        assert answer == "kept"
        assert probe_redis(stack.targets()["redis"]).process_id == second
        assert stack.targets()["redis"].port == port
        died = next(event for event in stack.events() if event.kind == "died")
        assert (died.pid, died.status) == (first, -signal.SIGKILL)
        assert [event.kind for event in stack.events()] == ["started", "died", "restarted"]
    log = (tmp_path / "redis.log").read_text()
    assert log.count("Ready to accept connections") == 2


def answer_or_none(stack: Stack, *words: str) -> object:
    try:
        return ask(stack, *words)
    except Exception:  # noqa: BLE001 - it is not up yet: any reason will do
        return None


def test_a_stopped_server_is_noted_and_still_ends(tmp_path: Path, temporary: Path) -> None:
    with open_stack("embedded", {"redis"}, tmp_path) as stack:
        os.kill(pid_of(stack), signal.SIGSTOP)
        eventually(lambda: "stopped" in [event.kind for event in stack.events()], "the stop noted")
        os.kill(pid_of(stack), signal.SIGCONT)
        eventually(lambda: "continued" in [event.kind for event in stack.events()], "the continuation noted")
        os.kill(pid_of(stack), signal.SIGSTOP)
        pid = pid_of(stack)
    assert not is_running(pid)
    assert not any(temporary.iterdir())


def test_a_stopped_supervisor_does_not_keep_the_harness(
    tmp_path: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervised, "SUPERVISOR_MARGIN_S", 0.1)
    monkeypatch.setattr(supervised, "GRACE_S", 0.1)
    with open_stack("embedded", {"redis"}, tmp_path) as stack:
        described = stack.describe()[0]
        os.kill(described.supervisor_pid, signal.SIGSTOP)
    eventually(lambda: not is_running(described.pid), "server killed with its supervisor")
    assert not is_running(described.supervisor_pid)
    assert not any(temporary.iterdir())


def test_stopping_twice_and_before_the_start_is_harmless(tmp_path: Path) -> None:
    stack = open_stack("embedded", {"redis"}, tmp_path)
    stack.stop()
    stack.start()
    stack.stop()
    stack.stop()
    assert stack.describe()[0].state == "down"


def test_a_stopped_stack_can_be_started_again_and_keeps_both_logs(tmp_path: Path) -> None:
    stack = open_stack("embedded", {"redis"}, tmp_path)
    for _ in range(2):
        with stack:
            assert ask(stack, "PING") == "PONG"
    assert {path.name for path in tmp_path.glob("*.log")} == {"redis.log", "redis-2.log"}


def test_two_stacks_live_side_by_side(tmp_path: Path) -> None:
    with (
        open_stack("embedded", {"redis"}, tmp_path) as one,
        open_stack("embedded", {"redis"}, tmp_path) as other,
    ):
        assert one.targets()["redis"].port != other.targets()["redis"].port
        assert pid_of(one) != pid_of(other)


def test_a_port_taken_between_the_look_and_the_start_is_replaced(
    tmp_path: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_stack("embedded", {"redis"}, tmp_path) as first:
        taken = first.targets()["redis"].port
        ports = [taken, managed_service.free_loopback_port()]
        expected = ports[1]
        monkeypatch.setattr(managed_service, "free_loopback_port", lambda: ports.pop(0))
        with open_stack("embedded", {"redis"}, tmp_path) as second:
            assert second.targets()["redis"].port == expected
            assert pid_of(second) != pid_of(first)
    assert not any(temporary.iterdir())


def test_a_stack_that_needs_nothing_starts_nothing(tmp_path: Path) -> None:
    with open_stack("embedded", set(), tmp_path / "logs") as stack:
        assert stack.targets() == {}
        assert stack.describe() == []
    assert not (tmp_path / "logs").exists()


def test_a_stack_that_does_not_exist_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="embedded, docker, compose or external, found 'kubernetes'"):
        open_stack("kubernetes", {"redis"}, tmp_path)


def test_a_target_that_the_stack_cannot_start_is_named(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match=r"target graph .*can start: api, postgres.*, found 'graph'"):
        open_stack("embedded", {"redis", "graph"}, tmp_path)


def test_logs_that_cannot_be_written_are_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="logs cannot be written"):
        open_stack("embedded", {"redis"}, tmp_path / "file" / "logs").start()


def test_a_server_that_ends_at_once_is_told_with_the_end_of_its_log(
    tmp_path: Path, temporary: Path, script: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOLDFAST_REDIS_SERVER", script("echo the moon is full\nexit 3"))
    with pytest.raises(TargetError, match=r"127.0.0.1:\d+.*status 3 .*its log ends: the moon is full"):
        open_stack("embedded", {"redis"}, tmp_path).start()
    assert not any(temporary.iterdir())


def test_one_that_does_not_come_up_lets_the_others_give_up_and_is_told(
    tmp_path: Path, open_folder: Path, script: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(open_folder))
    monkeypatch.setenv("HOLDFAST_REDIS_SERVER", script("echo the moon is full\nexit 3"))
    stack = open_stack("embedded", {"redis", "postgres", "postgres_16"}, tmp_path)
    with pytest.raises(TargetError, match=r"target redis .*its log ends: the moon is full"):
        stack.start()
    assert "postgres" not in stack.targets()
    assert not any(open_folder.iterdir())


def test_a_program_that_cannot_be_executed_is_told_at_once(
    tmp_path: Path, temporary: Path, script: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    program = Path(script(""))
    program.write_bytes(b"\x7fELF of another machine")
    monkeypatch.setenv("HOLDFAST_REDIS_SERVER", str(program))
    with pytest.raises(TargetError, match="cannot be started"):
        open_stack("embedded", {"redis"}, tmp_path).start()
    assert not any(temporary.iterdir())


def test_a_server_that_never_answers_is_given_up_at_the_deadline_and_ended(
    tmp_path: Path, temporary: Path, script: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ManagedRedis, "ready_deadline_s", 0.3)
    monkeypatch.setenv("HOLDFAST_REDIS_SERVER", script("exec sleep 1000"))
    stack = open_stack("embedded", {"redis"}, tmp_path)
    with pytest.raises(TargetError, match=r"within 0\.3 s"):
        stack.start()
    (started,) = [event for event in stack.events() if event.kind == "started"]
    assert started.pid is not None
    assert not is_running(started.pid)
    assert not any(temporary.iterdir())


def test_an_exception_while_waiting_for_the_server_leaves_nothing(
    tmp_path: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(managed_service, "ask", interrupted)
    stack = open_stack("embedded", {"redis"}, tmp_path)
    with pytest.raises(KeyboardInterrupt):
        stack.start()
    (started,) = [event for event in stack.events() if event.kind == "started"]
    assert started.pid is not None
    assert not is_running(started.pid)
    assert not any(temporary.iterdir())


def test_the_users_own_server_program_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = open_stack("embedded", {"redis"}, tmp_path)
    with wheel:
        program = Path(wheel.describe()[0].program)
    link = tmp_path / "my-redis-server"
    link.symlink_to(program)
    monkeypatch.setenv("HOLDFAST_REDIS_SERVER", str(link))
    with open_stack("embedded", {"redis"}, tmp_path) as stack:
        assert "HOLDFAST_REDIS_SERVER" in stack.describe()[0].started_by


@pytest.mark.parametrize(("named", "found"), [("/nowhere/redis-server", "nothing there"), ("/", "a folder")])
def test_a_server_program_that_is_not_there_is_told(
    named: str, found: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOLDFAST_REDIS_SERVER", named)
    with pytest.raises(TargetError, match=found):
        open_stack("embedded", {"redis"}, tmp_path).start()
