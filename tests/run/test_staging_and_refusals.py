"""What a run needs in its target before it begins: data put in place, statements looked at."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from bench.core.errors import ScenarioError
from bench.datasets import SqlRefused
from bench.judge.judge import judge
from bench.judge.verdict import Status
from bench.results.reader import Run
from bench.run.progress import Silent
from bench.run.session import Session
from bench.scenario.load import load_scenario
from bench.stack.probes.postgres import libpq_parameters
from bench.stack.stack import Stack, open_stack
from tests.helpers.other_work import is_excused

HEAD = """\
scenario: little
purpose: a small run
workloads:
  - name: bank
    target: postgres
    driver: postgres
    lanes: 2
"""
TAIL = """\
    arrivals: constant
    rate: 50/s
phases:
  - {name: steady, for: 500ms}
"""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with open_stack("embedded", {"postgres"}, tmp_path_factory.mktemp("logs")) as opened:
        yield opened


def session_of(stack: Stack, folder: Path) -> Session:
    return Session(stack, folder / "results", Silent())


def loaded(folder: Path, workload: str, head: str = HEAD):
    file = folder / "little.yaml"
    file.write_text(head + workload + TAIL)
    return load_scenario(file)


def tables(stack: Stack) -> set[str]:
    conninfo = make_conninfo(**libpq_parameters(stack.targets()["postgres"]))
    with contextlib.closing(psycopg.connect(conninfo)) as connection:
        rows = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
    return {row[0] for row in rows}


OPERATION = "    operations: {one: {sql: SELECT count(*) FROM pgbench_branches}}\n"


@pytest.mark.parametrize("keep", [False, True])
def test_a_data_set_is_there_for_the_run_and_goes_unless_it_is_kept(
    stack: Stack, tmp_path: Path, keep: bool
) -> None:
    dataset = f"    dataset: {{name: tpcb, keep: {str(keep).lower()}}}\n"
    path = session_of(stack, tmp_path).run(loaded(tmp_path, dataset + OPERATION))
    run = Run.load(path)
    assert run.record.totals.outcomes["ok"] == 25
    assert run.record.data_sets[0].rows["pgbench_accounts"] == 100_000
    assert ("pgbench_accounts" in tables(stack)) == keep


def test_a_run_that_breaks_the_books_fails_whatever_its_rules(stack: Stack, tmp_path: Path) -> None:
    """Balances that move without a line in the history."""
    operation = "    operations: {steal: {sql: UPDATE pgbench_accounts SET abalance = 7 WHERE aid = 1}}\n"
    path = session_of(stack, tmp_path).run(loaded(tmp_path, "    dataset: tpcb\n" + operation))
    verdict = judge(Run.load(path))
    assert verdict.status is Status.FAIL or is_excused(path), verdict
    failed = [check.metric for check in verdict.checks if check.status is Status.FAIL]
    assert failed == ["validity.data_broken"]


@pytest.mark.parametrize(
    ("operations", "place"),
    [
        ("    operations: {one: {sql: SELECT nothing FROM pg_class}}\n", ":8:36: "),
        (
            "    operations:\n      one:\n        sql: |\n          SELECT 1,\n            nothing\n",
            ":12:13: ",
        ),
        ('    operations:\n      one: {transaction: ["SELECT 1", "SELEKT 2"]}\n', ":9:40: "),
    ],
)
def test_sql_that_the_server_refuses_is_told_with_its_place(
    stack: Stack, tmp_path: Path, operations: str, place: str
) -> None:
    with pytest.raises(ScenarioError) as refused:
        session_of(stack, tmp_path).run(loaded(tmp_path, operations))
    assert place in str(refused.value)
    assert "SQLSTATE" in str(refused.value)
    assert list((tmp_path / "results").glob("*")) == []


def test_a_refused_sql_file_is_told_with_its_own_place(stack: Stack, tmp_path: Path) -> None:
    (tmp_path / "setup.sql").write_text("CREATE TABLE mine (n int);\n\nCREATE TABLE mine (n int);\n")
    with pytest.raises(SqlRefused) as refused:
        session_of(stack, tmp_path).run(
            loaded(tmp_path, "    dataset: {sql: setup.sql}\n    operations: {one: {sql: SELECT 1}}\n")
        )
    assert "setup.sql:3:" in str(refused.value)
    assert "mine" not in tables(stack)


def test_a_missing_sql_file_is_told_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match=r"little\.yaml:8:.*nowhere\.sql"):
        loaded(tmp_path, "    dataset: {sql: [nowhere.sql]}\n    operations: {one: {sql: SELECT 1}}\n")
