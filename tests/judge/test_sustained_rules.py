"""A rule with a duration is broken by so long a time in a row, and by nothing shorter."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.judge.judge import judge
from bench.judge.sustained import Slices
from bench.judge.verdict import Status
from tests.helpers.synthetic_run import SyntheticRun, resource_rows
from tests.judge.checks import MS, OK, Ends, S

SLOW = 200 * MS


def answered(seconds: range, took_ns: int = MS, each: int = 100) -> list[tuple[int, str, str, int, int]]:
    return [(second, "response", "ok", took_ns, each) for second in seconds]


def failed(seconds: range, each: int = 100) -> list[tuple[int, str, str, int, int]]:
    """Lost after a deadline of 100 ms."""
    return [(second, "response", "timeout", 100 * MS, each) for second in seconds]


def test_errors_for_as_long_as_the_rule_says_break_it(tmp_path: Path) -> None:
    run = Ends(60, *answered(range(20)), *failed(range(20, 32)), *answered(range(32, 60)))
    (check,) = run.write(tmp_path, ["cache.errors < 5% for 10s"])
    assert (check.status, check.observed, check.samples) == (Status.FAIL, 1, 1000)
    assert "it broke 5% for 12 s in a row at the longest, from 20 s on" in check.because
    assert (check.metric, check.interval, check.method) == ("cache.errors for 10s", (1, 1), "counted")


def test_the_same_errors_in_shorter_stretches_do_not(tmp_path: Path) -> None:
    """Nine seconds, a good one, and nine more: more errors in all, and never ten seconds of them."""
    ends = [*answered(range(10)), *failed(range(10, 19)), *answered(range(19, 20))]
    ends += [*failed(range(20, 29)), *answered(range(29, 60))]
    (sustained,) = Ends(60, *ends).write(tmp_path, ["cache.errors < 5% for 10s"])
    assert (sustained.status, sustained.observed) == (Status.PASS, 0)
    assert "it broke 5% for 9 s in a row at the longest, from 10 s on" in sustained.because


def test_a_warning_level_that_was_kept_for_so_long_warns(tmp_path: Path) -> None:
    some = [(second, "response", "timeout", 100 * MS, 4) for second in range(30, 45)]
    run = Ends(60, *answered(range(30)), *some, *answered(range(30, 45), each=96), *answered(range(45, 60)))
    (check,) = run.write(tmp_path, ["cache.errors < 5% warn 3% for 10s"])
    assert (check.status, check.observed) == (Status.WARN, pytest.approx(0.04))


def test_losses_count_where_they_were_planned(tmp_path: Path) -> None:
    """Planned from 20 s to 30 s, lost 20 s later, among answers to what was planned then."""
    spread = [(second, "response", "timeout", 20 * S, 100) for second in range(40, 50)]
    rule = ["cache.errors < 5% for 10s"]
    (check,) = Ends(60, *answered(range(20)), *spread, *answered(range(30, 60))).write(tmp_path, rule)
    assert (check.status, check.observed) == (Status.FAIL, pytest.approx(1.0))


def test_slow_answers_of_a_stretch_break_a_percentile(tmp_path: Path) -> None:
    run = Ends(60, *answered(range(40)), *answered(range(40, 52), SLOW), *answered(range(52, 60)))
    broken, held = run.write(tmp_path, ["cache.response.p95 < 100ms for 10s", "response.p95 < 100ms for 15s"])
    assert broken.status is Status.FAIL
    assert broken.observed == pytest.approx(SLOW, rel=0.01)
    assert held.status is Status.PASS
    assert held.observed == pytest.approx(MS, rel=0.01)


def test_a_throughput_that_stays_too_low_breaks_its_rule(tmp_path: Path) -> None:
    run = Ends(60, *answered(range(30)), *answered(range(30, 45), each=10), *answered(range(45, 60)))
    broken, held = run.write(tmp_path, ["throughput >= 50/s for 10s", "throughput >= 50/s for 20s"])
    assert (broken.status, broken.observed) == (Status.FAIL, 10)
    assert (held.status, held.observed) == (Status.PASS, 100)


def test_a_stretch_with_too_few_arrivals_is_no_evidence(tmp_path: Path) -> None:
    (check,) = Ends(60, *failed(range(60), each=1)).write(tmp_path, ["cache.errors < 60% for 3s"])
    assert check.status is Status.INCONCLUSIVE
    assert "needed" in check.because
    assert "after for" in (check.advice or "")


def test_a_run_shorter_than_the_duration_cannot_tell(tmp_path: Path) -> None:
    (check,) = Ends(60, *answered(range(60))).write(tmp_path, ["cache.errors < 5% for 2min"])
    assert (check.status, check.observed, check.interval) == (Status.INCONCLUSIVE, None, None)


def test_memory_and_cpu_have_sustained_rules(tmp_path: Path) -> None:
    """100 MB more for the last three seconds but one; the processor busy from second 4 to 8."""
    rows = resource_rows("redis", lambda at_s: 150e6 if 7 <= at_s < 10 else 50e6)
    for row in rows:
        at_s = row["at_ns"] / S
        row["cpu_s"] = round(0.2 * at_s + 1.6 * min(max(at_s - 4, 0), 4), 3)
    rules = ["redis.memory_growth < 80MB for 2s", "redis.memory_growth < 80MB for 5s"]
    rules += ["redis.cpu < 80% for 3s", "redis.cpu < 80% for 6s"]
    run = SyntheticRun(sla=rules, samples={OK: [(MS, 1000)]}, resources=rows).load(tmp_path)
    grown, held, busy, calm = (check for check in judge(run).checks if check.is_rule)
    assert (grown.status, held.status) == (Status.FAIL, Status.PASS)
    assert grown.observed == pytest.approx(100e6)
    assert (busy.status, calm.status) == (Status.FAIL, Status.PASS)
    assert busy.observed == pytest.approx(0.9, abs=0.01)


def test_a_gap_in_the_measured_time_ends_a_stretch() -> None:
    starts, ends = np.array([0, S, 5 * S, 6 * S]), np.array([S, 2 * S, 6 * S, 7 * S])
    slices = Slices(starts, ends, np.array([1.0, 1.0, 1.0, 0.0]))
    assert slices.worst(3 * S, "<") is None
    assert slices.longest(lambda value: value > 0) == (0, 2 * S)


@given(
    st.lists(st.one_of(st.just(float("nan")), st.integers(0, 5).map(float)), min_size=1, max_size=25),
    st.integers(1, 8),
    st.sampled_from(["<", ">"]),
)
def test_the_worst_stretch_is_that_of_all_stretches_compared(
    values: list[float], length: int, op: str
) -> None:
    edges = np.arange(len(values) + 1) * S
    found = Slices(edges[:-1], edges[1:], np.array(values)).worst(length * S, op)
    kept = []
    for first in range(len(values) - length + 1):
        known = [value for value in values[first : first + length] if not math.isnan(value)]
        kept += [min(known) if op == "<" else max(known)] if known else []
    expected = (max(kept) if op == "<" else min(kept)) if kept else None
    assert (found.value if found else None) == expected
