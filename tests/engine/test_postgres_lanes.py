"""PostgreSQL through the wire engine: a real server, and what each operation ends as."""

import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from bench.core.errors import StatementRefused, TargetError
from bench.core.outcome import Outcome
from bench.stack.probes.postgres import libpq_parameters
from bench.stack.stack import Stack, open_stack
from bench.stack.target import Target
from tests.engine.runs import plan_of, run
from tests.helpers.waiting import eventually

OK, ERROR, TIMEOUT = Outcome.OK, Outcome.ERROR, Outcome.TIMEOUT
RESET, REFUSED, DROPPED = Outcome.RESET, Outcome.REFUSED, Outcome.DROPPED


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with open_stack("embedded", {"postgres"}, tmp_path_factory.mktemp("logs")) as opened:
        yield opened


@pytest.fixture
def target(stack: Stack) -> Target:
    return stack.targets()["postgres"]


@pytest.fixture
def sql(target: Target) -> Iterator[Callable[..., Any]]:
    """Run one statement; its rows where it has some."""
    with psycopg.connect(make_conninfo(**libpq_parameters(target)), autocommit=True) as connection:

        def ask(statement: str) -> Any:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else None

        yield ask


def postgres_plan(operations: dict[str, Any], phase: str = "300ms", **workload: Any):
    given = {
        "driver": "postgres",
        "target": "postgres",
        "operations": operations,
        "deadline": "10s",
    } | workload
    return plan_of(({"name": "s", "for": phase},), **given)


def errors_of(ran) -> dict[str, int]:
    found: dict[str, int] = {}
    for error in ran.result.errors:
        found[error.text] = found.get(error.text, 0) + error.count
    return found


def test_parameters_arrive_as_the_plan_drew_them(target: Target, sql) -> None:
    sql("DROP TABLE IF EXISTS seen")
    sql("CREATE TABLE seen (a int, b numeric, c text, d bigint, e text)")
    plan = postgres_plan(
        {"put": {"sql": "INSERT INTO seen VALUES ({a}, {b}, {value}, {seq}, 'not {here}')"}},
        parameters={"a": {"from": -20, "to": 20}, "b": {"count": 5, "distribution": "sequential"}},
        value={"bytes": 30},
        rate="1000/s",
    )
    ran = run(plan, target)
    ran.assert_sums_hold()
    assert ran.count(OK) == ran.planned == 300
    rows = sql("SELECT a, b, c, d, e FROM seen ORDER BY d")
    assert [row[3] for row in rows] == list(range(300))
    assert {row[0] for row in rows} == set(range(-20, 21))
    for a, b, c, d, e in rows:
        assert b == d % 5
        assert len(c) == 30
        assert int(c[:12]) == d
        assert e == "not {here}"
        assert -20 <= a <= 20


def test_a_transaction_is_several_round_trips_and_all_or_nothing(target: Target, sql) -> None:
    sql("DROP TABLE IF EXISTS bank")
    sql("CREATE TABLE bank (id int PRIMARY KEY, money bigint CHECK (money > -10000))")
    sql("INSERT INTO bank SELECT n, 0 FROM generate_series(0, 9) n")
    plan = postgres_plan(
        {
            "move": {
                "transaction": [
                    "UPDATE bank SET money = money - {amount} WHERE id = {from_id}",
                    "UPDATE bank SET money = money + {amount} WHERE id = (({from_id} + 1) % 10)",
                ]
            },
            "fail": {
                "transaction": [
                    "UPDATE bank SET money = money + 1",
                    "SELECT 1 / ({amount}::int - {amount}::int)",
                ]
            },
        },
        parameters={"amount": {"count": 100}, "from_id": {"count": 10}},
        lanes=1,
    )
    ran = run(plan, target)
    ran.assert_sums_hold()
    moved, failed = (int(ran.result.tallies[row].sum()) for row in (0, 1))
    assert ran.count(OK) == moved > 10
    assert ran.count(ERROR) == failed > 10
    assert errors_of(ran) == {"22012 division by zero": failed}
    assert sql("SELECT sum(money) FROM bank") == [(0,)]
    # BEGIN, two statements, COMMIT; or BEGIN, one, the failing one, ROLLBACK.
    assert ran.result.counters["round_trips"] == 4 * moved + 4 * failed
    assert ran.result.counters["lost_connections"] == 0


