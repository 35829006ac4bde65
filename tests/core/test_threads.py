"""Work in another thread: its result, its failure, and what happens when it takes too long."""

import os
import sys
import threading
from pathlib import Path

import pytest

from bench.core.threads import StillRunning, Work, ask_for_turns_of, within


def test_what_the_function_returns_is_the_result() -> None:
    assert within(10.0, "sum", lambda: 1 + 1) == 2
    assert within(10.0, "nothing", lambda: None) is None


def test_what_the_function_raises_is_raised_where_it_was_asked_for() -> None:
    with pytest.raises(ZeroDivisionError):
        within(10.0, "broken", lambda: 1 // 0)


def test_work_that_takes_longer_is_left_behind_and_goes_on() -> None:
    go_on, over = threading.Event(), threading.Event()

    def wait() -> None:
        go_on.wait()
        over.set()

    with pytest.raises(StillRunning):
        within(0.01, "slow", wait)
    go_on.set()
    assert over.wait(10.0)


def test_a_failure_is_kept_for_whoever_asks() -> None:
    work = Work("ends by itself", lambda: sys.exit(3))
    work.start()
    work.join()
    assert isinstance(work.failure, SystemExit)
    with pytest.raises(SystemExit):
        work.result()


SCHED = Path("/proc/thread-self/sched")


def turn_ns() -> int:
    """The length of a turn that the calling thread has."""
    return int(SCHED.read_text().partition("se.slice")[2].split()[1])


@pytest.mark.skipif(
    tuple(int(part) for part in os.uname().release.split(".")[:2]) < (6, 12) or not SCHED.exists(),
    reason="this kernel knows no turns of a thread's own, or does not show them",
)
def test_short_turns_are_those_of_the_thread_that_asks() -> None:
    before = turn_ns()
    assert within(10.0, "asks", lambda: (ask_for_turns_of(200_000), turn_ns())) == (True, 200_000)
    assert turn_ns() == before


def test_a_policy_that_somebody_chose_is_left_alone() -> None:
    def batch() -> tuple[bool, int]:
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
        return ask_for_turns_of(200_000), os.sched_getscheduler(0)

    assert within(10.0, "batch", batch) == (False, os.SCHED_BATCH)
