"""What is measured is said once: the same scenario runs on every kind of stack, with another --stack."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.stack.services.loopback_port import free_loopback_port
from tests.helpers.command_line import Bench
from tests.helpers.waiting import eventually

SCENARIO = """\
scenario: everywhere
purpose: one scenario for every stack
workloads:
  - name: cache
    target: redis
    driver: redis
    lanes: 2
    setup: [[SET, "ready:{run}", 1]]
    teardown: [[DEL, "ready:{run}"]]
    operations: {get: {command: [GET, "ready:{run}"]}}
    arrivals: constant
    rate: 100/s
    deadline: 5s
phases: [{name: steady, for: 1s}]
sla: [cache.errors < 1%]
"""


def test_the_same_scenario_runs_with_only_the_stack_changed(
    temporary_container: Callable[..., str], images: Any, tmp_path: Path
) -> None:
    bench, port = Bench(tmp_path), free_loopback_port()
    scenario = bench.scenario(SCENARIO)
    labels = {"com.docker.compose.project": "everywhere", "com.docker.compose.service": "redis"}
    container = temporary_container(labels=labels, ports=[6379], port_bindings={6379: ("127.0.0.1", port)})
    eventually(lambda: images.logs(container).count(b"Ready to accept"), "Redis is up")
    described = bench.scenario(
        f"stack: mine\ntargets: {{redis: {{kind: redis, url: 'redis://127.0.0.1:{port}'}}}}\n", "mine.yaml"
    )
    digests = set()
    for stack in ("embedded", "docker", "compose", "external", str(described)):
        environment = {"HOLDFAST_COMPOSE_PROJECT": "everywhere"}
        if stack == "external":
            environment["REDIS_URL"] = f"redis://127.0.0.1:{port}"
        done = bench.run(scenario, "--stack", stack, **environment)
        assert done.code in {0, 5}, (stack, done.err)
        record = bench.record()
        assert record["stack"]["kind"] == ("mine" if stack == str(described) else stack)
        assert record["totals"]["outcomes"]["ok"] == 100, stack
        assert not [one for one in record["anomalies"] if one["code"] == "teardown_failed"]
        digests.add(record["plan"]["digest"])
    assert len(digests) == 1
