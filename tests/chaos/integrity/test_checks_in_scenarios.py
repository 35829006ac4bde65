"""Checks of data in scenario files: what is refused before any load, and where."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.core.errors import ScenarioError
from bench.scenario.load import LoadedScenario, load_scenario

SCENARIO = """\
scenario: kept
purpose: What is acknowledged is kept
workloads:
  - name: cache
    target: redis
    driver: redis
    keys: {count: 10}
    value: {bytes: 8}
    operations:
      add: {command: [SET, "ledger:{run}:{seq}", "{value}"]}
      get: {command: [GET, "{key}"]}
      list: {command: [RPUSH, "list:{run}", "{seq}"]}
      bare: {command: [SET, "ledger:{seq}", "{seq}"]}
      shared: {command: [SET, "ledger:{run}:{key}", "{seq}"]}
      short: {command: [SADD, "set:{run}", "{value}"]}
      many: {command: [RPUSH, "list:{run}:{seq}", "{seq}"]}
      own: {command: [XADD, "stream:{run}", "1-1", id, "{seq}"]}
      two: {commands: [[MULTI], [EXEC]]}
    arrivals: constant
    rate: 10/s
  - name: bank
    target: postgres
    driver: postgres
    operations:
      add: {sql: "INSERT INTO ledger VALUES ({run}, {seq})"}
    arrivals: constant
    rate: 10/s
  - name: web
    target: api
    driver: http
    operations:
      order: {request: {method: POST, path: /orders, headers: {Idempotency-Key: "{run}-{seq}"}, json: {}}}
      look: {request: {path: /items/1}}
    arrivals: constant
    rate: 10/s
phases:
  - {name: steady, for: 2s}
integrity:
  - CHECK
"""
FOUND = 'found: "SELECT id FROM ledger WHERE run = {run}"'


def load(tmp_path: Path, check: str) -> LoadedScenario:
    path = tmp_path / "kept.yaml"
    path.write_text(SCENARIO.replace("CHECK", check), encoding="utf-8")
    return load_scenario(path)


@pytest.mark.parametrize(
    "check",
    [
        "{acknowledged_writes: cache, operation: add}",
        "{acknowledged_writes: cache, operation: list}",
        f"{{acknowledged_writes: bank, {FOUND}}}",
        f"{{acknowledged_writes: web, operation: order, in: postgres, {FOUND}}}",
        "{registers: cache}",
        "{registers: bank, count: 2, clients: 3, every: 5ms}",
        "{transfers: bank, total: SELECT sum(balance) FROM accounts}",
    ],
)
def test_a_check_that_can_be_made_is_taken(check: str, tmp_path: Path) -> None:
    scenario = load(tmp_path, check).scenario
    assert scenario.keeps_operations
    assert scenario.integrity[0].workload in ("cache", "bank", "web")


@pytest.mark.parametrize(
    ("check", "said"),
    [
        ("{acknowledged_writes: gone, operation: add}", "one of the workloads cache, bank, web"),
        ("{acknowledged_writes: cache}", "the operation that writes"),
        ("{acknowledged_writes: cache, operation: nope}", "one of the operations add, get"),
        ("{acknowledged_writes: cache, operation: get}", "an operation of one command: SET key value"),
        ("{acknowledged_writes: cache, operation: two}", "an operation of one command"),
        ("{acknowledged_writes: cache, operation: bare}", "a key with {run}"),
        ("{acknowledged_writes: cache, operation: shared}", "a write without {key}"),
        ("{acknowledged_writes: cache, operation: short}", "a {value} of at least 16 bytes"),
        ("{acknowledged_writes: cache, operation: many}", "one key for all arrivals with RPUSH"),
        ("{acknowledged_writes: cache, operation: own}", "an operation of one command"),
        (f"{{acknowledged_writes: cache, operation: add, {FOUND}}}", "no found for a Redis workload"),
        ("{acknowledged_writes: bank}", "a query of the arrivals that are there"),
        ("{acknowledged_writes: bank, found: SELECT id FROM ledger}", "a query with {run} once"),
        (f"{{acknowledged_writes: web, operation: order, {FOUND}}}", "the Postgres target that `found`"),
        (f"{{acknowledged_writes: web, operation: look, in: postgres, {FOUND}}}", "that writes {run}"),
        (f"{{acknowledged_writes: bank, in: redis, {FOUND}}}", "one of postgres, postgres_16"),
        ("{registers: web}", "the driver redis or postgres for registers"),
        ("{registers: cache, operation: add}", "no operation with registers"),
        ("{registers: cache, count: 0}", "a whole number 1..100"),
        ("{transfers: cache}", "the driver postgres for transfers"),
        ("{transfers: bank}", "a total, or a workload with a built-in data set"),
        ("{messages: cache}", "the driver redis_pubsub for messages"),
        ("{losses: cache}", "exactly one of acknowledged_writes, registers, transfers, messages"),
        ("{registers: cache, messages: cache}", "exactly one of"),
        ("{registers: cache, often: 2}", "one of the keys"),
        ("{registers: cache}\n  - {registers: cache}", "every check once"),
        ("registers", "a check such as"),
    ],
)
def test_a_check_that_cannot_be_made_is_refused_at_its_place(check: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(ScenarioError) as refused:
        load(tmp_path, check)
    (problem,) = refused.value.problems
    assert said in problem.expected
    first = 1 + SCENARIO.splitlines().index("  - CHECK")
    assert problem.line in (first, first + 1)


def test_a_run_can_be_named_in_a_redis_command(tmp_path: Path) -> None:
    """Both engines write the run's number with thirteen digits."""
    from bench.drivers.redis.commands import CommandWords
    from bench.drivers.templates import Draws, Vocabulary
    from bench.engine.client.pool import PendingRequest, RunClock
    from bench.plan.compile import compile_plan

    plan = compile_plan(load(tmp_path, "{registers: cache}").scenario).workloads[0]
    clock = RunClock()
    clock.run_label = 1_770_000_000_000
    (written,) = plan.workload.operations["list"].all_commands
    command = CommandWords.of(written, Vocabulary(plan.workload, plan.seed), Draws(plan, clock))
    ticket = PendingRequest(planned_ns=0, row=0, operation=0, key=0, arrival=7)
    assert command.render(ticket) == ["RPUSH", b"list:1770000000000", b"000000000007"]
