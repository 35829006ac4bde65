"""What every fault on a process promises: it says what it did, proves it, and leaves nothing behind."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from bench.core.clock import monotonic_ns
from bench.core.errors import TargetError
from bench.stack.embedded import EmbeddedStack
from bench.stack.supervisor.processes import ProcessIdentity
from chaos.faults.fault import Fault, FaultContext
from chaos.processes import are_stopped
from tests.chaos.conftest import BACK_S, S
from tests.helpers.processes import child_process
from tests.helpers.waiting import eventually

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Case:
    kind: str
    target: str = "redis"
    for_ns: int | None = None
    settings: tuple[tuple[str, object], ...] = ()

    def __str__(self) -> str:
        return f"{self.kind}-{self.target}"


STAYS = 20 * S  # far longer than a test: whatever ends it, it is not its own time
CASES = [
    Case("nothing"),
    Case("kill"),
    Case("kill", "postgres"),
    Case("crash"),
    Case("crash", "postgres"),
    Case("stop", for_ns=STAYS),
    Case("stop", "postgres", for_ns=STAYS),
    Case("restart"),
    Case("restart", "postgres"),
    Case("pause", for_ns=STAYS),
    Case("pause", "postgres", for_ns=STAYS),
    Case("cpu", for_ns=STAYS, settings=(("load", 0.5),)),
    Case("memory", for_ns=STAYS, settings=(("bytes", 20_000_000),)),
    Case("io", for_ns=STAYS, settings=(("bytes", 1_000_000),)),
    Case("exhaust_connections", for_ns=STAYS, settings=(("keep", 3),)),
    Case("exhaust_connections", "postgres", for_ns=STAYS, settings=(("keep", 3),)),
]
Make = Callable[..., Fault]


def is_left_to_others(case: Case) -> bool:
    """One of each way to be undone; Postgres takes its time, and only its pause has many processes."""
    return case.target == "redis" or case.kind == "pause"


def made(make: Make, case: Case) -> Fault:
    fault = make(case.kind, case.target, case.for_ns, **dict(case.settings))
    fault.check()
    fault.aim()
    return fault


def assert_as_before(around: FaultContext, target: str) -> None:
    """The target answers, nothing of the stack is stopped, and there are no other processes or files."""
    eventually(lambda: around.answers(target), "the target answers")
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):  # it has just ended
            assert process.status() != psutil.STATUS_STOPPED
            assert "stressor" not in " ".join(process.cmdline())
    assert not list(Path(tempfile.gettempdir()).glob("holdfast-io-*"))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_fault_takes_effect_by_its_proof_and_is_healed_by_its_proof(
    make: Make, around: FaultContext, case: Case
) -> None:
    fault = made(make, case)
    before_ns = monotonic_ns()
    broke = fault.inject()
    assert before_ns <= broke.asked_ns <= broke.returned_ns <= monotonic_ns()
    if broke.effective_ns is not None:
        assert broke.asked_ns <= broke.effective_ns <= monotonic_ns()
    effect = fault.took_effect()
    assert effect.holds, effect.text
    mended = fault.heal()
    assert (mended is not None) == (case.for_ns is not None or case.kind == "nothing")
    healed = fault.healed(BACK_S)
    assert healed.holds, healed.text
    assert fault.how
    assert_as_before(around, case.target)


@pytest.mark.parametrize("case", [case for case in CASES if is_left_to_others(case)], ids=str)
def test_what_is_noted_in_the_journal_undoes_it_and_undoing_twice_or_early_is_harmless(
    make: Make, around: FaultContext, case: Case
) -> None:
    fault = made(make, case)
    undo = fault.undo()
    assert undo.heal() is None  # before it was made: a harness that died in between
    fault.inject()
    # As the watchdog does it: another process, which knows nothing but the entry.
    text = (
        "import json,sys; from chaos.undo import read_undo; sys.exit(read_undo(json.load(sys.stdin)).heal())"
    )
    other = subprocess.run(
        [sys.executable, "-c", text], input=json.dumps(undo.to_json()), text=True, cwd=ROOT
    )
    assert other.returncode == 0
    assert undo.heal() is None
    fault.heal()
    assert fault.healed(BACK_S).holds
    assert fault.heal() is None or fault.healed(BACK_S).holds
    assert_as_before(around, case.target)


def test_a_paused_family_is_stopped_to_its_last_process(make: Make, around: FaultContext) -> None:
    fault = made(make, Case("pause", "postgres", STAYS))
    pid = around.pid("postgres")
    assert pid is not None
    family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    assert len(family) > 3
    fault.inject()
    try:
        assert {one.status() for one in family} == {psutil.STATUS_STOPPED}
        assert not around.answers("postgres")
    finally:
        fault.heal()
    assert fault.healed(BACK_S).holds


def test_an_undo_lets_processes_go_on_that_were_forked_after_it_was_noted(make: Make) -> None:
    from chaos.undo import ContinueProcesses

    program = (
        "import subprocess, sys\n"
        "sys.stdin.readline()\n"
        "child = subprocess.Popen(['sleep', '1000'])\n"
        "print(child.pid, flush=True)\n"
        "child.wait()\n"
    )
    with child_process(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        from bench.stack.supervisor.processes import ProcessIdentity

        identity = ProcessIdentity.of(parent.pid)
        assert identity is not None
        entry = ContinueProcesses((identity,))
        assert parent.stdin is not None
        assert parent.stdout is not None
        parent.stdin.write("\n")
        parent.stdin.flush()
        child = psutil.Process(int(parent.stdout.readline()))
        for one in (psutil.Process(parent.pid), child):
            one.suspend()
        eventually(lambda: child.status() == psutil.STATUS_STOPPED, "a child is stopped")
        assert entry.heal() is None
        assert child.status() != psutil.STATUS_STOPPED
        child.kill()


def test_a_kill_of_what_is_down_says_so(make: Make, stack: EmbeddedStack, around: FaultContext) -> None:
    service = stack.service("redis")
    assert service is not None
    service.hold()
    eventually(lambda: around.pid("redis") is None, "the server is gone")
    try:
        with pytest.raises(TargetError, match="it is down already"):
            make("kill").aim()
    finally:
        service.release()
    eventually(lambda: around.answers("redis"), "the target answers")


def test_a_pause_shorter_than_a_look_is_proven_all_the_same(make: Make) -> None:
    fault = made(make, Case("pause", for_ns=1))
    fault.inject()
    fault.heal()
    assert fault.healed(BACK_S).holds
    assert fault.took_effect().holds


@pytest.mark.parametrize("target", ["redis", "postgres"])
def test_nearly_all_connections_are_taken_and_the_kept_ones_are_left(
    make: Make, around: FaultContext, target: str
) -> None:
    fault = made(make, Case("exhaust_connections", target, STAYS, (("keep", 0),)))
    fault.inject()
    try:
        assert fault.took_effect().holds
        assert not around.answers(target)
    finally:
        fault.heal()
    assert fault.healed(BACK_S).holds


def test_a_burner_that_could_not_do_its_work_is_no_effect(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    fault = made(make, Case("io", for_ns=STAYS, settings=(("bytes", 1000),)))
    monkeypatch.setattr(tempfile, "tempdir", "/proc/self")  # where nobody can make a file
    fault.inject()
    assert not fault.took_effect().holds
    fault.heal()
    assert fault.healed(BACK_S).holds


REFUSED = [
    (Case("disconnect", for_ns=S), "a container, whose network can be taken away"),
    (Case("disk_full", for_ns=S), "expected a "),
    (Case("memory", for_ns=S, settings=(("bytes", 10**15),)), "the kernel would choose whom to kill"),
    (Case("io", for_ns=S, settings=(("bytes", 10**15),)), "ask for less"),
]


@pytest.mark.parametrize(("case", "words"), REFUSED, ids=lambda one: str(one)[:20])
def test_what_cannot_be_done_here_is_refused_with_the_reason(make: Make, case: Case, words: str) -> None:
    with pytest.raises(TargetError, match=words):
        make(case.kind, case.target, case.for_ns, **dict(case.settings)).check()


def test_a_process_counts_as_stopped_while_a_signal_holds_it(sleeper: psutil.Process) -> None:
    identity = ProcessIdentity.of(sleeper.pid)
    assert identity is not None
    assert not are_stopped([identity])
    sleeper.suspend()
    eventually(lambda: are_stopped([identity]), "it is stopped")
    sleeper.resume()
    eventually(lambda: not are_stopped([identity]), "it goes on")


def test_a_burner_that_somebody_kills_did_not_last(make: Make) -> None:
    fault = made(make, Case("cpu", for_ns=STAYS, settings=(("load", 0.1),)))
    fault.inject()
    stressors = [one for one in psutil.Process().children() if "stressor" in " ".join(one.cmdline())]
    stressors[0].kill()
    eventually(lambda: stressors[0].status() == psutil.STATUS_ZOMBIE, "a stressor has ended")
    fault.heal()
    lasted = fault.lasted()
    assert lasted is not None
    assert not lasted.holds
    assert fault.healed(BACK_S).holds


def test_a_pause_that_somebody_else_ends_did_not_last(make: Make, around: FaultContext) -> None:
    fault = made(make, Case("pause", for_ns=STAYS))
    fault.inject()
    psutil.Process(around.pid("redis")).resume()
    eventually(lambda: around.answers("redis"), "the target answers")
    fault.heal()
    lasted = fault.lasted()
    assert lasted is not None
    assert not lasted.holds
    assert fault.healed(BACK_S).holds
