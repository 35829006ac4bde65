"""The built-in sets on real servers: loaded, checked, used by pgbench, kept and dropped."""

import subprocess
import sys
from collections.abc import Iterator

import pytest

from bench.core.errors import TargetError
from bench.datasets import DataSet, check, drop, load
from bench.datasets.dataset import rows_of
from bench.datasets.loading import read_mark
from bench.stack.target import Target
from tests.datasets.asking import ask, connect, elsewhere, pgbench

TPCB, APP = DataSet("tpcb"), DataSet("app")
KEPT = {"tpcb": DataSet("tpcb", keep=True), "app": DataSet("app", keep=True)}
TABLES = (
    "SELECT table_schema || '.' || table_name FROM information_schema.tables"
    " WHERE table_schema IN ('public', 'holdfast_app') ORDER BY 1"
)
SHAPE = """
SELECT c.relname, c.relkind, c.reloptions, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
       pg_get_indexdef(c.oid)
FROM pg_class c LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
WHERE c.relname LIKE 'pgbench%' ORDER BY c.relname, a.attnum
"""
CONTENTS = "SELECT * FROM pgbench_accounts WHERE aid IN (1, 100000, 100001, 200000) ORDER BY aid"


@pytest.mark.parametrize("wanted", [TPCB, APP], ids=["tpcb", "app"])
def test_a_set_is_complete_after_its_load_and_gone_after_its_drop(target: Target, wanted: DataSet) -> None:
    notes: list[str] = []
    loaded = load(target, wanted, notes.append)
    assert not loaded.reused
    assert loaded.took_ns > 0
    assert loaded.rows == rows_of(str(wanted.name), 1)
    assert len(notes) == 1
    assert check(target, wanted) == []
    schema = "public" if wanted.name == "tpcb" else "holdfast_app"
    for table, rows in loaded.rows.items():
        assert ask(target, f"SELECT count(*) FROM {schema}.{table}") == [(rows,)]
        [(pages_seen,)] = ask(target, f"SELECT reltuples FROM pg_class WHERE relname = '{table}'")
        assert pages_seen == rows  # analyzed
    drop(target, wanted)
    assert ask(target, TABLES) == []
    assert ask(target, "SELECT 1 FROM pg_namespace WHERE nspname = 'holdfast_app'") == []
    drop(target, wanted)


def test_tpcb_has_the_shape_and_the_rows_that_pgbench_makes(target: Target) -> None:
    load(target, DataSet("tpcb", 2))
    ours, our_rows = ask(target, SHAPE), ask(target, CONTENTS)
    drop(target, TPCB)
    pgbench(target, "-i", "-s", "2", "-q")
    assert ask(target, SHAPE) == ours
    assert ask(target, CONTENTS) == our_rows


@pytest.mark.parametrize("mode", ["simple", "prepared"])
def test_pgbench_runs_on_tpcb_and_the_sums_hold(target: Target, mode: str) -> None:
    load(target, TPCB)
    pgbench(target, "-n", "-t", "100", "-c", "2", "-M", mode)
    assert ask(target, "SELECT count(*) FROM pgbench_history") == [(200,)]
    assert check(target, TPCB) == []


@pytest.mark.usefixtures("small_sets")
def test_the_check_tells_what_was_expected_and_what_is_there(target_18: Target) -> None:
    load(target_18, TPCB)
    ask(target_18, "UPDATE pgbench_accounts SET abalance = 7 WHERE aid = 3")
    assert check(target_18, TPCB) == [
        "sum(abalance) as sum(pgbench_history.delta): expected 0, found 7",
        "rows whose abalance is not the sum of their history: expected 0, found 1",
    ]
    ask(target_18, "UPDATE pgbench_accounts SET abalance = -7 WHERE aid = 4")
    assert check(target_18, TPCB) == [
        "rows whose abalance is not the sum of their history: expected 0, found 2"
    ]
    ask(target_18, "DELETE FROM pgbench_tellers WHERE tid = 10")
    assert "rows of pgbench_tellers: expected 10, found 9" in check(target_18, TPCB)
    ask(target_18, "DROP TABLE pgbench_branches")
    assert check(target_18, TPCB) == ["public.pgbench_branches: expected a table, found none"]


