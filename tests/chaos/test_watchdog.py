"""The watchdog heals what a killed harness leaves."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil

from bench.stack.supervisor.processes import own_entry
from chaos.journal import (
    Journal,
    leftovers,
)
from chaos.watchdog import Watchdog
from tests.chaos.journals_left import ended, harness, intent, is_stopped, left_by_the_dead, paused
from tests.helpers.waiting import eventually


def test_the_reaper_undoes_what_a_killed_harness_leaves(sleeper: psutil.Process) -> None:
    process, watchdog = harness(paused(sleeper))
    assert is_stopped(sleeper)
    ended(process)
    eventually(lambda: not is_stopped(sleeper), "the process goes on")
    eventually(lambda: not psutil.pid_exists(watchdog), "the watchdog has ended")
    assert leftovers() == []


def test_who_ends_the_harness_and_its_group_does_not_reach_the_reaper(
    sleeper: psutil.Process,
) -> None:
    process, watchdog = harness(paused(sleeper))
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        os.kill(watchdog, number)
    assert psutil.Process(watchdog).status() != psutil.STATUS_ZOMBIE
    assert os.getsid(watchdog) == watchdog
    ended(process)
    eventually(lambda: not is_stopped(sleeper), "the process goes on")


def test_with_reaper_and_harness_killed_bench_heal_repairs(sleeper: psutil.Process) -> None:
    process, watchdog = harness(paused(sleeper))
    psutil.Process(watchdog).kill()
    ended(process)
    assert is_stopped(sleeper)
    assert len(leftovers()) == 1
    for expected in ("healed: pause\n", "nothing to heal: no fault is left from any run\n"):
        command = [sys.executable, "-m", "bench", "heal"]
        done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2])
        assert (done.returncode, done.stdout) == (0, expected)
    assert not is_stopped(sleeper)


def test_a_reaper_whose_journal_is_gone_has_nothing_to_do() -> None:
    journal = Journal()
    watchdog = Watchdog(journal.path)
    journal.close()
    watchdog.close()
    watchdog.close()


def test_what_is_still_open_when_the_harness_ends_in_order_is_undone_before_it_goes_on(
    sleeper: psutil.Process,
) -> None:
    journal = Journal()
    watchdog = Watchdog(journal.path)
    journal.intend("pause", paused(sleeper))
    journal.close()
    watchdog.close()
    assert not is_stopped(sleeper)
    assert leftovers() == []


def test_bench_heal_tells_what_it_undid_and_names_what_it_could_not_with_exit_code_6(
    journals: Path, sleeper: psutil.Process
) -> None:
    gone = own_entry() | {"pid": os.getpid(), "start_ticks": 1}
    skipped = {"way": "continue_processes", "processes": [gone]}
    entries = [
        intent(paused(sleeper), "1"),
        intent(skipped, "2", "pause of postgres"),
        intent({"way": "of the future"}, "3", "a flood of api"),
    ]
    left_by_the_dead(journals, *entries)
    command = [sys.executable, "-m", "bench", "heal"]
    for told in (["skipped: pause of postgres: process", "healed: a pause"], []):
        done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2])
        assert done.returncode == 6
        lines = done.stdout.splitlines()
        assert len(lines) == len(told)
        assert all(line.startswith(words) for line, words in zip(lines, told, strict=True))
        assert (
            "not healed: a flood of api: this version does not know how to undo 'of the future'"
            in done.stderr
        )
        assert "Traceback" not in done.stderr
    assert not is_stopped(sleeper)
