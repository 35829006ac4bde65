"""Rules about what a run costs, judged from made-up samples."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.judge.judge import judge
from bench.judge.verdict import Check, Status
from tests.helpers.synthetic_run import MS, S, SyntheticRun, resource_rows

MB = 1e6
WARM_PHASE = {"name": "warmup", "measured": False, "start_ns": 0, "end_ns": S}
Rows = list[dict[str, Any]]


def check(
    tmp_path: Path, rule: str, rows: Rows, record: dict[str, Any] | None = None, **workload: Any
) -> Check:
    run = SyntheticRun(
        sla=[rule],
        samples={"cache/get/response/ok": [(MS, 500)]},
        resources=rows,
        record=record or {},
        workload=workload,
    )
    return judge(run.load(tmp_path)).checks[-1]


def flat(at_s: float) -> float:
    return 60 * MB


def leak(at_s: float) -> float:
    return 60 * MB + 4 * MB * at_s


def cycles_of(count: int) -> dict[str, Any]:
    phase = {
        "name": "steady",
        "measured": True,
        "start_ns": S,
        "end_ns": 11 * S,
        "cycles": count,
        "rest": 0.5,
    }
    return {"phases": [WARM_PHASE, phase]}


# --- growth --------------------------------------------------------------------------------------------


def test_growth_is_the_last_tenth_minus_the_first_after_warm_up(tmp_path: Path) -> None:
    found = check(tmp_path, "memory_growth < 30MB", resource_rows("redis", leak))
    assert found.status is Status.FAIL
    assert found.observed == pytest.approx(36 * MB, rel=0.01)
    assert "redis by RSS, 65.8 MB after warm-up, 102 MB at the end, in 100 samples" in found.because
    assert found.advice is not None


def test_a_warm_up_that_is_not_measured_does_not_count(tmp_path: Path) -> None:
    rows = resource_rows("redis", lambda at_s: 10 * MB + min(at_s, 1) * 500 * MB)
    assert check(tmp_path, "memory_growth < 1MB", rows).status is Status.PASS


def test_one_bad_sample_does_not_decide(tmp_path: Path) -> None:
    rows = resource_rows("redis", lambda at_s: 900 * MB if at_s in (1.3, 10.7) else 60 * MB)
    assert check(tmp_path, "memory_growth < 1MB", rows).observed == 0


def test_growth_past_the_warning_level_warns(tmp_path: Path) -> None:
    found = check(tmp_path, "redis.memory_growth < 40MB warn 30MB", resource_rows("redis", leak))
    assert found.status is Status.WARN


def test_pss_is_taken_where_there_is_enough_of_it_and_rss_else(tmp_path: Path) -> None:
    rows = resource_rows("redis", leak, pss_bytes=5 * MB)
    assert "by PSS" in check(tmp_path / "a", "memory_growth < 1MB", rows).because
    for row in rows[20:]:
        row["pss_bytes"] = None
    assert "by RSS" in check(tmp_path / "b", "memory_growth < 1MB", rows).because


def test_rss_never_stands_in_for_the_pss_of_several_processes(tmp_path: Path) -> None:
    rows = resource_rows("redis", leak, pss_bytes=5 * MB, processes=20)
    for row in rows[20:]:
        row["pss_bytes"] = None
    found = check(tmp_path, "memory_growth < 1MB", rows)
    assert found.status is Status.INCONCLUSIVE
    assert found.because.startswith("needed 5 samples in the first and in the last tenth")


def test_the_working_set_of_a_control_group_goes_before_all(tmp_path: Path) -> None:
    rows = resource_rows("redis", leak, pss_bytes=5 * MB, working_set_bytes=7 * MB)
    found = check(tmp_path, "memory_growth < 1MB", rows)
    assert found.status is Status.PASS
    assert "by working set" in found.because


def test_of_an_external_redis_its_own_word_is_taken(tmp_path: Path) -> None:
    rows = resource_rows("redis", leak)
    for row in rows:
        row["used_memory_bytes"] = row.pop("rss_bytes")
        row |= {"pid": None, "cpu_s": None, "fds": None}
    found = check(tmp_path / "a", "memory_growth < 30MB", rows)
    assert found.status is Status.FAIL
    assert "redis by used memory, as the server says" in found.because
    assert check(tmp_path / "b", "cpu < 80%", rows).status is Status.INCONCLUSIVE
    assert check(tmp_path / "c", "fd_growth <= 1", rows).status is Status.INCONCLUSIVE


def test_with_cycles_only_the_end_of_each_rest_counts(tmp_path: Path) -> None:
    """Each cycle of 500 ms needs 80 MB and gives it back at rest; 1 MB stays."""

    def memory(at_s: float) -> float:
        place = (at_s - 1) * 2 % 1
        return 60 * MB + (80 * MB if place < 0.5 else 0) + MB * int((at_s - 1) * 2 + 1e-9)

    found = check(tmp_path, "memory_growth < 100MB", resource_rows("redis", memory), cycles_of(20))
    assert found.observed == pytest.approx(15 * MB, rel=0.01)
    assert found.samples == 20


def test_few_cycles_are_judged_by_time(tmp_path: Path) -> None:
    found = check(tmp_path, "memory_growth < 100MB", resource_rows("redis", leak), cycles_of(10))
    assert found.samples == 100


def test_too_few_samples_are_inconclusive(tmp_path: Path) -> None:
    found = check(tmp_path, "memory_growth < 100MB", resource_rows("redis", flat)[::4])
    assert found.status is Status.INCONCLUSIVE
    assert found.because.startswith("needed 5 samples in the first and in the last tenth")
    assert found.observed is None


@pytest.mark.parametrize("rule", ["memory_growth < 1MB", "memory_slope < 1MB/min", "fd_growth <= 1"])
def test_a_restart_in_the_measured_time_is_inconclusive(tmp_path: Path, rule: str) -> None:
    rows = resource_rows("redis", leak)
    for row in rows[60:]:
        row["pid"] = 200
    found = check(tmp_path, rule, rows)
    assert found.status is Status.INCONCLUSIVE
    assert "redis was restarted in the measured time (2 processes after one another)" in found.because


def test_a_restart_before_the_measured_time_does_no_harm(tmp_path: Path) -> None:
    rows = resource_rows("redis", flat)
    for row in rows[:9]:
        row["pid"] = 99
    assert check(tmp_path, "memory_growth < 1MB", rows).status is Status.PASS


@pytest.mark.parametrize(
    "rule", ["memory_growth < 1MB", "redis.memory_slope < 1MB/min", "redis.cpu < 50%", "fd_growth <= 1"]
)
def test_a_target_without_samples_is_inconclusive_with_advice(tmp_path: Path, rule: str) -> None:
    found = check(tmp_path, rule, resource_rows("generator", flat))
    assert found.status is Status.INCONCLUSIVE
    assert "no samples of what redis uses" in found.because
    assert found.advice is not None
    assert "the stack starts" in found.advice


# --- several targets -----------------------------------------------------------------------------------


API = {"driver": "http", "target": "api"}


def test_alone_growth_is_that_of_the_target_that_grew_most(tmp_path: Path) -> None:
    rows = [
        *resource_rows("api", flat),
        *resource_rows("redis", flat),
        *resource_rows("postgres", leak),
        *resource_rows("generator", lambda at_s: 900 * MB * at_s),
    ]
    found = check(tmp_path, "memory_growth < 30MB", rows, **API)
    assert found.status is Status.FAIL
    assert "postgres by RSS" in found.because


def test_a_target_that_cannot_be_looked_at_makes_the_whole_inconclusive_but_no_failure_better(
    tmp_path: Path,
) -> None:
    rows = [*resource_rows("api", flat), *resource_rows("redis", leak)]
    fine = check(tmp_path / "a", "memory_growth < 100MB", rows, **API)
    assert fine.status is Status.INCONCLUSIVE
    assert "no samples of what postgres uses" in fine.because
    assert check(tmp_path / "b", "memory_growth < 30MB", rows, **API).status is Status.FAIL


def test_a_source_that_the_run_does_not_have_is_told(tmp_path: Path) -> None:
    found = check(tmp_path, "postgres.memory_growth < 1MB", resource_rows("redis", flat))
    assert found.status is Status.INCONCLUSIVE
    assert found.because == "the run has no source postgres"
    assert found.advice == "its sources are: redis, generator"


def test_a_workload_named_like_a_source_keeps_its_own_metrics(tmp_path: Path) -> None:
    run = SyntheticRun(
        sla=["redis.errors < 1%", "redis.memory_growth < 1MB"],
        samples={"redis/get/response/ok": [(MS, 500)]},
        resources=resource_rows("redis", flat),
        workload={"name": "redis"},
    )
    assert [found.status for found in judge(run.load(tmp_path)).checks] == [Status.PASS, Status.PASS]


# --- slope ---------------------------------------------------------------------------------------------


def test_a_steady_leak_fails_the_slope_and_shows_its_bounds(tmp_path: Path) -> None:
    found = check(tmp_path, "redis.memory_slope < 10MB/min", resource_rows("redis", leak))
    assert found.status is Status.FAIL
    assert found.observed == pytest.approx(4 * MB, rel=0.01)
    assert found.unit == "bytes_per_s"
    assert found.interval is not None
    assert found.interval[0] == pytest.approx(4 * MB, rel=0.05)
    assert "240 MB/min, above the limit of 10MB/min" in found.because


def test_a_cache_that_has_filled_passes_the_slope(tmp_path: Path) -> None:
    rows = resource_rows("redis", lambda at_s: 60 * MB + 10 * MB * min(at_s, 3))
    assert check(tmp_path, "memory_slope < 10MB/min", rows).status is Status.PASS


def ripples(at_s: float) -> float:
    """Up and down by 50 MB without any order."""
    return 60 * MB + 9 * MB * (round(at_s * 10) // 3 * 7919 % 7)


@pytest.mark.parametrize(
    ("rule", "memory", "because"),
    [
        ("memory_slope < 10MB/min", lambda at_s: 60 * MB + 10 * MB * min(at_s, 8), "still warming up"),
        ("memory_slope < 100MB/min", lambda at_s: 2 * MB * at_s + ripples(at_s), "as low as the limit"),
        ("memory_slope < 100MB/min", ripples, "even 2 times the limit of 100MB/min is possible"),
    ],
)
def test_a_slope_that_is_not_shown_is_inconclusive(
    tmp_path: Path, rule: str, memory: Callable[[float], float], because: str
) -> None:
    found = check(tmp_path, rule, resource_rows("redis", memory))
    assert found.status is Status.INCONCLUSIVE, found
    assert because in found.because


# --- CPU and files -------------------------------------------------------------------------------------


def test_cpu_is_the_share_of_all_cores(tmp_path: Path) -> None:
    """0.3 s of CPU each second on two cores."""
    found = check(tmp_path, "redis.cpu < 10%", resource_rows("redis", flat))
    assert found.status is Status.FAIL
    assert found.observed == pytest.approx(0.15)
    assert "redis 0.30 of 2 cores in use under load" in found.because


def test_alone_cpu_is_that_of_all_targets_together(tmp_path: Path) -> None:
    rows = [row for name in ("api", "redis", "postgres", "generator") for row in resource_rows(name, flat)]
    assert check(tmp_path, "cpu < 80%", rows, **API).observed == pytest.approx(0.45)


def test_a_control_group_with_a_limit_is_judged_by_it(tmp_path: Path) -> None:
    rows = resource_rows("redis", flat, cores=0.5)
    assert check(tmp_path, "redis.cpu < 80%", rows).observed == pytest.approx(0.6)


def test_the_machine_has_a_cpu_of_its_own(tmp_path: Path) -> None:
    rows = resource_rows("machine", flat, pid=None)
    assert check(tmp_path, "machine.cpu < 80%", rows).observed == pytest.approx(0.15)


def test_rests_are_left_out_of_cpu_under_load(tmp_path: Path) -> None:
    """1 s of load with 0.6 s of CPU, 1 s of rest with none."""
    rows = resource_rows("redis", flat)
    for row in rows:
        measured = row["at_ns"] / S - 1
        row["cpu_s"] = 0.6 * (measured // 2 + min(measured % 2, 1))
    assert check(tmp_path, "redis.cpu < 80%", rows, cycles_of(5)).observed == pytest.approx(0.3)


def test_cpu_goes_on_after_a_restart(tmp_path: Path) -> None:
    rows = resource_rows("redis", flat)
    for row in rows[60:]:
        row |= {"pid": 200, "cpu_s": row["cpu_s"] - rows[60]["at_ns"] / S * 0.3}
    found = check(tmp_path, "redis.cpu < 80%", rows)
    assert found.status is Status.PASS
    assert found.observed == pytest.approx(0.15)


def test_cpu_of_a_target_that_was_mostly_away_is_inconclusive(tmp_path: Path) -> None:
    found = check(tmp_path, "redis.cpu < 80%", resource_rows("redis", flat)[:40])
    assert found.status is Status.INCONCLUSIVE
    assert "cover 2.9 s of 10.0 s under load" in found.because


def test_files_that_are_opened_and_not_closed_are_found(tmp_path: Path) -> None:
    rows = resource_rows("redis", flat)
    for number, row in enumerate(rows):
        row["fds"] = 20 + number // 4
    found = check(tmp_path, "fd_growth <= 10", rows)
    assert found.status is Status.FAIL
    assert found.observed == pytest.approx(22, abs=1)
    assert found.unit == "count"
