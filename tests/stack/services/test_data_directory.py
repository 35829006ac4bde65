"""Temporary data: held while somebody lives who needs it, swept afterwards."""

import fcntl
import os
import pty
import signal
import subprocess
import threading
from pathlib import Path

import pytest

from bench.stack.services.files import DataDirectory, sweep_data_directories
from bench.stack.services.servers import ManagedRedis
from bench.stack.supervisor.processes import kill_orphans


def test_a_directory_in_use_survives_the_sweep(temporary: Path) -> None:
    held = DataDirectory().create()
    assert sweep_data_directories() == []
    assert held.path.is_dir()
    held.remove()


def test_a_directory_whose_holders_are_gone_is_swept(temporary: Path) -> None:
    left = DataDirectory().create()
    (left.path / "appendonlydir").mkdir()
    os.close(left.lock_fd)
    assert sweep_data_directories() == [left.path]
    assert not left.path.exists()


def test_what_still_runs_in_a_swept_directory_is_killed(temporary: Path) -> None:
    left = DataDirectory().create()
    with subprocess.Popen(["/bin/sleep", "1000"], cwd=left.path, start_new_session=True) as stray:
        os.close(left.lock_fd)
        assert sweep_data_directories() == [left.path]
        assert stray.wait() == -signal.SIGKILL


def test_a_shell_of_somebody_who_looks_around_is_left_alone(temporary: Path) -> None:
    left = DataDirectory().create()
    shell, terminal = pty.fork()
    if shell == 0:
        os.chdir(left.path)
        os.execv("/bin/sh", ["sh", "-c", "echo there; exec sleep 1000"])
    try:
        assert b"there" in os.read(terminal, 100)
        assert kill_orphans(left.path) == []
    finally:
        os.kill(shell, signal.SIGKILL)
        os.waitpid(shell, 0)
        os.close(terminal)
        left.remove()


def test_what_is_not_ours_is_left_alone(temporary: Path) -> None:
    (temporary / "holdfast-notes").mkdir()
    (temporary / "holdfast-file").touch()
    elsewhere = temporary / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "lock").touch()
    (temporary / "holdfast-link").symlink_to(elsewhere)
    assert sweep_data_directories() == []
    assert len(list(temporary.iterdir())) == 4


def test_removing_twice_is_harmless(temporary: Path) -> None:
    directory = DataDirectory().create()
    directory.remove()
    directory.remove()
    assert not directory.path.exists()


def test_a_start_that_is_interrupted_while_it_makes_its_directory_leaves_nothing(
    temporary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(fcntl, "flock", interrupted)
    with pytest.raises(KeyboardInterrupt):
        ManagedRedis(tmp_path / "logs").start({}, threading.Event())
    assert list(temporary.iterdir()) == []
