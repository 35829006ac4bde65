"""The section of run.json: every fault, every workload, with what its lanes say of themselves."""

import json

import numpy as np

from bench.core.clock import NS_PER_S
from bench.results.fault_records import FaultRecord
from bench.results.layout import as_json
from bench.results.load_records import PhaseRecord, WorkloadRecord
from bench.results.run_record import RunRecord
from chaos.recovery.recovery import Reconnection, recoveries
from tests.chaos.recovery.histories import MS, log_of, lost, steady

RECORD = RunRecord(
    workloads=[
        WorkloadRecord(name="cache", arrivals="constant"),
        WorkloadRecord(name="orders", arrivals="closed"),
    ],
    phases=[
        PhaseRecord(name="warmup", measured=False, start_ns=0, end_ns=500 * MS),
        PhaseRecord(name="steady", measured=True, start_ns=500 * MS, end_ns=9 * NS_PER_S),
    ],
    duration_ns=9 * NS_PER_S,
)


def fault(number: int, at: float, **more: object) -> FaultRecord:
    times = {"asked_ns": round(at * MS), "effective_ns": round(at * MS) + MS // 5, "took_effect": True}
    return FaultRecord.model_validate({"number": number, "kind": "kill", "target": "redis", **times, **more})


FAULTS = [fault(0, 2000), fault(1, 5000)]
CACHE = [
    *steady(0, 2000),
    *lost("refused", 2001, 2300, deadline=200),
    *steady(2300, 5000),
    *lost("refused", 5001, 5600, deadline=200),
    *steady(5600, 9000),
]
ORDERS = steady(0, 9000)
RECONNECTIONS = [
    Reconnection("cache", at_ns=2300 * MS, away_ns=299 * MS),
    Reconnection("cache", at_ns=2310 * MS, away_ns=309 * MS),
    Reconnection("cache", at_ns=2420 * MS, away_ns=419 * MS),
    Reconnection("orders", at_ns=2420 * MS, away_ns=1 * MS),
]


def both() -> np.ndarray:
    return np.concatenate([log_of(CACHE, 0), log_of(ORDERS, 1)])


def test_every_fault_has_a_recovery_of_every_workload() -> None:
    found = recoveries(both(), RECORD, FAULTS, RECONNECTIONS)
    assert [(one.fault, one.workload, one.state) for one in found] == [
        (0, "cache", "recovered"),
        (0, "orders", "unaffected"),
        (1, "cache", "recovered"),
        (1, "orders", "unaffected"),
    ]
    first, _, second, _ = found
    assert first.first_failure_ns == 2001 * MS
    assert first.first_success_ns - first.first_failure_ns == 299.5 * MS
    assert second.first_success_ns - second.first_failure_ns == 599.5 * MS
    assert first.waited_ns == 5000 * MS - first.effective_ns
    assert second.until_ns == RECORD.duration_ns
    assert first.outcomes == {"refused": 299}
    written = [one.to_json() for one in found]
    assert json.loads(as_json(written)) == written


def test_lanes_that_came_back_are_counted_with_the_fault_and_the_workload() -> None:
    found = recoveries(both(), RECORD, FAULTS, RECONNECTIONS)
    assert found[0].reconnects.to_json() == {"count": 3, "p50_ns": 309 * MS, "max_ns": 419 * MS}
    assert found[1].reconnects.to_json() == {"count": 1, "p50_ns": MS, "max_ns": MS}
    assert found[2].reconnects.to_json() == {"count": 0, "p50_ns": None, "max_ns": None}


def test_the_record_says_what_was_meant_by_stable_and_by_full() -> None:
    found = recoveries(both(), RECORD, FAULTS)[0]
    assert found.criteria.to_json() == {"quiet_ns": NS_PER_S, "arrivals": 100, "window_ns": NS_PER_S}
    assert found.baseline.until_ns == 2000 * MS
    assert found.baseline.band_ns == MS // 2 * 5 // 4 + MS
    assert found.resolution_ns == MS


def test_a_fault_that_did_not_take_effect_is_no_fault() -> None:
    faults = [FAULTS[0], fault(1, 3000, took_effect=False, effective_ns=None), fault(2, 5000)]
    found = recoveries(both(), RECORD, faults)
    assert [one.fault for one in found] == [0, 0, 2, 2]
    assert recoveries(both(), RECORD, faults[1:2]) == []


def test_after_a_fault_that_nothing_came_back_from_the_next_is_not_clean() -> None:
    rows = [*steady(0, 2000), *lost("refused", 2001, 6000, deadline=200), *steady(6000, 9000)]
    log = log_of(rows)
    found = [one for one in recoveries(log, RECORD, FAULTS) if one.workload == "cache"]
    assert [(one.state, one.clean) for one in found] == [("never", True), ("recovered", False)]


def test_an_outage_that_the_end_of_the_run_cuts_short_is_told() -> None:
    rows = [*steady(0, 5000), *lost("refused", 5001, 8500, deadline=200), *steady(8500, 9000)]
    found = recoveries(log_of(rows), RECORD, [FAULTS[1]])[0]
    assert found.state == "cut_short"
    assert found.quiet_since_ns == 8500.5 * MS


def test_a_log_without_arrivals_is_unseen() -> None:
    assert {one.state for one in recoveries(log_of([]), RECORD, FAULTS)} == {"unseen"}


def test_a_hundred_thousand_arrivals_take_no_time_worth_naming() -> None:
    """Vectorised: a loop in Python over candidates and windows would not end within the test's limit."""
    rows = log_of(steady(0, 9000))
    log = np.concatenate([rows] * 12)
    log["planned_ns"] += np.repeat(np.arange(12), 9000) * 7
    log["done_ns"] += np.repeat(np.arange(12), 9000) * 7
    assert recoveries(log, RECORD, FAULTS)[0].state == "unaffected"


def test_who_looks_on_has_the_outage_that_somebody_else_made() -> None:
    """Nothing was done at 1 s; from 2 s on Redis was away for 300 ms."""
    looks = fault(0, 1000, kind="observe")
    found = [one for one in recoveries(both(), RECORD, [looks, FAULTS[1]]) if one.workload == "cache"]
    assert [one.state for one in found] == ["recovered", "recovered"]
    assert found[0].first_failure_ns == 2001 * MS
    assert found[0].first_success_ns == 2300.5 * MS
    assert found[0].until_ns == 5000 * MS


def test_who_looks_on_for_a_time_has_nothing_of_what_comes_after_it() -> None:
    looks = fault(0, 500, kind="observe", for_ns=1000 * MS)
    found = [one for one in recoveries(both(), RECORD, [looks]) if one.workload == "cache"]
    assert [one.state for one in found] == ["unaffected"]
    assert found[0].until_ns == looks.effective_ns + 1000 * MS
