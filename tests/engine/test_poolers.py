"""Poolers before a Postgres: many lanes on few connections, the right answers, and nothing left behind."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from bench.core.errors import StatementRefused, TargetError
from bench.core.outcome import Outcome
from bench.drivers.postgres.dry_run import rehearse
from bench.resources.services.postgres import PostgresActivity
from bench.scenario.workloads import Workload
from bench.stack.probes.health import probe
from bench.stack.probes.postgres import libpq_parameters
from bench.stack.stack import open_stack
from bench.stack.target import Target
from chaos.integrity.readers import connected, read_postgres
from chaos.integrity.stores import PostgresRegisters
from tests.engine.runs import Ran, plan_of, run
from tests.helpers import client_runs
from tests.helpers.pooler import Mode, Pooler

pytestmark = pytest.mark.timeout(300)
SERVER_CONNECTIONS = 20
OPERATIONS = {
    # Answers of another's unnamed statement would have other parameters, columns or types.
    "one": {"sql": "SELECT 1 / ({a}::int = {a}::int)::int"},
    "two": {"sql": "SELECT 1 / ({a}::int + {b}::int >= {b}::int)::int, 'x'"},
    "write": {"transaction": ["INSERT INTO pooled_rows VALUES ({seq}::bigint)", "SELECT {b}::text"]},
}
PARAMETERS = {"a": {"count": 100}, "b": {"count": 10}}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    with open_stack("embedded", {"postgres"}, tmp_path_factory.mktemp("logs")) as opened:
        yield opened.targets()["postgres"]


@pytest.fixture
def pooler_of(server: Target, tmp_path: Path) -> Iterator[Callable[..., Pooler]]:
    with contextlib.ExitStack() as cleanup:

        def start(mode: Mode, size: int = SERVER_CONNECTIONS) -> Pooler:
            pooler = Pooler(server, tmp_path, mode, size)
            cleanup.callback(pooler.close)
            return pooler

        yield start


def ask(target: Target, statement: str) -> Any:
    with psycopg.connect(**libpq_parameters(target), autocommit=True) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else None


def left_behind(pooler: Pooler, connections: int = SERVER_CONNECTIONS) -> list[tuple[object, ...]]:
    """Prepared statements, locks and settings of every connection that the pooler has, all held at once."""
    found: list[tuple[object, ...]] = []
    with contextlib.ExitStack() as held:
        for _ in range(connections):
            connection = held.enter_context(psycopg.connect(**libpq_parameters(pooler.target)))
            found += connection.execute("SELECT name, statement FROM pg_prepared_statements").fetchall()
            found += connection.execute(
                "SELECT name, setting FROM pg_settings WHERE source = 'session' AND name NOT IN"
                # A pooler keeps these by itself, for each of its clients.
                " ('application_name', 'client_encoding', 'DateStyle', 'TimeZone',"
                " 'standard_conforming_strings', 'transaction_read_only', 'transaction_isolation',"
                " 'transaction_deferrable')"
            ).fetchall()
    return found


def wire(target: Target, **workload: Any) -> Ran:
    given = {"driver": "postgres", "target": "postgres", "operations": OPERATIONS, "parameters": PARAMETERS}
    given |= {"rate": "600/s", "deadline": "10s"}
    return run(plan_of(({"name": "s", "for": "1500ms"},), **given | workload), target)


@pytest.fixture(autouse=True)
def rows(server: Target) -> None:
    ask(server, "DROP TABLE IF EXISTS pooled_rows; CREATE TABLE pooled_rows (n bigint)")


def test_300_lanes_share_20_connections_of_a_pooler_in_transaction_mode(
    pooler_of: Callable[..., Pooler],
) -> None:
    pooler = pooler_of("transaction")
    ran = wire(pooler.declared, lanes=300)
    assert ran.count(Outcome.OK) == ran.planned
    names = ran.plan.workloads[0].program.names
    written = int(ran.requests[list(names).index("write"), Outcome.OK])
    assert ask(pooler.target, "SELECT count(*), count(DISTINCT n) FROM pooled_rows") == [(written, written)]
    assert left_behind(pooler) == []


def test_asyncpgs_pool_of_100_shares_20_connections_of_a_pooler_in_transaction_mode(
    pooler_of: Callable[..., Pooler],
) -> None:
    pooler = pooler_of("transaction")
    plan = client_runs.plan_of(
        driver="postgres",
        target="postgres",
        keys=None,
        pool=100,
        operations=OPERATIONS,
        parameters=PARAMETERS,
        deadline="10s",
    )
    ran = client_runs.run(client_runs.client(plan, pooler.declared))
    assert ran.outcomes() == {Outcome.OK: int(ran.result.taken.sum())}
    assert left_behind(pooler) == []


def test_a_pooler_by_session_keeps_no_statement_of_ours_either(pooler_of: Callable[..., Pooler]) -> None:
    pooler = pooler_of("session")
    ran = wire(pooler.declared, lanes=SERVER_CONNECTIONS, session={"statement_timeout": "9s"})
    assert ran.count(Outcome.OK) == ran.planned
    assert left_behind(pooler) == []


def test_lanes_beyond_the_connections_of_a_pooler_by_session_wait_as_an_applications_would(
    pooler_of: Callable[..., Pooler],
) -> None:
    ran = wire(pooler_of("session").declared, lanes=2 * SERVER_CONNECTIONS, deadline="200ms")
    assert ran.count(Outcome.OK) > 0
    assert ran.count(Outcome.TIMEOUT) > 0
    assert ran.count(Outcome.OK, Outcome.TIMEOUT, Outcome.DROPPED, Outcome.RESET) == ran.planned
    (said,) = [text for code, _, text, *_ in ran.result.anomalies if code == "waited_at_pooler"]
    assert f"fewer than {2 * SERVER_CONNECTIONS}, the others wait for the pooler, not for the server" in said


@pytest.mark.parametrize("engine", ["wire", "client"])
def test_settings_of_the_session_are_refused_behind_a_pooler_in_transaction_mode(
    server: Target, engine: str
) -> None:
    workload = Workload.model_validate(
        {
            "name": "db",
            "target": "postgres",
            "driver": "postgres",
            "engine": engine,
            "session": {"statement_timeout": "7s"},
            "operations": {"get": {"sql": "SELECT 1"}},
            "arrivals": "constant",
            "rate": "10/s",
        }
    )
    with pytest.raises(StatementRefused, match="ALTER ROLE") as refused:
        rehearse(replace(server, pooler="transaction"), workload)
    assert refused.value.path == ("session", "statement_timeout")


def test_a_pooler_that_the_target_does_not_name_is_recognized_and_the_advice_says_what_to_declare(
    pooler_of: Callable[..., Pooler],
) -> None:
    pooler = pooler_of("transaction", 1)
    with pytest.raises(TargetError, match="declare `pooler: transaction` for the target in the stack file"):
        wire(pooler.target)
    assert left_behind(pooler, 1) == []


def test_what_reads_resources_and_registers_through_a_pooler_leaves_it_as_it_was(
    server: Target, pooler_of: Callable[..., Pooler]
) -> None:
    pooler = pooler_of("transaction")
    figures = PostgresActivity(pooler.declared)
    assert figures.ask()["idle"] >= 0
    assert "commits" in figures.ask()
    figures.close()
    plan = plan_of(driver="postgres", target="postgres", operations={"get": {"sql": "SELECT 1"}})
    registers = PostgresRegisters(pooler.declared, "abc", plan.workloads[0].workload)
    registers.make()
    registers.remove()
    ask(server, "INSERT INTO pooled_rows VALUES (1), (2)")
    assert list(read_postgres(pooler.declared, "SELECT n FROM pooled_rows", 1).arrivals) == [1, 2]
    with connected(pooler.declared) as connection:
        connection.execute("SELECT 1")
    assert probe(pooler.declared).state == "up"
    assert left_behind(pooler) == []
