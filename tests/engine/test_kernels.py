"""Single kernels take the loop's tables and no Python caller: they are tested as plain Python."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent / "kernels"
ROOT = Path(__file__).parents[2]


@pytest.mark.timeout(300)
def test_the_kernels_hold_one_by_one() -> None:
    files = [str(HERE / f"{name}.py") for name in ("lanes", "lateness", "subscriber")]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *files]
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-10_000:]
