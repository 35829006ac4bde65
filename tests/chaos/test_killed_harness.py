"""A harness killed at any moment of any fault leaves nothing broken and nobody behind."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
import uuid
from pathlib import Path

import psutil
import pytest

from bench.scenario.fault_kinds import FAULT_KINDS
from chaos.journal import leftovers
from chaos.processes import wait_until
from tests.chaos.conftest import BACK_S

ROOT = Path(__file__).parents[2]
NOT_HERE = ("disconnect", "disk_full")
"""Refused on the embedded stack."""
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


@pytest.mark.parametrize("round_", range(ROUNDS))
@pytest.mark.parametrize("kind", KINDS)
def test_a_harness_killed_at_a_random_moment_of_a_fault_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, round_: int
) -> None:
    mark = uuid.uuid4().hex
    (tmp_path / "tmp").mkdir(mode=0o755)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    environment = {
        **os.environ,
        MARK: mark,
        "TMPDIR": str(tmp_path / "tmp"),
        "PYTHONPATH": str(ROOT),
        "HOLDFAST_RESTART_DELAY": "20ms",
    }
    with subprocess.Popen(
        [sys.executable, str(ROOT / "tests" / "chaos" / "doomed_harness.py"), kind],
        stdout=subprocess.PIPE,
        env=environment,
    ) as harness:
        assert harness.stdout is not None
        assert harness.stdout.readline() == b"ready\n"
        assert len(marked(mark)) >= 3  # itself, a supervisor and a server at least
        moment_s = random.SystemRandom().uniform(0, 0.5)
        time.sleep(moment_s)  # the moment is the test's subject
        harness.kill()
    assert wait_until(lambda: not marked(mark), BACK_S, 0.02), (
        f"killed after {moment_s:.3f} s, left {[(p.pid, p.cmdline()) for p in marked(mark)]}"
    )
    assert leftovers() == []
    left = [path for path in (tmp_path / "tmp").iterdir() if not path.name.startswith("logs-")]
    assert left == []
