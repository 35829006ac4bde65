"""What our own machine did is no FAIL of the target, and what the target did is not excused by it."""

import pytest

from bench.judge.judge import judge
from bench.judge.verdict import Status
from tests.helpers.machine_samples import rows
from tests.helpers.synthetic_run import MS, S, SyntheticRun

OK = "cache/get/response/ok"
DROPPED = "cache/get/response/dropped"
SLOW = "cache/get/service/ok"

STARVED = rows(2.0, 0.05, 0.02, waits={"generator": 0.85}, seconds=11)
STARVED_TARGET = rows(2.0, 0.05, 0.1, waits={"redis": 0.8}, seconds=11)
OVERLOADED = rows(1.8, 0.3, 1.0, waits={"redis": 0.04, "generator": 0.03}, seconds=11)
BROKEN = {OK: [(MS, 1000), (300 * MS, 500)], DROPPED: [(S, 500)], SLOW: [(MS // 4, 100), (MS, 1400)]}
RULES = [
    "cache.response.p95 < 10ms",
    "cache.service.p50 < 500us",
    "cache.errors < 1%",
    "cache.dropped == 0",
    "cache.throughput >= 190/s",
    "cache.availability(window=10s) >= 99.9%",
]


def checked(tmp_path, rule, resources, samples=None, **fields):
    run = SyntheticRun(sla=[rule], samples=samples or BROKEN, resources=resources, windows=10, **fields)
    (check,) = judge(run.load(tmp_path)).checks
    return check


def in_phases(samples):
    return [row | {"phase": "steady"} for row in samples]


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("resources", [STARVED, STARVED_TARGET], ids=["the generator", "the target"])
def test_a_rule_broken_while_others_had_the_processor_is_invalid_with_their_figures(
    tmp_path, rule, resources
):
    check = checked(tmp_path, rule, in_phases(resources))
    assert check.status is Status.INVALID, check.because
    assert "others used 1." in check.because
    assert "of this machine's 2 cores" in check.because
    assert "waited for a processor" in check.because
    assert "bench doctor" in check.advice


@pytest.mark.parametrize("rule", RULES)
def test_a_target_that_cannot_keep_up_fails_beside_a_machine_that_somebody_else_uses_too(tmp_path, rule):
    assert checked(tmp_path, rule, in_phases(OVERLOADED)).status is Status.FAIL


def test_what_broke_for_longer_than_anybody_was_starved_is_the_targets_doing(tmp_path):
    """Half of the arrivals are beyond the limit, a twentieth of the time was starved."""
    busy, quiet = {}, {}
    for source, (starved, calm) in {
        "machine": (2.0, 1.0),
        "generator": (0.05, 0.3),
        "redis": (0.02, 0.6),
    }.items():
        busy[source], quiet[source] = starved, calm
    found, used = [], dict.fromkeys(busy, 0.0)
    for half in range(23):
        is_starved = half == 12
        for source in busy:
            used[source] += (busy if is_starved else quiet)[source] / 2
            row = {"at_ns": half * S // 2, "source": source, "cpu_s": used[source], "cores": 2}
            if source == "generator":
                row["run_queue_worst_s"] = 0.45 if is_starved else 0.0
            found.append(row | {"phase": "steady"})
    assert checked(tmp_path, "cache.response.p95 < 10ms", found).status is Status.FAIL
    brief = {OK: [(MS, 1880), (300 * MS, 120)], SLOW: [(MS, 2000)]}
    assert checked(tmp_path / "b", "cache.response.p95 < 10ms", found, brief).status is Status.INVALID


@pytest.mark.parametrize(("full_at", "status"), [(6.2, Status.INVALID), (3.0, Status.FAIL)])
def test_a_pool_that_filled_while_others_had_the_processor_is_invalid(tmp_path, full_at, status):
    """The target was starved from 6 s to 6.5 s: 5 % of the time, and all of the time that filled the pool."""
    used, found = dict.fromkeys(("machine", "generator", "redis"), 0.0), []
    waited = 0.0
    for half in range(23):
        is_starved = half == 13
        rates = (2.0, 0.05, 0.02) if is_starved else (1.0, 0.3, 0.6)
        waited += 0.45 if is_starved else 0.0
        for source, rate in zip(used, rates, strict=True):
            used[source] += rate / 2
            row = {"at_ns": half * S // 2, "source": source, "cpu_s": used[source], "cores": 2}
            if source == "redis":
                row |= {"run_queue_s": waited, "processes": 1}
            found.append(row | {"phase": "steady"})
    pool = {"size": 50, "utilization_max": 1.0, "utilization_max_ns": int(full_at * S)}
    rule = "cache.pool_utilization < 100%"
    check = checked(tmp_path, rule, found, {OK: [(MS, 2000)]}, record={"pool": {"cache": pool}})
    assert check.status is status, check.because
    if status is Status.INVALID:
        assert "of the half second before redis waited for a processor" in check.because


def test_under_a_fault_that_makes_the_machine_busy_the_target_is_judged_all_the_same(tmp_path):
    fault = {
        "number": 0,
        "kind": "cpu",
        "target": "redis",
        "repeat": 0,
        "planned_ns": 0,
        "effective_ns": 0,
        "healed_ns": 11 * S,
        "took_effect": True,
        "healed": True,
        "proof": "it burnt",
    }
    check = checked(tmp_path, "cache.errors < 1%", in_phases(STARVED), record={"faults": [fault]})
    assert check.status is Status.FAIL


def test_a_rule_that_holds_passes_however_busy_the_machine_was(tmp_path):
    calm = {OK: [(MS, 2000)], SLOW: [(MS, 2000)]}
    assert checked(tmp_path, "cache.response.p95 < 10ms", in_phases(STARVED), calm).status is Status.PASS


def test_a_run_whose_load_came_from_workers_is_not_judged_by_the_coordinators_machine(tmp_path):
    check = checked(tmp_path, "cache.errors < 1%", in_phases(STARVED), record={"workers": [{"name": "one"}]})
    assert check.status is Status.FAIL


@pytest.mark.parametrize(
    ("resources", "status"), [(STARVED, Status.INVALID), (OVERLOADED, Status.FAIL)], ids=["starved", "not"]
)
def test_a_target_that_did_not_come_back_in_time_on_a_starved_machine_is_not_blamed(
    tmp_path, resources, status
):
    fault = {
        "number": 0,
        "kind": "kill",
        "target": "redis",
        "repeat": 0,
        "planned_ns": 5 * S,
        "effective_ns": 5 * S,
        "healed_ns": None,
        "took_effect": True,
        "healed": None,
        "proof": "nothing answers as redis, after 5.8 s",
    }
    calm = {OK: [(MS, 2000)], SLOW: [(MS, 2000)]}
    run = SyntheticRun(
        sla=["cache.errors < 1%"], samples=calm, resources=in_phases(resources), record={"faults": [fault]}
    )
    (finding, _) = judge(run.load(tmp_path)).checks
    assert finding.metric == "validity.target_not_back"
    assert finding.status is status
    assert ("others used" in finding.because) is (status is Status.INVALID)


@pytest.mark.parametrize(
    ("service", "status"),
    [([(MS, 2000)], Status.INVALID), ([(800 * MS, 2000)], Status.FAIL)],
    ids=["answered at once when asked", "slow when asked"],
)
def test_a_backlog_of_the_generators_over_the_whole_run_is_not_the_targets_slowness(
    tmp_path, service, status
):
    """Then even the fastest response has waited, so the time from its sending tells."""
    waited = {OK: [(900 * MS, 2000)], SLOW: service}
    check = checked(tmp_path, "cache.response.p95 < 10ms", in_phases(STARVED), waited)
    assert check.status is status, check.because


BEYOND_ALL_WAITS = {
    "cache.response.p95 < 1ns": {OK: [(MS, 2000)]},
    "cache.service.p99 < 100us": {OK: [(MS, 2000)], SLOW: [(MS // 4, 1000), (MS, 1000)]},
    "cache.throughput >= 1000/s": {OK: [(MS, 2000)]},
    "cache.errors < 1%": {OK: [(MS, 1900)], "cache/get/response/error": [(S, 100)]},
    "cache.availability(window=10s) >= 99.9%": {
        OK: [(MS, 1900)],
        "cache/get/response/error": [(S, 100)],
    },
}


@pytest.mark.parametrize("rule", BEYOND_ALL_WAITS)
@pytest.mark.parametrize("resources", [STARVED, STARVED_TARGET], ids=["the generator", "the target"])
def test_what_no_wait_for_a_processor_can_explain_fails_on_the_busiest_machine(tmp_path, rule, resources):
    """A plan below the limit, a server that says no, an answer whose fastest is too slow."""
    check = checked(tmp_path, rule, in_phases(resources), BEYOND_ALL_WAITS[rule])
    assert check.status is Status.FAIL, check.because


def test_half_an_hour_of_recovery_is_not_the_doing_of_a_little_waiting():
    from bench.judge.machine_guards import could_hold, waited_share
    from bench.judge.observation import Observation, Repeat
    from bench.resources.starvation import Starvation
    from bench.scenario.rules.grammar import parse_rule

    rule = parse_rule("recovery.stable < 10s")
    waiting = Starvation(0.5, 2, 1.8, 0.3, "the generator waited for a processor")
    for seconds, expected in ((12, True), (1800, False)):
        seen = Observation(seconds * S, "ns", 1, repeats=(Repeat("fault 0 (kill redis)", seconds * S),))
        assert could_hold(None, rule, seen, waited_share(waiting)) is expected


def test_a_rule_broken_by_connections_that_the_fault_proxy_could_not_make_is_invalid(tmp_path):
    told = {
        "code": "own_limit",
        "severity": "invalid",
        "message": "the fault proxy before redis could not make 7 connections: no local port was free",
        "advice": "raise the limits",
    }
    record = {"anomalies": [told], "proxies": [{"target": "redis", "dials_failed": 7}]}
    run = SyntheticRun(sla=["cache.errors < 1%"], samples=BROKEN, record=record)
    checks = judge(run.load(tmp_path)).checks
    assert {check.status for check in checks} == {Status.INVALID}
    assert checks[-1].because == told["message"]
