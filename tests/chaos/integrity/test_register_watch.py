"""Clients of registers against real servers, in calm and through a kill."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from bench.stack.embedded import EmbeddedStack
from bench.stack.target import Target
from chaos.integrity import check
from chaos.integrity.check import Unreadable
from chaos.integrity.registers import INITIAL, RegisterWatch, has_fallen_back
from chaos.integrity.stores import RedisRegisters
from chaos.integrity.zones import NEVER, History, judge
from tests.chaos.integrity.brute_force import Op, history_of
from tests.helpers.waiting import eventually

LONGEST_S = 30.0


@pytest.fixture(scope="module")
def forgetful(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedStack]:
    """A Redis that writes nothing to disk."""
    settings = {"redis": {"appendonly": "no"}}
    with EmbeddedStack({"redis"}, tmp_path_factory.mktemp("logs"), settings) as stack:
        yield stack


def test_the_settings_of_the_server_are_those_that_were_asked_for(forgetful: EmbeddedStack) -> None:
    settings = forgetful.describe()[0].settings
    assert settings["appendonly"] == "no"
    assert settings["maxclients"] == "20000"


def test_a_redis_that_forgets_is_caught_by_its_registers(forgetful: EmbeddedStack) -> None:
    store = RedisRegisters(forgetful.targets()["redis"], "here", 2)
    watch = RegisterWatch(store, count=2, clients=3, every_ns=2_000_000, seed=1)
    watch.start()
    eventually(lambda: len(watch.operations) > 60, "it has asked")
    watch.stop()
    watch.read_finally()
    for register in range(2):
        assert judge(watch.history_of(register), INITIAL).count == 0
        assert not has_fallen_back(watch.history_of(register))
    os.kill(int(forgetful.describe()[0].pid), signal.SIGKILL)
    watch.read_finally()  # waits until it answers again
    store.remove()
    assert watch.failure is None
    for register in range(2):
        assert judge(watch.history_of(register), INITIAL).count > 0
        assert has_fallen_back(watch.history_of(register))


def test_registers_of_a_server_that_is_gone_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "ANSWER_S", 0.1)
    gone = Target("redis", "redis", "127.0.0.1", 1)
    watch = RegisterWatch(RedisRegisters(gone, "here", 1), count=1, clients=1, every_ns=1_000_000, seed=1)
    with pytest.raises(Unreadable, match="no answer for"):
        watch.read_finally()
    assert watch.operations == []  # what was never asked is no operation of unknown outcome


def history(*ops: tuple[int, int, int, bool]) -> History:
    return history_of([Op(*one) for one in ops])


def test_the_last_value_must_be_one_that_nothing_acknowledged_has_replaced() -> None:
    first, second = (0, 1, 1, True), (2, 3, 2, True)
    assert has_fallen_back(history(first, second, (4, 5, 1, False)))
    assert has_fallen_back(history(first, second, (4, 5, INITIAL, False)))
    assert not has_fallen_back(history(first, second, (4, 5, 2, False)))
    assert not has_fallen_back(history(first, (2, NEVER, 2, True), (4, 5, 1, False)))
    assert not has_fallen_back(history((0, 3, 1, True), (1, 3, 2, True), (4, 5, 1, False)))
    assert not has_fallen_back(history(first))
