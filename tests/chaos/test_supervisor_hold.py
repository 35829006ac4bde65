"""`hold` and `release`: an ordered end that is no death, and a start when it is wanted."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.stack.services.files import DataDirectory
from bench.stack.supervisor.supervised import ServiceCommand, Supervised
from tests.helpers.waiting import eventually

ORDERLY = "trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.01; done"
STUBBORN = "trap '' TERM; echo up; while :; do sleep 0.01; done"


class Service:
    """A shell script under a supervisor that restarts it after an hour: only `release` is quicker."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "log"
        self._data = DataDirectory().create()
        self.supervised = Supervised(folder / "events.jsonl")

    def start(self, script: str) -> None:
        directory = str(self._data.path)
        command = ServiceCommand("it", ("/bin/sh", "-c", script), directory, str(self.log), 3600.0)
        self.supervised.start(command, self._data)
        self.await_kinds("started")
        eventually(lambda: "up" in self.words(), "it is up")

    def words(self) -> list[str]:
        return self.log.read_text().split() if self.log.exists() else []

    def kinds(self) -> list[str]:
        return [event.kind for event in self.supervised.events()]

    def await_kinds(self, *kinds: str) -> None:
        eventually(lambda: self.kinds() == list(kinds), lambda: f"{kinds}, but {self.kinds()}")

    def close(self) -> None:
        self.supervised.end()
        self._data.remove()


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    one = Service(tmp_path)
    yield one
    one.close()


def test_a_held_service_ends_in_order_and_stays_down_until_it_is_released(service: Service) -> None:
    service.start(ORDERLY)
    service.supervised.order("hold")
    service.await_kinds("started", "ended")
    assert service.words()[-1] == "bye"
    assert service.supervised.service_pid() is None
    service.supervised.order("release")
    service.await_kinds("started", "ended", "restarted")
    assert service.supervised.service_pid() is not None


def test_a_restart_is_an_end_and_a_start_at_once_and_no_death(service: Service) -> None:
    service.start(ORDERLY)
    for number in range(1, 4):
        service.supervised.order("hold")
        service.supervised.order("release")
        service.await_kinds("started", *["ended", "restarted"] * number)
        eventually(lambda up=number + 1: service.words().count("up") == up, "it is up again")


def test_one_that_does_not_end_by_itself_is_killed_after_its_grace_and_comes_back(service: Service) -> None:
    service.start(STUBBORN)
    service.supervised.order("hold")
    service.supervised.order("hold")  # again: neither a second grace nor a second end
    service.supervised.order("release")
    service.await_kinds("started", "ended", "restarted")
    events = service.supervised.events()
    assert events[1].status == -signal.SIGKILL


def test_a_release_without_a_hold_does_nothing(service: Service) -> None:
    service.start(ORDERLY)
    service.supervised.order("release")
    service.supervised.order("nonsense")
    service.supervised.order("hold")
    service.await_kinds("started", "ended")
    service.supervised.order("release")
    service.supervised.order("release")
    service.await_kinds("started", "ended", "restarted")


def test_a_death_after_a_release_is_a_death_again(service: Service) -> None:
    service.start(ORDERLY)
    service.supervised.order("hold")
    service.supervised.order("release")
    service.await_kinds("started", "ended", "restarted")
    pid = service.supervised.service_pid()
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    service.await_kinds("started", "ended", "restarted", "died")


def test_one_that_waits_for_its_restart_can_be_released_at_once(service: Service) -> None:
    service.start(ORDERLY)
    pid = service.supervised.service_pid()
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    service.await_kinds("started", "died")
    service.supervised.order("hold")
    service.supervised.order("release")
    service.await_kinds("started", "died", "restarted")


def test_a_stopped_service_can_be_held(service: Service) -> None:
    service.start(ORDERLY)
    pid = service.supervised.service_pid()
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    service.await_kinds("started", "stopped")
    service.supervised.order("hold")
    eventually(lambda: service.kinds()[-1] == "ended", "it has ended")


def test_a_service_that_is_to_be_kept_down_dies_without_a_restart_until_it_is_released(
    service: Service,
) -> None:
    service.start("echo up; exec sleep 3600")
    service.supervised.order("keep_down")
    pid = service.supervised.service_pid()
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    service.await_kinds("started", "died")
    service.supervised.order("release")
    service.await_kinds("started", "died", "restarted")


def test_one_that_has_just_died_is_kept_down_too(service: Service) -> None:
    service.start("echo up; exec sleep 3600")
    pid = service.supervised.service_pid()
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    service.await_kinds("started", "died")
    service.supervised.order("keep_down")
    service.supervised.order("release")
    service.await_kinds("started", "died", "restarted")
