"""The supervisor with small programs in the place of servers."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.stack.services.files import DataDirectory
from bench.stack.services.programs import account_for_servers
from bench.stack.supervisor.supervised import ServiceCommand, SetUpStep, Supervised
from tests.helpers.processes import is_running
from tests.helpers.waiting import eventually


class Bench:
    """A supervisor with one service, a shell script."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "service.log"
        self.data = DataDirectory().create()
        self.supervised = Supervised(folder / "events.jsonl")

    def start(self, script: str, restarts_per_minute: int = 10, **other: Any) -> None:
        command = ("/bin/sh", "-c", script)
        service = ServiceCommand(
            "service", command, str(self.data.path), str(self.log), 0.0, restarts_per_minute, **other
        )
        self.supervised.start(service, self.data)

    def said(self, count: int = 1) -> list[str]:
        """The first words of the log, once there are so many."""
        words: list[str] = eventually(lambda: self.words()[count - 1 :] and self.words(), "words in the log")
        return words

    def words(self) -> list[str]:
        return self.log.read_text().split() if self.log.exists() else []

    def kinds(self) -> list[str]:
        return [event.kind for event in self.supervised.events()]

    def pid(self) -> int:
        pid: int = eventually(self.supervised.service_pid, "a start")
        return pid


@pytest.fixture
def service(tmp_path: Path, temporary: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.supervised.end()
    bench.data.remove()


def test_a_service_that_keeps_dying_is_given_up_loudly(service: Bench) -> None:
    service.start("exit 7", restarts_per_minute=2)
    eventually(lambda: "gave_up" in service.kinds(), "giving up")
    assert service.kinds() == ["started", "died", "restarted", "died", "restarted", "died", "gave_up"]
    assert {event.status for event in service.supervised.events() if event.kind == "died"} == {7}
    assert "left down" in service.log.read_text()
    assert service.supervised.is_alive


FORK = "sleep 1000 & echo $!; exec sleep 1000"
FORK_IN_A_SESSION_OF_ITS_OWN = "setsid sh -c 'sleep 1000 & echo $!; exec sleep 1000' & exec sleep 1000"
forks = pytest.mark.parametrize("script", [FORK, FORK_IN_A_SESSION_OF_ITS_OWN], ids=["group", "session"])


@forks
def test_the_forks_of_a_dead_service_are_killed_before_it_is_restarted(service: Bench, script: str) -> None:
    service.start(script)
    fork = int(service.said()[0])
    os.kill(fork, signal.SIGSTOP)
    os.kill(service.pid(), signal.SIGKILL)
    eventually(lambda: "restarted" in service.kinds(), "a restart")
    assert not is_running(fork)


@forks
def test_the_forks_of_a_service_end_with_it(service: Bench, script: str) -> None:
    service.start(script)
    fork = int(service.said()[0])
    service.supervised.end()
    assert not is_running(fork)
    assert not service.data.path.exists()


@forks
def test_the_forks_of_a_service_are_killed_when_the_supervisor_was(service: Bench, script: str) -> None:
    service.start(script)
    fork = int(service.said()[0])
    pid = service.pid()
    assert service.supervised.pid is not None
    os.kill(service.supervised.pid, signal.SIGKILL)
    service.supervised.end()
    assert not is_running(fork)
    assert not is_running(pid)


def test_a_service_that_ignores_the_request_to_end_is_killed(
    service: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.stack.supervisor.supervised.GRACE_S", 0.1)
    service.start("trap '' TERM; echo armed; while :; do sleep 1000; done")
    eventually(lambda: service.log.exists() and "armed" in service.log.read_text(), "the trap set")
    pid = service.pid()
    service.supervised.end()
    assert not is_running(pid)
    (ended,) = [event for event in service.supervised.events() if event.kind == "ended"]
    assert ended.status == -signal.SIGKILL


def test_stamps_are_of_the_monotonic_clock_and_in_order(service: Bench) -> None:
    import time

    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    service.start("exec sleep 1000")
    service.pid()
    service.supervised.end()
    stamps = [event.at_ns for event in service.supervised.events()]
    assert [before, *stamps] == sorted([before, *stamps])
    assert stamps[-1] <= time.clock_gettime_ns(time.CLOCK_MONOTONIC)


def test_signals_blocked_in_the_harness_do_not_blind_the_supervisor(service: Bench) -> None:
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD, signal.SIGTERM])
    try:
        service.start("exec sleep 1000")
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
    first = service.pid()
    os.kill(first, signal.SIGTERM)
    eventually(lambda: "restarted" in service.kinds(), "a restart")
    assert not is_running(first)


