"""How sure achieved values are."""

from pathlib import Path
from typing import Any

import pytest

from bench.judge.judge import judge
from bench.judge.uncertainty import METHODS, Uncertainty, uncertainty
from bench.results.reader import Run
from bench.results.writer import RunWriter
from bench.scenario.rules.grammar import parse_rule
from tests.assess.assess_runs import write_run
from tests.helpers.fault_run import FaultRun, integrity
from tests.helpers.run_records import record_of
from tests.helpers.synthetic_run import MS, NAME, ZERO, S, SyntheticRun, counts_of, resource_rows


def sure(run: Run, rule: str) -> Uncertainty:
    parsed = parse_rule(rule)
    found = uncertainty(run, parsed, judge(run, [parsed]).checks[-1])
    assert found.method is None or found.method in METHODS
    return found


def windows_run(out: Path, windows: list[list[tuple[int, int]]]) -> Run:
    """A run whose measured 10 s are cut into these windows of (ns, times)."""
    total = [pair for window in windows for pair in window]
    record = SyntheticRun(samples={"cache/get/response/ok": total}).full_record()
    writer = RunWriter(out, NAME, ZERO)
    length_ns = 10 * S // len(windows)
    for number, window in enumerate(windows):
        start_ns = S + number * length_ns
        writer.histogram("cache/get/response/ok", start_ns, start_ns + length_ns, counts_of(*window))
    return Run.load(writer.finish(record_of(record)))


def test_a_percentile_lies_within_its_interval_which_grows_where_windows_differ(tmp_path: Path) -> None:
    even = [[(MS, 92), (5 * MS, 3), (6 * MS, 5)] for _ in range(20)]
    # The same samples, but the slow ones came in two stalls.
    stalls = [[(MS, 92)] for _ in range(18)] + [[(MS, 92), (5 * MS, 30), (6 * MS, 50)]] * 2
    bounds = {}
    for name, windows in {"even": even, "stalls": stalls}.items():
        run = windows_run(tmp_path / name, windows)
        found = sure(run, "cache.response.p95 < 10ms")
        assert found.method == "slices of time"
        observed = judge(run, [parse_rule("cache.response.p95 < 10ms")]).checks[-1].observed
        assert found.low is not None
        assert found.high is not None
        assert observed is not None
        assert found.low <= observed <= found.high
        bounds[name] = (found.low, found.high)
    assert bounds["even"] == pytest.approx((5 * MS, 6 * MS), rel=0.002)
    assert bounds["stalls"] == pytest.approx((MS, 6 * MS), rel=0.002)


@pytest.mark.parametrize("count", [12, 40, 59, 100])
def test_an_even_rate_has_no_spread_however_many_windows_there_are(tmp_path: Path, count: int) -> None:
    found = sure(windows_run(tmp_path, [[(MS, 100)]] * count), "cache.throughput >= 10/s")
    assert found.method == "batch means"
    assert (found.low, found.high) == (pytest.approx(10 * count), pytest.approx(10 * count))


def test_a_rate_is_as_uncertain_as_its_windows_differ(tmp_path: Path) -> None:
    # 20 slices of half a second with 40 or 60 answers: deviation of the rates 20.52/s, t(9) 2.262.
    found = sure(windows_run(tmp_path, [[(MS, 40)], [(MS, 60)]] * 10), "cache.throughput >= 10/s")
    assert found.low == pytest.approx(100 - 2.262 * 20.52 / 20**0.5, rel=0.005)
    assert found.high == pytest.approx(100 + 2.262 * 20.52 / 20**0.5, rel=0.005)


def test_few_windows_are_said_to_need_independent_samples(tmp_path: Path) -> None:
    run = windows_run(tmp_path, [[(MS, 300)], [(2 * MS, 300)]])
    assert sure(run, "cache.response.p95 < 10ms").method == "independent samples"


def test_no_errors_in_n_leave_three_in_n_possible(tmp_path: Path) -> None:
    run = Run.load(write_run(tmp_path))
    found = sure(run, "cache.errors < 5%")
    assert (found.low, found.high, found.method) == (0, 3 / 500, "rule of three")


def test_errors_that_come_together_are_less_sure_than_errors_that_do_not(tmp_path: Path) -> None:
    def run(name: str, failing: list[int]) -> Run:
        samples = {"cache/get/response/ok": [(MS, 1960)], "cache/get/response/error": [(MS, 40)]}
        record = SyntheticRun(samples=samples).full_record()
        writer = RunWriter(tmp_path / name, NAME, ZERO)
        for window in range(20):
            start_ns = S + window * S // 2
            failed = failing[window]
            writer.histogram(
                "cache/get/response/ok", start_ns, start_ns + S // 2, counts_of((MS, 100 - failed))
            )
            if failed:
                writer.histogram(
                    "cache/get/response/error", start_ns, start_ns + S // 2, counts_of((MS, failed))
                )
        return Run.load(writer.finish(record_of(record)))

    spread = sure(run("spread", [2] * 20), "cache.errors < 5%")
    burst = sure(run("burst", [40, *[0] * 19]), "cache.errors < 5%")
    assert spread.method == burst.method == "Clopper-Pearson"
    assert spread.high is not None
    assert burst.high is not None
    assert spread.high < burst.high


