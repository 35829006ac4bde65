"""Which process is meant, and what a state file is worth."""

import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from bench.core.errors import UsageError
from bench.stack.background.daemon import background_stack
from bench.stack.background.state import DaemonLock, living_daemon, read_state, state_folder, write_state
from bench.stack.supervisor.processes import ProcessIdentity
from bench.stack.target import Target, TargetDescription
from tests.helpers.processes import ROOT, child_process


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    (tmp_path / "holdfast").mkdir()
    return tmp_path / "holdfast"


@pytest.fixture
def sleeper() -> Iterator["subprocess.Popen[bytes]"]:
    with child_process(["sleep", "600"]) as process:
        yield process
        process.kill()


def identity_of(process: "subprocess.Popen[bytes]") -> ProcessIdentity:
    identity = ProcessIdentity.of(process.pid)
    assert identity is not None
    return identity


def test_a_process_is_known_beyond_its_number(sleeper: "subprocess.Popen[bytes]") -> None:
    identity = identity_of(sleeper)
    assert identity.is_alive()
    assert ProcessIdentity.from_json(json.loads(json.dumps(asdict(identity)))) == identity
    assert not ProcessIdentity(identity.pid, identity.start_ticks + 1, identity.boot_id).is_alive()
    assert not ProcessIdentity(identity.pid, identity.start_ticks, "another boot").is_alive()
    assert not identity.wait(0)


def test_a_signal_goes_to_that_very_process_only(sleeper: "subprocess.Popen[bytes]") -> None:
    identity = identity_of(sleeper)
    stranger = ProcessIdentity(identity.pid, identity.start_ticks - 1, identity.boot_id)
    stranger.send(signal.SIGKILL)
    assert stranger.wait(0)
    assert sleeper.poll() is None
    identity.send(signal.SIGTERM)
    assert identity.wait(30)
    assert sleeper.wait() == -signal.SIGTERM
    identity.send(signal.SIGKILL)


@pytest.mark.parametrize("entry", [None, 3, {}, {"pid": 1}, {"pid": -1, "start_ticks": 1, "boot_id": ""}])
def test_what_is_no_identity_is_none(entry: object) -> None:
    assert ProcessIdentity.from_json(entry) is None


def test_the_state_is_for_this_user_alone_and_gives_the_targets_back(folder: Path) -> None:
    targets = [
        Target("redis", "redis", "127.0.0.1", 1, managed=True),
        Target("postgres", "postgres", "127.0.0.1", 2, "u", "p@ss/", database="d", managed=True),
    ]
    described = TargetDescription(
        "redis", "redis", "127.0.0.1:1", "valkey", "8", "by us", "up", supervisor_pid=os.getpid()
    )
    write_state("docker", targets, [described])
    assert stat.S_IMODE((folder / "stack.json").stat().st_mode) == 0o600
    kept = read_state()
    assert kept is not None
    assert list(kept.targets) == targets
    assert kept.described == (described,)
    assert kept.supervisors == (ProcessIdentity.of(os.getpid()),)
    assert kept.is_up()
    assert background_stack() == kept


def test_the_state_of_a_dead_keeper_says_so(folder: Path) -> None:
    write_state("embedded", [], [])
    state = json.loads((folder / "stack.json").read_text())
    state["keeper"]["start_ticks"] -= 1
    (folder / "stack.json").write_text(json.dumps(state))
    kept = read_state()
    assert kept is not None
    assert not kept.is_up()
    assert background_stack() is None


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "{}", '{"format": 2}', "\x00", '{"keeper": 3}'])
def test_a_damaged_state_file_is_no_stack(text: str, folder: Path) -> None:
    (folder / "stack.json").write_text(text)
    assert read_state() is None


def test_there_is_one_keeper_at_a_time_and_a_killed_one_lets_go(folder: Path) -> None:
    program = (
        "from bench.stack.background.state import DaemonLock\n"
        "lock = DaemonLock.take()\n"
        "print(lock is not None, flush=True)\n"
        "input()\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    with child_process(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"True\n"
        assert living_daemon() == ProcessIdentity.of(other.pid)
        assert DaemonLock.take() is None
        other.kill()
        other.wait()
    assert living_daemon() is None
    (folder / "stack-logs").mkdir()
    lock = DaemonLock.take()
    assert lock is not None
    lock.sweep()
    assert not (folder / "stack-logs").exists()


def test_a_user_without_a_home_is_told_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_home() -> Path:
        raise RuntimeError

    monkeypatch.setattr(Path, "home", no_home)
    for value in ("", "relative/folder"):
        monkeypatch.setenv("XDG_STATE_HOME", value)
        with pytest.raises(UsageError, match="set XDG_STATE_HOME"):
            state_folder()
        assert read_state() is None
        assert living_daemon() is None
