import pytest

from bench.judge.judge import judge
from bench.judge.verdict import Status, exit_code, worst
from bench.scenario.rules.grammar import parse_rule
from tests.helpers.synthetic_run import MS, NAME, S, SyntheticRun
from tests.judge.checks import OK, SERVICE, only

US = 1_000


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
                "interval": (1_000_447, 1_000_447),
                "method": "independent samples",
                "samples": 200,
                "status": "PASS",
                "because": "P95 of 200 samples is 1.00 ms, within the limit of 10ms; "
                "with 95 % confidence at most 1.49 % take longer, 5 % may",
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
            "interval": (20_004_863, 20_004_863),
            "method": "independent samples",
            "samples": 200,
            "status": "FAIL",
            "because": "P95 of 200 samples is 20.0 ms, above the limit of 10ms; 20 (10 %) took longer; "
            "with 95 % confidence at least 6.73 % take longer, 5 % may",
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
        == "P50 of 40 samples is 9.00 ms, past the warning level of 8ms, within the limit of 10ms; "
        "with 95 % confidence at most 7.22 % take longer, 50 % may"
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
        "the share of errors is 2 %, above the limit of 1%: 980 of 1 000 arrivals OK, 15 dropped, 5 error; "
        "with 95 % confidence at least 1.33 % fail, 1 % may"
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
    """All 9 losses lie in the last of 10 windows: 99.1 % over the run, 98.2 % over the worst 5 s."""
    samples = {OK: [(MS, 991)]}
    samples["cache/get/response/reset"] = [(S, 9)]  # 9 // 10 is 0: the remainder goes to the last window
    rules = [
        "availability(window=10s) >= 80%",
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
        sla=["cache.hits >= 1%"],
        samples={OK: [(MS, 500)]},
        answers={"get": {"hits": -1, "misses": 500}},
    )
    assert check.status is Status.INCONCLUSIVE
    assert check.because == "the judge of this rule failed: ValueError: a count of answers below zero"


def test_a_pool_whose_utilization_is_not_known_is_inconclusive(tmp_path):
    check = only(
        tmp_path,
        sla=["pool_utilization < 80%"],
        samples={OK: [(MS, 500)]},
        record={"pool": {"cache": {"size": 50}}},
    )
    assert check.status is Status.INCONCLUSIVE


def test_other_rules_can_be_put_to_an_old_run(tmp_path):
    run = SyntheticRun(sla=["errors < 1%"], samples={OK: [(MS, 500)]}).load(tmp_path)
    (check,) = judge(run, [parse_rule("response.p50 < 1us")]).checks
    assert (check.rule, check.status) == ("response.p50 < 1us", Status.FAIL)


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
