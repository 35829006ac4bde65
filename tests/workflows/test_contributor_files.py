"""The hooks and forms for contributors: nothing is downloaded, and what they name is there."""

import shlex
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def hooks() -> list[dict[str, Any]]:
    return [hook for repo in read(ROOT / ".pre-commit-config.yaml")["repos"] for hook in repo["hooks"]]


def test_hooks_are_local_and_run_what_the_lock_installs() -> None:
    config = read(ROOT / ".pre-commit-config.yaml")
    assert [repo["repo"] for repo in config["repos"]] == ["local"]
    assert {hook["language"] for hook in hooks()} == {"system"}
    assert {shlex.split(hook["entry"])[0] for hook in hooks()} == {"ruff", "mypy", "python"}


def test_files_that_hooks_name_are_there() -> None:
    named = [word for hook in hooks() for word in shlex.split(hook["entry"]) if "/" in word]
    assert named
    assert [word for word in named if not (ROOT / word).exists()] == []


def test_there_is_a_form_for_a_bug_a_wrong_verdict_and_a_feature() -> None:
    assert {path.stem for path in FORMS} == {"bug", "config", "feature", "wrong_verdict"}
    for path in FORMS:
        if path.stem != "config":
            form = read(path)
            assert form["name"]
            assert form["body"]
