"""Rules about faults, judged from records written by hand."""

from pathlib import Path
from typing import Any

import pytest

from bench.cli.main import run as bench
from bench.judge.observation import Repeat, observed
from bench.judge.verdict import Status
from bench.scenario.rules.grammar import Metric
from tests.helpers.fault_run import FaultRun, detection, fault, integrity, recovery, unaffected
from tests.helpers.synthetic_run import MS, S
from tests.judge.fault_checks import ONE, check, verdict


def test_detection_counts_from_the_first_failure(tmp_path: Path) -> None:
    found = check(tmp_path, "detection.probe < 6s", detections=[detection(0, "probe", 2.5006)], **ONE)
    assert found.status is Status.PASS
    assert found.observed == S // 2


def test_a_detector_that_was_faster_than_any_client_took_no_time(tmp_path: Path) -> None:
    assert (
        check(
            tmp_path, "detection.engine_event < 6s", detections=[detection(0, "engine_event", 2.0003)], **ONE
        ).observed
        == 0
    )


def test_a_missed_detection_fails_its_rule(tmp_path: Path) -> None:
    found = check(tmp_path, "detection.probe < 6s", detections=[detection(0, "probe", None)], **ONE)
    assert found.status is Status.FAIL
    assert found.because == "fault 0 (kill redis): it was not detected, waited 9.00 s"


def test_what_nobody_saw_need_not_be_detected(tmp_path: Path) -> None:
    parts = {
        "faults": [fault(0, 2), fault(1, 4), fault(2, 6, "nothing")],
        "recoveries": [unaffected(0, 2), recovery(1, 4), unaffected(2, 6)],
        "detections": [
            detection(0, "probe", None),
            detection(1, "probe", 4.2),
            detection(2, "probe", None),
        ],
    }
    found = check(tmp_path, "detection.probe < 6s", **parts)
    assert found.status is Status.PASS
    assert found.samples == 1
    assert found.because.endswith(": 1 fault; 1 undetected without visible effect")


def test_a_detector_that_the_run_did_not_have_is_inconclusive(tmp_path: Path) -> None:
    found = check(tmp_path, "detection.breaker < 6s", detections=[detection(0, "probe", 2.1)], **ONE)
    assert found.status is Status.INCONCLUSIVE
    assert found.advice == "its detectors are: probe"


def test_false_alarms_are_counted_and_named(tmp_path: Path) -> None:
    alarms = {"false_alarms": [{"detector": "probe", "at_ns": S, "detail": ""}]}
    found = check(tmp_path / "a", "false_alarms == 0", record=alarms)
    assert found.status is Status.FAIL
    assert "probe at 1.00 s" in found.because or "probe at 1 s" in found.because
    quiet = check(tmp_path / "b", "false_alarms == 0", detections=[detection(0, "probe", 2.1)])
    assert quiet.status is Status.PASS
    assert quiet.because.endswith("none by 1 detector")


def test_lost_writes_fail_with_how_many_and_how_old(tmp_path: Path) -> None:
    found = check(tmp_path, "lost_writes == 0", record={"integrity": [integrity(12)]})
    assert found.status is Status.FAIL
    assert "12 of 5 000 acknowledged, the oldest 180 ms old" in found.because


def test_no_lost_write_shows_what_that_can_mean(tmp_path: Path) -> None:
    found = check(tmp_path, "cache.lost_writes == 0", record={"integrity": [integrity(0)]})
    assert found.status is Status.PASS
    assert "at most 0.06 % with 95 % confidence" in found.because
    assert found.samples == 5000


def test_data_that_could_not_be_counted_is_inconclusive_and_hides_no_loss(tmp_path: Path) -> None:
    unknown = integrity(None, check="registers")
    rule = "lost_writes == 0"
    fine = check(tmp_path / "a", rule, record={"integrity": [integrity(0), unknown]})
    assert fine.status is Status.INCONCLUSIVE
    assert fine.because == "cache, registers: not checked: redis was away"
    broken = check(tmp_path / "b", rule, record={"integrity": [integrity(3), unknown]})
    assert broken.status is Status.FAIL
    assert check(tmp_path / "c", rule).status is Status.INCONCLUSIVE


def test_lost_messages_are_no_lost_writes(tmp_path: Path) -> None:
    messages = integrity(40, check="messages", unexpected=None)
    found = check(tmp_path / "a", "lost_writes == 0", record={"integrity": [integrity(0), messages]})
    assert found.status is Status.PASS
    found = check(tmp_path / "b", "lost_writes == 0", record={"integrity": [messages]})
    assert found.status is Status.INCONCLUSIVE
    assert found.because == "the data was not checked in this run"


