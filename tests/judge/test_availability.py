"""Availability is that of planned time: what ended later, and what ended nowhere, count there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench.core.outcome import Outcome
from bench.results.logs import OPERATION
from tests.judge.checks import MS, Ends, S


def test_a_target_that_hangs_longer_than_the_window_was_not_available_in_it(tmp_path: Path) -> None:
    """100/s for 60 s; those planned from 20 s to 30 s end as timeouts from 30 s to 40 s."""
    answered = [(second, "response", "ok", MS, 100) for second in range(60) if not 20 <= second < 30]
    timeouts = [(second, "response", "timeout", 10 * S, 100) for second in range(30, 40)]
    rules = [f"cache.availability(window={length}) >= 60%" for length in ("10s", "30s", "60s")]
    short, middle, whole = Ends(60, *answered, *timeouts).write(tmp_path, rules)
    assert short.observed == 0
    assert middle.observed == pytest.approx(2 / 3)
    assert whole.observed == pytest.approx(50 / 60)


def test_time_in_which_nothing_ended_is_time(tmp_path: Path) -> None:
    """One arrival every 5 s for 300 s; the last minute's fail."""
    fine = [(at, "response", "ok", MS, 1) for at in range(0, 240, 5)]
    lost = [(at, "response", "timeout", 100 * MS, 1) for at in range(240, 300, 5)]
    (check,) = Ends(300, *fine, *lost).write(tmp_path, ["cache.availability(window=60s) >= 75%"])
    assert check.observed == 0


@pytest.mark.parametrize("kept", [True, False])
def test_an_error_counts_when_it_came_and_not_a_deadline_before(tmp_path: Path, kept: bool) -> None:
    """It is charged the deadline of 10 s; the service time, where it was kept, is 1 ms."""
    answered = [(second, "response", "ok", MS, 100 if second < 50 else 90) for second in range(60)]
    errors = [(second, "response", "error", 10 * S, 10) for second in range(50, 60)]
    if kept:
        errors += [(second, "service", "error", MS, 10) for second in range(50, 60)]
    rules = ["cache.availability(window=10s) >= 95%", "cache.availability(window=20s) >= 90%"]
    short, long = Ends(60, *answered, *errors).write(tmp_path, rules)
    assert short.observed == pytest.approx(0.9)
    assert long.observed == pytest.approx(0.95)


def test_the_operation_log_says_it_exactly(tmp_path: Path) -> None:
    """10/s for 10 s; those planned from 2.5 s to 3.5 s are lost, however late that was noted."""
    log = np.zeros(100, dtype=OPERATION)
    log["planned_ns"] = np.arange(100) * S // 10
    lost = (log["planned_ns"] >= 2.5 * S) & (log["planned_ns"] < 3.5 * S)
    log["outcome"] = np.where(lost, Outcome.DROPPED, Outcome.OK)
    ends = [(0, "response", "ok", MS, 90), (9, "response", "dropped", S, 10)]
    rules = ["cache.availability(window=1s) >= 95%", "cache.get.availability(window=2s) >= 90%"]
    one, two = Ends(10, *ends).write(tmp_path, rules, log)
    assert one.observed == 0
    assert two.observed == pytest.approx(0.5)
