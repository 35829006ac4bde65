import json

import pytest

from bench.judge.judge import judge
from bench.judge.verdict import Status, exit_code, worst
from bench.results.reader import Run
from bench.scenario.rules.grammar import parse_rule
from tests.helpers.synthetic_run import MS, NAME, S, SyntheticRun

US = 1_000
OK = "cache/get/response/ok"
SERVICE = "cache/get/service/ok"


def only(tmp_path, **fields):
    """The single check of a run with a single rule."""
    verdict = judge(SyntheticRun(**fields).load(tmp_path))
    (check,) = verdict.checks
    assert verdict.status is check.status
    return check


def test_a_rule_that_holds_passes_with_its_numbers(tmp_path):
    verdict = judge(
        SyntheticRun(sla=["cache.response.p95 < 10ms warn 8ms"], samples={OK: [(MS, 200)]}).load(tmp_path)
    )
    assert verdict.to_json() == {
        "format": 1,
        "scenario": "redis_latency",
        "run": NAME,
        "status": "PASS",
        "checks": [
            {
                "rule": "cache.response.p95 < 10ms warn 8ms",
                "metric": "cache.response.p95",
                "observed": 1_000_447,
                "unit": "ns",
                "limit": 10_000_000,
                "warn": 8_000_000,
                "interval": None,
                "samples": 200,
                "status": "PASS",
                "because": "P95 of 200 samples is 1.00 ms, within the limit of 10ms",
                "advice": None,
            }
        ],
    }


def test_a_broken_rule_fails_and_says_by_how_many(tmp_path):
    verdict = judge(
        SyntheticRun(
            sla=["cache.response.p95 < 10ms"],
            samples={OK: [(MS, 180), (20 * MS, 20)], SERVICE: [(MS, 180), (20 * MS, 20)]},
        ).load(tmp_path)
    )
    assert verdict.to_json()["checks"] == [
        {
            "rule": "cache.response.p95 < 10ms",
            "metric": "cache.response.p95",
            "observed": 20_004_863,
            "unit": "ns",
            "limit": 10_000_000,
            "warn": None,
            "interval": None,
            "samples": 200,
            "status": "FAIL",
            "because": "P95 of 200 samples is 20.0 ms, above the limit of 10ms; 20 (10 %) took longer",
            "advice": "service time p95 is 20.0 ms: the server itself is slow; look there",
        }
    ]
    assert exit_code([verdict.status]) == 1


def test_waiting_for_a_lane_is_told_from_a_slow_server(tmp_path):
    check = only(
        tmp_path,
        sla=["response.p50 < 10ms"],
        samples={OK: [(20 * MS, 50)], SERVICE: [(MS, 50)]},
    )
    assert check.status is Status.FAIL
    assert check.advice == (
        "service time p50 is 1.00 ms: the time went into waiting for a free lane; "
        "look for stalls, or add lanes"
    )


def test_losing_requests_cannot_improve_a_percentile(tmp_path):
    """A lost arrival is in the response times, charged at its deadline; `response_ok` leaves it out."""
    samples = {OK: [(MS, 180)], "cache/get/response/timeout": [(S, 20)]}
    run = SyntheticRun(sla=["response.p95 < 10ms", "response_ok.p95 < 10ms"], samples=samples).load(tmp_path)
    charged, answered = judge(run).checks
    assert charged.status is Status.FAIL
    assert charged.advice == (
        "most of them are losses (20 timeout); "
        "answers did not come within the deadline: look for stalls in series.csv"
    )
    assert answered.status is Status.INCONCLUSIVE
    assert answered.samples == 180


def test_past_the_warning_level_warns(tmp_path):
    check = only(tmp_path, sla=["response.p50 < 10ms warn 8ms"], samples={OK: [(9 * MS, 40)]})
    assert check.status is Status.WARN
    assert (
        check.because
        == "P50 of 40 samples is 9.00 ms, past the warning level of 8ms, within the limit of 10ms"
    )
    assert check.advice == "9.97 % of the limit is left; find out what grew"


