"""A busy machine, or one that lacked a port, excuses what that can have caused, and nothing else."""

import pytest

from bench.judge.judge import judge
from bench.judge.verdict import Status
from tests.helpers.fault_run import FaultRun, fault, recovery
from tests.helpers.machine_samples import rows
from tests.helpers.synthetic_run import MS, S, SyntheticRun
from tests.judge.test_machine_doubts import OK, STARVED, STARVED_TARGET, checked, in_phases

HUNG_UP = {OK: [(MS, 1800)], "cache/get/response/reset": [(S, 200)]}
TURNED_AWAY = {OK: [(MS, 1200)], "cache/get/response/refused": [(S, 800)]}
A_LITTLE = rows(1.9, 0.1, 0.1, waits={"generator": 0.13}, seconds=11)


@pytest.mark.parametrize("rule", ["cache.errors < 1%", "cache.availability(window=10s) >= 99.9%"])
@pytest.mark.parametrize(
    ("resources", "samples"),
    [(STARVED, HUNG_UP), (STARVED_TARGET, HUNG_UP), (A_LITTLE, TURNED_AWAY)],
    ids=["resets, the generator", "resets, the target", "refusals"],
)
def test_a_target_that_hangs_up_or_lets_nobody_in_fails_on_a_busy_machine_too(
    tmp_path, rule, resources, samples
):
    """No request had run into its deadline; and nobody waited for as long as there was no connection."""
    check = checked(tmp_path, rule, in_phases(resources), samples)
    assert check.status is Status.FAIL, check.because


@pytest.mark.parametrize(
    ("samples", "workload"),
    [
        ({OK: [(MS, 1800)], "cache/get/response/reset": [(S, 30)]}, {}),
        (
            HUNG_UP | {"cache/get/response/timeout": [(S, 20)]},
            {"pipeline": 8},
        ),
    ],
    ids=["a server that ends silent connections", "requests behind one that timed out"],
)
def test_resets_that_a_deadline_or_an_idle_timeout_explains_are_the_busy_machines_doing(
    tmp_path, samples, workload
):
    check = checked(tmp_path, "cache.errors < 1%", in_phases(STARVED), samples, workload=workload)
    assert check.status is Status.INVALID, check.because


OWN_LIMIT = {
    "code": "own_limit",
    "severity": "note",
    "message": "cache: 1 connection could not be made: no local port was free",
    "advice": "widen net.ipv4.ip_local_port_range",
}


@pytest.mark.parametrize(
    ("rule", "samples"),
    [
        ("cache.errors < 1%", {OK: [(MS, 1800)], "cache/get/response/error": [(S, 200)]}),
        ("cache.errors < 1%", HUNG_UP),
        ("cache.duplicate_messages == 0", {OK: [(MS, 1800)]}),
        ("cache.misses < 1%", {OK: [(MS, 1800)]}),
        ("cache.response.p95 < 10ms", {OK: [(300 * MS, 1800)]}),
    ],
)
def test_a_connection_that_this_machine_could_not_make_excuses_nothing_that_the_target_did(
    tmp_path, rule, samples
):
    run = SyntheticRun(
        sla=[rule],
        samples=samples,
        record={"anomalies": [OWN_LIMIT]},
        workload={"counters": {"own_limits": 1, "duplicate_messages": 5}},
        answers={"get": {"hits": 100, "misses": 1700}},
    )
    (check,) = judge(run.load(tmp_path)).checks
    assert check.status is Status.FAIL, check.because


@pytest.mark.parametrize(
    ("rule", "samples"),
    [
        ("cache.response.p95 < 10ms", {OK: [(MS, 1780), (300 * MS, 220)]}),
        ("cache.errors < 10%", {OK: [(MS, 1780)], "cache/get/response/timeout": [(S, 220)]}),
    ],
)
def test_a_rule_that_would_hold_without_the_starved_part_is_invalid_however_much_is_usual(
    tmp_path, rule, samples
):
    """Nearly all that a rule allows is usual with this target; what came on top came in the starved time."""
    resources = [row for row in in_phases(STARVED) if row["at_ns"] <= 2 * S]
    calm = in_phases(rows(1.0, 0.3, 0.6, seconds=11))
    last = {row["source"]: row["cpu_s"] for row in resources}
    first = {row["source"]: row["cpu_s"] for row in calm if row["at_ns"] == 2 * S}
    waited = {row["source"]: row.get("run_queue_s", 0.0) for row in resources}
    for row in calm:
        if row["at_ns"] > 2 * S:
            name = row["source"]
            shifted = {"cpu_s": row["cpu_s"] - first[name] + last[name]}
            if name == "redis":
                shifted["run_queue_s"] = waited[name]
            resources.append(row | shifted)
    check = checked(tmp_path, rule, resources, samples)
    assert check.status is Status.INVALID, check.because


