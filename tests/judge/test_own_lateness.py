"""What the generator sent or read late is not blamed on the target."""

import pytest

from bench.judge.verdict import Status
from tests.helpers.synthetic_run import MS, S
from tests.judge.checks import OK, SERVICE, only


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


@pytest.mark.parametrize(
    ("on_time", "status"), [(0.3, Status.INVALID), (1.0, Status.FAIL), (None, Status.FAIL)]
)
def test_a_pool_that_was_full_only_of_late_arrivals_is_no_failure_of_the_target(tmp_path, on_time, status):
    pool = {"size": 50, "utilization_max": 1.0, "utilization_max_on_time": on_time, "utilization_mean": 0.1}
    rule = "cache.pool_utilization < 100% warn 80%"
    check = only(tmp_path, sla=[rule], samples={OK: [(MS, 500)]}, record={"pool": {"cache": pool}})
    assert check.status is status
    assert check.observed == 1.0
    if status is Status.INVALID:
        assert check.because == (
            "pool_utilization is 100 %, without the time that the generator itself lost it is 30 %: "
            "the rule would hold"
        )


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
