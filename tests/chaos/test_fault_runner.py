"""The runner: each fault at its time, mended in any case, and nobody waits for what never comes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from bench.core.clock import monotonic_ns
from bench.core.errors import TargetError
from chaos.faults.fault import Fault, FaultContext, stamped
from chaos.journal import Journal, leftovers
from chaos.runner import SETTLE_NS, FaultExecution, FaultRunner
from chaos.schedule import FaultPlan, Proof, Timestamps
from chaos.undo import Nothing, Undo
from tests.chaos.conftest import BACK_S, S
from tests.helpers.waiting import eventually

MS = 1_000_000


class Scripted(Fault):
    """Does what it is told, and keeps what was asked of it."""

    how = "as told"

    def __init__(self, plan: FaultPlan, around: FaultContext, **told: Callable[[], Any]) -> None:
        super().__init__(plan, around)
        self.told = told
        self.calls: list[str] = []

    def _say(self, name: str) -> Any:
        self.calls.append(name)
        return self.told[name]() if name in self.told else None

    def aim(self) -> None:
        self._say("aim")

    def undo(self) -> Undo:
        return Nothing()

    def inject(self) -> Timestamps:
        asked = monotonic_ns()
        self._say("inject")
        return stamped(asked, monotonic_ns())

    def took_effect(self) -> Proof:
        self._say("took_effect")
        return Proof(True, "it broke")

    def heal(self) -> Timestamps | None:
        self._say("heal")
        return stamped(monotonic_ns())

    def lasted(self) -> Proof | None:
        found: Proof | None = self._say("lasted")
        return found

    def healed(self, deadline_s: float) -> Proof:
        return Proof(self.told.get("healed", lambda: True)(), "as told")


def was_played(act: FaultExecution) -> bool:
    lasts = act.fault.plan.for_ns is not None
    return act.missed is not None or (act.healing if lasts else act.broke) is not None


class Play:
    """A runner with scripted faults."""

    def __init__(self, around: FaultContext) -> None:
        self._around = around
        self.journal = Journal()
        self.faults: list[Fault] = []

    def add(self, at_ms: float, for_ms: float | None = None, **told: Callable[[], Any]) -> Scripted:
        number = len(self.faults)
        for_ns = None if for_ms is None else round(for_ms * MS)
        plan = FaultPlan(number, "nothing", "redis", round(at_ms * MS), for_ns, entry=number)
        self.faults.append(fault := Scripted(plan, self._around, **told))
        return fault

    def begin(self, duration_s: float = 1.0) -> FaultRunner:
        self.runner = FaultRunner(self.faults, self.journal, round(duration_s * S))
        self.start_ns = monotonic_ns()
        self.runner.begin(self.start_ns)
        return self.runner

    def whole(self) -> FaultRunner:
        """Until each fault was made and its time is over, or it was missed."""
        runner = self.begin()
        eventually(lambda: all(map(was_played, runner.acts)), "each fault was made or missed")
        runner.end()
        return runner


@pytest.fixture
def play(around: FaultContext) -> Iterator[Play]:
    play = Play(around)
    yield play
    play.runner.end()
    play.journal.close()


def kinds(runner: FaultRunner) -> list[tuple[int, str]]:
    return [(event.plan.number, event.kind) for event in runner.events]


def raising(error: BaseException) -> Callable[[], None]:
    def act() -> None:
        raise error

    return act


GONE = TargetError("redis", "here", "a process", "none", "wait")


def test_a_fault_is_made_at_its_time_proven_undone_at_its_end_and_proven_again(play: Play) -> None:
    fault = play.add(50, 50)
    runner = play.whole()
    (act,) = runner.acts
    assert fault.calls == ["aim", "inject", "took_effect", "heal", "lasted"]
    assert kinds(runner) == [
        (0, "fault_asked"),
        (0, "fault_effective"),
        (0, "fault_undone"),
        (0, "fault_healed"),
    ]
    assert act.broke is not None
    assert act.healing is not None
    assert act.broke.asked_ns >= play.start_ns + 50 * MS
    assert act.healing.asked_ns >= play.start_ns + 100 * MS
    assert act.healed is not None
    assert act.healed.holds
    play.journal.close()
    assert leftovers() == []


def test_a_fault_at_zero_is_made(play: Play) -> None:
    play.add(0)
    assert play.whole().acts[0].broke is not None


def test_a_fault_that_takes_its_time_makes_no_other_late(play: Play) -> None:
    held = threading.Event()
    play.add(10, inject=lambda: held.wait(BACK_S))
    play.add(11)
    runner = play.begin()
    eventually(lambda: runner.acts[1].healed is not None, "the second is healed")
    assert runner.acts[0].broke is None
    held.set()


def test_what_is_not_there_to_be_hit_is_missed_and_said(play: Play) -> None:
    fault = play.add(10, aim=raising(GONE))
    runner = play.whole()
    assert fault.calls == ["aim"]
    assert runner.acts[0].missed == str(GONE)
    assert kinds(runner) == [(0, "fault_missed")]


@pytest.mark.parametrize("error", [GONE, OSError("no room for a process")])
def test_what_fails_half_way_is_missed_mended_and_left_to_the_reaper(play: Play, error: Exception) -> None:
    fault = play.add(10, 1000, inject=raising(error), heal=raising(AttributeError("half made")))
    runner = play.whole()
    assert fault.calls == ["aim", "inject", "heal"]
    assert runner.acts[0].missed == str(error)
    assert runner.failure is None
    play.journal.close()
    (left,) = leftovers()
    assert [entry.undo for entry in left.entries.values()] == [Nothing()]


def test_a_journal_that_cannot_be_written_means_that_nothing_is_broken(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(play.journal, "intend", lambda *_: raising(OSError("No space left on device"))())
    fault = play.add(10)
    runner = play.whole()
    assert fault.calls == ["aim"]
    assert "No space left on device" in str(runner.acts[0].missed)


def test_the_end_of_a_run_mends_what_holds_and_makes_nothing_more(play: Play) -> None:
    holds, later = play.add(10, 60_000), play.add(50_000)
    runner = play.begin(duration_s=100)
    eventually(lambda: runner.acts[0].is_in_force, "it is in force")
    assert [act.fault.plan.number for act in runner.in_force] == [0]
    runner.end()
    runner.end()
    assert holds.calls.count("heal") == 1
    assert later.calls == []
    assert runner.in_force == []


def test_who_ends_a_run_early_does_not_wait_for_a_target_that_never_comes_back(play: Play) -> None:
    play.add(10, healed=lambda: False)
    runner = play.begin(duration_s=3600)
    eventually(lambda: runner.acts[0].effect is not None, "its effect is proven")
    begin_ns = monotonic_ns()
    runner.end()
    assert monotonic_ns() - begin_ns < SETTLE_NS + 20 * S
    (act,) = runner.acts
    assert act.healed is not None
    assert not act.healed.holds
    assert act.healed_ns is None
    assert (0, "fault_not_healed") in kinds(runner)


def test_one_that_is_healed_late_is_healed(play: Play) -> None:
    looks: list[int] = []
    play.add(10, healed=lambda: bool(looks.append(1)) or len(looks) > 3)
    runner = play.whole()
    (act,) = runner.acts
    assert act.healed is not None
    assert act.healed.holds


def test_what_did_not_last_is_noted(play: Play) -> None:
    play.add(10, 10, lasted=lambda: Proof(False, "it was gone"))
    (act,) = play.whole().acts
    assert act.lasted == Proof(False, "it was gone")


def test_a_failure_of_ours_is_told_to_the_session(play: Play) -> None:
    play.add(10, took_effect=raising(ZeroDivisionError()))
    runner = play.whole()
    assert isinstance(runner.failure, ZeroDivisionError)
