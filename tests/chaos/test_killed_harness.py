"""A harness killed at any moment of any fault leaves nothing broken and nobody behind."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

import psutil
import pytest

from bench.scenario.fault_kinds import FAULT_KINDS
from chaos.journal import leftovers
from tests.helpers.waiting import eventually

ROOT = Path(__file__).parents[2]
OF_POSTGRES = ("failover", "switchover", "promote")
"""Those that make a standby the primary."""
NOT_HERE = ("disconnect", "disk_full", *OF_POSTGRES)
"""Refused of a single Redis."""
KINDS = [kind for kind in FAULT_KINDS if kind not in NOT_HERE]
MARK = "HOLDFAST_TEST_MARK"
ROUNDS = int(os.environ.get("HOLDFAST_TEST_ROUNDS", "1"))


def marked(mark: str) -> list[psutil.Process]:
    """All processes that descend from a harness, whoever their parent is by now."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == mark and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


class Doomed:
    """A harness of one kind of fault, with folders and a mark of its own."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.kind, self.mark, self.moment_s = kind, uuid.uuid4().hex, 0.0
        self.temporary, self.state = folder / "tmp", folder / "state"
        self.temporary.mkdir(mode=0o755, parents=True)
        environment = {
            **os.environ,
            MARK: self.mark,
            "TMPDIR": str(self.temporary),
            "XDG_STATE_HOME": str(self.state),
            "PYTHONPATH": str(ROOT),
            "HOLDFAST_RESTART_DELAY": "20ms",
        }
        command = [sys.executable, str(ROOT / "tests" / "chaos" / "doomed_harness.py"), kind]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment)

    def await_ready(self) -> None:
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"ready\n"
        assert len(marked(self.mark)) >= 3  # itself, a supervisor and a server at least

    def kill(self, within_s: float = 0.3) -> None:
        self.moment_s = random.SystemRandom().uniform(0, within_s)
        time.sleep(self.moment_s)  # the moment is the test's subject
        self.process.kill()
        self.process.wait()

    def assert_nothing_is_left(self) -> None:
        told = f"{self.kind}, killed {self.moment_s:.3f} s after the one before"
        eventually(lambda: not marked(self.mark), lambda: f"nothing is left of {told}: {marked(self.mark)}")
        assert leftovers(self.state / "holdfast" / "faults") == [], told
        left = [path.name for path in self.temporary.iterdir() if not path.name.startswith("logs-")]
        assert left == [], told

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


SIXTHS = [KINDS[at::6] for at in range(6)]
"""Each has harnesses of different families of faults; the last has a stopped server."""


@pytest.mark.parametrize("round_", range(ROUNDS))
@pytest.mark.parametrize(
    "kinds",
    [*(pytest.param(kinds, marks=pytest.mark.long) for kinds in SIXTHS[:-1]), SIXTHS[-1]],
    ids="-".join,
)
def test_harnesses_killed_at_random_moments_of_a_fault_leave_nothing(
    tmp_path: Path, closing: contextlib.ExitStack, kinds: list[str], round_: int
) -> None:
    doomed = [Doomed(kind, tmp_path / kind) for kind in kinds]
    for one in doomed:
        closing.callback(one.close)
    for one in doomed:
        one.await_ready()
    for one in random.SystemRandom().sample(doomed, len(doomed)):
        one.kill()
    for one in doomed:
        one.assert_nothing_is_left()


@pytest.mark.long
@pytest.mark.parametrize("round_", range(ROUNDS))
@pytest.mark.parametrize("kind", OF_POSTGRES)
def test_harnesses_killed_at_random_moments_of_a_failover_of_postgres_leave_nothing(
    closing: contextlib.ExitStack, kind: str, round_: int
) -> None:
    """While a primary is ended, a standby promoted, the old primary copied anew."""
    folder = Path(tempfile.mkdtemp(prefix="doomed-"))
    closing.callback(shutil.rmtree, folder)
    folder.chmod(0o755)  # root's Postgres runs as another user, who must come to its data
    doomed = Doomed(kind, folder)
    closing.callback(doomed.close)
    doomed.await_ready()
    doomed.kill(within_s=4.0)
    doomed.assert_nothing_is_left()