@pytest.mark.parametrize(
    ("stat", "had", "needed"),
    [("p50", 19, 20), ("p95", 199, 200), ("p99", 999, 1000), ("p99.9", 9999, 10000)],
)
def test_a_percentile_needs_ten_samples_above_it(tmp_path, stat, had, needed):
    rule = f"response.{stat} < 10ms"
    enough = only(tmp_path / "enough", sla=[rule], samples={OK: [(MS, needed)]})
    assert enough.status is Status.PASS
    few = only(tmp_path / "few", sla=[rule], samples={OK: [(MS, had)]})
    assert few.status is Status.INCONCLUSIVE
    spaced = f"{needed:,}".replace(",", " "), f"{had:,}".replace(",", " ")
    assert few.because == f"needed {spaced[0]} samples to judge {stat.upper()}, had {spaced[1]}"
    assert few.advice == "measure 1 s longer at this rate, or raise the rate"


def test_too_few_samples_still_fail_a_rule_that_more_could_not_save(tmp_path):
    """P99 of the needed 1000 samples allows 10 slow ones: 11 of 100 are too many already."""
    assert (
        only(tmp_path / "11", sla=["response.p99 < 10ms"], samples={OK: [(MS, 89), (S, 11)]}).status
        is Status.FAIL
    )
    assert (
        only(tmp_path / "10", sla=["response.p99 < 10ms"], samples={OK: [(MS, 90), (S, 10)]}).status
        is Status.INCONCLUSIVE
    )


def test_no_samples_never_pass(tmp_path):
    check = only(tmp_path, sla=["service.p95 < 10ms"], samples={OK: [(MS, 200)]})
    assert check.status is Status.INCONCLUSIVE
    assert check.because == "there are no samples of service.p95"
    assert (check.observed, check.samples) == (None, 0)


def test_a_limit_below_the_floor_cannot_pass(tmp_path):
    """The synthetic machine's P95 floor is 80 µs."""
    check = only(tmp_path, sla=["response.p95 < 70us"], samples={OK: [(60 * US, 200)]})
    assert check.status is Status.INCONCLUSIVE
    assert check.because == (
        "P95 is 60.0 µs, but the floor of this machine is 80 µs: a limit of 70us cannot be judged here"
    )


def test_a_limit_below_the_floor_fails_only_when_the_floor_cannot_explain_it(tmp_path):
    rule = ["response.p95 < 70us"]
    assert only(tmp_path / "near", sla=rule, samples={OK: [(140 * US, 200)]}).status is Status.INCONCLUSIVE
    assert only(tmp_path / "far", sla=rule, samples={OK: [(200 * US, 200)]}).status is Status.FAIL


def test_a_run_whose_generator_was_late_is_invalid_not_failed(tmp_path):
    late = "cache/get/late/ok"
    rule = ["response.p95 < 10ms"]
    explained = only(tmp_path / "late", sla=rule, samples={OK: [(11 * MS, 200)], late: [(2 * MS, 200)]})
    assert explained.status is Status.INVALID
    assert explained.because == (
        "P95 is 11.0 ms, and the generator itself was late by up to 2.00 ms: the delay may be its own"
    )
    unexplained = only(tmp_path / "slow", sla=rule, samples={OK: [(13 * MS, 200)], late: [(2 * MS, 200)]})
    assert unexplained.status is Status.FAIL


NET, LATE, SERVICE_NET = "cache/get/net/ok", "cache/get/late/ok", "cache/get/service_net/ok"


