"""`bench stack up --stack docker`: containers that outlive the command, and a run that breaks one of them."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.stack.docker.client import SERVICE

SCENARIO = """\
scenario: kept
purpose: A container that stays up is paused
workloads:
  - name: cache
    target: redis
    driver: redis
    lanes: 4
    operations:
      get: {command: [GET, nothing]}
    arrivals: constant
    rate: 100/s
    deadline: 300ms
phases:
  - {name: warmup, for: 500ms, measured: false}
  - {name: steady, for: 5s}
faults:
  - {pause: redis, at: 2s, for: 1s}
sla:
  - cache.recovery.first < 30s
"""

Bench = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def bench(images: Any, tmp_path: Path) -> Bench:
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_URL")}
    environment["XDG_STATE_HOME"] = str(tmp_path / "state")

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        words = [sys.executable, "-m", "bench", *map(str, arguments)]
        return subprocess.run(words, env=environment, capture_output=True, text=True, check=False)

    return run


def test_a_run_uses_breaks_and_leaves_the_containers_that_stay_up(
    bench: Bench, images: Any, tmp_path: Path
) -> None:
    (tmp_path / "kept.yaml").write_text(SCENARIO)
    try:
        up = bench("stack", "up", "--stack", "docker", "redis", "--json")
        assert up.returncode == 0, up.stderr
        assert [one["name"] for one in json.loads(up.stdout)["services"]] == ["redis"]
        assert bench("stack", "up", "redis").returncode == 2  # those of another kind are up
        done = bench("run", tmp_path / "kept.yaml", "--out", tmp_path / "results")
        assert done.returncode in (0, 5), done.stdout + done.stderr
        (folder,) = (tmp_path / "results").glob("2*")
        record = json.loads((folder / "run.json").read_text())
        assert record["stack"]["kind"] == "docker"
        (target,) = record["stack"]["targets"]
        container = images.inspect_container(target["container"])
        assert container["State"]["Running"]
        assert not container["State"]["Paused"]
        assert container["Config"]["Labels"][SERVICE] == "redis"
        (fault,) = record["faults"]
        assert fault["took_effect"]
    finally:
        down = bench("stack", "down")
    assert down.returncode == 0, down.stderr
    left = images.containers(all=True, filters={"id": target["container"]})
    assert left == []
