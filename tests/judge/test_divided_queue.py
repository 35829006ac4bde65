"""Workers divide the lanes: what waited for one, while another's may have been free, is not the target's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench.judge.judge import judge
from bench.judge.verdict import Check, Status
from tests.helpers.synthetic_run import MS, S, SyntheticRun

OK, DROPPED, TIMEOUT = (f"cache/get/response/{label}" for label in ("ok", "dropped", "timeout"))
SERVICE = "cache/get/service/ok"
WAITED = {OK: [(MS, 700), (500 * MS, 300)], SERVICE: [(MS, 1000)]}


def cut(count: int) -> dict[str, Any]:
    return {
        "workers": [
            {"name": f"w{number}", "workloads": {"cache": [number, count]}} for number in range(1, count + 1)
        ]
    }


def check_of(tmp_path: Path, rule: str, samples: dict[str, Any], workers: int = 2, **workload: Any) -> Check:
    given = {"lanes": 4, "pipeline": 1, "arrivals": "poisson"} | workload
    run = SyntheticRun(sla=[rule], samples=samples, workload=given, record=cut(workers) if workers else {})
    (check,) = [check for check in judge(run.load(tmp_path)).checks if check.is_rule]
    return check


@pytest.mark.parametrize(
    ("rule", "samples"),
    [
        ("cache.response.p95 < 100ms", WAITED),
        ("cache.response_ok.p95 < 100ms", WAITED),
        ("cache.errors < 1%", {OK: [(MS, 900)], SERVICE: [(MS, 900)], DROPPED: [(S, 100)]}),
        ("cache.dropped <= 5", {OK: [(MS, 900)], SERVICE: [(MS, 900)], DROPPED: [(S, 100)]}),
        ("cache.throughput >= 95/s", {OK: [(MS, 900)], SERVICE: [(MS, 900)], DROPPED: [(S, 100)]}),
    ],
)
def test_a_rule_that_breaks_by_waiting_for_a_lane_alone_is_inconclusive(
    tmp_path: Path, rule: str, samples: dict[str, Any]
) -> None:
    check = check_of(tmp_path, rule, samples)
    assert check.status is Status.INCONCLUSIVE
    assert "2 workers divide the lanes" in check.because
    assert check.advice == "run this workload on one worker, or with more lanes"
    for number, (workers, arrivals) in enumerate([(0, "poisson"), (1, "poisson"), (2, "closed")]):
        folder = tmp_path / str(number)
        assert check_of(folder, rule, samples, workers, arrivals=arrivals).status is Status.FAIL


def test_a_rule_that_holds_holds_because_one_queue_waits_no_longer(tmp_path: Path) -> None:
    assert check_of(tmp_path, "cache.response.p95 < 1s", WAITED).status is Status.PASS


def test_a_target_that_is_slow_or_loses_requests_fails_with_workers_too(tmp_path: Path) -> None:
    slow = {OK: [(500 * MS, 1000)], SERVICE: [(400 * MS, 1000)]}
    assert check_of(tmp_path / "a", "cache.response.p95 < 100ms", slow, lanes=400).status is Status.FAIL
    lost = {OK: [(MS, 800)], SERVICE: [(MS, 800)], DROPPED: [(S, 100)], TIMEOUT: [(S, 100)]}
    assert check_of(tmp_path / "b", "cache.errors < 1%", lost).status is Status.FAIL


def test_lanes_that_were_full_everywhere_leave_no_excuse(tmp_path: Path) -> None:
    """4 lanes, 10 s, 1000 answers of 38 ms: 95 % of their time."""
    overload = {OK: [(2 * S, 1000)], SERVICE: [(38 * MS, 1000)]}
    assert check_of(tmp_path / "a", "cache.response.p95 < 1s", overload).status is Status.FAIL
    half = {OK: [(2 * S, 500)], SERVICE: [(38 * MS, 500)]}
    assert check_of(tmp_path / "b", "cache.response.p95 < 1s", half).status is Status.INCONCLUSIVE
