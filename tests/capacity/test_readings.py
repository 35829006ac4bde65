"""A probe's run, made by the real writer, as the search reads it."""

import pytest

from bench.capacity.probes import LeftOut, ProbePlan
from bench.capacity.readings import probe_of
from bench.capacity.search import Probe
from bench.judge.judge import judge
from bench.results.reader import Run
from tests.helpers.synthetic_run import MS, SyntheticRun
from tests.helpers.windowed_run import WindowedRun

OK = "cache/get/response/ok"
RULE = "cache.response.p95 < 10ms"
PLAN = ProbePlan(
    (), 10**9, (LeftOut("cache.throughput >= 1000/s", "a probe that plans 20/s does not offer it"),)
)


def read(tmp_path, *, p95_ms=1, sla=(RULE,), **parts):
    run = SyntheticRun(sla=list(sla), samples={OK: [(p95_ms * MS, 200)]}, **parts).load(tmp_path)
    return probe_of(run, judge(run), None, Probe(20.0), PLAN)


def test_a_rate_holds_whose_rules_hold(tmp_path):
    probe = read(tmp_path)
    assert (probe.status, probe.reading, probe.because) == ("PASS", "held", "")
    assert (probe.rate_per_s, probe.done_per_s, round(probe.p95_ns / MS)) == (20, 20, 1)
    assert list(probe.left_out) == ["cache.throughput >= 1000/s"]


def test_past_a_warning_level_it_holds(tmp_path):
    assert read(tmp_path, p95_ms=9, sla=(f"{RULE} warn 8ms",)).reading == "held"


def test_a_broken_rule_breaks_it_and_is_named(tmp_path):
    probe = read(tmp_path, p95_ms=20)
    assert (probe.status, probe.reading, probe.limited_by) == ("FAIL", "broke", RULE)
    assert "20.0 ms" in probe.because


def test_a_run_that_cannot_tell_is_neither(tmp_path):
    probe = read(tmp_path, sla=("cache.response.p99 < 10ms",))
    assert (probe.status, probe.reading) == ("INCONCLUSIVE", "undecided")


@pytest.mark.parametrize(
    ("generator", "reading"),
    [({"saturated": True, "idle_ratio": 0.0}, "generator"), ({"idle_ratio": 0.8}, "undecided")],
)
def test_an_invalid_run_is_the_generators_where_that_had_no_time(tmp_path, generator, reading):
    anomaly = {"code": "other_work", "severity": "invalid", "message": "the machine was busy"}
    probe = read(tmp_path, p95_ms=20, record={"generator": generator, "anomalies": [anomaly]})
    assert (probe.status, probe.reading) == ("INVALID", reading)


def read_windows(run):
    return probe_of(run, judge(run), None, Probe(400.0), PLAN)


def test_a_rate_at_which_a_queue_grows_does_not_hold_although_all_rules_do(tmp_path):
    made = WindowedRun()
    assert read_windows(made.load(tmp_path / "kept_up")).reading == "held"
    run = made.load(tmp_path / "behind")
    rows = (run.path / "series.csv").read_text().splitlines(keepends=True)
    late = [row.replace(",steady,", ",drain,") for row in rows[-5:]]  # answered after the measured time
    (run.path / "series.csv").write_text("".join([*rows[:-5], *late]))
    probe = read_windows(Run.load(run.path))
    assert (probe.status, probe.reading, probe.limited_by) == ("PASS", "broke", "backlog")
    assert "a queue grew: 12.4 %" in probe.because


def test_cpu_is_a_share_of_what_the_target_can_use(tmp_path):
    """Redis works in one thread: of 2 cores it can use one. 0.3 cores are in use."""
    in_use = read_windows(WindowedRun().load(tmp_path)).in_use
    assert in_use["redis.cpu"] == pytest.approx(0.3, abs=0.01)
    assert 0 < in_use["cache.lanes"] < 1
