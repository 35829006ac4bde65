"""What is said about a run whose answers were no errors and yet nearly all empty or redirects."""

from typing import Any

import pytest

from bench.plan.compile import compile_plan
from bench.results.load_records import CountRecord, WorkloadRecord
from bench.run.anomalies import notes_on_answers
from bench.scenario.model import Scenario


def notes(driver: str, operations: dict[str, Any], counts: dict[str, dict[str, Any]]) -> list[str]:
    target = {"redis": "redis", "postgres": "postgres", "http": "api"}[driver]
    workload = {"name": "load", "target": target, "driver": driver, "arrivals": "constant", "rate": "10/s"}
    scenario = Scenario.model_validate(
        {
            "scenario": "example",
            "purpose": "is told about",
            "workloads": [workload | {"operations": operations}],
            "phases": [{"name": "steady", "for": "1s"}],
        }
    )
    record = WorkloadRecord(
        name="load",
        operations=list(operations),
        counts=[
            CountRecord(operation=name, measured=True, planned=0, outcomes={}, **found)
            for name, found in counts.items()
        ],
    )
    return [note.message for note in notes_on_answers(compile_plan(scenario), [record])]


GET: dict[str, Any] = {"get": {"command": ["GET", "a"]}, "set": {"command": ["SET", "a", "b"]}}
ASK: dict[str, Any] = {"ask": {"sql": "SELECT 1"}}


def test_reads_that_all_miss_are_told_by_operation() -> None:
    (note,) = notes("redis", GET, {"get": {"hits": 10, "misses": 990}})
    assert note.startswith("load: nearly all lookups found nothing: 990 of 1 000 of get")


def test_statements_that_find_nothing_are_told() -> None:
    (note,) = notes("postgres", ASK, {"ask": {"hits": 0, "misses": 50}})
    assert note == "load: nearly all statements touched no row: 50 of 50 of ask"


@pytest.mark.parametrize("counts", [{"hits": 60, "misses": 940}, {"hits": 0, "misses": 19}, {}])
def test_misses_that_are_fewer_are_no_news(counts: dict[str, int]) -> None:
    assert notes("redis", GET, {"get": counts}) == []


def page(expect: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"home": {"request": {"path": "/"} | ({"expect": expect} if expect else {})}}


def test_redirects_that_nobody_expected_are_told() -> None:
    (note,) = notes("http", page(), {"home": {"statuses": {"302": 960, "200": 40}}})
    assert note == (
        "load: nearly all answers were not 2xx (home: 960 were HTTP 302, 40 were HTTP 200); "
        "redirects are not followed"
    )
    assert len(notes("http", page({"contains": "a"}), {"home": {"statuses": {"302": 100}}})) == 1


@pytest.mark.parametrize(
    ("expect", "statuses"),
    [
        ({"status": 302}, {"302": 100}),
        ({"status": ["2xx", "3xx"]}, {"302": 100}),
        (None, {"200": 60, "302": 940}),
    ],
)
def test_statuses_that_were_expected_or_are_fewer_are_no_news(expect: Any, statuses: dict[str, int]) -> None:
    assert notes("http", page(expect), {"home": {"statuses": statuses}}) == []
