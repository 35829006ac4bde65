"""What the stages of a night have in common: its folders, its notes, commands, and how things are told."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
NIGHT = Path(os.environ.get("HOLDFAST_NIGHT") or "results/nightly")
HISTORY = Path(os.environ.get("HOLDFAST_HISTORY") or "results/history")
NOTES = NIGHT / "night.json"
"""What the stages tell each other."""
JUDGED = (0, 1, 5)
"""Exit codes that are verdicts: they are told at the end, all together."""


class Broken(Exception):  # noqa: N818 - what happened is the name
    """A command that has no verdict, with its exit code."""

    def __init__(self, code: int) -> None:
        self.code = code
        super().__init__(f"exit code {code}")


def newest() -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
    """Verdict and record of the night's newest run of each form."""
    found = {}
    for folder in sorted(NIGHT.glob("*/")):
        try:
            record = json.loads((folder / "run.json").read_text())
            found[form_of(record)] = (json.loads((folder / "verdict.json").read_text()), record)
        except (OSError, ValueError, KeyError):
            continue  # pages, second runs, a run that was interrupted: none has all of it
    return found


def kept_nights(form: str) -> list[Path]:
    """The kept runs of a form, oldest first."""
    found = []
    for folder in sorted(HISTORY.glob("*/")):
        try:
            if form_of(json.loads((folder / "run.json").read_text())) == form:
                found.append(folder)
        except (OSError, ValueError, KeyError):
            continue  # none of ours
    return found


def form_of(record: dict[str, Any]) -> str:
    """What of a scenario was run."""
    plan = record["plan"]
    return json.dumps([record["scenario"]["name"], plan["quick"], plan["overrides"], record["stack"]["kind"]])


def note(name: str, value: Any) -> None:
    """Keep a word for a later stage."""
    NIGHT.mkdir(parents=True, exist_ok=True)
    notes = json.loads(NOTES.read_text()) if NOTES.exists() else {}
    NOTES.write_text(json.dumps({**notes, name: value}, indent=2) + "\n")


def noted(name: str, otherwise: Any) -> Any:
    """What an earlier stage has kept."""
    return json.loads(NOTES.read_text()).get(name, otherwise) if NOTES.exists() else otherwise


def bench() -> list[str]:
    """The program that is named, that of the session that made the runs, or that of this interpreter."""
    program = Path(os.environ.get("HOLDFAST_BENCH") or ROOT / ".nox" / "installed" / "bin" / "bench")
    return [str(program)] if program.exists() else [sys.executable, "-m", "bench"]


def call(words: list[str]) -> int:
    """Run a command where its paths are meant; its exit code."""
    sys.stdout.flush()
    return subprocess.run(words, cwd=ROOT, env=quiet(), check=False).returncode


def said(words: list[str]) -> str:
    """What a bench command prints. A comparison exits with its finding; anything else is told as it is."""
    done = subprocess.run(
        [*bench(), *words], cwd=ROOT, env=quiet(), stdout=subprocess.PIPE, text=True, check=False
    )
    if done.returncode not in JUDGED:
        raise Broken(done.returncode)
    return done.stdout


def quiet() -> dict[str, str]:
    """The environment without the word that makes commands annotate: here that is done once, at the end."""
    return {name: value for name, value in os.environ.items() if name != "GITHUB_ACTIONS"}


def annotate(level: str, title: str, message: str) -> None:
    """An annotation in a workflow, a line elsewhere."""
    if os.environ.get("GITHUB_ACTIONS") == "true":
        safe = message.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
        tell(f"::{level} title={title}::{safe}")
    else:
        tell(f"{level}: {title}: {message}")


def tell(text: str) -> None:
    """A line, at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
