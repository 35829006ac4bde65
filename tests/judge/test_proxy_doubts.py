"""What the fault proxy lost is no FAIL of the target, and what the target lost is not excused by it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench.judge.judge import judge
from bench.judge.measures import floor_ns
from bench.judge.verdict import Check, Status
from bench.report.context import generator
from bench.report.html.run_details import generator as page_part
from tests.helpers.synthetic_run import MS, SyntheticRun

OK, LOST = "cache/get/response/ok", "cache/get/response/timeout"
GRID = [10_000 << power for power in range(21)]


def proxy(*late: tuple[int, int], busy: float = 0.2, **more: Any) -> dict[str, Any]:
    """The record of one before Redis whose reads were so late, so many times."""
    longest = max(ns for ns, _ in late)
    return {
        "target": "redis",
        "ended": None,
        "busy_ratio": busy,
        "lateness_ns": {"p50": late[0][0], "p99": longest, "mean": late[0][0], "max": longest},
        "later_than": [[ns, sum(count for by_ns, count in late if by_ns > ns)] for ns in GRID],
        **more,
    }


def checked(
    folder: Path, rule: str, samples: dict[str, list[tuple[int, int]]], *proxies: dict[str, Any]
) -> Check:
    run = SyntheticRun(sla=[rule], samples=samples, record={"proxies": list(proxies)})
    (check,) = judge(run.load(folder)).checks
    return check


SLOW = {OK: [(MS, 9_800), (60 * MS, 200)]}
P99 = "cache.response.p99 < 10ms"


def test_a_percentile_that_the_proxys_late_reads_can_explain_is_invalid(tmp_path: Path) -> None:
    check = checked(tmp_path, P99, SLOW, proxy((20_000, 19_700), (60 * MS, 300)))
    assert check.status is Status.INVALID
    assert "the fault proxy before redis passed bytes on up to 60 ms late" in check.because


@pytest.mark.parametrize(
    "found",
    [
        proxy((20_000, 19_999), (60 * MS, 1)),  # one late read makes no two hundred late answers
        proxy((20_000, 19_000), (5 * MS, 1_000)),  # nor do late ones that were not late enough
        proxy((20_000, 20_000)),
    ],
)
def test_a_target_that_was_slow_by_itself_fails_through_a_proxy_too(
    tmp_path: Path, found: dict[str, Any]
) -> None:
    assert checked(tmp_path, P99, SLOW, found).status is Status.FAIL


def test_another_targets_proxy_excuses_nothing(tmp_path: Path) -> None:
    found = proxy((20_000, 19_700), (60 * MS, 300)) | {"target": "postgres"}
    assert checked(tmp_path, P99, SLOW, found).status is Status.FAIL


@pytest.mark.parametrize(("stalled_ms", "status"), [(600, Status.INVALID), (60, Status.FAIL)])
def test_answers_lost_while_the_proxy_stood_still_are_its_doing_as_far_as_they_go(
    tmp_path: Path, stalled_ms: int, status: Status
) -> None:
    """10 s, of which it stood still for some: of 5 % that were lost only so many can be its doing."""
    samples = {OK: [(MS, 9_500)], LOST: [(100 * MS, 500)]}
    found = proxy((20_000, 19_990), (stalled_ms * MS, 10), stalls=0, stalled_ns=stalled_ms * MS)
    assert checked(tmp_path, "cache.errors < 1%", samples, found).status is status


@pytest.mark.parametrize("rule", ["cache.errors < 1%", "cache.availability(window=10s) >= 99%"])
def test_an_answer_that_was_an_error_is_no_doing_of_a_proxy_that_stood_still(
    tmp_path: Path, rule: str
) -> None:
    samples = {OK: [(MS, 9_500)], "cache/get/response/error": [(100 * MS, 500)]}
    found = proxy((20_000, 19_990), (600 * MS, 10), stalls=0, stalled_ns=600 * MS)
    assert checked(tmp_path, rule, samples, found).status is Status.FAIL


def test_a_proxy_without_time_to_spare_may_be_what_limits_the_throughput(tmp_path: Path) -> None:
    rule, samples = "cache.throughput >= 5000/s", {OK: [(MS, 10_000)]}
    busy = checked(tmp_path, rule, samples, proxy((20_000, 20_000), busy=0.99))
    assert busy.status is Status.INVALID
    assert "busy all the time" in busy.because
    assert checked(tmp_path / "idle", rule, samples, proxy((20_000, 20_000))).status is Status.FAIL


def test_a_rule_that_holds_needs_no_excuse(tmp_path: Path) -> None:
    found = proxy((20_000, 100), (60 * MS, 300), busy=0.99)
    assert checked(tmp_path, "cache.response.p99 < 1s", SLOW, found).status is Status.PASS


def test_the_floor_is_that_of_the_way_through_the_proxy(tmp_path: Path) -> None:
    found = proxy((20_000, 20_000), floor_ns={"p50": 90_000, "p95": 300_000})
    record = {"calibration": {"floor_ns": {"p50": 20_000, "p95": 40_000}}, "proxies": [found]}
    run = SyntheticRun(sla=["cache.response.p95 < 200us"], samples={OK: [(MS // 4, 10_000)]}, record=record)
    loaded = run.load(tmp_path)
    assert floor_ns(loaded, "response", "p95") == floor_ns(loaded, "response", "p95", "cache") == 300_000
    assert floor_ns(loaded, "response", "p95", "another") == 40_000
    (check,) = judge(loaded).checks
    assert check.status is Status.INCONCLUSIVE
    assert "the floor of this machine is 300 µs" in check.because


def test_reports_tell_how_late_the_proxy_was_and_the_floor_through_it(tmp_path: Path) -> None:
    found = proxy((20_000, 100), (60 * MS, 300), floor_ns={"p50": 90_000}, ended="signal SIGKILL")
    run = SyntheticRun(sla=[P99], samples=SLOW, record={"proxies": [found]}).load(tmp_path)
    text = " ".join(word for fact in generator(run) for part in fact for word in part.split())
    assert "Proxy before redis: passed on after P50 20 µs" in text
    assert "busy 20 % at most; floor through it P50 90 µs; ended: signal SIGKILL" in text
    page = str(page_part(run))
    assert "passed on by the fault proxy before redis after" in page
    assert "floor through the fault proxy before redis" in page


def test_a_proxy_behind_the_target_excuses_what_it_can_have_delayed_and_makes_no_floor(
    tmp_path: Path,
) -> None:
    behind = {"client": "redis", "target": "postgres", "floor_ns": {"p50": 90_000}}
    found = proxy((20_000, 19_700), (8 * MS, 300)) | behind  # asked often enough, 8 ms add up to 60 ms
    check = checked(tmp_path, P99, SLOW, found)
    assert check.status is Status.INVALID
    assert "the fault proxy between redis and postgres passed bytes on up to 8 ms late" in check.because
    run = SyntheticRun(sla=[P99], samples=SLOW, record={"proxies": [found]}).load(tmp_path / "floor")
    assert floor_ns(run, "response", "p50") != 90_000


def test_a_proxy_on_another_services_way_to_the_target_excuses_nothing(tmp_path: Path) -> None:
    found = proxy((20_000, 19_700), (60 * MS, 300)) | {"client": "api"}
    assert checked(tmp_path, P99, SLOW, found).status is Status.FAIL