def test_a_rule_that_holds_without_the_generators_own_lateness_is_invalid(tmp_path):
    """0.2 % of the answers are slow, and another 0.9 % were sent late: neither percentile says so alone."""
    samples = {
        OK: [(MS, 98_900), (50 * MS, 200), (61 * MS, 900)],
        LATE: [(0, 99_100), (60 * MS, 900)],
        NET: [(MS, 99_800), (50 * MS, 200)],
    }
    check = only(tmp_path, sla=["cache.response.p99 < 10ms"], samples=samples)
    assert check.status is Status.INVALID
    assert check.because == (
        "P99 is 50.0 ms, without the time that the generator itself lost it is 1.00 ms: the rule would hold"
    )
    assert check.observed == pytest.approx(50 * MS, rel=0.01), "what was measured, the lateness in it"


@pytest.mark.parametrize("stat", ["p95", "p99", "mean", "max"])
@pytest.mark.parametrize("metric", ["response", "response_ok"])
def test_a_rule_that_breaks_with_and_without_own_lateness_fails(tmp_path, metric, stat):
    """The generator was as late as the limit is long, but not with the arrivals that break it."""
    samples = {
        OK: [(20 * MS, 1000), (12 * MS, 1000)],
        LATE: [(0, 1000), (12 * MS, 1000)],
        NET: [(20 * MS, 1000), (0, 1000)],
    }
    limit = "9ms" if stat == "mean" else "10ms"
    check = only(tmp_path, sla=[f"cache.{metric}.{stat} < {limit}"], samples=samples)
    assert check.status is Status.FAIL


def test_losses_are_no_lateness(tmp_path):
    lost = {"cache/get/response/timeout": [(S, 200)], "cache/get/net/timeout": [(S, 200)]}
    samples = {OK: [(MS, 800)], NET: [(MS, 800)], **lost}
    assert only(tmp_path, sla=["cache.response.p95 < 10ms"], samples=samples).status is Status.FAIL


def test_a_service_time_is_never_excused_by_what_was_sent_late(tmp_path):
    samples = {OK: [(15 * MS, 200)], SERVICE: [(12 * MS, 200)], LATE: [(3 * MS, 200)]}
    rule = ["cache.service.p95 < 10ms"]
    new = {**samples, NET: [(12 * MS, 200)], SERVICE_NET: [(12 * MS, 200)]}
    assert only(tmp_path / "new", sla=rule, samples=new).status is Status.FAIL
    assert only(tmp_path / "old", sla=rule, samples=samples).status is Status.FAIL


def test_a_service_time_is_excused_by_what_lay_unread(tmp_path):
    samples = {OK: [(12 * MS, 200)], SERVICE: [(12 * MS, 200)], SERVICE_NET: [(9 * MS, 200)]}
    check = only(tmp_path, sla=["cache.service.p95 < 10ms"], samples=samples)
    assert check.status is Status.INVALID


def test_an_older_run_fails_only_where_its_lateness_cannot_explain_it(tmp_path):
    """Without times net of lateness a rule is broken for sure where more exceed it than were late."""
    late = {LATE: [(0, 99_100), (60 * MS, 900)]}
    rule = ["cache.response.p99 < 10ms"]
    few = {OK: [(MS, 98_900), (50 * MS, 200), (61 * MS, 900)], **late}
    assert only(tmp_path / "few", sla=rule, samples=few).status is Status.INVALID
    many = {OK: [(MS, 97_000), (50 * MS, 2_100), (61 * MS, 900)], **late}
    assert only(tmp_path / "many", sla=rule, samples=many).status is Status.FAIL


def test_end_to_end_times_are_excused_by_late_publishes_and_late_reading(tmp_path):
    publish = {"cache/publish/response/ok": [(MS, 500)], "cache/publish/net/ok": [(MS, 500)]}
    deliver = {"cache/deliver/response/ok": [(30 * MS, 1000)], "cache/deliver/net/ok": [(3 * MS, 1000)]}
    found = only(
        tmp_path,
        sla=["end_to_end.p95 < 10ms"],
        samples={**publish, **deliver},
        workload={"driver": "redis_pubsub", "counters": {}},
    )
    assert found.status is Status.INVALID


