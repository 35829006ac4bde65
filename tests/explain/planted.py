"""Runs in this process with a cause planted at times that have no steady beat."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bench.core.clock import monotonic_ns
from bench.explain.events import CauseKind
from bench.explain.explanation import Explanation, explain
from bench.results.reader import Run
from bench.run.progress import progress_for
from bench.run.session import Session
from bench.scenario.load import load_scenario
from tests.helpers.other_work import undisturbed

if TYPE_CHECKING:
    from bench.plan.plan import Plan
    from bench.results.run_record import RunRecord
    from bench.results.writer import RunWriter
    from bench.scenario.model import Scenario
    from bench.stack.stack import Stack
    from bench.stack.target import Target

MOMENTS_S = (1.9, 4.1, 8.6, 10.3, 12.9)
"""From run zero, in a run of 16 s. No shift of them fits any other three of them."""
SCENARIO = """\
scenario: planted
purpose: a cause is planted, and it is to be found
workloads:
{workloads}phases:
  - {{name: warmup, for: 1s, measured: false}}
  - {{name: steady, for: 15s}}
sla:
{rules}"""


class Planted:
    """A plug-in that does something at each of MOMENTS_S, in a thread beside the run."""

    def __init__(self, do: Callable[[], object] | None) -> None:
        self._do = do
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def prepare(
        self, scenario: Scenario, plan: Plan, stack: Stack, targets: Mapping[str, Target]
    ) -> dict[str, Target]:
        return dict(targets)

    def rehearse(self) -> None:
        pass

    def calibrate(self) -> None:
        pass

    def begin(self, start_ns: int, writer: RunWriter) -> None:
        self._thread = threading.Thread(target=self._run, args=(start_ns,))
        self._thread.start()

    def _run(self, start_ns: int) -> None:
        for moment_s in MOMENTS_S if self._do else ():
            if self._ended.wait(max(start_ns / 1e9 + moment_s - monotonic_ns() / 1e9, 0)):
                return
            self._do()

    def look(self, now_ns: int) -> str | None:
        return None

    def finish(self, record: RunRecord, folder: Path) -> RunRecord:
        self.close()
        return record

    def close(self) -> None:
        self._ended.set()
        if self._thread is not None:
            self._thread.join(60)


def explained(
    stack: Stack,
    folder: Path,
    workloads: str,
    rules: str,
    do: Callable[[], object] | None = None,
    *,
    may_be_others: bool = False,
) -> Explanation:
    """What is said of a run with such workloads and rules, while something is done beside it.

    Repeated where other work on this machine is named first, unless that is what was planted.
    """
    path = folder / "planted.yaml"
    path.write_text(SCENARIO.format(workloads=workloads, rules=rules))

    def attempt() -> Explanation:
        session = Session(stack, folder / "results", progress_for(), plugins=lambda _: [Planted(do)])
        found = explain(Run.load(session.run(load_scenario(path))))
        sys.stderr.write(f"{found}\n")  # for whoever reads a failure
        return found

    return attempt() if may_be_others else undisturbed(attempt, names_others_first)


def names_others_first(found: Explanation) -> bool:
    """Whether the explanation itself says that it was other work on this machine."""
    return bool(found.causes) and found.causes[0].kind is CauseKind.OTHER_PROCESSES


def first(found: Explanation) -> tuple[str, str]:
    """The first cause, by its kind and whom it concerns."""
    assert found.causes, found
    return found.causes[0].kind.value, found.causes[0].subject


@contextmanager
def preloaded(source: str, folder: Path) -> Iterator[None]:
    """Programs that are started meanwhile meet functions of ours in place of the C library's."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler (cc) to make the stand-in with")
    library = folder / "planted.so"
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-O1", "-o", library, "-xc", "-", "-ldl"],
        input=source.encode(),
        check=True,
    )
    library.chmod(0o755)
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("LD_PRELOAD", str(library))
        yield


@contextmanager
def lasting(seconds: float) -> Iterator[None]:
    """Wait at the end until so long has passed since the beginning."""
    until = time.monotonic() + seconds
    yield
    threading.Event().wait(max(until - time.monotonic(), 0))