@pytest.mark.usefixtures("small_sets")
def test_an_order_with_its_totals_keeps_app_consistent_and_one_without_does_not(target_18: Target) -> None:
    load(target_18, APP)
    order = "INSERT INTO holdfast_app.orders (account_id, total_cents) VALUES (17, 1250)"
    ask(
        target_18,
        f"WITH placed AS ({order} RETURNING *),"
        " event AS (INSERT INTO holdfast_app.events (account_id, order_id, kind)"
        " SELECT account_id, order_id, 'order_placed' FROM placed)"
        " UPDATE holdfast_app.accounts SET orders_count = orders_count + 1,"
        " ordered_cents = ordered_cents + 1250 WHERE account_id = 17",
    )
    assert ask(target_18, "SELECT max(order_id) FROM holdfast_app.orders") == [(1_001,)]
    ask(target_18, "DELETE FROM holdfast_app.events WHERE event_id = 5")
    assert check(target_18, APP) == []
    ask(target_18, order)
    broken = check(target_18, APP)
    assert len(broken) == 3
    assert broken[-1] == "accounts whose totals are not those of their orders: expected 0, found 1"


def test_app_can_be_asked_by_payload_and_by_account_through_its_indexes(target_18: Target) -> None:
    load(target_18, APP)
    for condition, index in (
        ("""events WHERE payload @> '{"order": {"id": 21}}'""", "events_payload"),
        ("orders WHERE account_id = 9000 ORDER BY created_at DESC LIMIT 10", "orders_of_account"),
        ("events WHERE account_id = 9000 ORDER BY created_at DESC LIMIT 10", "events_of_account"),
    ):
        plan = ask(target_18, f"EXPLAIN SELECT * FROM holdfast_app.{condition}")
        assert index in str(plan)
    found = ask(
        target_18, """SELECT order_id FROM holdfast_app.events WHERE payload @> '{"order": {"id": 1}}'"""
    )
    assert found == [(1,)]


@pytest.mark.usefixtures("small_sets")
@pytest.mark.parametrize("name", ["tpcb", "app"])
def test_a_kept_set_is_used_again_while_it_holds(target_18: Target, name: str) -> None:
    kept = KEPT[name]
    assert not load(target_18, kept).reused
    mark = "SELECT oid FROM pg_class WHERE relname IN ('pgbench_accounts', 'accounts')"
    first = ask(target_18, mark)
    assert load(target_18, kept).reused
    assert ask(target_18, mark) == first


@pytest.mark.usefixtures("small_sets")
def test_a_kept_set_is_made_anew_for_who_does_not_ask_for_it(target_18: Target) -> None:
    load(target_18, KEPT["tpcb"])
    ask(target_18, "CREATE INDEX of_someone ON pgbench_accounts (bid)")
    assert not load(target_18, TPCB).reused
    assert ask(target_18, "SELECT to_regclass('of_someone')") == [(None,)]


@pytest.mark.usefixtures("small_sets")
@pytest.mark.parametrize(
    "harm",
    [
        "UPDATE pgbench_branches SET bbalance = 1",
        "DELETE FROM pgbench_accounts WHERE aid = 1",
        "ALTER TABLE pgbench_tellers RENAME COLUMN tbalance TO other",
        "DROP TABLE pgbench_history",
        "COMMENT ON TABLE pgbench_tellers IS 'holdfast data set format=1 name=tpcb scale=2;'",
        "COMMENT ON TABLE pgbench_tellers IS 'holdfast data set format=999 name=tpcb scale=1;'",
    ],
)
def test_a_kept_set_that_does_not_hold_is_loaded_anew(target_18: Target, harm: str) -> None:
    load(target_18, KEPT["tpcb"])
    ask(target_18, harm)
    assert not load(target_18, KEPT["tpcb"]).reused
    assert check(target_18, TPCB) == []


@pytest.mark.usefixtures("small_sets")
def test_a_kept_set_of_another_scale_is_replaced(target_18: Target) -> None:
    load(target_18, KEPT["tpcb"])
    larger = DataSet("tpcb", 2, keep=True)
    assert not load(target_18, larger).reused
    assert load(target_18, larger).reused
    assert check(target_18, larger) == []
    assert "rows of pgbench_accounts: expected 2000, found 4000" in check(target_18, TPCB)


