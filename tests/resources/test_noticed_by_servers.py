"""Real servers that stall, and what is noticed of it beside them."""

import contextlib
import threading
from collections.abc import Callable
from dataclasses import replace

import psycopg
import pytest
import redis

from bench.resources.services.noticed import Noticed
from bench.resources.services.postgres import PostgresActivity
from bench.resources.services.redis import RedisInfo
from bench.stack.stack import Stack
from tests.helpers.waiting import eventually
from tests.resources.sampled import sampling

pytestmark = pytest.mark.timeout(300)
BUSY_FOR_A_WHILE = "local n = 0; for i = 1, tonumber(ARGV[1]) do n = n + i end; return n"
ROUNDS = 3_000_000
"""Of a loop in Lua: beyond the 10 ms from which on the slow log keeps a command."""


def noticed(reader: RedisInfo | PostgresActivity, wanted: Callable[[Noticed], bool]) -> Noticed:
    """The first such notice, asked for again and again."""
    found: list[Noticed] = []

    def there() -> bool:
        reader.ask()
        found.extend(one for one in reader.notices.take() if wanted(one))
        return bool(found)

    eventually(there, "a notice", 60)
    return found[0]


@pytest.fixture
def cache(stack: Stack) -> redis.Redis:
    target = stack.targets()["redis"]
    return redis.Redis(target.host, target.port)


def test_a_slow_script_is_noticed_without_its_text(stack: Stack, cache: redis.Redis) -> None:
    reader = RedisInfo(stack.targets()["redis"])
    reader.ask()
    cache.eval(BUSY_FOR_A_WHILE, 0, ROUNDS)
    slow = noticed(reader, lambda one: one.kind == "slow_command" and one.text == "EVAL")
    assert (slow.took_ns or 0) > 1_000_000


def test_a_snapshot_is_noticed_by_its_fork(stack: Stack, cache: redis.Redis) -> None:
    reader = RedisInfo(stack.targets()["redis"])
    reader.ask()
    eventually(lambda: not cache.info("persistence")["aof_rewrite_in_progress"], "no rewrite", 60)
    cache.bgsave()
    fork = noticed(reader, lambda one: one.kind == "fork")
    assert (fork.took_ns or 0) > 0
    eventually(lambda: not cache.info("persistence")["rdb_bgsave_in_progress"], "the snapshot's end", 60)


def test_what_a_user_may_not_ask_is_left_out_and_said_once(stack: Stack, cache: redis.Redis) -> None:
    target = stack.targets()["redis"]
    cache.acl_setuser("watcher", enabled=True, passwords=["+secret"], commands=["+info", "+ping"])
    try:
        reader = RedisInfo(replace(target, username="watcher", password="secret"))
        assert reader.ask()["used_memory_bytes"] > 0
        assert reader.ask()["used_memory_bytes"] > 0
        said = [one.text for one in reader.notices.take() if one.kind == "left_out"]
    finally:
        cache.acl_deluser("watcher")
    assert sorted(text.partition(":")[0] for text in said) == ["LATENCY", "SLOWLOG"]
    assert not any("secret" in text for text in said)


def test_the_sampler_writes_it_down_on_the_clock_of_the_run(stack: Stack, cache: redis.Redis) -> None:
    with sampling(stack) as found:
        found.until(lambda: found.of("redis"), "a sample")

        def is_noticed() -> bool:
            cache.eval(BUSY_FOR_A_WHILE, 0, ROUNDS)
            return any(one.text == "EVAL" for one in found.noticed)

        found.until(is_noticed, "a slow command")
    slow = next(one for one in found.noticed if one.text == "EVAL")
    assert slow.target == "redis"
    assert 0 <= slow.since_ns < slow.at_ns <= max(row["at_ns"] for row in found.rows) + 10**9
    asked = found.sampler.record().questions
    assert asked["redis"].asked > 0
    assert asked["postgres"].longest_ns >= asked["postgres"].mean_ns > 0


@contextlib.contextmanager
def session(stack: Stack):
    target = stack.targets()["postgres"]
    with psycopg.connect(
        host=target.host,
        port=target.port,
        user=target.username,
        password=target.password,
        dbname=target.database,
    ) as connection:
        yield connection


def test_who_holds_a_lock_is_noticed_without_the_values(stack: Stack) -> None:
    reader = PostgresActivity(stack.targets()["postgres"])
    with session(stack) as holder, session(stack) as waiter:
        holder.execute("CREATE TABLE IF NOT EXISTS locked (id int, note text)")
        holder.commit()
        holder.execute("LOCK TABLE locked")
        holder.execute("SELECT 'of nobody else''s business'")
        blocked = threading.Thread(target=waiter.execute, args=("INSERT INTO locked VALUES (1, 'private')",))
        blocked.start()
        found = noticed(reader, lambda one: one.kind == "lock_wait")
        holder.rollback()
        blocked.join(60)
        waiter.rollback()
        holder.execute("DROP TABLE locked")
        holder.commit()
    reader.close()
    assert found.text == "idle in transaction: SELECT ?"
    assert found.count == 1
    assert found.since_ns < found.at_ns


def test_a_checkpoint_is_noticed(stack: Stack) -> None:
    reader = PostgresActivity(stack.targets()["postgres"])
    reader.ask()
    with session(stack) as connection:
        connection.autocommit = True
        connection.execute("CREATE TABLE IF NOT EXISTS dirty AS SELECT generate_series(1, 1000) AS n")
        connection.execute("CHECKPOINT")
        connection.execute("DROP TABLE dirty")
    assert noticed(reader, lambda one: one.kind == "checkpoint").at_ns > 0
    reader.close()


def test_a_user_without_pg_monitor_is_told_what_is_missing(stack: Stack) -> None:
    target = stack.targets()["postgres"]
    with session(stack) as connection:
        connection.execute("CREATE ROLE watcher LOGIN PASSWORD 'secret'")
        connection.commit()
        try:
            reader = PostgresActivity(replace(target, username="watcher", password="secret"))
            assert reader.ask()["idle"] >= 0
            said = [one.text for one in reader.notices.take() if one.kind == "left_out"]
            reader.close()
        finally:
            connection.execute("DROP ROLE watcher")
            connection.commit()
    assert said == ["waits of other users' sessions: this user is no member of pg_monitor"]
