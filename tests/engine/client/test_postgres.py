"""The client engine against a real Postgres."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from bench.core.errors import StatementRefused, TargetError
from bench.core.histogram import percentile_ns
from bench.core.outcome import Outcome
from bench.engine.wire.engine import WireEngine
from bench.plan.plan import Plan
from tests.engine.client.conftest import PostgresServer
from tests.helpers.client_runs import Ran, client, plan_of, run, run_prepared

SHORT = {"short": "500ms"}
ONE = {"one": {"sql": "SELECT {n}::int"}}
NUMBERS = {"n": {"count": 1000}}


def postgres_plan(**workload: Any) -> Plan:
    """200 selects a second for half a second through 10 connections."""
    usual: dict[str, Any] = {
        "driver": "postgres",
        "target": "postgres",
        "keys": None,
        "operations": ONE,
        "parameters": NUMBERS,
        "phases": SHORT,
    }
    return plan_of(**(usual | workload))


def texts(ran: Ran) -> dict[str, str]:
    return {error.operation: error.text for error in ran.result.errors}


def test_a_steady_run_adds_up(postgres: PostgresServer) -> None:
    operations = {"one": ONE["one"], "two": {"transaction": ["SELECT {n}::int", "SELECT 1 WHERE {n} < 0"]}}
    plan = postgres_plan(
        operations=operations, phases={"warm": "200ms", "steady": "500ms"}, unmeasured=("warm",)
    )
    ran = run(client(plan, postgres.target))
    ran.assert_adds_up()
    assert ran.result.taken.reshape(2, 2).sum(axis=1).tolist() == [40, 100]
    assert ran.outcomes() == {Outcome.OK: 140}
    assert ran.result.counters == {
        "lost_connections": 0,
        "reconnects": 0,
        "connections_created": 10,
        "leaked_connections": 0,
        "pool_timeouts": 0,
        "rows_received": 140,
        "serialization_failures": 0,
        "deadlocks": 0,
        "retries": 0,
    }
    assert ran.result.pool is not None
    assert ran.result.pool["size"] == 10
    assert 0 < ran.result.pool["utilization_mean"] <= ran.result.pool["utilization_max"] <= 1
    ran.assert_times_add_up(rel=0.02)
    assert ran.seen[-1].connected == 10
    assert ran.result.errors == []


KINDS = {
    "i2": "smallint",
    "i4": "integer",
    "i8": "bigint",
    "num": "numeric(30, 4)",
    "f4": "real",
    "f8": "double precision",
    "txt": "text",
    "vc": "varchar(20)",
    "ch": "char(20)",
    "raw": "bytea",
}
SENT: dict[str, Any] = {
    "operations": {
        "kinds": {
            "sql": f"INSERT INTO sent (arrival, run, {', '.join(KINDS)}) "
            f"VALUES ({{seq}}, {{run}}, {', '.join(f'{{p_{kind}}}' for kind in KINDS)})"
        },
        "draws": {
            "transaction": [
                "INSERT INTO sent (arrival, i4, num) VALUES ({seq}, {account}, {page})",
                "INSERT INTO sent (arrival, txt, raw) VALUES ({seq}, 'account ' || {account}, {value})",
            ],
            "weight": 2,
        },
        "texts": {
            "sql": "INSERT INTO sent (arrival, uid, day, txt, num, i4) "
            "VALUES ({seq}, {uuid}, {day}, {colour} || {letters}, {size}, {whole})"
        },
        "said": {
            "sql": "INSERT INTO sent (arrival, txt, vc) VALUES ({seq}, current_setting('statement_timeout'), "
            "current_setting('application_name'))"
        },
    },
    "parameters": {
        "account": {"count": 100_000, "distribution": "zipf"},
        "page": {"count": 7, "distribution": "gaussian"},
        "day": {"date": {"from": "2024-02-27", "to": "2024-03-01"}},
        "colour": {"pick": ["it's", "ultramarine", "grün"]},
        "letters": {"text": 5},
        "size": {"pick": [1, 2.5, -300]},
        "whole": {"pick": [1, 20, 300]},
        **{f"p_{kind}": {"from": -5000, "to": 5000} for kind in KINDS},
    },
    "value": {"bytes": 40},
    "session": {"statement_timeout": "4s"},
    "arrivals": "poisson",
    "phases": {"short": "700ms"},
}


def test_both_engines_send_the_same_statements_for_one_seed(postgres: PostgresServer) -> None:
    def left(engine: str, seed: int) -> list[tuple[object, ...]]:
        columns = ", ".join(f"{name} {kind}" for name, kind in KINDS.items())
        postgres.execute(
            "DROP TABLE IF EXISTS sent",
            f"CREATE TABLE sent (arrival bigint, run bigint, {columns}, uid uuid, day date)",
        )
        plan = postgres_plan(engine=engine, seed=seed, **SENT)
        target = postgres.target
        ran = run(client(plan, target) if engine == "client" else WireEngine(plan, plan.workloads[0], target))
        assert set(ran.outcomes()) == {Outcome.OK}
        return postgres.execute("SELECT * FROM sent ORDER BY arrival, i4, txt")

    through_client = left("client", 7)
    assert len(through_client) > 70
    assert {str(row[13]) for row in through_client if row[13]} == {f"2024-02-2{day}" for day in (7, 8, 9)} | {
        "2024-03-01"
    }
    assert ("4s", "holdfast-app") in {(row[8], row[9]) for row in through_client}
    assert through_client == left("wire", 7)
    assert through_client != left("client", 8)


def test_what_the_server_refuses_is_counted_with_its_text_and_rolled_back(postgres: PostgresServer) -> None:
    postgres.execute("DROP TABLE IF EXISTS kept", "CREATE TABLE kept (n int UNIQUE, small smallint)")
    operations = {
        "zero": {"sql": "SELECT 1 / ({n} * 0)"},
        "twice": {"transaction": ["INSERT INTO kept VALUES (1)", "INSERT INTO kept VALUES (1)"]},
        "large": {"sql": "INSERT INTO kept (small) VALUES ({large})"},
        "slow": {"sql": "SELECT pg_sleep(5)", "weight": 0.2},
        "right": {"sql": "SELECT 1"},
    }
    parameters = NUMBERS | {"large": {"from": 40_000, "to": 50_000}}
    plan = postgres_plan(
        operations=operations, parameters=parameters, session={"statement_timeout": "1s"}, pool=20
    )
    ran = run(client(plan, postgres.target))
    ran.assert_adds_up()
    assert set(ran.outcomes()) == {Outcome.OK, Outcome.ERROR}
    assert texts(ran) == {
        "zero": "22012 division by zero",
        "twice": '23505 duplicate key value violates unique constraint "kept_n_key"',
        "large": "22003 value out of int16 range",
        "slow": "57014 canceling statement due to statement timeout",
    }
    assert len(ran.result.errors) == 4
    assert postgres.execute("SELECT count(*) FROM kept") == [(0,)]
    assert ran.result.counters["lost_connections"] == 0
    assert ran.result.counters["leaked_connections"] == 0
    assert percentile_ns(ran.counts("response", Outcome.ERROR), 0.1) >= 5_000_000_000, "charged the deadline"


def stumble(postgres: PostgresServer, sqlstate: str, every: int) -> dict[str, Any]:
    """A transaction that fails with the SQLSTATE all but every n-th time; n 0: always."""
    goes_well = f"nextval('tries') % {every} = 0" if every else "false"
    postgres.execute(
        "DROP SEQUENCE IF EXISTS tries",
        "CREATE SEQUENCE tries",
        "CREATE OR REPLACE FUNCTION stumble() RETURNS int LANGUAGE plpgsql AS $$ BEGIN "
        f"IF {goes_well} THEN RETURN 1; END IF; "
        f"RAISE EXCEPTION 'others were in the way' USING ERRCODE = '{sqlstate}'; END $$",
    )
    return {"move": {"transaction": ["SELECT 1", "SELECT stumble()"]}}


@pytest.mark.parametrize(
    ("sqlstate", "counter"), [("40001", "serialization_failures"), ("40P01", "deadlocks")]
)
def test_what_others_were_in_the_way_of_is_tried_again(
    postgres: PostgresServer, sqlstate: str, counter: str
) -> None:
    # One lane after the other, so that the attempts of two arrivals do not mix.
    plan = postgres_plan(
        operations=stumble(postgres, sqlstate, 3), parameters=None, retries=2, pool=1, rate="40/s"
    )
    ran = run(client(plan, postgres.target))
    assert ran.outcomes() == {Outcome.OK: 20}
    assert ran.result.counters[counter] == ran.result.counters["retries"] == 40
    assert ran.result.counters["serialization_failures"] + ran.result.counters["deadlocks"] == 40
    assert ran.result.errors == []


def test_retries_end(postgres: PostgresServer) -> None:
    plan = postgres_plan(operations=stumble(postgres, "40001", 0), parameters=None, retries=2, rate="40/s")
    ran = run(client(plan, postgres.target))
    assert ran.outcomes() == {Outcome.ERROR: 20}
    assert ran.result.counters["serialization_failures"] == 60
    assert ran.result.counters["retries"] == 40
    assert texts(ran) == {"move": "40001 others were in the way"}
    assert ran.result.counters["leaked_connections"] == 0


def test_what_is_not_answered_in_time_is_a_timeout_and_cancelled(postgres: PostgresServer) -> None:
    postgres.execute("DROP TABLE IF EXISTS begun", "CREATE TABLE begun (n int)")
    operations = {
        "slow": {"sql": "SELECT pg_sleep(30)", "weight": 0.1},
        "begun": {"transaction": ["INSERT INTO begun VALUES ({n})", "SELECT pg_sleep(30)"], "weight": 0.1},
        "one": ONE["one"],
    }
    plan = postgres_plan(operations=operations, deadline="200ms", pool=40, phases={"steady": "1s"})
    ran = run(client(plan, postgres.target))
    ran.assert_adds_up()
    assert set(ran.outcomes()) == {Outcome.OK, Outcome.TIMEOUT}
    slow, begun, one = ran.result.tallies
    assert slow[Outcome.TIMEOUT] == slow.sum() > 0
    assert begun[Outcome.TIMEOUT] == begun.sum() > 0
    assert one[Outcome.OK] == one.sum()
    assert percentile_ns(ran.counts("service", Outcome.TIMEOUT), 0.1) >= 200_000_000
    assert percentile_ns(ran.counts("service", Outcome.TIMEOUT), 50) < 2_000_000_000
    assert texts(ran) == {}
    assert ran.result.counters["leaked_connections"] == 0
    assert postgres.execute("SELECT count(*) FROM begun") == [(0,)]
    sleeping = (
        "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'SELECT pg_sleep(30)%'"
    )
    assert postgres.execute(sleeping) == [(0,)]


def test_a_pool_smaller_than_the_demand_shows_as_wait_and_full_use(postgres: PostgresServer) -> None:
    operations = {"wait": {"sql": "SELECT pg_sleep(0.05)"}}
    plan = postgres_plan(
        operations=operations, parameters=None, pool=2, deadline="300ms", phases={"steady": "1500ms"}
    )
    ran = run(client(plan, postgres.target))
    ran.assert_adds_up()
    assert set(ran.outcomes()) <= {Outcome.OK, Outcome.DROPPED, Outcome.TIMEOUT}
    assert ran.outcomes()[Outcome.DROPPED] > 0
    assert ran.result.counters["pool_timeouts"] > 0
    assert ran.result.pool is not None
    assert ran.result.pool["utilization_max"] == 1
    assert ran.result.pool["utilization_mean"] > 0.8
    assert percentile_ns(ran.counts("pool_wait"), 90) > 200_000_000
    assert percentile_ns(ran.counts("response", Outcome.DROPPED), 0.1) >= 300_000_000
    assert ran.result.counters["leaked_connections"] == 0


def test_a_connection_that_is_not_given_back_is_noticed(postgres: PostgresServer) -> None:
    engine = client(postgres_plan(), postgres.target)
    try:
        engine.prepare()
        assert engine._loop is not None
        driver: Any = engine.driver

        async def take() -> None:
            from bench.engine.client.pool import PendingRequest

            await driver.pool.acquire(PendingRequest(0, 0, 0, 0, 0), 5.0)

        asyncio.run_coroutine_threadsafe(take(), engine._loop).result(10)
        ran = run_prepared(engine)
    finally:
        engine.close()
    assert ran.result.counters["leaked_connections"] == 1
    assert ran.outcomes() == {Outcome.OK: 100}


def refused(plan: Plan, postgres: PostgresServer, **other: Any) -> StatementRefused | TargetError:
    engine = client(plan, replace(postgres.target, **other))
    try:
        with pytest.raises((StatementRefused, TargetError)) as caught:
            engine.prepare()
    finally:
        engine.close()
    assert not engine._is_alive()
    return caught.value


def test_a_parameter_that_asyncpg_cannot_be_given_is_refused_with_its_place(
    postgres: PostgresServer,
) -> None:
    statement = "SELECT {n}::int, {day}::date"
    operations = {"one": ONE["one"], "when": {"transaction": ["SELECT 1", statement]}}
    error = refused(
        postgres_plan(operations=operations, parameters=NUMBERS | {"day": {"count": 9}}), postgres
    )
    assert isinstance(error, StatementRefused)
    assert error.path == ("operations", "when", "transaction", 1)
    assert error.offset == statement.index("{day}::date")
    assert "{day} for the type date" in str(error)


def test_a_statement_that_the_server_does_not_know_is_refused(postgres: PostgresServer) -> None:
    error = refused(postgres_plan(operations={"one": {"sql": "SELECT {n}::int FROM nowhere"}}), postgres)
    assert isinstance(error, StatementRefused)
    assert error.path == ("operations", "one", "sql")
    assert "nowhere" in str(error)


def test_a_server_with_too_few_places_cannot_hold_the_pool(postgres: PostgresServer) -> None:
    error = refused(postgres_plan(pool=5000), postgres)
    assert isinstance(error, TargetError)
    assert "5000 connections" in str(error)


def test_a_database_that_does_not_exist(postgres: PostgresServer) -> None:
    error = refused(postgres_plan(), postgres, database="nowhere")
    assert isinstance(error, TargetError)
    assert "nowhere" in str(error)
