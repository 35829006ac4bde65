"""A master here and workers in network namespaces of their own, started as Locust's users start them."""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import bench
from bench.stack.services.loopback_port import free_loopback_port
from bench.stack.services.programs import find_server_binary
from tests.helpers.processes import child_process
from tests.helpers.waiting import COMPILE_S, eventually
from tests.swarm.two_hosts import TwoHosts, two_hosts

pytestmark = [pytest.mark.timeout(300), pytest.mark.long]
ROOT = Path(bench.__file__).parents[1]
LOCUST = (sys.executable, "-m", "locust", "-f", str(ROOT / "bench" / "swarm" / "locustfile.py"))
SCENARIO = """\
scenario: hosts
purpose: Two hosts share one plan
workloads:
  - {name: cache, target: redis, driver: redis, lanes: 8, arrivals: constant, rate: 500/s, deadline: 1s,
     operations: {get: {command: [GET, here]}}}
phases: [{name: steady, for: 4s}]
sla: ["cache.errors < 1%"]
"""


@pytest.fixture(scope="module")
def hosts() -> Iterator[TwoHosts]:
    with two_hosts() as found:
        yield found


@pytest.fixture(scope="module")
def redis_port(hosts: TwoHosts, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A Redis that the hosts can reach, and nobody else."""
    port = free_loopback_port()
    words = [str(find_server_binary().path), "--bind", hosts.address, "--port", str(port)]
    with child_process(
        [*words, "--protected-mode", "no", "--save", ""],
        cwd=tmp_path_factory.mktemp("redis"),
        stdout=subprocess.DEVNULL,
    ) as server:
        yield port
        server.terminate()


class Swarm:
    """A headless master and its two workers."""

    def __init__(self, hosts: TwoHosts, port: int, folder: Path) -> None:
        (folder / "hosts.yaml").write_text(SCENARIO)
        self.out = folder / "results"
        master_port = str(free_loopback_port())
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path]),
            "HOLDFAST_ALLOW_HOSTS": hosts.address,
            "HOLDFAST_WORKER_SECRET": "two hosts share this secret",
            "REDIS_URL": f"redis://{hosts.address}:{port}",
        }
        to_master = ("--master-host", hosts.address, "--master-port", master_port)
        bind = ("--master-bind-host", hosts.address, "--master-bind-port", master_port)
        what = ("--scenarios", str(folder), "--scenario", "hosts", "--out", str(self.out))
        self.processes = [
            subprocess.Popen(
                command, env=environment, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            for command in (
                [*LOCUST, "--headless", "--master", "--expect-workers", "2", *bind, *what],
                hosts.command(0, *LOCUST, "--worker", *to_master),
                hosts.command(1, *LOCUST, "--worker", *to_master),
            )
        ]

    def until_measuring(self) -> None:
        """Wait until the run has had windows."""

        def has_windows() -> bool:
            written = [path.read_text() for path in self.out.glob(".*.partial/series.csv")]
            return any(text.count("\n") > 5 for text in written)

        eventually(has_windows, "a run has windows", COMPILE_S)

    def ended(self) -> tuple[int, dict[str, Any], dict[str, Any]]:
        """Exit code of the master, run.json and verdict.json."""
        code = self.processes[0].wait(120)
        (run,) = self.out.glob("2*")
        return code, *(json.loads((run / name).read_text()) for name in ("run.json", "verdict.json"))

    def close(self) -> None:
        for process in self.processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.terminate()
                process.wait(60)
            process.kill()
            process.wait()


@pytest.fixture
def swarm(hosts: TwoHosts, redis_port: int, tmp_path: Path) -> Iterator[Swarm]:
    found = Swarm(hosts, redis_port, tmp_path)
    yield found
    found.close()


def test_two_hosts_share_a_plan_to_the_unit_and_make_one_run(swarm: Swarm) -> None:
    code, record, verdict = swarm.ended()
    assert code in (0, 5), verdict  # a machine too busy to judge is told so
    assert record["totals"]["planned"] == sum(record["totals"]["outcomes"].values()) == 2000
    assert [worker["planned"] for worker in record["workers"]] == [1000, 1000]
    for worker in record["workers"]:
        assert worker["clock"]["same"]
        assert worker["clock"]["offset_ns"] == 0
        assert abs(worker["clock"]["measured_ns"]) <= worker["clock"]["round_trip_ns"]


def test_a_host_that_is_killed_makes_the_run_invalid_by_name(swarm: Swarm) -> None:
    swarm.until_measuring()
    swarm.processes[1].kill()
    code, record, verdict = swarm.ended()
    assert (code, verdict["status"]) == (5, "INVALID")
    (lost,) = [worker for worker in record["workers"] if worker["lost"]]
    (because,) = [check["because"] for check in verdict["checks"] if "was lost" in check["because"]]
    assert lost["name"] in because