def test_transactions_are_counted_as_the_server_counts_them(target: Target, sql) -> None:
    """To the unit, commits and rollbacks apart."""
    sql("CREATE DATABASE counted")
    own = replace(target, database="counted")

    def counted() -> tuple[int, int]:
        sql("SELECT pg_stat_clear_snapshot()")
        return sql("SELECT xact_commit, xact_rollback FROM pg_stat_database WHERE datname = 'counted'")[0]

    def idle() -> bool:
        return not sql("SELECT 1 FROM pg_stat_activity WHERE datname = 'counted'")

    def counted_run(operations: dict[str, Any]) -> tuple[int, int, int, int]:
        """Commits and rollbacks as the server saw them, then as we saw them."""
        before = counted()
        ran = run(postgres_plan(operations, arrivals="closed", lanes=3), own)
        eventually(idle, "the run's backends have ended")
        after = counted()
        assert ran.count(OK) + ran.count(ERROR) == ran.planned > 10
        return after[0] - before[0], after[1] - before[1], ran.count(OK), ran.count(ERROR)

    operations = {
        "one": {"sql": "SELECT 1"},
        "two": {"transaction": ["SELECT 2", "SELECT 3"]},
        "bad": {"transaction": ["SELECT 1 / 0"]},
    }
    # What logging in and preparing statements commits is the same for every run of one scenario.
    commits, rollbacks, ok, failed = counted_run(operations)
    set_up = commits - ok
    assert rollbacks == failed > 0
    commits, rollbacks, ok, failed = counted_run(operations)
    assert (commits, rollbacks) == (ok + set_up, failed)
    assert 0 < set_up < 60
    sql("DROP DATABASE counted")


def test_an_error_ends_one_operation_and_the_connection_stays(target: Target, sql) -> None:
    sql("DROP TABLE IF EXISTS once")
    sql("CREATE TABLE once (n int PRIMARY KEY)")
    ran = run(postgres_plan({"put": {"sql": "INSERT INTO once VALUES (1)"}}), target)
    ran.assert_sums_hold()
    assert (ran.count(OK), ran.count(ERROR)) == (1, 59)
    assert errors_of(ran) == {'23505 duplicate key value violates unique constraint "once_pkey"': 59}
    assert ran.result.counters["lost_connections"] == 0


def test_notices_and_parameter_changes_are_no_answers(target: Target, sql) -> None:
    sql(
        "CREATE OR REPLACE FUNCTION chatty() RETURNS int LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE NOTICE 'one'; RAISE WARNING 'two'; SET application_name = 'other';"
        " PERFORM pg_notify('nobody', ''); RETURN 1; END $$"
    )
    ran = run(postgres_plan({"talk": {"sql": "SELECT chatty()"}}), target)
    ran.assert_sums_hold()
    assert ran.count(OK) == ran.planned == 60
    assert ran.result.counters["rows_received"] == 60


def test_a_reply_larger_than_any_buffer_is_one_reply(target: Target) -> None:
    operations = {"big": {"sql": "SELECT repeat('x', 2000000), n FROM generate_series(1, 3) n"}}
    ran = run(postgres_plan(operations, rate="20/s", lanes=2), target)
    ran.assert_sums_hold()
    assert ran.count(OK) == ran.planned == 6
    assert ran.result.counters["rows_received"] == 18
    assert ran.result.counters["bytes_received"] > 36_000_000


def test_serialization_failures_are_tried_again_and_counted(target: Target, sql) -> None:
    sql("DROP TABLE IF EXISTS counter")
    sql("CREATE TABLE counter (n int)")
    sql("INSERT INTO counter VALUES (0)")
    operations = {
        "add": {
            "transaction": [
                "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ",
                "SELECT n, pg_sleep(0.002) FROM counter",
                "UPDATE counter SET n = n + 1",
            ]
        }
    }
    plan = postgres_plan(operations, arrivals="closed", lanes=4, retries=100)
    ran = run(plan, target)
    ran.assert_sums_hold()
    assert ran.count(OK) == ran.planned
    assert sql("SELECT n FROM counter") == [(ran.count(OK),)]
    assert ran.result.counters["serialization_failures"] == ran.result.counters["retries"] > 0
    assert ran.result.errors == []
    without = run(postgres_plan(operations, arrivals="closed", lanes=4), target)
    failed = without.count(ERROR)
    assert failed == without.result.counters["serialization_failures"] > 0
    assert errors_of(without) == {"40001 could not serialize access due to concurrent update": failed}


def test_a_deadlock_is_one_operation_that_fails(target: Target, sql) -> None:
    sql("DROP TABLE IF EXISTS pair")
    sql("CREATE TABLE pair (id int PRIMARY KEY, n int)")
    sql("INSERT INTO pair VALUES (0, 0), (1, 0)")
    change = "UPDATE pair SET n = n + 1 WHERE id = "
    operations = {
        "up": {"transaction": [f"{change} 0", "SELECT pg_sleep(0.01)", f"{change} 1"]},
        "down": {"transaction": [f"{change} 1", "SELECT pg_sleep(0.01)", f"{change} 0"]},
    }
    plan = postgres_plan(operations, arrivals="closed", lanes=4, session={"deadlock_timeout": "10ms"})
    ran = run(plan, target)
    ran.assert_sums_hold()
    assert ran.result.counters["deadlocks"] == ran.count(ERROR) > 0
    assert errors_of(ran) == {"40P01 deadlock detected": ran.count(ERROR)}
    assert sql("SELECT sum(n) FROM pair") == [(2 * ran.count(OK),)]


