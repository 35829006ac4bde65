import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from bench.cli.judge_command import command
from bench.cli.main import run as bench
from bench.judge.verdict import Status, saved
from bench.results.writer import RunWriter
from tests.helpers.run_records import record_of
from tests.helpers.synthetic_run import MS, NAME, ZERO, SyntheticRun

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path):
    samples = {"cache/get/response/ok": [(MS, 500)]}
    return SyntheticRun(sla=["cache.response.p95 < 10ms"], samples=samples).write(tmp_path)


def test_judging_by_the_runs_own_rules_writes_its_verdict(folder, capsys):
    assert bench(["judge", str(folder)]) == 0
    assert capsys.readouterr().out.startswith("PASS  redis_latency: 1 of 1 rules hold\n")
    assert saved(folder).status is Status.PASS


def test_a_run_that_has_not_ended_is_left_to_its_writer(tmp_path):
    with RunWriter(tmp_path, NAME, ZERO) as writer:
        writer.outline(record_of(SyntheticRun(sla=["errors < 1%"]).full_record()))
        before = sorted(writer.folder.iterdir())
        assert bench(["judge", str(writer.folder)]) == 5
        assert sorted(writer.folder.iterdir()) == before


def test_judging_by_other_rules_leaves_the_verdict_alone_unless_told(folder, tmp_path, capsys):
    rules = tmp_path / "rules.yaml"
    rules.write_text("- cache.response.p95 < 1ms\n")
    assert bench(["judge", str(folder), "--sla", str(rules)]) == 1
    assert saved(folder) is None
    assert bench(["judge", str(folder), "--sla", str(rules), "--write"]) == 1
    assert saved(folder).status is Status.FAIL
    assert "FAIL" in capsys.readouterr().out


def test_the_rules_of_a_scenario_file_are_taken_whatever_else_stands_in_it(folder, tmp_path, capsys):
    scenario = tmp_path / "other.yaml"
    scenario.write_text("scenario: other\nsla:\n  - response.p50 < 10ms\n  - errors < ${LIMIT:-1%}\n")
    assert bench(["judge", str(folder), "--sla", str(scenario), "--json"]) == 0
    assert [check["rule"] for check in json.loads(capsys.readouterr().out)["checks"]] == [
        "response.p50 < 10ms",
        "errors < 1%",
    ]


@pytest.mark.parametrize(
    ("driver", "answers", "rule"),
    [
        ("redis", {"hits": 490, "misses": 10}, "cache.hits >= 90%"),
        ("redis", {"hits": 490, "misses": 10}, "cache.get.misses < 5%"),
        ("postgres", {"hits": 490, "misses": 10}, "empty < 5%"),
        ("http", {"statuses": {"200": 500}}, "cache.status.2xx >= 90%"),
        ("locust", {"statuses": {"200": 500}}, "status.5xx < 1%"),
    ],
)
def test_other_rules_may_be_about_what_the_runs_driver_counts(tmp_path, capsys, driver, answers, rule):
    run = SyntheticRun(
        samples={"cache/get/response/ok": [(MS, 500)]}, workload={"driver": driver}, answers={"get": answers}
    ).write(tmp_path)
    rules = tmp_path / "rules.yaml"
    rules.write_text(f"- {rule}\n")
    assert bench(["judge", str(run), "--sla", str(rules)]) == 0, capsys.readouterr().err
    assert capsys.readouterr().out.startswith("PASS")


def test_every_problem_of_a_file_of_rules_is_told_with_its_place(folder, tmp_path, capsys):
    rules = tmp_path / "rules.yaml"
    rules.write_text(
        "- cache.response.p95 < 1kg\n- other.errors < 1%\n- [a]\n- errors < ${HOLDFAST_NOT_SET}\n"
    )
    assert bench(["judge", str(folder), "--sla", str(rules)]) == 3
    places = [line.removeprefix(f"{rules}:").split(" ")[0] for line in capsys.readouterr().err.splitlines()]
    assert places == ["1:3:", "2:3:", "3:3:", "4:3:"]


def test_the_value_of_a_variable_is_not_shown_in_a_problem(folder, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("HOLDFAST_SECRET", "hunter2")
    rules = tmp_path / "rules.yaml"
    rules.write_text("- errors < ${HOLDFAST_SECRET}\n")
    assert bench(["judge", str(folder), "--sla", str(rules)]) == 3
    told = capsys.readouterr().err
    assert "HOLDFAST_SECRET (not shown)" in told
    assert "hunter2" not in told


@pytest.mark.parametrize("text", ["", "3", "[]", "sla: []", "sla: {a: b}", "scenario: x"])
def test_a_file_without_rules_is_refused(folder, tmp_path, capsys, text):
    rules = tmp_path / "rules.yaml"
    rules.write_text(text)
    assert bench(["judge", str(folder), "--sla", str(rules)]) == 3
    assert "expected a list of rules, alone or under sla:, found none" in capsys.readouterr().err


def test_a_missing_run_is_a_usage_error_without_traceback(tmp_path, capsys):
    assert bench(["judge", str(tmp_path / "none")]) == 2
    assert (
        capsys.readouterr().err == f"bench: {tmp_path / 'none'}: expected a run folder, found nothing there\n"
    )


def test_write_without_other_rules_is_refused(folder):
    assert CliRunner().invoke(command, [str(folder), "--write"]).exit_code == 2


def test_a_verdict_that_cannot_be_written_is_said_plainly(folder, capsys):
    (folder / "verdict.json").mkdir()
    assert bench(["judge", str(folder)]) == 2
    assert "the verdict cannot be written: Is a directory" in capsys.readouterr().err
    assert not list(folder.glob(".verdict*"))


CHECK = {"rule": "a < 1", "metric": "a", "status": "PASS", "because": "so"}


@pytest.mark.parametrize(
    ("checks", "problem"),
    [
        (None, "checks: expected a list, found nothing"),
        ([{**CHECK, "rule": 5}], "checks[0].rule: expected a text, found a whole number"),
        ([{**CHECK, "advice": ["wait"]}], "checks[0].advice: expected a text, found a list"),
        (
            [{**CHECK, "observed": 10**400}],
            "checks[0].observed: expected a number, found a number out of range",
        ),
        (
            [{**CHECK, "status": "GOOD"}],
            "expected one of PASS, WARN, INCONCLUSIVE, FAIL, INVALID, found 'GOOD'",
        ),
        ([{**CHECK, "interval": [1]}], "expected two numbers as the interval of 'a', found [1]"),
    ],
)
def test_a_damaged_verdict_is_told_with_its_place(folder, capsys, checks, problem):
    verdict = {"format": 1, "scenario": "s", "run": "r", "checks": checks}
    (folder / "verdict.json").write_text(json.dumps(verdict))
    for form in ("text", "html", "junit"):
        assert bench(["report", str(folder), "--format", form]) == 2
        said = capsys.readouterr().err
        assert f"this verdict cannot be read: {problem}; make it anew" in said


def test_judging_imports_neither_engine_nor_numba_nor_sockets():
    """Yesterday's run can be judged on a laptop without the load generator's machinery."""
    code = (
        "import sys, bench.judge.judge, bench.judge.rules_file, bench.report.text, bench.report.data\n"
        "heavy = {'numba', 'socket', 'pandas', 'redis', 'uvloop', 'rich', 'bench.engine', 'bench.stack'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"
