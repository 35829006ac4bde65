"""The runs of `bench ab`: each an ordinary one, on a stack that was started for it alone."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from bench.cli.session_opening import load_for, named_stack, open_session, run_and_judge
from bench.compare.baseline_runs import Candidate
from bench.core.errors import InterruptedRun, ResultError, UsageError
from bench.results import layout
from bench.stack.services.files import DataDirectory, last_lines

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bench.ab.variant import Variant
    from bench.results.run_record import PairRecord
    from bench.run.progress import Progress
    from bench.run.stop_request import StopRequest
    from bench.scenario.load import LoadedScenario
    from bench.stack.stack_file import StackFile

POLL_S = 0.1
LAST_LINES = 5
GRACE_S = 10.0
STARTED_WAIT_S = 30.0
"""How long a target is waited for that a command of the user's starts."""


@dataclass(frozen=True)
class Asked:
    """What both variants share."""

    scenario: Path
    stack: str | None
    out: Path
    seed: int | None
    quick: bool
    wait_s: float | None


class VariantRuns:
    """Makes the runs of one variant. Making it checks all that can be checked before anything is started."""

    def __init__(self, variant: Variant, asked: Asked, progress: Progress, stop: StopRequest) -> None:
        """Raises UsageError, ScenarioError."""
        self.variant, self._asked, self._progress, self._stop = variant, asked, progress, stop
        self._folder = variant.folder or Path()
        with environment(variant.environment):
            self._stack = self._own_stack()
            self._loaded: LoadedScenario = load_for(
                self._stack, asked.scenario, variant.overrides, asked.quick
            )
        self.scenario = self._loaded.scenario.scenario

    def _own_stack(self) -> str | StackFile | None:
        """The stack that is named, with the variant's settings of servers."""
        variant = self.variant
        stack = named_stack(variant.stack or self._asked.stack, [self._asked.scenario])
        if not variant.settings:
            return stack
        if stack is None or isinstance(stack, str):
            if stack not in (None, "embedded"):
                raise UsageError(f"--{variant.name}: settings are of servers that we start, not of {stack}")
            return "embedded"
        targets = dict(stack.targets)
        for name, settings in variant.settings.items():
            if name not in targets or targets[name].embedded is None:
                found = "another's" if name in targets else "none of that name"
                raise UsageError(
                    f"--{variant.name}: settings={name}: expected a target that {stack.path} starts "
                    f"embedded, found {found}; name one that is"
                )
            both = {**targets[name].settings, **settings}
            targets[name] = targets[name].model_copy(update={"settings": both})
        return replace(stack, targets=targets)

    @contextmanager
    def prepared(self) -> Iterator[None]:
        """The variant's revision checked out and its build done, until the block ends. Raises UsageError."""
        with contextlib.ExitStack() as undo:
            if self.variant.revision is not None:
                self._folder = undo.enter_context(_worktree(self.variant.revision, self._folder))
            if self.variant.build:
                self._progress.step(f"{self.variant.name}: {' '.join(self.variant.build)}")
                self._call(self.variant.build, "build", self._folder)
            yield

    def run(self, pair: PairRecord) -> Candidate:
        """One run, judged. Raises InterruptedRun, TargetError, ScenarioError, ResultError."""
        with environment(self.variant.environment):
            if self.variant.bench is not None:
                return self._run_of_other_bench(self.variant.bench)
            with self._started():
                wait_s = self._asked.wait_s
                if wait_s is None and self.variant.start:
                    wait_s = STARTED_WAIT_S
                with open_session(
                    [self._loaded],
                    self._asked.out,
                    self._stack,
                    self._progress,
                    self._stop,
                    seed=self._asked.seed,
                    wait_s=wait_s,
                    settings=self.variant.settings,
                ) as session:
                    session.pair = pair
                    try:
                        return Candidate(*run_and_judge(session, self._loaded))
                    except InterruptedRun as stopped:
                        interrupted = stopped  # raised when the stack has ended in order
                raise interrupted

    @contextmanager
    def _started(self) -> Iterator[None]:
        """The variant's command, running until the block ends, however that ends."""
        if not self.variant.start:
            yield
            return
        from bench.stack.supervisor.supervised import ServiceCommand, Supervised

        data = DataDirectory().create()
        log = data.path / "start.log"
        supervised = Supervised(data.path / "events.jsonl")
        command = ServiceCommand(
            self.variant.name,
            self.variant.start,
            str(self._folder.resolve()),
            str(log),
            restarts_per_minute=0,
            environment={**os.environ, **self.variant.environment},
        )
        try:
            supervised.start(command, data)
            yield
        except Exception:
            if log.is_file():
                for line in last_lines(log, LAST_LINES):
                    self._progress.step(f"{self.variant.name}, start: {line}")
            raise
        finally:
            supervised.end()
            data.remove()

    def _run_of_other_bench(self, bench: Path) -> Candidate:
        """A run that another installation makes; its own words are its own."""
        from bench.judge.judge import judge
        from bench.judge.verdict import saved
        from bench.results.reader import Run

        out, scenario = self._asked.out.resolve(), self._asked.scenario
        known = set(layout.run_folders(out))
        seed = self._loaded.scenario.seed if self._asked.seed is None else self._asked.seed
        words = [str(bench.resolve()), "run", str(scenario), "--out", str(out), "--seed", str(seed)]
        words += [word for one in self.variant.overrides for word in ("--set", one)]
        words += ["--quick"] if self._asked.quick else []
        stack = self.variant.stack or self._asked.stack
        words += ["--stack", stack] if stack else []
        with self._started():
            self._call(tuple(words), "with", Path(), judged=True)
        made = sorted(set(layout.run_folders(out)) - known)
        if len(made) != 1:
            raise ResultError(f"{bench}: expected one new run in {out}, found {len(made)}; run it by itself")
        run = Run.load(made[0])
        return Candidate(run, saved(run.path) or judge(run))

    def _call(self, command: tuple[str, ...], key: str, folder: Path, *, judged: bool = False) -> None:
        """Run a program to its end; a stop ends it and all that it has started.

        Raises UsageError with its last words, InterruptedRun.
        """
        shown = " ".join(command)
        with tempfile.TemporaryFile() as said:
            try:
                process = subprocess.Popen(
                    command,
                    cwd=folder,
                    env=dict(os.environ),
                    stdin=subprocess.DEVNULL,
                    stdout=said,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            except OSError as error:
                raise UsageError(
                    f"--{self.variant.name}: {key}: expected a program, found that {shown} cannot be "
                    f"started: {error.strerror}; check the path"
                ) from None
            try:
                while True:
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        process.wait(POLL_S)
                        break
                    if self._stop.is_asked:
                        raise InterruptedRun(f"interrupted in {shown}")
            finally:
                _end(process)
            said.seek(0)
            last = said.read().decode(errors="replace").splitlines()[-LAST_LINES:]
        if process.returncode and not (judged and process.returncode in (1, 5)):
            words = " | ".join(last) or "it said nothing"
            raise UsageError(
                f"--{self.variant.name}: {key}: expected {shown} to end with 0, found {process.returncode}; "
                f"it ended with: {words}"
            )


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a program and its group: as Ctrl-C would, then for good. Harmless after its end."""
    for number in (signal.SIGINT, signal.SIGKILL):
        if process.poll() is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_S)


@contextmanager
def environment(variables: Mapping[str, str]) -> Iterator[None]:
    """These variables in our environment while the block runs."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def _worktree(revision: str, folder: Path) -> Iterator[Path]:
    """A git worktree of the repository around `folder` at a revision, removed when the block ends."""
    program = shutil.which("git")
    if program is None:
        raise UsageError(f"revision={revision}: expected the program git, found none; install it")
    git = [program, "-C", str(folder.resolve())]
    data = DataDirectory().create()  # a later run removes it, should this one be killed
    where = data.path / "tree"
    try:
        found = subprocess.run(
            [*git, "worktree", "add", "--quiet", "--force", "--detach", str(where), revision],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if found.returncode:
            said = (found.stderr.strip().splitlines() or ["it said nothing"])[-1]
            raise UsageError(
                f"revision={revision}: expected a revision of the repository around {folder.resolve()}, "
                f"found that git says: {said}; name a commit, a tag or a branch"
            )
        prefix = subprocess.run(
            [*git, "rev-parse", "--show-prefix"], capture_output=True, text=True, check=False
        )
        yield where / prefix.stdout.strip()
    finally:
        subprocess.run([*git, "worktree", "remove", "--force", str(where)], capture_output=True, check=False)
        data.remove()
        subprocess.run([*git, "worktree", "prune"], capture_output=True, check=False)