def test_seconds_without_any_arrival_count_in_the_throughput(tmp_path: Path) -> None:
    """A window without samples has no line in the log; its time passed all the same."""
    windows: list[list[tuple[int, int]]] = [[(MS, 10)] if number % 2 else [] for number in range(40)]
    found = sure(windows_run(tmp_path, windows), "cache.throughput > 5/s")
    assert found.low is not None
    assert found.high is not None
    assert found.low <= 20 <= found.high
    assert found.high < 30


def test_one_fault_says_nothing_about_further_ones_and_five_say_little(tmp_path: Path) -> None:
    five = FaultRun().load(tmp_path / "5")
    found = sure(five, "recovery.stable < 10s")
    assert (found.low, found.high, found.method) == (290 * MS, 500 * MS, "repeats")
    assert found.text == "290 ms to 500 ms in 5 faults; up to 45.1 % of further ones may be worse"
    projected = sure(five, "availability(window=30d, incidents=1) >= 99.9%")
    assert projected.method == "repeats"
    one = FaultRun()
    one.faults, one.recoveries = one.faults[:1], one.recoveries[:1]
    assert sure(one.load(tmp_path / "1"), "recovery.stable < 10s").method is None


def test_no_lost_write_of_n_has_a_bound(tmp_path: Path) -> None:
    run = FaultRun(record={"integrity": [integrity(0)]}).load(tmp_path)
    assert sure(run, "lost_writes == 0").text == "0 of 5 000: up to 0.06 % is possible"


def test_no_false_alarm_is_told_with_how_long_nobody_cried(tmp_path: Path) -> None:
    found = sure(FaultRun().load(tmp_path), "false_alarms == 0")
    assert found.text == "0 in 11 s: up to 982 an hour are possible"


@pytest.mark.parametrize("phase", [{}, {"cycles": 30, "rest": 0.3}])
def test_cpu_and_memory_have_the_range_of_the_run(tmp_path: Path, phase: dict[str, Any]) -> None:
    rows = resource_rows("redis", lambda at_s: 50e6 + 1e6 * at_s)
    measured = {"name": "steady", "measured": True, "start_ns": S, "end_ns": 11 * S, **phase}
    run = SyntheticRun(
        samples={"cache/get/response/ok": [(MS, 500)]}, resources=rows, record={"phases": [measured]}
    ).load(tmp_path)
    cpu = sure(run, "redis.cpu < 80%")
    assert cpu.method == "ten slices"
    assert cpu.low == pytest.approx(0.15, abs=0.02)
    assert cpu.high == pytest.approx(0.15, abs=0.02)
    growth = sure(run, "redis.memory_growth < 100MB")
    assert growth.method == "extremes"
    assert growth.low is not None
    assert growth.high is not None
    assert growth.low < 9e6 < growth.high


def test_what_has_no_interval_says_why(tmp_path: Path) -> None:
    run = SyntheticRun(
        samples={"cache/get/response/ok": [(MS, 500)]}, workload={"counters": {"leaked_connections": 0}}
    ).load(tmp_path)
    found = sure(run, "cache.leaked_connections == 0")
    assert (found.method, found.text) == (None, "counted at the end, not sampled")


def test_the_page_on_verdicts_explains_every_method() -> None:
    page = (Path(__file__).parents[2] / "docs" / "verdicts.md").read_text()
    explained = page.partition("## How sure a value is")[2].partition("\n## ")[0]
    assert {line.split("`")[1] for line in explained.splitlines() if line.startswith("| `")} == set(METHODS)


def test_a_check_carries_the_interval_and_the_method(tmp_path: Path) -> None:
    run = windows_run(tmp_path, [[(MS, 92), (5 * MS, 4), (6 * MS, 4)] for _ in range(20)])
    rules = [
        "cache.response.p95 < 10ms",
        "cache.response.mean < 10ms",
        "cache.errors < 1%",
        "cache.dropped == 0",
    ]
    found = {}
    for check in judge(run, [parse_rule(rule) for rule in rules]).checks:
        if check.is_rule:
            assert check.interval is not None
            assert check.observed is not None
            assert check.interval[0] <= check.observed <= check.interval[1]
            found[check.metric] = check.method
    assert list(found.values()) == ["slices of time", "batch means", "rule of three", "counted"]
    most = judge(run, [parse_rule("cache.response.max < 10ms")]).checks[-1]
    assert (most.interval, most.method) == ((most.observed, most.observed), "counted")