def test_errors_are_the_share_of_planned_arrivals_that_did_not_end_ok(tmp_path):
    check = only(
        tmp_path,
        sla=["cache.errors < 1%"],
        samples={
            OK: [(MS, 980)],
            "cache/get/response/error": [(MS, 5)],
            "cache/get/response/dropped": [(S, 15)],
        },
    )
    assert (check.status, check.observed, check.samples) == (Status.FAIL, 0.02, 1000)
    assert check.because == (
        "the share of errors is 2 %, above the limit of 1%: 980 of 1 000 arrivals OK, 15 dropped, 5 error"
    )
    assert check.advice == "every lane was busy until the deadline passed: add lanes or lower the rate"


def test_the_most_frequent_error_text_is_the_advice(tmp_path):
    check = only(
        tmp_path,
        sla=["cache.errors < 1%"],
        samples={OK: [(MS, 90)], "cache/get/response/error": [(MS, 10)]},
        workload={"errors": [{"operation": "get", "text": "OOM command not allowed", "count": 10}]},
    )
    assert check.status is Status.FAIL
    assert (
        check.advice == "the most frequent error of cache, 10 times in the whole run: OOM command not allowed"
    )


def test_an_error_limit_needs_enough_arrivals_to_see_that_share(tmp_path):
    check = only(tmp_path, sla=["errors < 1%"], samples={OK: [(MS, 299)]})
    assert check.status is Status.INCONCLUSIVE
    assert check.because == "needed 300 samples to judge errors, had 299"


def test_throughput_is_completed_ok_per_measured_second(tmp_path):
    check = only(tmp_path, sla=["cache.throughput >= 1000/s"], samples={OK: [(MS, 5000)]})
    assert (check.status, check.observed, check.unit) == (Status.FAIL, 500, "per_s")
    assert check.advice == "the plan offers 100/s at 100 %: raise the rate above the limit"


def test_never_sent_arrivals_are_counted_as_dropped(tmp_path):
    samples = {
        OK: [(MS, 100)],
        "cache/get/response/dropped": [(S, 2)],
        "cache/get/response/refused": [(S, 1)],
    }
    check = only(tmp_path, sla=["cache.dropped == 0"], samples=samples)
    assert (check.status, check.observed) == (Status.FAIL, 3)


def test_availability_is_judged_at_its_worst_window(tmp_path):
    """All 10 losses lie in the last of 10 windows: 99 % over the run, 98 % over the worst 5 s."""
    samples = {OK: [(MS, 990)], "cache/get/response/reset": [(S, 10)]}
    samples["cache/get/response/reset"] = [(S, 9)]  # 9 // 10 is 0: the remainder goes to the last window
    samples[OK] = [(MS, 991)]
    rules = [
        "availability(window=10s) >= 99%",
        "availability(window=5s) >= 99%",
        "availability(window=1min) >= 99%",
    ]
    whole, half, long = judge(SyntheticRun(sla=rules, samples=samples, windows=10).load(tmp_path)).checks
    assert (whole.status, whole.observed) == (Status.PASS, 0.991)
    assert half.status is Status.FAIL
    assert half.observed == pytest.approx(1 - 9 / (99 * 4 + 100 + 9))
    assert long.status is Status.INCONCLUSIVE
    assert long.because == "the window is 60 s, the run measured 10 s"


def pubsub(**counters):
    return {
        "samples": {"cache/publish/response/ok": [(MS, 500)], "cache/deliver/response/ok": [(3 * MS, 1000)]},
        "workload": {"driver": "redis_pubsub", "counters": counters},
    }


def test_end_to_end_times_are_those_of_the_deliveries(tmp_path):
    check = only(tmp_path, sla=["end_to_end.p95 < 10ms"], **pubsub())
    assert (check.status, check.samples, check.observed) == (Status.PASS, 1000, 3_000_319)


