"""A table that is changed in the run: what was prepared for it is prepared again, in every engine."""

from collections.abc import Callable, Iterator

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from bench.core.outcome import Outcome
from bench.engine.wire.engine import WireEngine
from bench.stack.probes.postgres import libpq_parameters
from bench.stack.target import Target
from tests.helpers.client_runs import Ran, client, plan_of, run
from tests.parity.parity_runs import ENGINES

LANES = 4
PLAIN = {"read": {"sql": "SELECT * FROM changing WHERE id = {id}"}}
IN_A_TRANSACTION = {"read": {"transaction": ["SELECT * FROM changing WHERE id = {id}", "SELECT 1"]}}
TOLD = "0A000 cached plan must not change result type"


@pytest.fixture
def target(backend: Callable[[], Target]) -> Iterator[Target]:
    said(backend(), "CREATE TABLE changing AS SELECT g AS id, 'v' AS v FROM generate_series(0, 99) g")
    yield backend()
    said(backend(), "DROP TABLE changing")


def said(target: Target, *statements: str) -> None:
    with psycopg.connect(make_conninfo(**libpq_parameters(target)), autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def ran(target: Target, engine: str, operations: dict[str, object], change: str) -> Ran:
    plan = plan_of(
        driver="postgres",
        target="postgres",
        engine=engine,
        lanes=LANES,
        pool=LANES,
        keys=None,
        parameters={"id": {"count": 100}},
        operations=operations,
        phases={"steady": "1500ms"},
        rate="100/s",
    )
    made = client(plan, target) if engine == "client" else WireEngine(plan, plan.workloads[0], target)
    return run(made, (0.5, lambda: said(target, change)))


@pytest.mark.parametrize("engine", ENGINES)
def test_a_changed_table_costs_no_arrival(target: Target, engine: str) -> None:
    found = ran(target, engine, PLAIN, "ALTER TABLE changing ADD COLUMN more int")
    assert found.outcomes() == {Outcome.OK: 150}
    assert found.result.errors == []


@pytest.mark.parametrize("engine", ENGINES)
def test_in_a_transaction_it_costs_each_connection_one(target: Target, engine: str) -> None:
    """The server has given the transaction up; the next one finds its statements prepared again."""
    found = ran(target, engine, IN_A_TRANSACTION, "ALTER TABLE changing ADD COLUMN more int")
    outcomes = found.outcomes()
    assert set(outcomes) == {Outcome.OK, Outcome.ERROR}
    assert 1 <= outcomes[Outcome.ERROR] <= LANES
    assert {error.text for error in found.result.errors} == {TOLD}


@pytest.mark.parametrize("engine", ENGINES)
def test_what_cannot_be_prepared_any_more_says_why(target: Target, engine: str) -> None:
    operations = {"read": {"sql": "SELECT v FROM changing WHERE id = {id}"}}
    found = ran(target, engine, operations, "ALTER TABLE changing DROP COLUMN v")
    assert set(found.outcomes()) == {Outcome.OK, Outcome.ERROR}
    assert {error.text for error in found.result.errors} == {'42703 column "v" does not exist'}
