"""Files of requirements: the shipped one, your own, and every problem with its place."""

import json
from pathlib import Path

import pytest

from bench.assess.requirements import requirements_schema
from bench.assess.requirements_file import default_file, load_requirements
from bench.cli.main import run as bench
from bench.core.errors import ScenarioError
from bench.scenario.load import discover
from tests.assess.assess_runs import SHIPPED, write_run, write_scenario

SHIPPED_FILE = Path(__file__).parents[2] / "scenarios" / "requirements.yaml"
OWN = """\
requirements:
  - key: quick
    area: Cache
    demand: answers in time
    proofs:
      - {scenario: redis_latency, rule: cache.response.p95 < 10ms}
"""


def problems_of(folder: Path, text: str) -> list[str]:
    file = folder / "requirements.yaml"
    file.write_text(text)
    with pytest.raises(ScenarioError) as refused:
        load_requirements(file)
    return [str(problem).removeprefix(f"{folder}/") for problem in refused.value.problems]


def test_the_shipped_file_is_the_default_and_no_scenario(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_requirements(default_file()) == SHIPPED
    assert SHIPPED_FILE not in discover([SHIPPED_FILE.parent])


def test_the_wheel_contains_the_shipped_file() -> None:
    wheel = pytest.importorskip("hatchling.builders.wheel")
    included = wheel.WheelBuilder(str(SHIPPED_FILE.parents[1])).config.get_force_include()
    assert included[str(SHIPPED_FILE)] == "bench/assess/requirements.yaml"


def test_a_folder_of_scenarios_has_its_own_requirements(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "scenarios").mkdir()
    (tmp_path / "scenarios" / "requirements.yaml").write_text(OWN)
    (found,) = load_requirements(default_file()).requirements
    assert (found.key, found.area, found.where_used, found.number) == ("quick", "Cache", False, 1)


def test_the_command_judges_by_the_file_that_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "own.yaml").write_text(OWN)
    write_run(tmp_path / "results", p95_ms=1)
    arguments = ["assess", str(tmp_path / "results"), "--max-age", "36500d", "--format", "json"]
    assert bench([*arguments, "--requirements", str(tmp_path / "own.yaml")]) == 0
    assert '"demand": "answers in time"' in capsys.readouterr().out
    (tmp_path / "own.yaml").write_text(OWN.replace("<", "below"))
    assert bench([*arguments, "--requirements", str(tmp_path / "own.yaml")]) == 3
    assert "own.yaml:6:41" in capsys.readouterr().err
    assert bench([*arguments, "--requirements", str(tmp_path / "none.yaml")]) == 3


def test_every_problem_is_reported_with_its_place(tmp_path: Path) -> None:
    assert problems_of(tmp_path, "") == [
        "requirements.yaml:1:1: file: expected requirements, found an empty file; "
        "start from scenarios/requirements.yaml"
    ]
    fields = problems_of(
        tmp_path,
        "requirements:\n"
        "  - {key: a, area: A, demands: x, kind: redis}\n"
        "  - {key: b, area: A, demand: x, kind: valkey}\n"
        "  - {key: c, area: A, demand: x, proofs: [{scenario: s, rule: errors <= fast}]}\n",
    )
    places = [problem.partition(" expected")[0] for problem in fields]
    assert places == [
        "requirements.yaml:2:5: requirements[0]:",
        "requirements.yaml:2:23: requirements[0].demands:",
        "requirements.yaml:3:40: requirements[1].kind:",
        "requirements.yaml:4:63: requirements[2].proofs[0].rule:",
    ]


def test_what_does_not_fit_together_is_reported_with_its_place(tmp_path: Path) -> None:
    assert problems_of(
        tmp_path,
        "capacities:\n"
        "  - {key: redis, subject: Redis, unit: operations, scenario: s}\n"
        "  - {key: memcached, subject: Memcached, unit: operations, scenario: s}\n"
        "requirements:\n"
        "  - {key: a, area: A, demand: x}\n"
        "  - {key: a, area: A, demand: x, kind: redis, capacity: redis}\n",
    ) == [
        "requirements.yaml:3:11: capacities[1].key: expected a capacity that drivers show: api, postgres, "
        'pubsub, redis, found "memcached"; name one of those',
        "requirements.yaml:5:5: requirements[0]: expected proofs or evidence or facts, "
        "or one of kind, capacity alone, "
        "found none; say what shows it",
        "requirements.yaml:6:5: requirements[1]: expected proofs or evidence or facts, "
        "or one of kind, capacity alone, "
        "found kind and capacity; say what shows it",
        'requirements.yaml:6:11: requirements[1].key: expected every key once, found "a"; rename one of them',
        "requirements.yaml:6:57: requirements[1].capacity: expected a capacity with a required rate: "
        'there is none, found "redis"; name one of those, or add it to the capacities',
    ]