@pytest.mark.usefixtures("small_sets")
def test_every_table_and_the_schema_say_whose_they_are(target_18: Target) -> None:
    load(target_18, DataSet("tpcb", 2))
    load(target_18, APP)
    comments = ask(
        target_18,
        "SELECT obj_description(c.oid, 'pg_class')"
        " FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace"
        " WHERE nspname IN ('public', 'holdfast_app') AND relkind = 'r'"
        " UNION ALL SELECT obj_description(oid, 'pg_namespace')"
        " FROM pg_namespace WHERE nspname = 'holdfast_app'",
    )
    marks = [read_mark(str(comment)) for (comment,) in comments]
    assert sorted((mark.format, mark.name, mark.scale) for mark in marks if mark) == (
        [(1, "app", 1)] * 4 + [(1, "tpcb", 2)] * 4
    )


def test_tables_that_pgbench_made_are_neither_replaced_nor_dropped(target_18: Target) -> None:
    pgbench(target_18, "-i", "-q", "-s", "1")
    before = ask(target_18, "SELECT oid FROM pg_class WHERE relname LIKE 'pgbench%' ORDER BY 1")
    for wanted in (TPCB, KEPT["tpcb"]):
        with pytest.raises(TargetError) as caught:
            load(target_18, wanted)
        assert "public.pgbench_accounts" in str(caught.value)
        assert "which Holdfast did not make; drop or rename them" in str(caught.value)
    drop(target_18, TPCB)
    assert ask(target_18, "SELECT oid FROM pg_class WHERE relname LIKE 'pgbench%' ORDER BY 1") == before
    assert check(target_18, TPCB) == []  # they can be checked all the same


@pytest.mark.parametrize("kind", ["VIEW", "TABLE", "MATERIALIZED VIEW"])
@pytest.mark.usefixtures("small_sets")
def test_one_name_that_is_taken_is_enough_to_stop(target_18: Target, kind: str) -> None:
    ask(target_18, f"CREATE {kind} pgbench_branches AS SELECT 1 AS bid")
    with pytest.raises(TargetError, match=r"found public\.pgbench_branches, which Holdfast did not make"):
        load(target_18, TPCB)
    assert len(ask(target_18, TABLES)) <= 1  # nothing else was made


@pytest.mark.usefixtures("small_sets")
def test_what_others_built_upon_our_tables_is_not_dropped_with_them(target_18: Target) -> None:
    load(target_18, APP)
    ask(target_18, "CREATE VIEW holdfast_app.theirs AS SELECT * FROM holdfast_app.orders")
    for attempt in (load, drop):
        with pytest.raises(TargetError, match="drop what was built upon the tables"):
            attempt(target_18, APP)
    assert check(target_18, APP) == []
    ask(target_18, "DROP VIEW holdfast_app.theirs; CREATE TABLE holdfast_app.theirs (n int)")
    drop(target_18, APP)
    assert ask(target_18, TABLES) == [("holdfast_app.theirs",)]


@pytest.mark.usefixtures("small_sets")
def test_a_schema_that_was_made_for_us_is_used_and_left(target_18: Target) -> None:
    ask(target_18, "CREATE SCHEMA holdfast_app")
    load(target_18, APP)
    drop(target_18, APP)
    assert ask(target_18, "SELECT count(*) FROM pg_namespace WHERE nspname = 'holdfast_app'") == [(1,)]


@pytest.fixture
def settings_reset(target_18: Target) -> Iterator[None]:
    """The server is that of other tests, too: its database loses the settings that this one made."""
    yield
    ask(elsewhere(target_18, "postgres"), f"ALTER DATABASE {target_18.database} RESET ALL")


@pytest.mark.usefixtures("small_sets", "settings_reset")
def test_a_load_does_not_depend_on_the_settings_of_the_database(target_18: Target) -> None:
    for setting in (
        "statement_timeout = '10ms'",
        "search_path = ''",
        "default_transaction_read_only = on",
        "default_transaction_isolation = 'serializable'",
        "standard_conforming_strings = off",
        "datestyle = 'German'",
        "timezone = 'Asia/Tokyo'",
    ):
        ask(elsewhere(target_18, "postgres"), f"ALTER DATABASE {target_18.database} SET {setting}")
    for wanted in (TPCB, APP):
        load(target_18, wanted)
        assert check(target_18, wanted) == []
    with connect(target_18) as connection:
        connection.execute("SET timezone = 'UTC'")
        row = connection.execute("SELECT min(created_at)::text FROM holdfast_app.orders").fetchone()
    assert row is not None
    assert row[0].startswith(("2024-01-01 00:00:00", "01.01.2024 00:00:00"))


def test_importing_the_package_imports_no_client_library() -> None:
    code = (
        "import sys, bench.datasets, bench.datasets.dataset;"
        "assert not {'psycopg', 'numpy'} & set(sys.modules), sorted(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