def drill(*, healed: bool = True, **point: object) -> dict[str, Any]:
    """A backup at 2 s, a destruction at 6 s whose restore ends at 7 s, and what the ledger says of it."""
    points = [{"fault": 1, "age_ns": 4 * S, "written": 600, "kept": 200, **point}]
    return {
        "faults": [fault(0, 2, "backup"), fault(1, 6, "destroy", healed_ns=7 * S, healed=healed)],
        "recoveries": [unaffected(0, 2), recovery(1, 6, 1.5)],
        "record": {"integrity": [integrity(10, recovery_points=points)]},
    }


def test_a_restore_is_judged_by_how_old_what_it_brought_back_was(tmp_path: Path) -> None:
    found = check(tmp_path, "cache.recovery_point < 5s", **drill())
    assert (found.status, found.observed) == (Status.PASS, 4 * S)


def test_a_restore_took_until_it_had_ended_and_clients_succeeded(tmp_path: Path) -> None:
    found = check(tmp_path, "recovery_time < 5s", **drill())
    assert found.status is Status.PASS
    assert found.observed is not None
    assert 1.4 * S < found.observed < 1.6 * S


@pytest.mark.parametrize("rule", ["recovery_point < 1h", "recovery_time < 1h"])
def test_a_restore_that_failed_is_no_recovery_however_much_is_allowed(tmp_path: Path, rule: str) -> None:
    found = check(tmp_path, rule, **drill(healed=False))
    assert found.status is Status.FAIL
    assert found.because.startswith("fault 1 (destroy redis): what it destroyed did not come back")


def test_a_restore_that_brought_back_nothing_has_no_point(tmp_path: Path) -> None:
    assert check(tmp_path, "recovery_point < 1h", **drill(age_ns=None, kept=0)).status is Status.FAIL


def test_without_a_drill_or_a_ledger_there_is_no_point(tmp_path: Path) -> None:
    found = check(tmp_path / "a", "recovery_point < 1h", **ONE)
    assert found.status is Status.INCONCLUSIVE
    assert found.because == "no data were destroyed in this run"
    unread = drill() | {"record": {}}
    found = check(tmp_path / "b", "recovery_point < 1h", **unread)
    assert found.status is Status.INCONCLUSIVE
    assert found.because == "no acknowledged write was looked for after a restore"


def test_an_unexpected_value_fails(tmp_path: Path) -> None:
    found = check(tmp_path, "unexpected_values == 0", record={"integrity": [integrity(0, unexpected=1)]})
    assert found.status is Status.FAIL
    assert "1 of 5 000 found" in found.because


def test_breakers_are_judged_by_how_long_they_were_open(tmp_path: Path) -> None:
    rule = "breaker_open_time < 5s"
    assert check(tmp_path / "a", rule, record={"breaker_open_ns": 3 * S}).observed == 3 * S
    assert check(tmp_path / "b", rule, record={"breaker_open_ns": 6 * S}).status is Status.FAIL
    assert check(tmp_path / "c", rule, record={"breaker_open_ns": 0}).because.endswith("none was seen open")
    assert check(tmp_path / "d", rule).status is Status.INCONCLUSIVE


def test_a_projected_availability_shows_its_arithmetic(tmp_path: Path) -> None:
    found = check(tmp_path, "availability(window=30d, incidents=4) >= 99.9%")
    assert found.status is Status.PASS
    assert found.observed == pytest.approx(1 - 4 * 0.5 / (30 * 86400))
    assert found.because.endswith("1 - 4 x 500 ms / 30 d, by the worst of 5 faults, fault 2 (kill redis)")


def test_failed_requests_count_as_the_time_that_they_were_planned_in(tmp_path: Path) -> None:
    """Half of the requests failed for 20 s: no downtime, and yet 10 s worth of requests were lost."""
    flapping = recovery(0, 2, 0.001, failed=10_000)
    parts = {"faults": [fault(0, 2)], "recoveries": [flapping]}
    found = check(tmp_path, "availability(window=1h, incidents=1) >= 99.9%", **parts)
    assert found.status is Status.FAIL
    assert found.observed == pytest.approx(1 - 10 / 3600)


def test_the_projection_of_a_target_that_never_came_back_fails(tmp_path: Path) -> None:
    parts = {"faults": [fault(0, 2)], "recoveries": [recovery(0, 2, None)]}
    found = check(tmp_path, "availability(window=30d, incidents=1) >= 99.9%", **parts)
    assert found.status is Status.FAIL
    assert "did not come back" in found.because


