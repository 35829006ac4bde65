"""What a closed loop may say, and what it cannot know: the target chooses how often it is asked."""

import pytest

from bench.judge.judge import judge
from bench.judge.verdict import Status
from tests.helpers.synthetic_run import MS, S, SyntheticRun

OK, NET, SERVICE, SERVICE_NET = (
    f"cache/get/{kind}/ok" for kind in ("response", "net", "service", "service_net")
)
LOST = ("cache/get/response/timeout", "cache/get/net/timeout", "cache/get/service/timeout")
RULES = ["cache.response.p99 < 50ms", "cache.errors < 1%", "cache.availability(window=1s) >= 99%"]


def checks(tmp_path, answers, rules=RULES, *, lost=(), arrivals="closed", **workload):
    """Statuses of a run of 4 lanes and 10 s whose answers took so long."""
    samples = {kind: list(answers) for kind in (OK, NET, SERVICE, SERVICE_NET)}
    samples |= {kind: list(lost) for kind in LOST if lost}
    fields = {"lanes": 4, "arrivals": arrivals, "deadline_ns": 2 * S, **workload}
    run = SyntheticRun(sla=rules, samples=samples, workload=fields, windows=10).load(tmp_path)
    return [check for check in judge(run).checks if check.is_rule]


def statuses(tmp_path, *arguments, **fields):
    return [check.status for check in checks(tmp_path, *arguments, **fields)]


HANGING = [(MS // 10, 240_000), (400 * MS, 40)]
"""24 s of lane time in answers of 0.1 ms, 16 s in hangs of 400 ms: 40 %."""


def test_a_target_that_hangs_for_40_percent_of_the_time_does_not_pass(tmp_path):
    tail, errors, availability = checks(tmp_path, HANGING)
    assert {tail.status, errors.status, availability.status} == {Status.INCONCLUSIVE}
    assert tail.because == (
        "a closed loop asks a target that is slow less often: P99 is 100 µs by its answers and 390 ms by the "
        "lanes' time, of which 35 % went beyond 50ms"
    )
    assert "planned times" in (tail.advice or "")
    assert tail.observed == pytest.approx(MS // 10, rel=0.01), "what was measured"


def test_planned_arrivals_need_no_doubt(tmp_path):
    assert statuses(tmp_path, HANGING, arrivals="constant") == [Status.PASS] * 3


@pytest.mark.parametrize(
    "answers",
    [
        [(MS // 10, 400_000)],
        [(20 * MS, 2_000)],
        [(MS // 10, 380_000), (MS, 2_000)],
        [(MS // 10, 300_000), (40 * MS, 250)],
    ],
    ids=["fast", "slow within the limit", "a tail within the limit", "often slower, never beyond"],
)
def test_a_healthy_target_passes_in_a_closed_loop(tmp_path, answers):
    assert statuses(tmp_path, answers) == [Status.PASS] * 3


def test_a_limit_that_the_answers_break_is_broken(tmp_path):
    slow = [(80 * MS, 500)]
    assert statuses(tmp_path, slow) == [Status.FAIL, Status.PASS, Status.PASS]


@pytest.mark.parametrize("metric", ["response", "response_ok", "service"])
@pytest.mark.parametrize("stat", ["p95", "p99.9", "mean"])
def test_every_tail_is_held_against_the_time_of_the_lanes(tmp_path, metric, stat):
    assert statuses(tmp_path, HANGING, [f"cache.{metric}.{stat} < 50ms"]) == [Status.INCONCLUSIVE]


def test_the_longest_answer_and_the_throughput_speak_for_themselves(tmp_path):
    rules = ["cache.response.max < 450ms", "cache.throughput >= 1000/s"]
    assert statuses(tmp_path, HANGING, rules) == [Status.PASS, Status.PASS]


def test_few_timeouts_that_took_much_of_the_time_are_no_few_errors(tmp_path):
    """9 timeouts of 2 s among 220 000 answers: 0.004 % of the answers, 45 % of the time."""
    found = checks(tmp_path, [(MS // 10, 220_000)], lost=[(2 * S, 9)])
    assert [check.status for check in found] == [Status.INCONCLUSIVE] * 3
    assert "what was lost took 45 % of the lanes' time" in found[1].because


def test_errors_that_come_at_once_are_asked_for_more_often_than_planned(tmp_path):
    """Half of the answers are errors of 0.1 ms, the others take 20 ms: 0.5 % of the time."""
    errors = [(MS // 10, 2_000)]
    samples = {kind: [(20 * MS, 2_000)] for kind in (OK, NET, SERVICE, SERVICE_NET)}
    samples |= {kind.replace("timeout", "error"): errors for kind in LOST}
    fields = {"lanes": 4, "arrivals": "closed", "deadline_ns": 2 * S}
    run = SyntheticRun(sla=["cache.errors < 1%"], samples=samples, workload=fields).load(tmp_path)
    (check,) = judge(run).checks
    assert check.status is Status.INCONCLUSIVE
    assert "50 % of the answers were errors, in 0.49" in check.because


def test_errors_in_answers_and_in_time_fail(tmp_path):
    assert statuses(tmp_path, [(MS, 30_000)], ["cache.errors < 1%"], lost=[(MS, 3_000)]) == [Status.FAIL]


def test_time_without_connections_is_no_time_of_service(tmp_path):
    """Half of the lanes' time is in no answer, and connections were lost."""
    answers, rule = [(MS // 10, 200_000)], ["cache.availability(window=1s) >= 99%"]
    away = statuses(tmp_path / "away", answers, rule, counters={"lost_connections": 3})
    assert away == [Status.INCONCLUSIVE]
    assert statuses(tmp_path / "idle", answers, rule) == [Status.PASS]


def test_users_that_think_ask_nearly_as_often_while_the_target_hangs(tmp_path):
    """4 users for 10 s: 40 requests of 5 ms, and one that took 300 ms: 0.6 % of the time beyond 50 ms."""
    rules = ["cache.response.p95 < 50ms"]
    answers = [(5 * MS, 400), (300 * MS, 1)]
    assert statuses(tmp_path / "users", answers, rules, engine="locust") == [Status.PASS]
    assert statuses(tmp_path / "lanes", answers, rules) == [Status.INCONCLUSIVE]
