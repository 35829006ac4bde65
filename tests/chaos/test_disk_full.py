"""A disk without room: the sample on a small file system of its own, and the refusal everywhere else."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "scenarios" / "disk" / "postgres_disk_full.yaml"
ON_A_SMALL_DISK = 'mount -t tmpfs -o size=400m,mode=1777 none /mnt && TMPDIR=/mnt exec "$@"'
LIMIT_S = 280


def own_mounts(*command: str) -> list[str]:
    """The command in a mount namespace of its own, with a small file system for temporary files."""
    return ["unshare", "--mount", "sh", "-c", ON_A_SMALL_DISK, "-", *command]


@pytest.fixture
def small_disk() -> None:
    is_root = os.geteuid() == 0 and shutil.which("unshare") is not None
    if not is_root or subprocess.run(own_mounts("true"), check=False).returncode:
        pytest.skip("no right to mount a small file system")


def run_sample(folder: Path, *before: str) -> tuple[int, str, list[dict[str, Any]]]:
    """The exit code, what was said, and the verdicts."""
    command = [*before, sys.executable, "-m", "bench", "run", str(SAMPLE), "--quick", "--json"]
    done = subprocess.run(
        [*command, "--out", str(folder)], cwd=ROOT, capture_output=True, text=True, check=False,
        timeout=LIMIT_S, env={**os.environ, "XDG_STATE_HOME": str(folder / "state")},
    )  # fmt: skip
    return done.returncode, done.stderr, json.loads(done.stdout) if done.stdout else []


@pytest.mark.timeout(LIMIT_S + 20)
def test_a_disk_that_others_share_is_never_filled(tmp_path: Path) -> None:
    code, said, _ = run_sample(tmp_path)
    assert code == 4
    assert "expected a file system of the target's own, found one that it shares with the machine" in said
    assert "set TMPDIR there" in said


@pytest.mark.timeout(LIMIT_S + 20)
def test_postgres_comes_back_from_a_full_disk_with_all_that_it_acknowledged(
    small_disk: None, tmp_path: Path
) -> None:
    code, said, verdicts = run_sample(tmp_path, *own_mounts())
    assert code in (0, 5), said
    record = json.loads((tmp_path / verdicts[0]["run"] / "run.json").read_text())
    (fault,) = record["faults"]
    assert fault["took_effect"], fault
    assert fault["healed"], fault
    (checked,) = record["integrity"]
    assert (checked["lost"], checked["unexpected"]) == (0, 0)
    errors = record["workloads"][0]["errors"]
    assert any("No space left on device" in error["text"] for error in errors), errors
