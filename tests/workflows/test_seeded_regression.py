"""A target that became slower turns the night red, with a message that names the figure, before and after."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.other_work import undisturbed, was_held_up
from tests.workflows.slowed_redis import ROOT, redis_behind_proxy, url_of

SCENARIO = """\
scenario: watched
purpose: Redis answers as fast as in the nights before
workloads:
  - name: cache
    target: redis
    driver: redis
    lanes: 64
    keys: {count: 100, preload: true}
    value: {bytes: 64}
    operations:
      get: {command: [GET, "{key}"]}
    arrivals: constant
    rate: 300/s
    deadline: 5s
phases:
  - {name: warmup, for: 200ms, measured: false}
  - {name: steady, for: 1500ms}
sla:
  - cache.response.p50 < 4s
"""


@pytest.mark.timeout(300)
@pytest.mark.long
def test_a_slowed_redis_turns_the_night_red(tmp_path: Path) -> None:
    scenario, night, history = tmp_path / "watched.yaml", tmp_path / "night", tmp_path / "history"
    scenario.write_text(SCENARIO)
    program = tmp_path / "bench"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m bench "$@"\n')
    program.chmod(0o755)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GITHUB_")}
    environment |= {
        "HOLDFAST_NIGHT": str(night),
        "HOLDFAST_HISTORY": str(history),
        "HOLDFAST_BENCH": str(program),
        "PYTHONPATH": str(ROOT),
    }

    def run_night(*stages: str) -> subprocess.CompletedProcess[str]:
        load = [str(program), "run", str(scenario), "--out", str(night), "--stack", "external"]
        subprocess.run(load, cwd=ROOT, env=environment, check=False, capture_output=True)
        return subprocess.run(
            [sys.executable, ".ci/nightly.py", *stages],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    with redis_behind_proxy(tmp_path) as proxy:
        environment["REDIS_URL"] = url_of(proxy)
        first = run_night("compare", "keep")
        assert "there is nothing to compare with" in first.stdout
        if "1 runs to compare" not in first.stdout:
            pytest.skip("this machine is too busy to measure even 300/s")
        kept = set(history.iterdir())

        def slowed_night() -> subprocess.CompletedProcess[str]:
            # One that others disturbed may have been kept: it was not called worse.
            for other in set(history.iterdir()) - kept:
                shutil.rmtree(other)
            return run_night("compare", "keep", "verdict")

        proxy.add("latency", {"delay": 100_000_000, "direction": "down"})
        second = undisturbed(
            slowed_night,
            lambda done: done.returncode != 1 and any(was_held_up(path) for path in night.glob("2*")),
        )
    assert second.returncode == 1, second.stdout + second.stderr
    lines = second.stdout.splitlines()
    red = next(line for line in lines if line.startswith("REGRESSION watched") and ".p50" in line)
    assert "cache.response.p50: " in red
    assert " -> 1" in red
    assert "95 % interval" in red
    assert red.endswith("threshold 10 %")
    assert "once more, to be sure" in second.stdout
    # What became worse is not what the next night is compared with.
    assert "is not kept (worse)" in second.stdout
    assert set(history.iterdir()) == kept
