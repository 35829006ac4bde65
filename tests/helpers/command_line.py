"""Runs of the command line as a user makes them: a separate process, real servers, a folder for results."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.helpers.other_work import is_excused, undisturbed
from tests.helpers.prepared import start_bench
from tests.helpers.scenarios import BRIEF
from tests.helpers.waiting import COMPILE_S


@dataclass
class Finished:
    """What a process of `bench` left: exit code, standard output, standard error."""

    code: int
    out: str
    err: str

    @property
    def verdicts(self) -> list[dict[str, Any]]:
        verdicts: list[dict[str, Any]] = json.loads(self.out)
        return verdicts


class Bench:
    """Starts `bench` in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.results = folder / "results"

    def scenario(self, text: str = BRIEF, name: str = "brief.yaml") -> Path:
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return path

    def start(
        self, *arguments: str | Path, preexec_fn: Callable[[], None] | None = None, **environment: str
    ) -> subprocess.Popen[str]:
        return start_bench(arguments, self._variables(environment), preexec_fn=preexec_fn)

    def start_command(self, command: list[str], **environment: str) -> subprocess.Popen[str]:
        """Something else in its place."""
        return subprocess.Popen(
            command,
            cwd=Path(__file__).parents[2],
            env=self._variables(environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # A background shell may have made us ignore Ctrl-C; the process under test must not inherit that.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler) and None,
        )

    def _variables(self, more: dict[str, str]) -> dict[str, str]:
        """Ours without what would change a run, and some more."""
        outside = ("REDIS_URL", "DATABASE_", "API_URL", "HOLDFAST_")
        clean = {k: v for k, v in os.environ.items() if not k.startswith(outside)}
        clean["XDG_STATE_HOME"] = str(self.folder / "state")  # a stack that is up here is not the test's
        return clean | more

    def __call__(
        self, *arguments: str | Path, preexec_fn: Callable[[], None] | None = None, **environment: str
    ) -> Finished:
        return self._finished(self.start(*arguments, preexec_fn=preexec_fn, **environment))

    def command(self, command: list[str], **environment: str) -> Finished:
        return self._finished(self.start_command(command, **environment))

    def _finished(self, process: subprocess.Popen[str]) -> Finished:
        try:
            out, err = process.communicate(timeout=COMPILE_S)
        finally:
            process.kill()
        return Finished(process.returncode, out, err)

    def run(
        self,
        scenario: Path,
        *arguments: str,
        preexec_fn: Callable[[], None] | None = None,
        **environment: str,
    ) -> Finished:
        words = (str(scenario), "--json", "--out", str(self.results), *arguments)
        return self("run", *words, preexec_fn=preexec_fn, **environment)

    def undisturbed_run(self, scenario: Path, *arguments: str) -> Finished:
        """The same, once more where the run says that others had the processors of this machine."""
        return undisturbed(lambda: self.run(scenario, *arguments), lambda _: is_excused(self.folders()[-1]))

    def folders(self) -> list[Path]:
        return sorted(path for path in self.results.iterdir() if not path.name.startswith("."))

    def partial(self) -> list[Path]:
        return sorted(self.results.glob(".*.partial")) if self.results.exists() else []

    def record(self) -> dict[str, Any]:
        record: dict[str, Any] = json.loads((self.folders()[-1] / "run.json").read_text(encoding="utf-8"))
        return record
