"""Watchers look on; they cannot disturb."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench.core.messages import Event
from bench.run.plugins import Observers, RunObserver


class Breaking:
    """Raises whatever it is told."""

    def __init__(self) -> None:
        self.calls = 0

    def __getattr__(self, name: str) -> Any:
        def method(*arguments: Any, **named: Any) -> None:
            self.calls += 1
            raise OSError("the collector is away")

        return method


class Listening(Breaking):
    """Keeps what it was told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return lambda *arguments, **named: self.told.append(name)


def test_a_watcher_that_raises_is_dropped_with_a_word_and_the_others_go_on() -> None:
    said: list[str] = []
    breaking, listening = Breaking(), Listening()
    both: list[RunObserver] = [breaking, listening]
    watchers = Observers(both, said.append)
    watchers.event(Event(at_ns=1, kind="phase"))
    watchers.ended(Path("run"), interrupted=False)
    assert breaking.calls == 1
    assert listening.told == ["event", "ended"]
    assert said == ["observer Breaking failed and was removed: OSError: the collector is away"]


def test_after_close_nobody_is_called_again() -> None:
    listening = Listening()
    only: list[RunObserver] = [listening]
    watchers = Observers(only)
    watchers.close()
    watchers.event(Event(at_ns=1, kind="phase"))
    assert listening.told == ["close"]
    assert not watchers