def test_settings_and_statements_are_there_again_after_a_connection_was_lost(target: Target, sql) -> None:
    operations = {"ask": {"sql": "SELECT 1 / (current_setting('work_mem') = '1234kB')::int"}}

    def during(engine) -> None:
        eventually(lambda: engine.live().taken > 10, "arrivals come")
        sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'holdfast-cache' AND pid <> pg_backend_pid()"
        )

    plan = postgres_plan(operations, "1s", session={"work_mem": "1234kB"})
    ran = run(plan, target, during)
    ran.assert_sums_hold()
    assert ran.result.counters["lost_connections"] == ran.result.counters["reconnects"] == 4
    assert ran.count(ERROR) == 0
    assert ran.count(OK) + ran.count(RESET) == ran.planned
    assert ran.count(OK) > ran.planned - 10


def test_a_stopped_server_is_timeouts_and_then_everything_is_as_before(stack: Stack, target: Target) -> None:
    def during(engine) -> None:
        eventually(lambda: engine.live().outcomes[OK] > 20, "answers come")
        pid = _pid(stack)
        # The backends of the lanes, too: each is a process of its own.
        pids = [pid, *_children(pid)]
        for one in pids:
            os.kill(one, signal.SIGSTOP)
        try:
            eventually(lambda: engine.live().outcomes[TIMEOUT] > 0, "a timeout")
        finally:
            for one in pids:
                os.kill(one, signal.SIGCONT)

    ran = run(
        postgres_plan({"ask": {"sql": "SELECT {n}"}}, "2s", deadline="200ms", parameters={"n": {"count": 5}}),
        target,
        during,
    )
    ran.assert_sums_hold()
    assert ran.count(TIMEOUT) > 0
    assert ran.count(OK) > 20
    assert ran.result.counters["reconnects"] == ran.result.counters["lost_connections"] > 0
    assert ran.count(ERROR) == 0


def test_a_killed_server_comes_back_with_every_acknowledged_row(stack: Stack, target: Target, sql) -> None:
    sql("DROP TABLE IF EXISTS ledger")
    sql("CREATE TABLE ledger (n bigint)")

    def during(engine) -> None:
        eventually(lambda: engine.live().outcomes[OK] > 20, "answers come")
        os.kill(_pid(stack), signal.SIGKILL)
        eventually(lambda: engine.live().connected < 4, "a lane that is lost")
        eventually(lambda: engine.live().connected == 4, "all lanes are back", 120)
        answered = engine.live().outcomes[OK]
        eventually(lambda: engine.live().outcomes[OK] > answered, "answers of the new server")
        engine.stop(at_once=False)

    plan = postgres_plan({"put": {"sql": "INSERT INTO ledger VALUES ({seq})"}}, "180s", deadline="1s")
    ran = run(plan, target, during)
    ran.assert_sums_hold()
    assert ran.count(OK) > 20  # a server that is back within the deadline need not cost a single arrival
    assert ran.result.counters["reconnects"] == 4
    with psycopg.connect(make_conninfo(**libpq_parameters(target))) as connection:
        found = connection.execute("SELECT count(*) FROM ledger").fetchone()
    # A RESET one may have been committed before its answer was lost; no acknowledged one is missing.
    assert found is not None
    assert ran.count(OK) <= found[0] <= ran.count(OK) + ran.count(RESET, TIMEOUT)


@pytest.mark.parametrize(
    ("operation", "offset", "code"),
    [
        ({"sql": "SELECT * FROM no_such_table WHERE n = {n}"}, 14, "42P01"),
        ({"sql": "SELECT {n}::int, nothing"}, 17, "42703"),
        ({"transaction": ["SELECT 1", "SELEKT 2"]}, 0, "42601"),
    ],
)
def test_sql_that_the_server_does_not_accept_is_refused_before_the_run(
    target: Target, operation: dict[str, Any], offset: int, code: str
) -> None:
    plan = postgres_plan({"ask": operation}, parameters={"n": {"count": 5}})
    with pytest.raises(StatementRefused, match=code) as refused:
        run(plan, target)
    assert refused.value.offset == offset
    assert refused.value.path[:2] == ("operations", "ask")


def test_a_wrong_database_is_told(target: Target) -> None:
    with pytest.raises(TargetError, match="nowhere"):
        run(postgres_plan({"ask": {"sql": "SELECT 1"}}), replace(target, database="nowhere"))


def test_a_wrong_password_is_told_and_not_shown(target: Target) -> None:
    with pytest.raises(TargetError) as refused:
        run(postgres_plan({"ask": {"sql": "SELECT 1"}}), replace(target, password="wrong-secret"))
    assert "wrong-secret" not in str(refused.value)


def test_more_lanes_than_the_server_takes_are_refused_before_the_run(target: Target) -> None:
    with pytest.raises(TargetError, match="connections"):
        run(postgres_plan({"ask": {"sql": "SELECT 1"}}, lanes=5000), target)


def _pid(stack: Stack) -> int:
    found = next(target.pid for target in stack.describe() if target.name == "postgres")
    assert found
    return int(found)


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
