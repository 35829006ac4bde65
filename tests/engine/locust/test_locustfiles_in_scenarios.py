"""What a scenario may say of Locust users, and what `validate` looks at without running anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.core.errors import ScenarioError
from bench.plan.compile import compile_plan
from bench.scenario.load import LoadedScenario, load_scenario

GOOD = """\
scenario: shopping
purpose: shows what fits
workloads:
  - name: journey
    target: api
    driver: locust
    locustfile: journey.py
    lanes: 10
    operations:
      browse: {locust: "GET /items"}
      write: {}
    arrivals: closed
phases:
  - {name: climb, for: 1s, load: {from: 10%, to: 150%}}
sla:
  - journey.browse.response.p95 < 1s
  - journey.other.errors < 50%
"""


@pytest.fixture
def load(tmp_path: Path):  # type: ignore[no-untyped-def]
    def loaded(text: str, locustfile: str = "x = 1\n", **more: object) -> LoadedScenario:
        (tmp_path / "journey.py").write_text(locustfile, encoding="utf-8")
        (tmp_path / "s.yaml").write_text(text, encoding="utf-8")
        return load_scenario(tmp_path / "s.yaml", **more)  # type: ignore[arg-type]

    return loaded


def test_a_workload_of_users_is_taken_with_a_ramp_and_has_other_as_its_last_operation(load) -> None:  # type: ignore[no-untyped-def]
    workload = load(GOOD).scenario.workloads[0]
    assert workload.engine == "locust"
    assert workload.operation_names == ("browse", "write", "other")


def test_overrides_and_quick_work_as_with_any_workload(load) -> None:  # type: ignore[no-untyped-def]
    scenario = load(GOOD.replace("for: 1s", "for: 1min"), overrides=["workloads.journey.lanes=3"], quick=True)
    assert scenario.scenario.workloads[0].lanes == 3
    assert scenario.scenario.total_ns == 3 * 10**9


def test_another_locustfile_is_another_plan_wherever_it_lies(load) -> None:  # type: ignore[no-untyped-def]
    digests = [compile_plan(load(GOOD, text).scenario).digest for text in ("x = 1\n", "x = 2\n", "x = 1\n")]
    assert digests[0] == digests[2] != digests[1]


def test_loading_runs_nothing_of_the_locustfile(load, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    load(GOOD, f"open({str(tmp_path / 'trace')!r}, 'w')\nraise SystemExit(1)\n")
    assert not (tmp_path / "trace").exists()


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("journey.py", "gone.py", "7:17: workloads[0].locustfile: expected a locustfile beside the scenario"),
        (
            "journey.py",
            "[a]",
            "7:17: workloads[0].locustfile: expected the path of a locustfile, found a list",
        ),
        ("    locustfile: journey.py\n", "", "4:5: workloads[0]: expected a locustfile for the driver"),
        ("closed", "poisson\n    rate: 5/s", "12:15: workloads[0].arrivals: expected arrivals: closed"),
        ("lanes: 10", "threads: 2\n    lanes: 10", "8:14: workloads[0].threads: expected no threads"),
        ("lanes: 10", "pool: 2\n    lanes: 10", "8:11: workloads[0].pool: expected pool only with"),
        ("lanes: 10", "value: {bytes: 4}\n    lanes: 10", "8:12: workloads[0].value: expected no value"),
        ("lanes: 10", "keys: {count: 4}\n    lanes: 10", "8:11: workloads[0].keys: expected keys only with"),
        ("lanes: 10", "engine: wire\n    lanes: 10", "8:13: workloads[0].engine: expected engine: locust"),
        ("lanes: 10", "user_classes: [A, A]\n    lanes: 10", "8:23: workloads[0].user_classes[1]: expected"),
        ("lanes: 10", "lanes: 9000", "14:34: phases[0].load: expected at most 10000 users after"),
        ("write: {}", "other: {}", "11:14: workloads[0].operations.other: expected a name other than other"),
        (
            "write: {}",
            "write: {weight: 2}",
            "11:23: workloads[0].operations.write.weight: expected no weight",
        ),
        ("write: {}", "write: {sql: SELECT 1}", "11:20: workloads[0].operations.write.sql: expected locust"),
        (
            "write: {}",
            "write: {locust: GET /items}",
            "11:23: workloads[0].operations.write.locust: expected requests that no other operation names",
        ),
        (
            "lanes: 10",
            "arguments: {tenant: [[a]]}\n    lanes: 10",
            "8:25: workloads[0].arguments.tenant",
        ),
        ("driver: locust", "driver: http", "7:17: workloads[0].locustfile: expected locustfile only with"),
    ],
)
def test_what_does_not_fit_is_told_with_its_place(load, old: str, new: str, problem: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ScenarioError) as refused:
        load(GOOD.replace(old, new, 1))
    assert problem in str(refused.value)


@pytest.mark.parametrize("text", ["def f(:\n", "return 1\n", "x = '\n", "(" * 500])
def test_a_locustfile_that_is_no_python_is_refused_with_its_line(load, text: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ScenarioError) as refused:
        load(GOOD, text)
    assert "workloads[0].locustfile: expected a locustfile that is Python" in str(refused.value)


def test_a_locustfile_that_is_no_utf_8_is_refused_for_that(load, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "latin.py").write_bytes(b"# coding: latin-1\nx = '\xfc'\n")
    with pytest.raises(
        ScenarioError, match=r"a locustfile of UTF-8 text, found .*latin\.py: the byte 0xfc; save the file as"
    ):
        load(GOOD.replace("journey.py", "latin.py", 1))
