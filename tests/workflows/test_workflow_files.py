"""The workflows: of the published form, with few rights, bounded in time, short where they run something."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.workflows.run_steps import WORKFLOWS, load, matrices
from tests.workflows.workflow_expressions import Expression, Unsupported, filled, holds
from tests.workflows.workflow_job import ROOT, Job

NAMES = ("ci", "integration", "nightly")
LONGEST_RUN = 160
STATUS = {
    "success": lambda: True,
    "failure": lambda: False,
    "always": lambda: True,
    "cancelled": lambda: False,
}


def steps_of(name: str) -> list[dict[str, Any]]:
    return [step for job in load(name)["jobs"].values() for step in job["steps"]]


def test_there_are_the_three_and_no_other() -> None:
    assert sorted(path.name for path in WORKFLOWS.iterdir()) == [f"{name}.yml" for name in NAMES]


def test_they_are_of_the_published_form() -> None:
    pytest.importorskip("check_jsonschema", reason="nox -s lint checks them where this is not installed")
    files = [str(WORKFLOWS / f"{name}.yml") for name in NAMES]
    done = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows", *files],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", NAMES)
def test_they_may_read_and_no_more_and_never_run_for_ever(name: str) -> None:
    workflow = load(name)
    assert workflow["permissions"] == {"contents": "read"}
    assert workflow["concurrency"]["group"]
    for job in workflow["jobs"].values():
        assert "permissions" not in job
        assert job["timeout-minutes"] <= 120


@pytest.mark.parametrize("name", NAMES)
def test_actions_are_pinned_to_a_major_and_runs_are_short(name: str) -> None:
    for step in steps_of(name):
        if "uses" in step:
            assert re.fullmatch(r"actions/[a-z-]+(/[a-z-]+)?@v\d+", step["uses"]), step
        else:
            assert len(step["run"].splitlines()) == 1, step
            assert len(step["run"]) <= LONGEST_RUN, step
            assert step["name"]


@pytest.mark.parametrize("name", NAMES)
def test_no_text_from_outside_is_pasted_into_a_shell(name: str) -> None:
    """A branch's name or an input in `run:` would be run as it stands; through the environment it is not."""
    for step in steps_of(name):
        for expression in re.findall(r"\$\{\{(.*?)\}\}", step.get("run", "")):
            assert expression.strip() == "matrix.python", step


@pytest.mark.parametrize("name", NAMES)
def test_what_they_run_is_here(name: str) -> None:
    noxfile = (ROOT / "noxfile.py").read_text()
    for step in steps_of(name):
        words = step.get("run", "").split()
        for word in words:
            if word.startswith(".ci/") or word.endswith(".yaml"):
                assert (ROOT / word).exists(), word
        for session in re.findall(r"nox -s ([a-z_]+)", step.get("run", "")):
            assert f"def {session}(" in noxfile, session


def test_every_stage_of_the_night_is_a_step_in_its_order() -> None:
    text = (ROOT / ".ci" / "nightly.py").read_text()
    stages = re.findall(r'^    "(\w+)": \1,$', text, re.MULTILINE)
    runs = [step["run"] for step in steps_of("nightly") if ".ci/nightly.py" in step.get("run", "")]
    assert [run.split()[-1] for run in runs] == stages
    assert len(stages) == 7


def test_the_tests_run_on_every_python_that_is_declared() -> None:
    declared = re.findall(r"Python :: (3\.\d+)", (ROOT / "pyproject.toml").read_text())
    assert [one["python"] for one in matrices(load("ci")["jobs"]["tests"], {})] == declared


