"""Runs with a fault on the way from the API to what is behind it, on real services."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.judge.verdict import Status
from bench.stack.embedded import EmbeddedStack
from bench.stack.probes.redis import RespClient
from chaos.plugin import Chaos
from chaos.proxy.paths import PathProxies
from tests.chaos.in_process import Ended, run_file
from tests.chaos.test_killed_harness import MARK, ROOT, marked
from tests.helpers.processes import child_process
from tests.helpers.waiting import eventually

pytestmark = pytest.mark.long
SCENARIO = """\
scenario: slow_dependency
purpose: What is behind the API is slow for the API alone
workloads:
  - name: cache
    target: redis
    driver: redis
    lanes: 4
    operations: {ping: {command: [PING]}}
    arrivals: constant
    rate: 200/s
    deadline: 1s
  - name: web
    target: api
    driver: http
    lanes: 8
    parameters: {item: {from: 1, to: 10000}}
    operations: {read: {request: {path: "/items/{item}", expect: {status: 200}}}}
    arrivals: constant
    rate: 50/s
    deadline: 2s
phases:
  - {name: steady, for: 7s}
detection: {probe_every: 200ms, failures: 5}
faults:
"""
PATHS = [("api", "redis"), ("api", "postgres")]


class Behind:
    """An embedded stack whose API goes through proxies of ours."""

    def __init__(self, stack: EmbeddedStack, paths: PathProxies) -> None:
        self.stack, self.paths = stack, paths

    def run(self, folder: Path, *faults: str, companion: type[Chaos] = Chaos) -> Ended:
        path = folder / "slow.yaml"
        lines = "".join(f"  - {{{fault}}}\n" for fault in faults)
        path.write_text(f"{SCENARIO}{lines}sla: [web.errors < 50%]\n")
        return run_file(self.stack, folder, path, companion=lambda: companion(self.paths))

    def connections_of_the_api(self) -> int:
        """To Redis, as Redis counts them."""
        target = self.stack.targets()["redis"]
        with RespClient(target.host, target.port, 5.0) as redis:
            clients = str(redis.ask("CLIENT", "LIST")).splitlines()
        return sum("lib-name=redis-py" in line for line in clients)

    def in_use_by_the_api(self) -> list[float]:
        """Connections that its requests hold."""
        with urllib.request.urlopen(f"{self.stack.targets()['api'].url}/metrics", timeout=5) as page:
            lines = page.read().decode().splitlines()
        return [float(line.split()[-1]) for line in lines if line.startswith("holdfast_api_pool_in_use{")]


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Behind]:
    with PathProxies(PATHS) as paths:
        stack = EmbeddedStack({"redis", "postgres", "api"}, tmp_path_factory.mktemp("logs"))
        stack.detours = paths
        with stack:
            yield Behind(stack, paths)


def test_redis_is_slow_for_the_api_and_for_nobody_else(behind: Behind, tmp_path: Path) -> None:
    ended = behind.run(tmp_path, "latency: redis, from: api, at: 2s, for: 2s, delay: 1s, direction: down")
    record = ended.run.record
    (fault,) = record.faults
    assert (fault.client, fault.target, fault.where) == ("api", "redis", "api → redis")
    assert fault.took_effect
    assert fault.healed
    assert "between api and redis (delay 1 s, direction down)" in str(fault.how)
    assert [entry.workload for entry in record.recoveries] == ["web"]
    assert {one.detector for one in record.detections if one.at_ns is not None} == {"breaker"}
    assert record.false_alarms == []
    # The times of Redis' own load are those of a busy machine, but none waited for what the API waited for.
    answers = ended.run.operations()
    assert answers is not None
    cache = answers[answers["workload"] == 0]
    assert (cache["outcome"] == 0).all()
    (proxy,) = [one for one in record.proxies if one.client is not None]
    assert proxy.name == "the fault proxy between api and redis"
    assert proxy.floor_ns == {}
    assert record.passed_by(proxy) == ("api",)


def test_nothing_is_left_of_it(behind: Behind) -> None:
    proxy = behind.paths.between("api", "redis")
    assert proxy.active() == []
    assert len(behind.in_use_by_the_api()) == 2
    eventually(lambda: not any(behind.in_use_by_the_api()), "no request holds a connection")
    eventually(
        lambda: behind.connections_of_the_api() == proxy.stats().connections,
        "each connection of the API to Redis is one that the proxy has",
    )


def test_several_ways_are_slow_at_once_and_each_is_healed_by_itself(behind: Behind, tmp_path: Path) -> None:
    ended = behind.run(
        tmp_path,
        "latency: redis, from: api, at: 1s, for: 3s, delay: 20ms, toxicity: 90%",
        "bandwidth: postgres, from: api, at: 1500ms, for: 1s, rate: 1MB/s",
        "latency: redis, at: 2s, for: 1s, delay: 1ms",
    )
    record = ended.run.record
    assert [fault.where for fault in record.faults] == ["api → redis", "api → postgres", "redis"]
    assert all(fault.took_effect and fault.healed for fault in record.faults)
    healed = {fault.where: fault.healed_ns or 0 for fault in record.faults}
    assert healed["api → postgres"] < healed["api → redis"] > healed["redis"]
    assert {proxy.name for proxy in record.proxies} == {
        "the fault proxy before redis",
        "the fault proxy between api and redis",
        "the fault proxy between api and postgres",
    }
    # What the load sends to Redis is no part of what hits the API, and the reverse.
    seen = {(entry.fault, entry.workload) for entry in record.recoveries}
    assert not {(0, "cache"), (1, "cache")} & seen
    assert {(0, "web"), (1, "web"), (2, "cache")} <= seen


def test_a_proxy_between_services_that_ends_makes_the_run_invalid_and_the_next_one_has_another(
    behind: Behind, tmp_path: Path
) -> None:
    proxy = behind.paths.between("api", "redis")
    killed = proxy.pid
    assert killed is not None

    class Disturbed(Chaos):
        def look(self, now_ns: int) -> str | None:
            if now_ns > 4_000_000_000 and proxy.ending() is None:
                os.kill(killed, signal.SIGKILL)
            return super().look(now_ns)

    slow = "latency: redis, from: api, at: 1s, for: 1s, delay: 1ms"
    ended = behind.run(tmp_path, slow, companion=Disturbed)
    check = ended.check("validity.proxy_ended")
    assert check.status is Status.INVALID
    assert "the fault proxy between api and redis ended during the run (signal SIGKILL)" in check.because
    address = proxy.address
    assert behind.paths.between("api", "redis").address == address
    assert proxy.pid != killed
    eventually(lambda: behind.connections_of_the_api() > 0, "the API has found Redis again")


HARNESS = """
import pathlib, sys, time
from bench.stack.embedded import EmbeddedStack
from chaos.proxy.paths import PathProxies
with PathProxies([("api", "redis"), ("api", "postgres")]) as paths:
    stack = EmbeddedStack({"api"}, pathlib.Path(sys.argv[1]))
    stack.detours = paths
    with stack:
        paths.between("api", "redis").add("black_hole")
        print("ready", flush=True)
        time.sleep(1000)
"""


def test_a_killed_harness_leaves_neither_a_proxy_nor_the_service_that_goes_through_it(tmp_path: Path) -> None:
    mark = uuid.uuid4().hex
    command = [sys.executable, "-c", HARNESS, str(tmp_path)]
    environment = {**os.environ, MARK: mark, "PYTHONPATH": str(ROOT)}
    with child_process(command, stdout=subprocess.PIPE, env=environment) as harness:
        assert harness.stdout is not None
        assert harness.stdout.readline() == b"ready\n"
        assert len(marked(mark)) > 5
        harness.kill()
    eventually(lambda: not marked(mark), lambda: f"nothing is left: {marked(mark)}")
