"""A run that cannot be believed is INVALID, whatever its rules say."""

import json

from bench.judge.judge import judge
from bench.judge.verdict import exit_code
from bench.results.reader import Run
from tests.helpers.synthetic_run import MS, SyntheticRun
from tests.judge.checks import OK


def findings(run: Run) -> list[tuple[str, str, str]]:
    return [
        (check.metric, check.status.name, check.because) for check in judge(run).checks if not check.is_rule
    ]


def test_an_interrupted_run_is_invalid(tmp_path):
    run = SyntheticRun(sla=["errors < 1%"], samples={OK: [(MS, 500)]}, interrupted=True).load(tmp_path)
    assert findings(run) == [("validity.interrupted", "INVALID", "the run was interrupted before its end")]
    assert exit_code([judge(run).status]) == 5


def test_a_saturated_generator_makes_the_run_invalid(tmp_path):
    run = SyntheticRun(samples={OK: [(MS, 500)]}, record={"generator": {"saturated": True}}).load(tmp_path)
    assert [(metric, status) for metric, status, _ in findings(run)] == [
        ("validity.generator_saturated", "INVALID")
    ]


def test_anomalies_count_by_their_severity(tmp_path):
    anomalies = [
        {"code": "quiet", "severity": "note", "message": "nothing much"},
        {"code": "little", "severity": "inconclusive", "message": "Little's law is off by 7 %"},
        {"code": "torn", "severity": "invalid", "message": "the plan was not kept"},
    ]
    run = SyntheticRun(samples={OK: [(MS, 500)]}, record={"anomalies": anomalies}).load(tmp_path)
    assert findings(run) == [
        ("validity.torn", "INVALID", "the plan was not kept"),
        ("validity.little", "INCONCLUSIVE", "Little's law is off by 7 %"),
    ]


def test_an_arrival_without_outcome_makes_the_run_invalid(tmp_path):
    counts = [
        {"operation": "get", "phase": "steady", "measured": True, "planned": 6, "outcomes": {"ok": 5}},
    ]
    run = SyntheticRun(
        sla=["errors < 60%"],
        samples={OK: [(MS, 5)]},
        workload={"counts": counts, "operations": ["get"]},
        record={"totals": {"planned": 6, "outcomes": {"ok": 4}}},
    )
    run.workload["counts"][0]["outcomes"] = {"ok": 5, **dict.fromkeys(("error", "timeout", "reset"), 0)}
    run.workload["counts"][0]["outcomes"] |= {"refused": 0, "dropped": 0}
    assert findings(run.load(tmp_path)) == [
        ("validity.sums", "INVALID", "cache.get in phase steady: 6 arrivals planned, 5 ended"),
        ("validity.sums", "INVALID", "the total says 4 ok, its parts add up to 5"),
    ]


def test_response_times_missing_from_the_log_of_an_older_run_make_it_invalid(tmp_path):
    folder = SyntheticRun(sla=["errors < 1%"], samples={OK: [(MS, 500)]}, windows=5).write(tmp_path)
    record = json.loads((folder / "run.json").read_text())
    del record["response"]
    (folder / "run.json").write_text(json.dumps(record))
    log = folder / "windows.hlog"
    log.write_text("".join(log.read_text().splitlines(keepends=True)[:-1]))
    assert findings(Run.load(folder)) == [
        ("validity.sums", "INVALID", "cache.get: 500 arrivals ended ok, 400 response times are in the log")
    ]


def test_a_run_without_measured_arrivals_is_invalid(tmp_path):
    run = SyntheticRun(sla=["errors < 1%"], samples={}).load(tmp_path)
    assert findings(run) == [
        ("validity.no_arrivals", "INVALID", "no arrival was planned in a measured phase")
    ]


def test_a_run_without_rules_is_inconclusive(tmp_path):
    run = SyntheticRun(samples={OK: [(MS, 500)]}).load(tmp_path)
    assert findings(run) == [("validity.no_rules", "INCONCLUSIVE", "there is no rule to judge")]
