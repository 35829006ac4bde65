"""Rules about what answers brought, and how every report shows it."""

from typing import Any

import pytest

from bench.judge.judge import judge
from bench.judge.verdict import Check, Status
from bench.report import data, markdown, text
from bench.report.html.run_page import render as page
from tests.helpers.synthetic_run import MS, SyntheticRun

GETS = {"cache/get/response/ok": [(MS, 400)], "cache/set/response/ok": [(MS, 100)]}
LOOKUPS: dict[str, Any] = {"get": {"hits": 360, "misses": 40}}
STATUSES: dict[str, Any] = {"get": {"statuses": {"200": 396, "503": 4}}, "set": {"statuses": {"302": 100}}}


def checked(tmp_path: Any, rule: str, answers: dict[str, Any], **workload: Any) -> Check:
    run = SyntheticRun(sla=[rule], samples=GETS, answers=answers, workload=workload).load(tmp_path)
    (check,) = judge(run).checks
    return check


@pytest.mark.parametrize(
    ("rule", "answers", "observed", "status"),
    [
        ("cache.misses < 5%", LOOKUPS, 0.1, Status.FAIL),
        ("cache.get.misses <= 13%", LOOKUPS, 0.1, Status.PASS),
        ("cache.get.misses <= 10%", LOOKUPS, 0.1, Status.INCONCLUSIVE),
        ("cache.hits > 87%", LOOKUPS, 0.9, Status.PASS),
        ("cache.hits > 89%", LOOKUPS, 0.9, Status.INCONCLUSIVE),
        ("hits > 95%", LOOKUPS, 0.9, Status.FAIL),
        ("cache.empty < 5% warn 1%", {"get": {"hits": 970, "misses": 30}}, 0.03, Status.WARN),
        ("cache.status.5xx < 2%", STATUSES, 0.008, Status.PASS),
        ("cache.get.status.5xx < 1%", STATUSES, 0.01, Status.INCONCLUSIVE),
        ("cache.get.status.5xx < 0.3%", STATUSES, 0.01, Status.FAIL),
        ("cache.status.3xx == 0%", STATUSES, 0.2, Status.FAIL),
        ("cache.set.status.2xx >= 99%", STATUSES, 0, Status.FAIL),
    ],
)
def test_a_share_of_answers_is_judged(
    tmp_path: Any, rule: str, answers: dict[str, Any], observed: float, status: Status
) -> None:
    check = checked(tmp_path, rule, answers)
    assert (check.observed, check.status, check.unit) == (pytest.approx(observed), status, "ratio")


def test_a_share_says_what_it_is_made_of(tmp_path: Any) -> None:
    misses = checked(tmp_path / "a", "cache.misses < 5%", LOOKUPS)
    assert misses.because == (
        "the share of misses is 10 %, above the limit of 5%: 40 of 400 lookups found nothing; "
        "with 95 % confidence at least 7.63 % find nothing, 5 % may"
    )
    assert misses.advice is not None
    assert "preload" in misses.advice
    assert misses.samples == 400
    errors = checked(tmp_path / "b", "cache.get.status.5xx < 0.3%", STATUSES)
    assert errors.because == (
        "the share of HTTP 5xx is 1 %, above the limit of 0.3%: of 400 answers 396 were 200, 4 were 503; "
        "with 95 % confidence at least 0.342 % have such a status, 0.3 % may"
    )


def test_a_share_of_too_few_answers_is_inconclusive(tmp_path: Any) -> None:
    check = checked(tmp_path, "cache.misses < 5%", {"get": {"hits": 59, "misses": 0}})
    assert check.status is Status.INCONCLUSIVE
    assert "needed 60 samples" in check.because


def test_a_run_of_an_older_version_counted_nothing(tmp_path: Any) -> None:
    check = checked(tmp_path, "cache.misses < 5%", {})
    assert check.status is Status.INCONCLUSIVE
    assert "did not count misses" in check.because


def test_an_operation_without_lookups_has_no_share(tmp_path: Any) -> None:
    check = checked(tmp_path, "cache.set.misses < 5%", LOOKUPS)
    assert (check.status, check.because) == (
        Status.INCONCLUSIVE,
        "there are no samples of cache.set.misses",
    )


def test_lost_messages_are_put_down_to_subscribers_that_the_server_cut_off(tmp_path: Any) -> None:
    samples = {"cache/publish/response/ok": [(MS, 500)], "cache/deliver/response/ok": [(MS, 400)]}
    counters = {"lost_messages": 100, "duplicate_messages": 0, "reordered_messages": 0, "lost_subscribers": 7}
    run = SyntheticRun(
        sla=["cache.lost_messages == 0"],
        samples=samples,
        workload={"driver": "redis_pubsub", "counters": counters},
    ).load(tmp_path)
    verdict = judge(run)
    (check,) = verdict.checks
    assert check.advice is not None
    assert check.advice.startswith("the server closed 7 times the connection of a subscriber")
    assert "client-output-buffer-limit" in check.advice
    assert "7 times a subscriber's connection was closed" in " ".join(text.render(run, verdict).split())


def test_every_report_shows_what_answers_brought(tmp_path: Any) -> None:
    run = SyntheticRun(samples=GETS, answers=STATUSES, workload={"driver": "http"}).load(tmp_path / "http")
    verdict = judge(run)
    assert "cache: 396 answered 200, 100 answered 302, 4 answered 503" in " ".join(
        text.render(run, verdict).split()
    )
    assert "396 answered 200" in markdown.render(run, verdict)
    assert "HTTP 302" in page(run, verdict)
    assert '"302": 100' in data.render_json(run, verdict)
    run = SyntheticRun(samples=GETS, answers=LOOKUPS).load(tmp_path / "redis")
    verdict = judge(run)
    assert "cache: 360 hits, 40 misses (10 %)" in text.render(run, verdict)
    assert "360 hits, 40 misses" in markdown.render(run, verdict)
    assert ">miss<" in page(run, verdict)
    assert '"misses": 40' in data.render_json(run, verdict)


def test_dropped_arrivals_say_how_many_lanes_the_rate_needs(tmp_path: Any) -> None:
    samples = {
        "cache/get/response/ok": [(45 * MS, 600)],
        "cache/get/response/dropped": [(1000 * MS, 400)],
        "cache/get/service/ok": [(45 * MS, 600)],
    }
    run = SyntheticRun(sla=["cache.errors < 1%"], samples=samples).load(tmp_path)
    (check,) = judge(run).checks
    assert check.advice == (
        "at the mean service time of 45.0 ms, 100/s need 5 lanes, and there are 4: "
        "add some, or lower the rate"
    )


def test_connections_that_are_lost_to_bytes_that_are_no_reply_are_put_down_to_them(tmp_path: Any) -> None:
    message = "cache: 500 times the server sent bytes that are no reply"
    run = SyntheticRun(
        sla=["cache.errors < 1%"],
        samples={"cache/get/response/ok": [(MS, 250)], "cache/get/response/refused": [(1000 * MS, 250)]},
        record={"anomalies": [{"code": "broken_replies", "severity": "inconclusive", "message": message}]},
    ).load(tmp_path)
    verdict = judge(run)
    (check,) = [check for check in verdict.checks if check.is_rule]
    assert (
        check.advice == f"{message}, and its connection is given up each time: look at what the server sends"
    )
    assert "server's log" not in text.render(run, verdict)
