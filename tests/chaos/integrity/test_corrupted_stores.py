"""Redis and Postgres are killed under load and keep all; then somebody meddles with what they hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import psycopg
import pytest

from bench.judge.judge import judge
from bench.judge.verdict import Status
from bench.results.reader import Run
from bench.stack.embedded import EmbeddedStack
from bench.stack.probes.postgres import libpq_parameters
from bench.stack.target import Target
from chaos.integrity.readers import RedisReader
from tests.chaos.integrity.meddled_runs import Ran, run
from tests.helpers.waiting import eventually

LOAD = "arrivals: constant\n    rate: 100/s\n    deadline: 2s"
SCENARIO = f"""\
scenario: meddled
purpose: What is missing or wrong after the kills is counted
workloads:
  - name: keys
    target: redis
    driver: redis
    lanes: 2
    value: {{bytes: 40}}
    operations:
      add: {{command: [SET, "keys:{{run}}:{{seq}}", "{{value}}"]}}
      list: {{command: [RPUSH, "list:{{run}}", "{{value}}"]}}
      set: {{command: [SADD, "set:{{run}}", "member {{seq}}"]}}
      stream: {{command: [XADD, "stream:{{run}}", "*", id, "{{seq}}"]}}
    {LOAD}
  - name: ledger
    target: postgres
    driver: postgres
    lanes: 2
    dataset:
      sql:
        - path: ledger
          text: >-
            DROP TABLE IF EXISTS ledger, purse; CREATE TABLE ledger (run bigint, id bigint);
            CREATE TABLE purse AS SELECT id, 100 AS coins FROM generate_series(0, 9) id
    operations:
      add: {{sql: "INSERT INTO ledger VALUES ({{run}}, {{seq}})"}}
    {LOAD}
  - name: purses
    target: postgres
    driver: postgres
    lanes: 2
    parameters: {{from: {{count: 5}}, to: {{from: 5, to: 9}}}}
    operations:
      move:
        transaction:
          - UPDATE purse SET coins = coins - 1 WHERE id = {{from}}
          - UPDATE purse SET coins = coins + 1 WHERE id = {{to}}
    {LOAD}
  - name: feed
    target: redis
    driver: redis_pubsub
    channels: 1
    subscribers: 1
    value: {{bytes: 64}}
    {LOAD}
phases:
  - {{name: steady, for: 3s}}
faults:
  - {{kill: redis, at: 800ms}}
  - {{kill: postgres, at: 1s}}
integrity:
  - {{acknowledged_writes: keys, operation: add}}
  - {{acknowledged_writes: keys, operation: list}}
  - {{acknowledged_writes: keys, operation: set}}
  - {{acknowledged_writes: keys, operation: stream}}
  - {{acknowledged_writes: ledger, found: "SELECT id FROM ledger WHERE run = {{run}}"}}
  - {{registers: keys, count: 2, every: 10ms}}
  - {{registers: ledger, count: 2, every: 10ms}}
  - {{transfers: purses, total: SELECT sum(coins) FROM purse}}
  - {{messages: feed}}
sla:
  - lost_writes == 0
  - unexpected_values == 0
