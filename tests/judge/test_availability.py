"""Availability is that of planned time: what ended later, and what ended nowhere, count there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.core import histogram
from bench.core.outcome import OUTCOMES, Outcome
from bench.judge.judge import judge
from bench.judge.verdict import Check
from bench.results import layout
from bench.results.layout import run_name
from bench.results.logs import OPERATION
from bench.results.reader import Run
from bench.results.writer import RunWriter
from tests.helpers.run_records import record_of

S = 1_000_000_000
MS = 1_000_000


class Ends:
    """What ended in which second: (second, kind, outcome, value in ns, how often)."""

    def __init__(self, seconds: int, *ends: tuple[int, str, str, int, int]) -> None:
        self.seconds, self.ends = seconds, ends

    def write(self, out: Path, rules: list[str], log: np.ndarray | None = None) -> list[Check]:
        phase = {"name": "s", "measured": True, "start_ns": 0, "end_ns": self.seconds * S}
        phases = [phase | {"cycles": None, "rest": None}]
        outcomes = {one.label: 0 for one in OUTCOMES}
        with RunWriter(out, run_name("x")) as writer:
            writer.outline(record_of({"phases": phases}))
            for second, kind, outcome, value_ns, count in self.ends:
                counts = histogram.empty()
                counts[histogram.bucket_of(value_ns)] = count
                writer.histogram(f"cache/get/{kind}/{outcome}", second * S, (second + 1) * S, counts)
                if kind == "response":
                    outcomes[outcome] += count
            planned = sum(outcomes.values())
            row = {"operation": "get", "phase": "s", "measured": True}
            counted = [row | {"planned": planned, "outcomes": outcomes}]
            workload: dict[str, Any] = {"name": "cache", "driver": "redis", "operations": ["get"]}
            workload |= {"counts": counted, "counters": {}, "errors": []}
            record = {
                "scenario": {"name": "x"}, "sla": rules, "phases": phases, "duration_ns": self.seconds * S,
                "measured_ns": self.seconds * S, "workloads": [workload],
                "totals": {"planned": planned, "outcomes": outcomes}, "anomalies": [],
            }  # fmt: skip
            path = writer.finish(record_of(record))
        if log is not None:
            np.save(path / layout.OPERATIONS, log)
        return [check for check in judge(Run.load(path)).checks if check.is_rule]


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
