"""A primary that is killed, and one that is asked to step down, with real Sentinels: what a run says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.registry import PRIMARY
from bench.report.faults.recovery import primaries
from bench.stack.assembled import AssembledStack
from bench.stack.probes.redis import RespClient
from bench.stack.stack_file import load_stack_file
from bench.stack.target import Target
from tests.chaos.in_process import run_file
from tests.helpers.waiting import eventually

pytestmark = pytest.mark.long

SCENARIO = """\
scenario: failover
purpose: clients find the new primary
workloads:
  - name: cache
    target: sessions
    driver: redis
    engine: {engine}
    lanes: 4
    value: {{bytes: 16}}
    operations:
      add: {{command: [SET, "failover:{{run}}:{{seq}}", "{{seq}}"]}}
    arrivals: constant
    rate: 200/s
    deadline: 200ms
phases:
  - {{name: steady, for: 9s}}
faults:
  - {fault}
integrity:
  - {{acknowledged_writes: cache, operation: add}}
sla:
  - promotion < 20s
  - recovery.first < 20s
"""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AssembledStack]:
    folder = tmp_path_factory.mktemp("failover")
    file = folder / "stack.yaml"
    place = "{replicas: 2, sentinels: 3, down_after: 500ms}"
    file.write_text(f"stack: failover\ntargets:\n  sessions: {{kind: redis, embedded: {place}}}\n")
    with AssembledStack(load_stack_file(file), {"sessions"}, folder) as up:
        yield up


@pytest.fixture(autouse=True)
def all_follow(stack: AssembledStack) -> None:
    """Every Sentinel sees two replicas, none of which it takes for down or for something else."""

    def is_calm(sentinel: Target) -> bool:
        with RespClient.of(sentinel, 5.0) as client:
            replicas = client.ask_list("SENTINEL", "REPLICAS", "sessions")
        flags = [entry[entry.index("flags") + 1] for entry in replicas if isinstance(entry, list)]
        links = [
            entry[entry.index("master-link-status") + 1] for entry in replicas if isinstance(entry, list)
        ]
        return flags == ["slave"] * 2 and links == ["ok"] * 2

    sentinels = [target for name, target in stack.targets().items() if "sentinel" in name]
    eventually(lambda: all(map(is_calm, sentinels)), "the servers follow one primary", 60.0)


@pytest.mark.parametrize("engine", ["wire", "client"])
def test_a_killed_primary_is_replaced_noticed_and_followed(
    stack: AssembledStack, tmp_path: Path, engine: str
) -> None:
    path = tmp_path / "failover.yaml"
    path.write_text(SCENARIO.format(engine=engine, fault="{kill: sessions, at: 2s, for: 5s}"))
    ended = run_file(stack, tmp_path, path)
    (fault,), (made,) = ended.record.faults, ended.record.promotions
    assert (fault.role, fault.process) == (PRIMARY, made.before)
    assert fault.effective_ns is not None
    assert made.process not in (None, made.before)
    assert made.at_ns is not None
    assert made.at_ns > fault.effective_ns
    by = {one.detector: one.at_ns for one in ended.record.detections}
    assert by["sentinel"] is not None
    assert fault.effective_ns < by["sentinel"] <= made.at_ns
    (recovery,) = ended.record.recoveries
    assert recovery.first_success_ns is not None
    # Nobody but the new primary could take a write.
    assert recovery.first_success_ns >= made.at_ns - 20_000_000
    assert ended.check("promotion").observed == pytest.approx(
        made.at_ns - (recovery.first_failure_ns or fault.effective_ns)
    )
    (check,) = ended.record.integrity
    assert check.acknowledged
    assert check.lost is not None
    # One that came back from an earlier kill may still think that it is the primary, too.
    assert {made.before, made.process} <= {span.process for span in primaries(ended.run)}


def test_a_failover_on_request_makes_another_server_the_primary(
    stack: AssembledStack, tmp_path: Path
) -> None:
    before = stack.targets()["sessions"].located(5.0).address
    path = tmp_path / "failover.yaml"
    path.write_text(SCENARIO.format(engine="wire", fault="{failover: sessions, at: 2s}"))
    ended = run_file(stack, tmp_path, path)
    (fault,), (made,) = ended.record.faults, ended.record.promotions
    assert fault.took_effect, fault.proof
    assert made.process not in (None, made.before)
    assert stack.targets()["sessions"].located(5.0).address != before
