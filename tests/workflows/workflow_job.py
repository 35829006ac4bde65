"""One job of a workflow: its steps, what they see, and the actions that are played here."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.workflows.workflow_expressions import Unsupported, filled, holds

ROOT = Path(__file__).resolve().parent.parent.parent
PASSED_ON = ("HOME", "LANG", "LC_ALL", "TMPDIR", "TERM", "USER", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")
PASSED_ON_STARTS = ("PIP_", "HOLDFAST_", "UV_")
ADDRESSES = ("REDIS_URL", "DATABASE_URL", "API_URL")
"""So that a workflow can be tried on a system of one's own, or a slowed one."""
SHELL = ("bash", "--noprofile", "--norc", "-eo", "pipefail")


@dataclass
class Outcome:
    """How a step ended: success, failure or skipped."""

    name: str
    conclusion: str
    seconds: float = 0.0


@dataclass
class Job:
    """One job with its values of the matrix, and where it runs."""

    name: str
    spec: dict[str, Any]
    workflow: dict[str, Any]
    matrix: dict[str, str]
    inputs: dict[str, str]
    home: Path
    cache: Path
    artifacts: Path
    run_id: str
    outcomes: list[Outcome] = field(default_factory=list)
    saved: dict[str, str] = field(default_factory=dict)
    """What steps have put into GITHUB_ENV."""
    paths: list[str] = field(default_factory=list)
    steps: dict[str, Any] = field(default_factory=dict)

    @property
    def checkout(self) -> Path:
        return self.home / "checkout"

    @property
    def summary(self) -> Path:
        return self.home / "summary.md"

    def failed(self) -> bool:
        return any(one.conclusion == "failure" for one in self.outcomes)

    def run(self) -> bool:
        """Every step in order; whether all went well."""
        known_job(self.spec)
        for step in self.spec["steps"]:
            known_step(step)
            name = filled(str(step.get("name") or step.get("uses") or step.get("run")), *self.known())
            if not holds(str(step.get("if", "success()")), *self.known()):
                self.outcomes.append(Outcome(name, "skipped"))
                say(f"    skipped  {name}")
                continue
            say(f"--> {self.name}: {name}")
            begin = time.monotonic()
            done = self.use(step) if "uses" in step else self.shell(step)
            conclusion = "success" if done else "failure"
            self.outcomes.append(Outcome(name, conclusion, time.monotonic() - begin))
            self.steps[str(step.get("id", ""))] = {"conclusion": conclusion, "outputs": self.outputs()}
            say(f"    {conclusion}  {name} ({self.outcomes[-1].seconds:.0f} s)")
        return not self.failed()

    def known(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Contexts and functions for expressions, as things stand."""
        github = {"run_id": self.run_id, "run_attempt": "1", "ref": "refs/heads/main"}
        contexts = {
            "github": github,
            "inputs": self.inputs,
            "matrix": self.matrix,
            "env": self.saved,
            "steps": self.steps,
        }
        functions = {
            "success": lambda: not self.failed(),
            "failure": self.failed,
            "always": lambda: True,
            "cancelled": lambda: False,
        }
        return contexts, functions

    def environment(self, step: dict[str, Any]) -> dict[str, str]:
        """What a step sees: little of this shell, the workflow's words, GitHub's files."""
        found = {
            name: value
            for name, value in os.environ.items()
            if name in (*PASSED_ON, *ADDRESSES) or name.startswith(PASSED_ON_STARTS)
        }
        declared = {**self.workflow.get("env", {}), **self.spec.get("env", {}), **step.get("env", {})}
        for name, value in declared.items():
            if name not in found:
                found[name] = filled(str(value), *self.known())
        found |= self.saved
        found |= {
            "CI": "true",
            "GITHUB_ACTIONS": "true",
            "GITHUB_RUN_ID": self.run_id,
            "GITHUB_WORKSPACE": str(self.checkout),
            "GITHUB_STEP_SUMMARY": str(self.summary),
            "GITHUB_ENV": str(self.home / "env"),
            "GITHUB_OUTPUT": str(self.home / "output"),
            "GITHUB_PATH": str(self.home / "path"),
            "PATH": os.pathsep.join([*self.paths, os.environ["PATH"]]),
        }
        return found

    def shell(self, step: dict[str, Any]) -> bool:
        """A `run:` step, its words from a file as there."""
        for name in ("env", "output", "path"):
            (self.home / name).write_text("")
        script = self.home / "step.sh"
        script.write_text(filled(step["run"], *self.known()))
        done = subprocess.run(
            [*SHELL, str(script)],
            cwd=self.checkout / step.get("working-directory", ""),
            env=self.environment(step),
            stdin=subprocess.DEVNULL,
            check=False,
        )
        self.saved |= pairs(self.home / "env")
        self.paths = [*(self.home / "path").read_text().splitlines(), *self.paths]
        return done.returncode == 0

    def outputs(self) -> dict[str, str]:
        file = self.home / "output"
        return pairs(file) if file.exists() else {}

    def use(self, step: dict[str, Any]) -> bool:
        """One of the actions that are played here."""
        action, _, major = str(step["uses"]).partition("@")
        if not major.startswith("v") or not major[1:].isdigit():
            raise Unsupported(f"{step['uses']}: expected an action at a major version, such as @v5")
        given = {name: filled(str(value), *self.known()) for name, value in step.get("with", {}).items()}
        match action:
            case "actions/checkout":
                copy_checkout(self.checkout)
            case "actions/setup-python":
                self.paths.insert(0, str(python_of(given["python-version"], self.home / "python") / "bin"))
            case "actions/cache/restore":
                self.restore(given)
            case "actions/cache/save":
                self.keep(given)
            case "actions/upload-artifact":
                return self.upload(given)
            case _:
                raise Unsupported(f"{step['uses']}: this action is not played here")
        return True

    def restore(self, given: dict[str, str]) -> None:
        """The newest entry whose key begins as asked."""
        wanted = [given["key"], *given.get("restore-keys", "").split()]
        found = [
            entry
            for key in wanted
            for entry in sorted(self.cache.glob(f"{key}*"), key=entry_age, reverse=True)
        ]
        if found:
            shutil.copytree(found[0], self.checkout / given["path"], dirs_exist_ok=True)
        say(f"    cache: {found[0].name if found else 'nothing is kept yet'}")

    def keep(self, given: dict[str, str]) -> None:
        source = self.checkout / given["path"]
        if source.exists():
            shutil.copytree(source, self.cache / given["key"], dirs_exist_ok=True)

    def upload(self, given: dict[str, str]) -> bool:
        source = self.checkout / given["path"]
        if not source.exists() or not any(source.iterdir()):
            say(f"    artifact: nothing at {given['path']}")
            return given.get("if-no-files-found") != "error"
        shutil.copytree(source, self.artifacts / given["name"], dirs_exist_ok=True)
        return True


def entry_age(entry: Path) -> int:
    return entry.stat().st_mtime_ns


def pairs(file: Path) -> dict[str, str]:
    """The lines NAME=value of a file that steps write."""
    return dict(line.split("=", 1) for line in file.read_text().splitlines() if "=" in line)


def known_job(spec: dict[str, Any]) -> None:
    known = {"runs-on", "timeout-minutes", "steps", "strategy", "env", "name", "permissions"}
    if unknown := set(spec) - known:
        raise Unsupported(f"a job says {', '.join(sorted(unknown))}, which is not played here")


def known_step(step: dict[str, Any]) -> None:
    if unknown := set(step) - {"name", "id", "if", "uses", "with", "run", "env", "working-directory"}:
        raise Unsupported(f"a step says {', '.join(sorted(unknown))}, which is not played here")


def copy_checkout(to: Path) -> None:
    """The files that git knows or would know, as they are now."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\0")
    for name in filter(None, listed):
        if (ROOT / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, to / name)


def python_of(version: str, folder: Path) -> Path:
    """A virtual environment of this version; of the one that runs this where it is not installed."""
    program = next((one for one in (f"python{version}", "python3") if works(one, version)), sys.executable)
    if program == sys.executable and f"{sys.version_info[0]}.{sys.version_info[1]}" != version:
        say(f"    python {version} is not here; {sys.version.split()[0]} takes its place")
    subprocess.run([program, "-m", "venv", str(folder)], check=True)
    return folder


def works(program: str, version: str) -> bool:
    """Whether a program is there, starts, and is of that version: a name alone may be a stub."""
    if shutil.which(program) is None:
        return False
    asked = "import sys; print('%d.%d' % sys.version_info[:2])"
    done = subprocess.run([program, "-c", asked], capture_output=True, text=True, check=False)
    return done.returncode == 0 and done.stdout.strip() == version


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