"""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedStack]:
    with EmbeddedStack({"redis", "postgres"}, tmp_path_factory.mktemp("logs")) as stack:
        yield stack


def connected(target: Target) -> psycopg.Connection | None:
    """None while the server that was killed is still coming up."""
    try:
        return psycopg.connect(**libpq_parameters(target))  # type: ignore[arg-type]
    except psycopg.OperationalError:
        return None


def meddle(targets: Mapping[str, Target], run_label: int) -> None:
    """Delete, change, double and invent."""
    with RedisReader(targets["redis"]) as redis:
        arrivals = sorted(redis.ask("KEYS", f"keys:{run_label}:*"))
        redis.ask("DEL", arrivals[3])
        redis.ask("APPEND", arrivals[5], "!")
        last = redis.ask("LRANGE", f"list:{run_label}", -1, -1)[0]
        redis.ask("RPUSH", f"list:{run_label}", last, "never written")
        redis.ask("SADD", f"set:{run_label}", "member 999999999999")
        for name in redis.ask("KEYS", "holdfast:register:*"):
            redis.ask("DEL", name)
    with eventually(lambda: connected(targets["postgres"]), "Postgres is up again") as postgres:
        first, second, third = (
            row[0] for row in postgres.execute("SELECT id FROM ledger ORDER BY id LIMIT 3").fetchall()
        )
        postgres.execute("DELETE FROM ledger WHERE id = %s", [first])
        postgres.execute("UPDATE ledger SET id = id + 1000000 WHERE id = %s", [second])
        postgres.execute("INSERT INTO ledger SELECT * FROM ledger WHERE id = %s", [third])
        postgres.execute("UPDATE purse SET coins = coins + 7 WHERE id = 3")


@pytest.fixture(scope="module")
def honest(stack: EmbeddedStack, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    return run(stack, SCENARIO, tmp_path_factory.mktemp("honest"))


@pytest.fixture(scope="module")
def meddled(stack: EmbeddedStack, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    return run(stack, SCENARIO, tmp_path_factory.mktemp("meddled"), meddle)


def test_servers_that_keep_their_word_lose_nothing(honest: Ran) -> None:
    assert [fault["took_effect"] for fault in honest.record["faults"]] == [True, True]
    for entry in honest.record["integrity"]:
        assert entry["inconclusive"] is None, entry
        assert entry["unexpected"] in (0, None), entry
        if entry["check"] != "messages":  # those are not kept by anybody
            assert entry["lost"] in (0, None), entry
        if entry["check"] == "acknowledged_writes":
            assert 0 < entry["acknowledged"] <= entry["found"] <= entry["attempted"], entry
            assert entry["bound"].startswith("0 of ")
            assert "fsync" in entry["caveat"]
        if entry["check"] == "registers":
            assert entry["acknowledged"] > 20, entry
            assert entry["found"] > 20, entry


def test_the_rules_about_data_pass(honest: Ran) -> None:
    verdict = judge(Run.load(honest.folder))
    about_data = [check for check in verdict.checks if check.metric in ("lost_writes", "unexpected_values")]
    assert [check.status for check in about_data] == [Status.PASS, Status.PASS]


def of_operation(ran: Ran, operation: str) -> dict[str, object]:
    return next(one for one in ran.record["integrity"] if one.get("operation") == operation)


def test_a_deleted_and_a_changed_key_are_found(meddled: Ran) -> None:
    entry = of_operation(meddled, "add")
    assert (entry["lost"], entry["unexpected"], entry["changed"]) == (2, 1, 1)
    assert entry["holes"] == 2  # later ones are as they were written


def test_a_doubled_and_an_invented_element_are_found(meddled: Ran) -> None:
    entry = of_operation(meddled, "list")
    assert (entry["lost"], entry["unexpected"], entry["duplicates"]) == (0, 1, 1)
    entry = of_operation(meddled, "set")
    assert (entry["lost"], entry["unexpected"]) == (0, 1)
    assert of_operation(meddled, "stream")["unexpected"] == 0


def test_deleted_changed_and_doubled_rows_are_found(meddled: Ran) -> None:
    entry = meddled.entry("ledger")
    assert (entry["lost"], entry["unexpected"], entry["duplicates"], entry["holes"]) == (2, 1, 1, 2)
    assert any(one["code"] == "integrity_hole" for one in meddled.record["anomalies"])


def test_registers_that_fell_back_are_found(meddled: Ran) -> None:
    entry = meddled.entry("keys", "registers")
    assert entry["lost"] == 2
    assert entry["unexpected"] >= 2
    assert entry["examples"]
    assert meddled.entry("ledger", "registers")["unexpected"] == 0


def test_a_total_that_moved_is_found(meddled: Ran) -> None:
    entry = meddled.entry("purses", "transfers")
    assert entry["unexpected"] == 1
    assert entry["examples"][-1]["expected"] == "1000"
    assert entry["examples"][-1]["found"] == "1007"


def test_messages_are_counted_across_the_kill(honest: Ran) -> None:
    entry = honest.entry("feed", "messages")
    counters = next(one for one in honest.record["workloads"] if one["name"] == "feed")["counters"]
    assert entry["lost"] == counters["lost_messages"]
    assert entry["found"] > 0


def test_the_rules_about_data_fail(meddled: Ran) -> None:
    verdict = judge(Run.load(meddled.folder))
    about_data = [check for check in verdict.checks if check.metric in ("lost_writes", "unexpected_values")]
    assert [check.status for check in about_data] == [Status.FAIL, Status.FAIL]


def test_nothing_of_the_registers_stays(honest: Ran, meddled: Ran, stack: EmbeddedStack) -> None:
    targets = stack.targets()
    with RedisReader(targets["redis"]) as redis:
        assert redis.ask("KEYS", "holdfast:register:*") == []
    with eventually(lambda: connected(targets["postgres"]), "Postgres is up again") as postgres:
        rows = postgres.execute("SELECT relname FROM pg_class WHERE relname LIKE 'holdfast_reg%'").fetchall()
    assert rows == []
