"""Work in another thread: its result, its failure, and what happens when it takes too long."""

import sys
import threading

import pytest

from bench.core.threads import StillRunning, Work, within


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