def test_a_fault_without_proof_makes_the_run_invalid(tmp_path: Path) -> None:
    faults = [fault(0, 2), fault(1, 4, took_effect=False, effective_ns=None, proof="the old pid answers")]
    found = verdict(tmp_path, "recovery.stable < 10s", faults=faults, recoveries=[recovery(0, 2)])
    assert found.status is Status.INVALID
    assert found.checks[0].metric == "validity.fault_without_effect"
    assert found.checks[0].because == (
        "there is no proof that fault 1 (kill redis) took effect: the old pid answers"
    )
    assert found.checks[-1].status is Status.PASS


def test_a_fault_that_was_not_undone_makes_the_run_invalid(tmp_path: Path) -> None:
    faults = [fault(0, 2, "pause", healed=False, healed_ns=None)]
    found = verdict(tmp_path, "recovery.stable < 10s", faults=faults, recoveries=[recovery(0, 2)])
    assert found.status is Status.INVALID
    assert found.checks[0].metric == "validity.fault_not_healed"


@pytest.mark.parametrize(("kind", "healed"), [("kill", None), ("kill", False), ("stop", False)])
def test_a_killed_target_that_does_not_start_again_fails_the_run_and_does_not_invalidate_it(
    tmp_path: Path, kind: str, healed: bool | None
) -> None:
    faults = [fault(0, 2, kind, healed=healed, healed_ns=None)]
    found = verdict(tmp_path, "cache.errors < 50%", faults=faults, recoveries=[recovery(0, 2, None)])
    assert found.status is Status.FAIL
    assert found.checks[0].metric == "validity.target_not_back"


def test_a_run_whose_fault_was_to_do_nothing_is_sound(tmp_path: Path) -> None:
    faults = [fault(0, 2, "nothing", took_effect=False, healed=False, effective_ns=None)]
    found = verdict(tmp_path, "cache.errors < 50%", faults=faults, recoveries=[])
    assert found.status is Status.PASS


def test_a_saved_run_is_judged_by_other_rules_about_its_faults(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = FaultRun(sla=["recovery.stable < 10s"]).write(tmp_path)
    rules = tmp_path / "rules.yaml"
    rules.write_text("- recovery.stable < 400ms\n- availability(window=30d, incidents=1) >= 99.9%\n")
    assert bench(["judge", str(folder), "--sla", str(rules)]) == 1
    assert "500 ms" in capsys.readouterr().out


def test_a_sentence_about_two_hundred_faults_is_still_read() -> None:
    many = [Repeat(f"fault {number} (kill redis)", 1e6 * number) for number in range(1, 201)]
    seen = observed(many, Metric(("cache",), "recovery.stable", "p95"))
    assert "one by one 1 ms, 2 ms, 3 ms" in seen.basis
    assert "and 189 more" in seen.basis
    assert len(seen.basis) < 250


def test_a_broken_rule_of_a_workload_that_was_away_by_itself_points_at_that_time(tmp_path: Path) -> None:
    away = {"workload": "cache", "from_ns": 3 * S, "until_ns": 7 * S, "planned": 4000, "failed": 4000}
    away |= {"whose": "nobody", "fault": None, "resolution_ns": 20 * MS}
    found = check(tmp_path / "a", "cache.response.p95 < 10us", record={"outages": [away]})
    assert found.status is Status.FAIL
    assert found.advice == (
        "from 3 s on nothing of cache succeeded for 4 s, and no fault of this run was there: look at the "
        "target's log at that time"
    )
    ours = away | {"whose": "fault", "fault": 0}
    assert "nothing of cache" not in str(
        check(tmp_path / "b", "cache.response.p95 < 10us", record={"outages": [ours]}).advice
    )


@pytest.mark.parametrize("rule", ["cache.response.p95 < 10us", "cache.get.response.p95 < 10us"])
def test_a_moment_without_success_is_not_the_cause_of_what_broke_all_along(tmp_path: Path, rule: str) -> None:
    moment = {"workload": "cache", "from_ns": 3 * S, "until_ns": 3 * S + 90 * MS, "planned": 90, "failed": 90}
    moment |= {"whose": "nobody", "fault": None, "resolution_ns": 20 * MS}
    found = check(tmp_path, rule, record={"outages": [moment]})
    assert found.status is Status.FAIL
    assert "nothing of cache" not in str(found.advice)
