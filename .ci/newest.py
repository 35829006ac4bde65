"""A night's question: does it all work with the newest versions of what it needs, and if not, who broke it?

    python .ci/newest.py                      all tests
    python .ci/newest.py tests/scenario       these

The newest versions are those that `nox -s lock` would write now. Where tests fail with them, the failed ones
run again with the locked versions (what fails there too is no release's fault), and then with one package
after the other moved from its locked to its newest version. Nothing in the checkout is changed.

Exit code 1 where a newer version breaks a test, else 0. The answer is a table, also in $GITHUB_STEP_SUMMARY.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements.lock"
PINNED = re.compile(r"^([A-Za-z0-9._-]+)==(\S+)", re.MULTILINE)
UV = [sys.executable, "-m", "uv"]


@dataclass
class Answer:
    """What the newest versions do to the tests."""

    moved: dict[str, tuple[str, str]]
    """Package to its locked and its newest version."""
    failed: list[str] = field(default_factory=list)
    """Tests that fail with all newest versions together."""
    failed_locked: list[str] = field(default_factory=list)
    """Those of them that fail with the locked versions too."""
    broken_by: dict[str, list[str]] = field(default_factory=dict)
    """Package to the tests that fail when it alone is moved."""

    @property
    def broken(self) -> list[str]:
        """Tests that pass as locked and fail with the newest versions."""
        return [test for test in self.failed if test not in self.failed_locked]

    @property
    def unexplained(self) -> list[str]:
        """Tests that no package breaks by itself."""
        named = {test for tests in self.broken_by.values() for test in tests}
        return [test for test in self.broken if test not in named]

    def markdown(self) -> str:
        """For a person: what is newer, and what that broke."""
        if not self.moved:
            return "Every package is locked at its newest version.\n"
        lines = [f"{len(self.moved)} packages are newer than locked.\n"]
        lines += ["| package | locked | newest | breaks |", "|---|---|---|---|"]
        for name, (old, new) in sorted(self.moved.items()):
            broken = "<br>".join(f"`{test}`" for test in self.broken_by.get(name, []))
            lines.append(f"| {name} | {old} | {new} | {broken} |")
        for title, tests in (
            ("Broken by several together, by none alone", self.unexplained),
            ("Fails as locked too", self.failed_locked),
        ):
            lines += [f"\n{title}:\n", *(f"- `{test}`" for test in tests)] if tests else []
        return "\n".join(lines) + "\n"


def versions(lock: str) -> dict[str, str]:
    """Package to version; where markers choose one of several, all of them."""
    found: dict[str, list[str]] = {}
    for name, version in PINNED.findall(lock):
        found.setdefault(name, []).append(version)
    return {name: ", ".join(all_of_it) for name, all_of_it in found.items()}


def moved(old: str, new: str) -> dict[str, tuple[str, str]]:
    """The packages whose version differs between two locks; "-" where one of them has none."""
    before, after = versions(old), versions(new)
    return {
        name: (before.get(name, "-"), after.get(name, "-"))
        for name in sorted(before | after)
        if before.get(name) != after.get(name)
    }


def compiled(folder: Path, packages: Iterable[str] | None) -> Path:
    """The lock with `packages`, or all for None, at their newest versions; what they need may move along."""
    lock = folder / "moved.lock"
    lock.write_text(LOCK.read_text())
    chosen = ["--upgrade"] if packages is None else [f"--upgrade-package={name}" for name in packages]
    options = ["--universal", "--generate-hashes", "--no-annotate", "--no-header", "--python-version", "3.11"]
    command = [*UV, "pip", "compile", *options, "--all-extras", "--group", "build", *chosen]
    subprocess.run(
        [*command, "--quiet", "--output-file", lock, ROOT / "pyproject.toml"], check=True, cwd=ROOT
    )
    return lock


def installed(folder: Path, lock: Path) -> Path:
    """The Python of an environment that holds exactly what `lock` names, and the project."""
    python = folder / "venv" / "bin" / "python"
    if not python.exists():
        subprocess.run([*UV, "venv", "--quiet", "--python", sys.executable, folder / "venv"], check=True)
    pip, there = [*UV, "pip"], ["--quiet", "--python", python]
    subprocess.run([*pip, "sync", *there, "--require-hashes", lock], check=True)
    subprocess.run([*pip, "install", *there, "--no-deps", "--no-build-isolation", "-e", ROOT], check=True)
    return python


def failures(
    python: Path, tests: Iterable[str], folder: Path, *, processes: int = 1, root: Path = ROOT
) -> list[str]:
    """The tests that do not pass, by the names that pytest takes. Raises RuntimeError if none could run."""
    report = folder / "report.xml"
    report.unlink(missing_ok=True)
    command = [
        python,
        "-m",
        "pytest",
        "-q",
        "-n",
        str(processes),
        "--dist",
        "loadfile",
        f"--junitxml={report}",
    ]
    command += ["-o", "junit_family=xunit1", *tests]  # this family of reports has the file of each test
    code = subprocess.run(command, check=False, cwd=root, stdin=subprocess.DEVNULL).returncode
    if not report.exists():
        raise RuntimeError(f"pytest ended with {code} and left no report")
    cases = ET.parse(report).iter("testcase")  # noqa: S314 - pytest has just written it
    failed = [name for case in cases if (name := _failed(case))]
    if code not in (0, 1) and not failed:
        raise RuntimeError(f"pytest ended with {code}: nothing was collected")
    return failed


def _failed(case: ET.Element) -> str | None:
    if case.find("failure") is None and case.find("error") is None:
        return None
    file, module = str(case.get("file")), str(case.get("classname"))
    if not module:
        return file  # it cannot be imported: the whole file is what failed
    inner = module.rpartition(Path(file).stem)[2].strip(".")
    return "::".join([file, *filter(None, inner.split(".")), str(case.get("name"))])


def asked(tests: list[str], folder: Path) -> Answer:
    """Run the tests with the newest versions, and find out who broke those that fail."""
    newest = compiled(folder, None)
    answer = Answer(moved(LOCK.read_text(), newest.read_text()))
    if not answer.moved:
        return answer
    answer.failed = failures(installed(folder, newest), tests, folder, processes=2)
    if answer.failed:
        answer.failed_locked = failures(installed(folder, LOCK), answer.failed, folder)
    if answer.broken:
        for name in answer.moved:
            python = installed(folder, compiled(folder, [name]))
            if broken := failures(python, answer.broken, folder):
                answer.broken_by[name] = broken
    return answer


def main(tests: list[str]) -> int:
    """Ask, print the answer, and give the exit code."""
    with tempfile.TemporaryDirectory(prefix="newest-") as temporary:
        answer = asked(tests or ["tests"], Path(temporary))
    text = answer.markdown()
    print(text)  # noqa: T201 - a program of the workflow
    if summary := os.environ.get("GITHUB_STEP_SUMMARY"):
        with Path(summary).open("a") as file:
            file.write(text)
    return int(bool(answer.broken))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
