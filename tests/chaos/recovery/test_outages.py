"""Stretches without any success, read off windows that a person can check, and whose doing they were."""

from __future__ import annotations

from typing import Any

import pytest

from bench.run.anomalies import outages_of
from tests.helpers.fault_run import recovery
from tests.helpers.run_records import record_of

MS = 1_000_000
WINDOW = 20
"""ms: each window."""


def windows(*parts: tuple[int, dict[str, Any]], workload: str = "cache") -> list[dict[str, Any]]:
    """So many windows of each kind, one after the other."""
    rows: list[dict[str, Any]] = []
    for count, row in parts:
        for _ in range(count):
            start = len(rows) * WINDOW * MS
            rows.append({**row, "workload": workload, "start_ns": start, "end_ns": start + WINDOW * MS})
    return rows


def row(ok: int = 0, connected: int = 4, phase: str = "steady", **more: int) -> dict[str, Any]:
    planned = more.pop("planned", ok + sum(more.values()))
    return {"ok": ok, "planned": planned, "connected": connected, "phase": phase, "in_flight": 0} | more


FINE = row(20, response_p99_ns=MS) | {"planned": 20}
AWAY = row(0, connected=0, refused=20)
WAITS = row(0, connected=0)
"""No lane has a connection, and what is due waits for one until its deadline."""
REST = row(0)
HANGS = row(0, in_flight=4)


def times(rows: list[dict[str, Any]], **record: Any) -> list[tuple[float, float, str, int | None]]:
    """Begin and end in ms, whose, and the fault's number."""
    return [
        (outage.from_ns / MS, outage.until_ns / MS, outage.whose, outage.fault)
        for outage in outages_of(rows, record_of({"duration_ns": 60_000 * MS, **record}))
    ]


def kill(at: float, healed: float | None = None, kind: str = "kill") -> dict[str, Any]:
    healed_ns = None if healed is None else round(healed * MS)
    asked = {"asked_ns": round(at * MS), "returned_ns": round(at * MS)}
    effect = {"target": "redis", "effective_ns": asked["asked_ns"], "took_effect": True}
    healing = {"healed": healed is not None, "healed_ns": healed_ns}
    return {"number": 3, "kind": kind, **healing, **asked, **effect}


def test_an_outage_that_no_fault_made_is_nobodys() -> None:
    (outage,) = outages_of(windows((50, FINE), (10, AWAY), (50, FINE)), record_of({}))
    assert [outage.to_json()] == [
        {
            "workload": "cache",
            "from_ns": 1000 * MS,
            "until_ns": 1200 * MS,
            "planned": 200,
            "failed": 200,
            "whose": "nobody",
            "fault": None,
            "resolution_ns": WINDOW * MS,
        }
    ]


def test_a_run_in_which_all_is_answered_has_no_outage() -> None:
    assert times(windows((100, FINE))) == []


def test_an_outage_in_which_nothing_has_failed_yet_is_one_all_the_same() -> None:
    """The deadline is longer than the outage: arrivals wait, and three that were under way were reset."""
    broken = row(0, connected=0, reset=3)
    assert times(windows((50, FINE), (1, broken), (20, WAITS), (50, FINE))) == [(1000, 1420, "nobody", None)]


def test_a_target_that_hangs_longer_than_usual_is_away_although_nothing_fails() -> None:
    assert times(windows((50, FINE), (10, HANGS), (50, FINE))) == [(1000, 1200, "nobody", None)]
    assert times(windows((50, FINE), (4, HANGS), (50, FINE))) == []


def test_a_time_without_any_load_is_no_outage() -> None:
    assert times(windows((50, FINE), (200, REST), (50, FINE))) == []
    assert times(windows((50, FINE), (30, row(0, connected=0, phase="drain")))) == []


def test_an_outage_to_the_end_of_the_run_is_told() -> None:
    assert times(windows((50, FINE), (30, AWAY))) == [(1000, 1600, "nobody", None)]


@pytest.mark.parametrize(
    ("fault", "whose"),
    [
        (kill(990, 1150), "fault"),
        (kill(990), "fault"),  # never healed
        (kill(1250, 1300), "nobody"),  # after it
        (kill(200, 400), "nobody"),  # long over
        (kill(990, 1150, "nothing"), "nobody"),
        (kill(990, 1150, "observe"), "nobody"),
    ],
)
def test_an_outage_is_that_of_the_fault_that_held_then(fault: dict[str, Any], whose: str) -> None:
    ((_, _, found, number),) = times(windows((50, FINE), (10, AWAY), (50, FINE)), faults=[fault])
    assert (found, number) == (whose, 3 if whose == "fault" else None)


def test_what_follows_a_healed_fault_until_the_workload_is_stable_is_its_too() -> None:
    rows = windows((50, FINE), (10, AWAY), (5, FINE), (10, AWAY), (50, FINE))
    stamps = {"first_failure_ns": 1000 * MS, "first_success_ns": 1200 * MS, "stable_ns": 1500 * MS}
    stable = recovery(3, 0.99) | stamps
    assert [one[2] for one in times(rows, faults=[kill(990, 1150)])] == ["fault", "nobody"]
    assert [one[2] for one in times(rows, faults=[kill(990, 1150)], recoveries=[stable])] == [
        "fault",
        "fault",
    ]


def test_workloads_that_fail_at_times_have_no_outage_by_chance_but_a_real_one() -> None:
    """A third of all windows brings errors only, of a workload of which as many arrivals fail."""
    flawed = windows(*[(2, row(1)), (1, row(0, error=1))] * 200)
    assert times(flawed) == []
    rows = windows(*[(2, row(1)), (1, row(0, error=1))] * 200, (60, row(0, error=1)), (50, row(1)))
    assert [(begin, end) for begin, end, *_ in times(rows)] == [(11_980, 13_200)]


def test_workloads_are_told_apart() -> None:
    rows = windows((50, FINE), (10, AWAY), (50, FINE))
    other = windows((110, FINE), workload="orders")
    mixed = [one for pair in zip(rows, other, strict=True) for one in pair]
    assert [outage.workload for outage in outages_of(mixed, record_of({}))] == ["cache"]


def test_cells_of_a_file_are_text_and_may_be_empty() -> None:
    rows = [
        {key: "" if value is None else str(value) for key, value in one.items()}
        for one in windows((50, FINE | {"hits": None}), (10, AWAY), (50, FINE))
    ]
    assert times(rows) == [(1000, 1200, "nobody", None)]
