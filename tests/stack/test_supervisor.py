"""The supervisor with small programs in the place of servers."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness_process import eventually, is_running

from bench.stack.data_directory import DataDirectory
from bench.stack.supervised import ServiceCommand, Supervised


class Bench:
    """A supervisor with one service, a shell script."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "service.log"
        self.data = DataDirectory()
        self.supervised = Supervised(folder / "events.jsonl")

    def start(self, script: str, restarts_per_minute: int = 10) -> None:
        command = ("/bin/sh", "-c", script)
        service = ServiceCommand(
            "service", command, str(self.data.path), str(self.log), 0.0, restarts_per_minute
        )
        self.supervised.start(service, self.data)

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


def test_the_forks_of_a_dead_service_are_killed_with_it(service: Bench) -> None:
    service.start("sleep 1000 & echo $!; exec sleep 1000", restarts_per_minute=0)
    fork = int(eventually(lambda: service.log.exists() and service.log.read_text().strip(), "the fork's id"))
    os.kill(service.pid(), signal.SIGKILL)
    eventually(lambda: not is_running(fork), "the fork gone with the service")


def test_the_forks_of_a_service_are_killed_when_the_supervisor_was(service: Bench) -> None:
    service.start("sleep 1000 & echo $!; exec sleep 1000")
    fork = int(eventually(lambda: service.log.exists() and service.log.read_text().strip(), "the fork's id"))
    pid = service.pid()
    assert service.supervised.pid is not None
    os.kill(service.supervised.pid, signal.SIGKILL)
    service.supervised.end()
    assert not is_running(fork)
    assert not is_running(pid)


def test_a_service_that_ignores_the_request_to_end_is_killed(
    service: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.stack.supervised.GRACE_S", 0.1)
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


def test_a_program_that_is_not_there_is_an_event_and_no_crash(tmp_path: Path, service: Bench) -> None:
    missing = ServiceCommand("service", ("/nowhere/server",), "/", str(service.log), 0.0, 0)
    service.supervised.start(missing, service.data)
    eventually(lambda: "gave_up" in service.kinds(), "giving up")
    assert service.kinds() == ["failed", "gave_up"]


def test_the_supervisor_needs_only_the_standard_library() -> None:
    import subprocess

    from bench.stack import supervisor

    done = subprocess.run(
        [sys.executable, "-I", "-S", str(Path(supervisor.__file__).resolve())],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        cwd="/",
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
