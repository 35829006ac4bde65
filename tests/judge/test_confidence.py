"""PASS and FAIL are shown with 95 % confidence; what is neither is INCONCLUSIVE, with how long to measure."""

from pathlib import Path

import pytest

from bench.judge.judge import judge
from bench.judge.verdict import Check, Status
from bench.results.reader import Run
from bench.scenario.rules.grammar import parse_rule
from tests.helpers.fault_run import FaultRun
from tests.helpers.synthetic_run import MS
from tests.helpers.windowed_run import WindowedRun
from tests.judge.test_intervals import windows_run

P95 = "cache.response.p95 < 10ms"


def judged(run: Run, rule: str) -> Check:
    return judge(run, [parse_rule(rule)]).checks[-1]


def slow(counts: list[int], of: int = 100) -> list[list[tuple[int, int]]]:
    """Windows with so many samples beyond 10 ms, the others close below it."""
    return [[(9 * MS, of - count), *([(20 * MS, count)] if count else [])] for count in counts]


def test_a_percentile_at_its_limit_is_inconclusive_and_says_how_long_to_measure(tmp_path: Path) -> None:
    check = judged(windows_run(tmp_path, slow([4, 5, 4, 6] * 15)), P95)
    assert check.status is Status.INCONCLUSIVE
    assert check.because == (
        "P95 of 6 000 samples is 9.00 ms, within the limit of 10ms; with 95 % confidence it is not shown: "
        "4.75 % of the samples take longer, 4.31 % to 5.23 % are possible, and 5 % may"
    )
    assert check.advice == "measure about 28 s more: then it can be decided, if it goes on like this"


@pytest.mark.parametrize(
    ("counts", "status"),
    [
        ([1, 2] * 30, Status.PASS),
        ([9, 10] * 30, Status.FAIL),
        ([0] * 45 + [24] * 15, Status.INCONCLUSIVE),  # 6 %, in one piece
        ([0] * 57 + [30] * 3, Status.INCONCLUSIVE),  # 1.5 %: one stall, and the next may come at any time
        ([0] * 20 + [100] * 40, Status.FAIL),  # an overload that began in the first half
        ([0] * 60, Status.PASS),
    ],
)
def test_samples_that_come_in_clumps_show_less_and_what_is_far_from_the_limit_is_decided(
    tmp_path: Path, counts: list[int], status: Status
) -> None:
    check = judged(windows_run(tmp_path, slow(counts)), P95)
    assert check.status is status, check.because
    if status is Status.INCONCLUSIVE:
        assert "they come in clumps, so 6 000 are worth about" in check.because


def test_a_tail_far_below_its_limit_passes_however_its_samples_come(tmp_path: Path) -> None:
    """Half of the run at 1 ms, half at 2 ms: that says nothing of 10 ms."""
    run = windows_run(tmp_path, [[(MS, 100)]] * 30 + [[(2 * MS, 100)]] * 30)
    assert judged(run, P95).status is Status.PASS


def test_the_warning_level_is_an_alert_at_what_was_seen_and_the_limit_must_be_shown(tmp_path: Path) -> None:
    shown = windows_run(tmp_path / "a", slow([1, 2] * 30))
    assert judged(shown, f"{P95} warn 8ms").status is Status.WARN
    unsure = windows_run(tmp_path / "b", slow([4, 5, 4, 6] * 15))
    assert judged(unsure, f"{P95} warn 8ms").status is Status.INCONCLUSIVE


def test_errors_and_availability_are_shown_in_the_same_way(tmp_path: Path) -> None:
    even = {window: {"error": 1} for window in range(0, 40, 2)}  # 20 of 4020
    burst = {5: {"error": 20}}
    for name, failed, statuses in (
        ("none", {}, (Status.PASS, Status.PASS)),
        ("even", even, (Status.PASS, Status.PASS)),
        ("burst", burst, (Status.INCONCLUSIVE, Status.INCONCLUSIVE)),
    ):
        run = WindowedRun(failed=failed).load(tmp_path / name)
        found = (
            judged(run, "cache.errors < 1%").status,
            judged(run, "cache.availability(window=10s) >= 99%").status,
        )
        assert found == statuses, name


def test_a_rate_must_be_clear_of_its_limit_by_what_its_windows_differ(tmp_path: Path) -> None:
    run = windows_run(tmp_path, [[(MS, 40)], [(MS, 60)]] * 10)
    assert judged(run, "cache.throughput >= 80/s").status is Status.PASS
    near = judged(run, "cache.throughput >= 95/s")
    assert near.status is Status.INCONCLUSIVE
    assert near.because.endswith("with 95 % confidence it is not shown: 91.6/s to 108/s is possible")
    assert judged(run, "cache.throughput >= 120/s").status is Status.FAIL


def test_a_quick_run_that_cannot_tell_is_advised_to_be_run_in_its_standard_form(tmp_path: Path) -> None:
    run = windows_run(tmp_path, slow([4, 5, 4, 6] * 15))
    plan = run.record.plan.model_copy(update={"quick": True})
    quick = Run(run.path, run.record.model_copy(update={"plan": plan}))
    assert judged(quick, P95).advice == "run it in its standard form, without --quick"


def test_a_run_with_too_few_windows_says_so_where_it_matters(tmp_path: Path) -> None:
    check = judged(windows_run(tmp_path, slow([45, 50], of=1000)), P95)
    assert check.status is Status.INCONCLUSIVE
    assert "too few windows to say how they depend on each other" in check.because


def test_few_repeats_of_a_fault_show_little_of_a_percentile(tmp_path: Path) -> None:
    run = FaultRun().load(tmp_path)
    check = judged(run, "recovery.stable.p50 < 400ms")
    assert check.status is Status.INCONCLUSIVE
    assert check.advice is not None
    assert check.advice.startswith("repeat the fault about ")
    assert judged(run, "recovery.stable < 510ms").status is Status.PASS
