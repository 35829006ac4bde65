"""PostgreSQL lanes that are lost: what the server keeps of them, and how they come back, or why not."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from bench.core.outcome import Outcome
from bench.drivers.postgres.connection import open_connection
from bench.engine.wire.dialler import Dialler
from bench.stack.probes.postgres import libpq_parameters
from bench.stack.stack import Stack, open_stack
from bench.stack.target import Target
from tests.engine.runs import plan_of, run
from tests.helpers.waiting import eventually

OK, ERROR, TIMEOUT = Outcome.OK, Outcome.ERROR, Outcome.TIMEOUT
RESET, REFUSED = Outcome.RESET, Outcome.REFUSED
COUNT = {"n": {"count": 9}}
OURS = "FROM pg_stat_activity WHERE application_name = 'holdfast-cache'"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with open_stack("embedded", {"postgres"}, tmp_path_factory.mktemp("logs")) as opened:
        yield opened


@pytest.fixture
def target(stack: Stack) -> Target:
    return stack.targets()["postgres"]


@pytest.fixture
def sql(target: Target) -> Iterator[Callable[[str], Any]]:
    with psycopg.connect(make_conninfo(**libpq_parameters(target)), autocommit=True) as connection:

        def ask(statement: str) -> Any:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else None

        yield ask


def postgres_plan(operations: dict[str, Any], phase: str = "300ms", **workload: Any):
    given = {"driver": "postgres", "target": "postgres", "operations": operations} | workload
    return plan_of(({"name": "s", "for": phase},), **given)


def descriptors() -> set[tuple[str, str]]:
    found = set()
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            found.add((link.name, str(link.readlink())))
    return found


def test_the_server_does_not_go_on_with_what_timed_out(target: Target, sql) -> None:
    sql("DROP TABLE IF EXISTS held")
    sql("CREATE TABLE held AS SELECT 0 AS n")
    operations = {"hold": {"transaction": ["UPDATE held SET n = n + 1", "SELECT pg_sleep(600)"]}}
    ran = run(postgres_plan(operations, deadline="100ms", lanes=2), target)
    ran.assert_sums_hold()
    assert ran.count(TIMEOUT) > 0
    eventually(lambda: sql(f"SELECT count(*) {OURS}") == [(0,)], "no session is left")
    sql("DROP TABLE held")


def test_lanes_that_are_not_let_in_again_say_why(target: Target, sql) -> None:
    sql("DROP TABLE IF EXISTS gone")
    sql("CREATE TABLE gone (n int)")

    def during(engine) -> None:
        eventually(lambda: engine.live().outcomes[OK] > 5, "answers come")
        sql("DROP TABLE gone")
        sql(f"SELECT pg_terminate_backend(pid) {OURS}")

    plan = postgres_plan({"ask": {"sql": "SELECT n FROM gone"}}, "1500ms", deadline="200ms")
    ran = run(plan, target, during)
    ran.assert_sums_hold()
    assert ran.count(REFUSED) > 0
    told = [text for code, severity, text in ran.result.anomalies if code == "reconnections_refused"]
    assert len(told) == 1
    assert 'relation "gone" does not exist' in told[0]


def test_an_error_in_commit_ends_the_transaction(target: Target, sql) -> None:
    sql("DROP TABLE IF EXISTS late")
    sql("CREATE TABLE late (id int PRIMARY KEY DEFERRABLE INITIALLY DEFERRED)")
    put = "INSERT INTO late VALUES (1)"
    ran = run(postgres_plan({"put": {"transaction": [put, put]}}), target)
    ran.assert_sums_hold()
    assert ran.count(ERROR) == ran.planned
    # The server has rolled back by itself: no ROLLBACK of ours, and the lane is as it was.
    assert ran.result.counters["round_trips"] == 4 * ran.planned
    assert ran.result.counters["lost_connections"] == 0


def test_a_connection_that_ends_inside_a_transaction_is_one_reset(target: Target) -> None:
    end = "SELECT pg_terminate_backend(pg_backend_pid())"
    ran = run(postgres_plan({"end": {"transaction": ["SELECT 1", end]}}, rate="50/s"), target)
    ran.assert_sums_hold()
    assert ran.count(RESET) == ran.planned
    assert sum(error.count for error in ran.result.errors) == ran.planned
    assert ran.result.errors[0].text.startswith("57P01")


def test_steps_larger_than_the_sockets_buffers_arrive_whole(target: Target, sql) -> None:
    sql("DROP TABLE IF EXISTS large")
    sql("CREATE TABLE large (id bigint, content text)")
    size = 6_000_000
    operations = {
        "put": {"transaction": ["SELECT length({value})", "INSERT INTO large VALUES ({seq}, {value})"]}
    }
    plan = postgres_plan(operations, value={"bytes": size}, rate="20/s", lanes=2, deadline="20s")
    ran = run(plan, target)
    ran.assert_sums_hold()
    assert ran.count(OK) == ran.planned > 3
    found = sql("SELECT count(*), min(length(content)), max(length(content)) FROM large")
    assert found == [(ran.planned, size, size)]
    assert sql("SELECT count(*) FROM large WHERE left(content, 12)::bigint <> id") == [(0,)]


def test_connecting_leaves_no_descriptor_behind_however_it_ends(target: Target, sql) -> None:
    plan = postgres_plan({"ask": {"sql": "SELECT {n}"}}, session={"work_mem": "1234kB"}, parameters=COUNT)
    workload = plan.workloads[0].workload
    before = descriptors()

    async def connect(times: int, limit_s: Callable[[int], float]) -> int:
        opened = 0
        for number in range(times):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(limit_s(number)):
                    opened_one = await open_connection(Dialler(target), target, workload)
                opened_one.close()
                opened += 1
        return opened

    begun = time.monotonic()
    assert asyncio.run(connect(20, lambda _: 60.0)) == 20
    each_s = (time.monotonic() - begun) / 20
    cut = asyncio.run(connect(150, lambda number: each_s * (number % 50) / 40))
    assert cut < 150
    assert descriptors() == before
    eventually(lambda: sql(f"SELECT count(*) {OURS}") == [(0,)], "no session is left")


def test_a_lane_that_is_not_made_ready_in_time_is_given_up_at_once(target: Target, sql) -> None:
    """A library that first asks a server which stands still to cancel would hold up every attempt."""
    session = {"default_text_search_config": "simple"}
    plan = postgres_plan({"ask": {"sql": "SELECT 1"}}, session=session)
    stopped: list[int] = []

    def stop_it() -> None:
        eventually(lambda: sql(f"SELECT pid {OURS} AND wait_event_type = 'Lock'"), "it waits")
        stopped.append(sql(f"SELECT pid {OURS}")[0][0])
        os.kill(stopped[0], signal.SIGSTOP)

    async def attempt() -> float:
        opening = asyncio.create_task(open_connection(Dialler(target), target, plan.workloads[0].workload))
        await asyncio.to_thread(stop_it)
        begun = time.monotonic()
        opening.cancel()
        await asyncio.wait([opening])
        return time.monotonic() - begun

    with psycopg.connect(make_conninfo(**libpq_parameters(target))) as other:
        other.execute("LOCK TABLE pg_catalog.pg_ts_config")  # making the setting waits for it
        try:
            assert asyncio.run(attempt()) < 4
        finally:
            for pid in stopped:
                os.kill(pid, signal.SIGCONT)
        other.rollback()
