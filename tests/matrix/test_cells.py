"""Which cells a matrix has, what the run of each asks, and what is said of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from bench.cli.matrix_command import command
from bench.core.errors import UsageError
from bench.matrix.cells import (
    CONDITIONS,
    Cell,
    CellPlan,
    Edge,
    cells_of,
    chosen,
    edges_of,
    expect_planned_arrivals,
)
from bench.matrix.record import CellRecord, MatrixRecord, NoticeRecord
from bench.report.matrix import meaning, render_markdown, render_text
from bench.scenario.load import LoadedScenario, load_scenario

MS, S = 10**6, 10**9
PLANNED = "arrivals: constant\n    rate: 100/s"


def loaded(
    tmp_path: Path, arrivals: str = "arrivals: constant\n    rate: 100/s", *overrides: str
) -> LoadedScenario:
    path = tmp_path / "web.yaml"
    path.write_text(f"""\
scenario: web
purpose: the API is asked
workloads:
  - name: web
    target: api
    driver: http
    lanes: 4
    operations: {{read: {{request: {{path: /items/1}}}}}}
    {arrivals}
    deadline: 1s
phases:
  - {{name: steady, for: 5s}}
sla:
  - web.errors < 1%
""")
    return load_scenario(path, overrides)


def cell(**known: object) -> CellRecord:
    usual = {
        "client": "api",
        "target": "redis",
        "condition": "slow",
        "kind": "latency",
        "run": "20260101t000000z-web-000000",
        "workload": "web",
        "planned": 300,
        "availability": 1.0,
        "p99_ns": 5 * MS,
        "p99_before_ns": 4 * MS,
        "noticed": [NoticeRecord(detector="breaker", after_ns=300 * MS)],
        "back": "recovered",
        "back_ns": 0,
        "left_open": 0,
    }
    return CellRecord.model_validate(usual | known)


def test_the_edges_are_the_way_of_the_load_and_those_to_what_its_target_stands_on(tmp_path: Path) -> None:
    scenario = loaded(tmp_path)
    edges = edges_of(scenario.scenario, scenario.topology)
    assert [str(edge) for edge in edges] == ["load → api", "api → redis", "api → postgres"]
    assert [edge.entry for edge in edges] == ["api", "api", "api"]
    assert len(cells_of(edges, chosen([]))) == 3 * len(CONDITIONS)


@pytest.mark.parametrize("condition", CONDITIONS)
def test_the_run_of_a_cell_is_the_scenarios_load_with_one_fault_on_its_edge(
    tmp_path: Path, condition: str
) -> None:
    plan = CellPlan(loaded(tmp_path).scenario, 3 * S)
    made = loaded(
        tmp_path,
        "arrivals: constant\n    rate: 100/s",
        *plan.overrides(Cell(Edge("api", "redis"), condition)),
    )
    (fault,) = made.scenario.faults
    assert (fault.kind, fault.target) == (CONDITIONS[condition], "redis")
    assert fault.client == (None if condition in ("kill", "exhausted") else "api")
    assert (fault.at_ns, fault.for_ns) == (5 * S, 3 * S)
    assert sum(phase.duration_ns for phase in made.scenario.phases) == plan.duration_ns
    assert made.rules == ()


def test_a_slow_answer_is_late_by_half_of_what_the_load_waits_for(tmp_path: Path) -> None:
    assert CellPlan(loaded(tmp_path).scenario, S).delay_ns == 500 * MS


def test_a_closed_loop_is_refused_because_it_asks_less_of_a_target_that_is_late(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"workload web is a closed loop.*workloads\.web\.rate"):
        expect_planned_arrivals(loaded(tmp_path, arrivals="arrivals: closed").scenario)


def test_conditions_may_be_written_as_faults_are_and_unknown_ones_list_the_known() -> None:
    assert chosen(["black_hole", "slow"]) == ["slow", "black hole"]
    with pytest.raises(UsageError, match=r"expected one of slow, black hole, .*, found .*sloow"):
        chosen(["sloow"])


@pytest.mark.parametrize(
    ("known", "said"),
    [
        ({}, "web did not notice"),
        (
            {"p99_ns": 400 * MS, "back_ns": 2 * S},
            "web answered all, and 100 times as late as before; back 2 s after",
        ),
        ({"availability": 0.6}, "web lost 40 % of what was asked of it"),
        ({"availability": 0.6, "noticed": []}, "no detector noticed"),
        ({"availability": 0.0}, "web was down for as long as it lasted"),
        ({"availability": 0.0, "back": "never", "back_ns": None}, "it was not back when the run ended"),
        ({"left_open": 51}, "51 more descriptors stay open: look for a leak"),
        ({"condition": "kill"}, "everybody who uses redis was hit"),
        ({"refused": "expected a pool, found none"}, "not possible here: expected a pool, found none"),
        ({"invalid": "the generator was late"}, "not known: the generator was late"),
    ],
)
def test_a_cell_is_said_in_a_sentence(known: dict[str, object], said: str) -> None:
    assert said in meaning(cell(**known))


def matrix(*cells: CellRecord) -> MatrixRecord:
    return MatrixRecord(
        holdfast="0", scenario="web", started_utc="2026", fault_ns=3 * S, delay_ns=S, cells=list(cells)
    )


def test_the_text_fits_a_terminal_and_ends_with_what_it_comes_to() -> None:
    slow = cell(
        availability=0.93456,
        p99_ns=2510 * MS,
        noticed=[NoticeRecord(detector="client_errors", after_ns=813_456_789)],
    )
    stuck = cell(client=None, target="api", back="never", back_ns=None, left_open=None)
    text = render_text(
        matrix(slow, stuck, cell(condition="exhausted", refused="expected one of these: " + "x " * 60))
    )
    assert max(map(len, text.splitlines())) <= 80
    assert text.splitlines()[-1].startswith("NOT BACK  web: 2 faults of 3 s; not back after 1 of them")


def test_the_markdown_leads_to_the_runs(tmp_path: Path) -> None:
    text = render_markdown(matrix(cell()), tmp_path / "matrix" / "web.matrix.json", tmp_path)
    assert "[slow](<matrix/20260101t000000z-web-000000>)" in text


def test_what_cannot_be_read_is_refused_before_anything_starts(tmp_path: Path) -> None:
    found = CliRunner().invoke(command, [str(tmp_path / "none.yaml")], standalone_mode=False)
    assert "none.yaml" in str(found.exception)
    found = CliRunner().invoke(command, ["api_load", "--for", "2h"], standalone_mode=False)
    assert "expected 1 s to 60 s" in str(found.exception)