def test_the_tests_that_the_main_command_leaves_out_for_their_length_run_as_well() -> None:
    assert [step["run"] for step in load("ci")["jobs"]["long"]["steps"] if "run" in step][-1] == "nox -s long"
    commands = (ROOT / ".ci" / "run").read_text().splitlines()
    assert {".venv/bin/nox -s tests", ".venv/bin/nox -s long"} <= set(commands)
    marked = {
        path
        for path in (ROOT / "tests").rglob("test_*.py")
        if "pytest.mark.long" in path.read_text() and path != Path(__file__)
    }
    assert marked


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("inputs.form || '--full'", "--full"),
        ("github.ref == 'main' && 'yes' || 'no'", "yes"),
        ("!(github.ref != 'main')", True),
        ("inputs.nothing", ""),
        ("'it''s'", "it's"),
    ],
)
def test_expressions(expression: str, value: object) -> None:
    contexts = {"inputs": {}, "github": {"ref": "main"}}
    assert Expression(expression, contexts, STATUS).value() == value


@pytest.mark.parametrize("expression", ["secrets.TOKEN", "hashFiles('x')", "a ? b", "github.ref ==", "1 2"])
def test_what_the_runner_does_not_know_is_refused(expression: str) -> None:
    with pytest.raises(Unsupported):
        Expression(expression, {"github": {}}, STATUS).value()


def test_texts_are_filled_and_conditions_asked() -> None:
    contexts = {"matrix": {"python": "3.11"}}
    assert filled("nox -s tests_on-${{ matrix.python }}", contexts, STATUS) == "nox -s tests_on-3.11"
    failed = {**STATUS, "success": lambda: False, "failure": lambda: True}
    assert holds("${{ !cancelled() }}", contexts, failed)
    assert not holds("matrix.python == '3.11'", contexts, failed)
    assert holds("matrix.python == '3.11'", contexts, STATUS)


def job_of(tmp_path: Path, *steps: dict[str, Any]) -> Job:
    job = Job("j", {"steps": list(steps)}, {"env": {"GREETING": "hello"}}, {}, {}, *places(tmp_path), "7")
    job.checkout.mkdir(parents=True)
    return job


def places(tmp_path: Path) -> tuple[Path, Path, Path]:
    return tmp_path / "home", tmp_path / "cache", tmp_path / "artifacts"


def test_steps_see_what_earlier_ones_said_and_stop_at_a_failure(tmp_path: Path) -> None:
    job = job_of(
        tmp_path,
        {
            "name": "one",
            "id": "one",
            "run": 'echo "A=$GREETING" >> "$GITHUB_ENV"; echo "x=5" >> "$GITHUB_OUTPUT"',
        },
        {"name": "two", "run": 'test "$A" = hello && test "${{ steps.one.outputs.x }}" = 5'},
        {"name": "three", "run": "false | true"},
        {"name": "four", "run": "true"},
        {"name": "five", "if": "${{ always() }}", "run": 'echo done >> "$GITHUB_STEP_SUMMARY"'},
    )
    assert not job.run()
    assert [one.conclusion for one in job.outcomes] == ["success", "success", "failure", "skipped", "success"]
    assert job.summary.read_text() == "done\n"


def test_a_cache_comes_back_and_an_artifact_is_kept(tmp_path: Path) -> None:
    keep = {"uses": "actions/cache/save@v5", "with": {"path": "nights", "key": "n-${{ github.run_id }}"}}
    restore = {
        "uses": "actions/cache/restore@v5",
        "with": {"path": "nights", "key": "n-8", "restore-keys": "n-"},
    }
    upload = {"uses": "actions/upload-artifact@v6", "with": {"name": "a", "path": "nights"}}
    first = job_of(tmp_path, {"name": "make", "run": "mkdir nights; echo 1 > nights/one"}, keep, upload)
    assert first.run()
    assert (tmp_path / "artifacts" / "a" / "one").exists()
    second = job_of(tmp_path / "second", restore, {"name": "look", "run": "cat nights/one"})
    second.cache = first.cache
    assert second.run()


def test_an_action_that_is_not_played_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Unsupported):
        job_of(tmp_path, {"uses": "someone/else@v1"}).run()