def test_the_shipped_file_names_the_schema_that_the_models_give() -> None:
    """Written by `bench schema --requirements > scenarios/requirements.schema.json`."""
    schema = json.loads((SHIPPED_FILE.parent / "requirements.schema.json").read_text())
    assert schema == requirements_schema()
    for file in (SHIPPED_FILE, *(SHIPPED_FILE.parent / "readiness").glob("*.yaml")):
        folder = "" if file == SHIPPED_FILE else "../"
        line = f"# yaml-language-server: $schema={folder}requirements.schema.json\n"
        assert file.read_text().startswith(line)


def test_the_requirements_of_a_folder_are_validated_with_its_scenarios(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_scenario(tmp_path)
    (tmp_path / "readiness").mkdir()
    (tmp_path / "requirements.yaml").write_text(OWN)
    (tmp_path / "readiness" / "later.yaml").write_text(OWN)
    assert bench(["validate", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert said.count("ok (1 requirement, 1 area)") == 2
    assert "redis_latency.yaml: ok (1 workload" in said


def test_what_no_scenario_can_show_is_reported_with_what_there_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_scenario(tmp_path)
    own = tmp_path / "own.yaml"
    own.write_text(
        "capacities:\n  - {key: redis, subject: Redis, unit: operations, scenario: throughput}\n"
        f"{OWN}"
        "      - {scenario: redis_latncy, rule: errors < 1%}\n"
        "      - {scenario: redis_latency, rule: cahe.errors < 1%}\n"
        "      - {scenario: redis_latency, rule: recovery.stable < 1s}\n"
    )
    assert bench(["validate", str(own)]) == 3
    said = capsys.readouterr().err
    assert "own.yaml:2:62: capacities[0].scenario: expected a scenario that there is: redis_latency" in said
    assert "own.yaml:9:20: requirements[0].proofs[1].scenario" in said
    assert 'write "redis_latency" if that was meant' in said
    assert "own.yaml:10:41: requirements[0].proofs[2].rule" in said
    assert "own.yaml:11:41: requirements[0].proofs[3].rule" in said


def test_what_a_document_cannot_say_is_reported_with_its_place(tmp_path: Path) -> None:
    def at(text: str) -> list[str]:
        head = "requirements:\n  - key: a\n    area: A\n    demand: x\n    evidence:\n      - "
        return [problem.partition(";")[0] for problem in problems_of(tmp_path, head + text + "\n")]

    assert at("{junit: a, sarif: b}") == [
        "requirements.yaml:6:9: requirements[0].evidence[0]: expected exactly one of junit, coverage, sarif, "
        "statement, found junit and sarif"
    ]
    (found,) = at("{coverage: a, rule: lines >= 80%}")
    assert found.startswith(
        "requirements.yaml:6:29: requirements[0].evidence[0].rule: expected a rule about line_rate"
    )
    (found,) = at("{coverage: a, rule: line_rate >= 80% for 10s}")
    assert "expected a rule about the whole" in found
    (found,) = at("{sarif: a, level: grave}")
    assert "expected one of error, warning, note" in found


def test_areas_that_are_listed_are_those_that_are_used(tmp_path: Path) -> None:
    assert problems_of(tmp_path, "areas:\n  Cash: {weight: 2}\n  Web: {weight: 0}\n" + OWN) == [
        "requirements.yaml:3:17: areas.Web.weight: expected a number above 0 and at most 1000, "
        "found the number 0; write a number above 0 and at most 1000"
    ]
    found = problems_of(tmp_path, "areas:\n  Cash: {weight: 2}\n" + OWN)
    assert found == [
        'requirements.yaml:2:9: areas.Cash: expected an area with a requirement, found "Cash" without any; '
        "add what it must show, or remove it: an empty area hides a gap",
        'requirements.yaml:5:11: requirements[0].area: expected an area that is listed: Cash, found "Cache"; '
        'write "Cash" if that was meant',
    ]
