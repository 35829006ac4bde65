"""Steps over the nights: each candidate for the worse is measured in pairs against the commit before it.

A history cannot say whether the system changed or the machine did. So the version of the night before
the step is installed beside this one, and `bench ab` runs both, here and now. Without such a version it
stays a candidate.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from nights import (
    HISTORY,
    JUDGED,
    NIGHT,
    ROOT,
    annotate,
    bench,
    call,
    form_of,
    kept_nights,
    newest,
    said,
    tell,
)

COMMIT = "commit"
"""A file beside a kept run: the commit that made it."""
RECENT = 5
"""Nights since a step, up to which it is asked about: later it has been."""


def confirmed_steps() -> list[str]:
    """What became worse over the nights and was found again in pairs, one text each."""
    found = []
    for form, (_, record) in newest().items():
        for step in _candidates(form):
            text = f"{step['scenario']} {step['metric']} x{step['ratio']:.2f} since {step['run']}"
            old = _commit_before(form, step["run"])
            if old in (None, head()):
                annotate("warning", "A step over the nights", f"{text}; no other commit to compare with")
            elif _is_found_in_pairs(record, old, step["metric"]):
                found.append(text)
            else:
                annotate("warning", "A step over the nights", f"{text}; not found in pairs against {old}")
    return found


def head() -> str:
    """The commit that is checked out; empty where there is no repository."""
    words = ["git", "-C", str(ROOT), "rev-parse", "HEAD"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return done.stdout.strip()


def _candidates(form: str) -> list[dict[str, Any]]:
    """Recent steps for the worse of one form, tonight included, that no comparison has confirmed yet."""
    tonight = sorted(path.parent for path in NIGHT.glob("*/run.json") if _is_of(path, form))
    # A night that is compared again is kept already.
    nights = list({path.name: path for path in [*tonight, *kept_nights(form)]}.values())
    nights.sort(key=lambda path: path.name)
    recent = {path.name for path in nights[-RECENT:]}
    with tempfile.TemporaryDirectory() as folder:
        for path in nights:
            Path(folder, path.name).symlink_to(path.resolve())
        if (HISTORY / "ab").is_dir():
            Path(folder, "ab").symlink_to((HISTORY / "ab").resolve())
        steps = json.loads(said(["trend", folder, "--json"]))
    return [one for one in steps if one["run"] in recent and one["state"] == "candidate" and _is_worse(one)]


def _is_of(record: Path, form: str) -> bool:
    try:
        return form_of(json.loads(record.read_text())) == form
    except (OSError, ValueError, KeyError):
        return False


def _is_worse(step: dict[str, Any]) -> bool:
    return bool((step["ratio"] > 1) != step["metric"].endswith(".throughput"))


def _commit_before(form: str, run: str) -> str | None:
    """That of the last kept night before a run."""
    for night in reversed(kept_nights(form)):
        if night.name < run and (night / COMMIT).is_file():
            return (night / COMMIT).read_text().strip() or None
    return None


def _is_found_in_pairs(record: dict[str, Any], commit: str | None, metric: str) -> bool:
    """Whether the figure is a regression against that commit, on this machine."""
    with tempfile.TemporaryDirectory() as folder:
        tree, venv = Path(folder, "tree"), Path(folder, "venv")
        pip = [str(venv / "bin" / "pip"), "install", "--quiet"]
        steps = (
            ["git", "worktree", "add", "--quiet", "--detach", str(tree), str(commit)],
            [sys.executable, "-m", "venv", str(venv)],
            [*pip, "--require-hashes", "--requirement", str(tree / "requirements.lock")],
            [*pip, "--no-deps", "--no-build-isolation", str(tree)],
        )
        try:
            if any(call(step) for step in steps):
                tell(f"confirm: {commit} cannot be installed")
                return False
            return metric in _regressions(record, venv / "bin" / "bench")
        finally:
            call(["git", "worktree", "remove", "--force", str(tree)])


def _regressions(record: dict[str, Any], old: Path) -> list[str]:
    plan = record["plan"]
    words = ["ab", record["scenario"]["path"], "--a", f"with={old}", "--stack", record["stack"]["kind"]]
    words += [word for one in plan["overrides"] for word in ("--both", f"set={one}")]
    words += ["--quick", "--pairs", "10"] if plan["quick"] else []
    out = HISTORY / "ab"
    known = set(out.glob("*.ab.json"))
    if call([*bench(), *words, "--out", str(out)]) not in JUDGED:
        return []
    made = sorted(set(out.glob("*.ab.json")) - known)
    for run in out.glob("*/run.json"):  # the result says it all, and the history is kept for every night
        shutil.rmtree(run.parent)
    figures = json.loads(made[-1].read_text())["figures"] if made else []
    return [one["metric"] for one in figures if one["finding"] == "REGRESSION"]