def test_the_set_up_is_done_once_and_before_the_first_start(service: Bench) -> None:
    steps = (SetUpStep(("/bin/cat",), "one"), SetUpStep(("/bin/sh", "-c", "echo two $WORD")))
    service.start("echo up; exit 1", 1, set_up=steps, environment={"WORD": "three"})
    eventually(lambda: "gave_up" in service.kinds(), "giving up")
    assert service.words()[:4] == ["onetwo", "three", "up", "up"]
    assert service.kinds() == ["started", "died", "restarted", "died", "gave_up"]


def test_a_service_whose_set_up_fails_is_not_started(service: Bench) -> None:
    steps = (SetUpStep(("/bin/sh", "-c", "exit 3")), SetUpStep(("/bin/echo", "second")))
    service.start("echo up", set_up=steps)
    eventually(service.kinds, "an event")
    service.supervised.end()
    (failed, finished) = service.supervised.events()
    assert (failed.kind, failed.text) == ("failed", "was not set up: sh ended with 3")
    assert finished.kind == "finished"
    assert service.words() == []


def test_a_set_up_that_hangs_is_ended_with_the_rest(service: Bench) -> None:
    service.start("echo up", set_up=(SetUpStep(("/bin/sh", "-c", FORK)),))
    fork = int(service.said()[0])
    service.supervised.end()
    assert not is_running(fork)
    assert not service.data.path.exists()
    assert service.kinds() == ["finished"]


def test_a_service_is_ended_by_the_signal_of_its_choice(service: Bench) -> None:
    # A shell that runs the tests in the background has SIGQUIT ignored, and no shell may trap it then.
    service.start("trap 'exit 5' USR2; echo armed; sleep 1000 & wait", ending_signal="SIGUSR2")
    assert service.said() == ["armed"]
    service.supervised.end()
    assert [event.status for event in service.supervised.events() if event.kind == "ended"] == [5]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_service_that_runs_as_another_user_dies_with_its_supervisor(service: Bench) -> None:
    account = account_for_servers()
    assert account is not None
    identity = {"user_id": account.user_id, "group_id": account.group_id}
    service.start("echo $(id -u) $(id -g) $(id -G); exec sleep 1000", **identity)
    assert service.said(3) == [str(account.user_id), *[str(account.group_id)] * 2]
    pid = service.pid()
    assert service.supervised.pid is not None
    os.kill(service.supervised.pid, signal.SIGKILL)
    eventually(lambda: not is_running(pid), "the service gone with its supervisor")


def test_a_program_that_is_not_there_is_an_event_and_no_crash(tmp_path: Path, service: Bench) -> None:
    missing = ServiceCommand("service", ("/nowhere/server",), "/", str(service.log), 0.0, 0)
    service.supervised.start(missing, service.data)
    eventually(lambda: "gave_up" in service.kinds(), "giving up")
    assert service.kinds() == ["failed", "gave_up"]


def test_the_supervisor_needs_only_the_standard_library() -> None:
    import subprocess

    from bench.stack.supervisor import supervisor

    done = subprocess.run(
        [sys.executable, "-I", "-S", str(Path(supervisor.__file__).resolve())],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        cwd="/",
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
