"""A rolling restart of instances behind a proxy: with a drain no request fails, without one that shows."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from bench.stack.assembled import AssembledStack
from bench.stack.services.servers import SYSTEM_PROGRAMS
from bench.stack.stack_file import load_stack_file
from tests.chaos.in_process import run_file

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("one_self_measurement")]

STACK = """\
stack: rolled
targets:
  redis: {kind: redis, embedded: {}}
  postgres: {kind: postgres, embedded: {}}
  web:
    kind: http
    embedded: {instances: 2, proxy: haproxy}
    behind: [redis, postgres]
    settings: {API_DRAIN_S: SECONDS}
"""
SCENARIO = """\
scenario: rolled
purpose: each instance is restarted
workloads:
  - name: web
    target: web
    driver: http
    lanes: 20
    operations:
      order:
        request:
          method: POST
          path: /orders
          headers: {Idempotency-Key: "{run}-{seq}"}
          json: {item: 1, quantity: 1, customer: c}
          expect: {status: [201, 409]}
    arrivals: constant
    rate: 60/s
    deadline: 2s
phases: [{name: steady, for: 14s}]
faults: [{restart: {target: web, which: in_turn}, at: 1s, repeat: 2, every: 7s}]
sla: [web.errors < 5%]
"""


@pytest.mark.parametrize(("drain_s", "is_noticed"), [("1.3", False), ("0", True)])
def test_a_rolling_restart_costs_clients_something_only_where_nothing_is_drained(
    tmp_path: Path, drain_s: str, is_noticed: bool
) -> None:
    if shutil.which("haproxy", path=SYSTEM_PROGRAMS) is None:
        pytest.skip("haproxy is not installed")
    file, scenario = tmp_path / "stack.yaml", tmp_path / "rolled.yaml"
    file.write_text(STACK.replace("SECONDS", drain_s))
    scenario.write_text(SCENARIO)
    with AssembledStack(load_stack_file(file), {"web"}, tmp_path) as stack:
        ended = run_file(stack, tmp_path, scenario)
    assert [one.target for one in ended.record.faults] == ["web#1", "web#2"]
    assert all(one.took_effect and one.healed for one in ended.record.faults)
    failed = sum(one.failed for one in ended.record.recoveries)
    waited = sum(one.stalled for one in ended.record.recoveries)
    if is_noticed:
        assert failed + waited > 0  # haproxy tries another instance, but only after a while
    else:
        assert failed == 0