def test_lost_messages_fail_a_rule_of_none(tmp_path):
    rules = ["cache.lost_messages == 0", "duplicate_messages == 0", "reordered_messages == 0"]
    run = SyntheticRun(sla=rules, **pubsub(lost_messages=2, duplicate_messages=0)).load(tmp_path)
    lost, duplicate, reordered = judge(run).checks
    assert (lost.status, lost.observed) == (Status.FAIL, 2)
    assert lost.because == "lost messages is 2, where the rule wants 0, in 500 arrivals"
    assert duplicate.status is Status.PASS
    assert reordered.status is Status.INCONCLUSIVE
    assert reordered.because == "the run did not count reordered_messages"


def test_pool_utilization_is_the_highest_use_of_the_pool(tmp_path):
    check = only(
        tmp_path,
        sla=["cache.pool_utilization < 100% warn 80%"],
        samples={OK: [(MS, 500)]},
        workload={"engine": "client"},
        record={"pool": {"cache": {"size": 50, "utilization_max": 0.84, "utilization_mean": 0.2}}},
    )
    assert (check.status, check.observed) == (Status.WARN, 0.84)


def test_a_rule_about_something_the_run_does_not_have_is_inconclusive(tmp_path):
    rules = ["other.errors < 1%", "cache.del.errors < 1%", "cache.speed > 1", "pool_utilization < 80%"]
    run = SyntheticRun(sla=rules, samples={OK: [(MS, 500)]}).load(tmp_path)
    verdict = judge(run)
    assert [check.because for check in verdict.checks] == [
        "the run has no workload other",
        "workload cache has no operation del",
        "speed is no metric of this version",
        "the run has no connection pool",
    ]
    assert verdict.status is Status.INCONCLUSIVE


def test_a_rule_that_this_version_cannot_read_is_inconclusive(tmp_path):
    check = only(tmp_path, sla=["response.p95 << 10ms"], samples={OK: [(MS, 500)]})
    assert check.status is Status.INCONCLUSIVE
    assert check.because.startswith("this version cannot read the rule: ")


def test_a_judge_that_crashes_is_inconclusive(tmp_path):
    check = only(
        tmp_path,
        sla=["pool_utilization < 80%"],
        samples={OK: [(MS, 500)]},
        record={"pool": {"cache": {"size": 50}}},
    )
    assert check.status is Status.INCONCLUSIVE
    assert check.because == "the judge of this rule failed: KeyError: 'utilization_max'"


def test_other_rules_can_be_put_to_an_old_run(tmp_path):
    run = SyntheticRun(sla=["errors < 1%"], samples={OK: [(MS, 500)]}).load(tmp_path)
    (check,) = judge(run, [parse_rule("response.p50 < 1us")]).checks
    assert (check.rule, check.status) == ("response.p50 < 1us", Status.FAIL)


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


def test_the_worst_status_wins():
    assert list(Status) == sorted(Status)
    assert worst([Status.PASS, Status.FAIL, Status.INCONCLUSIVE]) is Status.FAIL
    assert worst([]) is Status.INCONCLUSIVE
    assert [exit_code([status]) for status in Status] == [0, 0, 5, 1, 5]


@pytest.mark.parametrize(
    "rule", ["cache.errors < 1%", "cache.dropped == 0", "cache.response.p95 < 10ms", "throughput >= 190/s"]
)
def test_a_rule_broken_by_a_limit_of_our_own_machine_is_invalid_with_the_cause(tmp_path, rule):
    told = {
        "code": "own_limit",
        "severity": "invalid",
        "message": "cache: 300 connections could not be made: no local port was free",
        "advice": "widen the range",
    }
    run = SyntheticRun(
        sla=[rule],
        samples={OK: [(MS, 1700)], "cache/get/response/refused": [(S, 300)]},
        workload={"counters": {"own_limits": 300}},
        record={"anomalies": [told]},
    )
    checks = judge(run.load(tmp_path)).checks
    assert {check.status for check in checks} == {Status.INVALID}
    assert checks[-1].because == told["message"]
    assert checks[-1].advice == "widen the range"