def quiet_after(seconds):
    """Others had all processors for so long; then nobody waited."""
    found, used = [], dict.fromkeys(("machine", "generator", "redis"), 0.0)
    starved, calm = {"machine": 2.0, "generator": 0.05, "redis": 0.02}, {"machine": 1.0, "generator": 0.3}
    for half in range(23):
        is_starved = half <= 2 * seconds
        for source in used:
            used[source] += (starved if is_starved else calm).get(source, 0.6) / 2
            row = {"at_ns": half * S // 2, "phase": "steady", "source": source, "cpu_s": used[source]}
            waited = {"run_queue_worst_s": 0.45 if is_starved else 0.0} if source == "generator" else {}
            found.append(row | {"cores": 2} | waited)
    return found


@pytest.mark.parametrize(("seconds", "status"), [(4, Status.FAIL), (11, Status.INVALID)])
def test_a_target_that_had_its_processor_and_did_not_come_back_failed_by_finding_and_by_rule(
    tmp_path, seconds, status
):
    """The rule allows more than was waited: what never came breaks it all the same, with the same excuse."""
    away = fault(0, 3.0, healed=None, healed_ns=None, proof="nothing answers as redis")
    run = FaultRun(
        sla=["recovery.first < 30s"],
        faults=[away],
        recoveries=[recovery(0, 3.0, first_s=None)],
        resources=quiet_after(seconds),
    )
    found = judge(run.load(tmp_path)).checks
    assert [(one.metric, one.status) for one in found] == [
        ("validity.target_not_back", status),
        ("recovery.first", status),
    ], [one.because for one in found]


@pytest.mark.parametrize(
    ("rule", "status"),
    [
        ("availability(window=1h, incidents=1) >= 99.95%", Status.INVALID),
        ("availability(window=10min, incidents=1) >= 99.999%", Status.FAIL),
    ],
)
def test_an_outage_that_others_may_have_made_longer_projects_to_no_fail(tmp_path, rule, status):
    """An outage of 3 s: a tenth of it is within 1.8 s of an hour, and not within 6 ms of ten minutes."""
    run = FaultRun(
        sla=[rule],
        faults=[fault(0, 3.0)],
        recoveries=[recovery(0, 3.0, first_s=3.0)],
        resources=quiet_after(11),
    )
    (check,) = judge(run.load(tmp_path)).checks
    assert check.status is status, check.because


@pytest.mark.parametrize(("outcome", "status"), [("error", Status.FAIL), ("timeout", Status.INVALID)])
def test_a_burst_of_errors_breaks_its_window_on_a_busy_machine_too(tmp_path, outcome, status):
    """Few in ten seconds, many in one: all that was lost was lost in the last second."""
    run = SyntheticRun(
        sla=["cache.availability(window=1s) >= 99%"],
        samples={OK: [(MS, 1990)], f"cache/get/response/{outcome}": [(MS, 9)]},
        resources=in_phases(STARVED),
        windows=10,
    )
    (check,) = judge(run.load(tmp_path)).checks
    assert check.status is status, check.because


@pytest.mark.parametrize(("outcome", "status"), [("error", Status.FAIL), ("timeout", Status.INVALID)])
def test_work_that_the_server_would_not_do_is_missing_on_a_quiet_machine_too(tmp_path, outcome, status):
    samples = {OK: [(MS, 1700)], f"cache/get/response/{outcome}": [(S, 300)]}
    check = checked(tmp_path, "cache.throughput >= 190/s", in_phases(STARVED), samples)
    assert check.status is status, check.because


@pytest.mark.parametrize(
    ("slow_ns", "status"), [(50 * MS, Status.FAIL), (MS // 2, Status.INVALID)], ids=["slow", "not slow"]
)
def test_a_target_that_was_slow_without_our_lateness_fails_however_late_we_were(tmp_path, slow_ns, status):
    entry = recovery(0, 2, 0.3) | {"full_ns": 9 * S}
    run = FaultRun(
        sla=["recovery.full < 1s"],
        faults=[fault(0, 2)],
        recoveries=[entry],
        late_ns=2 * MS,
        net=[(MS // 2, 4500), (slow_ns, 500)],
    )
    (check,) = judge(run.load(tmp_path)).checks
    assert check.status is status, check.because


@pytest.mark.parametrize(
    ("stalled_ns", "status"), [(3 * S, Status.FAIL), (20 * MS, Status.INVALID)], ids=["hung", "did not hang"]
)
def test_a_target_that_hung_without_our_lateness_was_away_however_late_we_were(tmp_path, stalled_ns, status):
    run = FaultRun(
        sla=["downtime < 1s"],
        faults=[fault(0, 2)],
        recoveries=[recovery(0, 2, 3.0) | {"failed": 0, "stalled": 400}],
        late_ns=120 * MS,
        net=[(MS // 2, 4500), (stalled_ns, 500)],
    )
    (check,) = judge(run.load(tmp_path)).checks
    assert check.status is status, check.because


@pytest.mark.parametrize(
    ("kind", "failed", "status"),
    [
        ("observe", 422, Status.INCONCLUSIVE),
        ("observe", 500, Status.PASS),
        ("kill", 422, Status.PASS),
    ],
    ids=["a stall of ours first", "losses in it", "a fault that we made"],
)
def test_a_stall_of_ours_is_not_taken_for_the_outage_that_was_to_be_observed(tmp_path, kind, failed, status):
    run = FaultRun(
        sla=["recovery.stable < 5s"],
        faults=[fault(0, 2) | {"kind": kind}],
        recoveries=[recovery(0, 2, 0.4) | {"failed": failed, "stalled": 85, "failed_after_stable": 422}],
        late_ns=208 * MS,
    )
    (check,) = judge(run.load(tmp_path)).checks
    assert check.status is status, check.because
