"""What a loader meets: no rights, no database, no server, other loaders, and its own death."""

import os
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from bench.core.errors import ExitCode, TargetError
from bench.datasets import DataSet, SqlFile, check, connection, drop, load
from bench.stack.services.loopback_port import free_loopback_port
from bench.stack.target import Target
from tests.datasets.asking import ask, connect, elsewhere

ROOT = Path(__file__).parent.parent.parent
LOADER = """
import os
from bench.datasets import DataSet, load
from bench.stack.target import Target
from bench.stack.target_url import target_of
target = target_of(os.environ["DATABASE_URL"], name="postgres", source="DATABASE_URL")
load(target, DataSet("tpcb", 100), lambda line: print(line, flush=True))
"""
IS_COPYING = (
    "SELECT pid FROM pg_stat_progress_copy WHERE datname = current_database() AND tuples_processed > 0"
)


@pytest.mark.usefixtures("small_sets")
@pytest.mark.parametrize("wanted", [DataSet("tpcb"), DataSet("app")], ids=["tpcb", "app"])
def test_missing_rights_are_told_with_what_to_grant(target_18: Target, wanted: DataSet) -> None:
    ask(target_18, "DROP ROLE IF EXISTS guest")
    ask(target_18, "CREATE ROLE guest LOGIN PASSWORD 'open-door'")
    guest = replace(target_18, username="guest", password="open-door")
    with pytest.raises(TargetError) as caught:
        load(guest, wanted)
    assert caught.value.exit_code is ExitCode.TARGET
    assert "permission denied" in str(caught.value)
    assert "GRANT CREATE" in str(caught.value)
    drop(guest, wanted)  # nothing there: nothing to refuse
    load(target_18, wanted)
    for act in (load, drop, check):
        with pytest.raises(TargetError, match=r"must be owner|permission denied"):
            act(guest, wanted)
    drop(target_18, wanted)
    ask(target_18, "DROP ROLE guest")


@pytest.mark.parametrize("act", [load, check, drop])
def test_a_database_that_does_not_exist_is_told(act: object, target_18: Target) -> None:
    assert callable(act)
    with pytest.raises(TargetError) as caught:
        act(elsewhere(target_18, "nowhere"), DataSet("tpcb"))
    assert 'database "nowhere" does not exist' in str(caught.value)
    with pytest.raises(TargetError, match="nowhere"):
        load(elsewhere(target_18, "nowhere"), DataSet(None, files=(SqlFile("a.sql", "SELECT 1"),)))


def test_a_port_where_nobody_listens_is_told_without_the_password() -> None:
    nobody = Target(
        "postgres", "postgres", "127.0.0.1", free_loopback_port(), username="one", password="s3cret-word"
    )
    with pytest.raises(TargetError) as caught:
        load(nobody, DataSet("tpcb"))
    assert nobody.address in str(caught.value)
    assert "s3cret-word" not in str(caught.value)


@pytest.mark.usefixtures("small_sets")
def test_a_second_loader_waits_for_the_first_and_both_succeed(target: Target) -> None:
    results: list[object] = []

    def run() -> None:
        try:
            results.append(load(target, DataSet("tpcb", keep=True)).reused)
        except TargetError as error:
            results.append(error)

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(str, results)) == ["False", "True", "True"]
    assert check(target, DataSet("tpcb")) == []


@pytest.mark.usefixtures("small_sets")
def test_a_loader_that_does_not_get_its_turn_says_who_has_it(
    target_18: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "LOCK_DEADLINE_S", 0.1)
    wanted = (DataSet("tpcb"), DataSet(None, files=(SqlFile("a.sql", "BEGIN; SELECT 1; COMMIT"),)))
    with connect(target_18) as other:
        other.execute("SET application_name = 'the other one'")
        other.execute("SELECT pg_advisory_lock(%s, %s)", connection.LOADERS_LOCK)
        for each in wanted:
            with pytest.raises(TargetError, match="application 'the other one'"):
                load(target_18, each)
    for each in wanted:
        load(target_18, each)


@pytest.mark.usefixtures("small_sets")
def test_a_lock_on_the_tables_is_told(target_18: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    load(target_18, DataSet("tpcb"))
    monkeypatch.setattr(connection, "LOCK_DEADLINE_S", 0.1)
    with connect(target_18) as other, other.transaction():
        other.execute("SELECT * FROM pgbench_branches FOR UPDATE")
        with pytest.raises(TargetError, match="end what holds a lock on the tables"):
            drop(target_18, DataSet("tpcb"))
    assert check(target_18, DataSet("tpcb")) == []


def test_a_loader_that_is_killed_leaves_nothing_half(target_18: Target) -> None:
    load(target_18, DataSet("tpcb"))
    url = f"postgresql://{target_18.username}:{target_18.password}@{target_18.address}/{target_18.database}"
    loader = subprocess.Popen(
        [sys.executable, "-c", LOADER],
        cwd=ROOT,
        env=os.environ | {"DATABASE_URL": url},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert loader.stdout is not None
    try:
        assert "loading" in loader.stdout.readline()
        with connect(target_18) as watcher:
            while watcher.execute(IS_COPYING).fetchone() is None:
                assert loader.poll() is None
    finally:
        loader.kill()
        loader.wait()
        loader.stdout.close()
    # The lock is free as soon as the server has seen the end; what was there before is there again.
    assert load(target_18, DataSet("tpcb", keep=True)).reused
    assert check(target_18, DataSet("tpcb")) == []


@pytest.mark.usefixtures("small_sets")
def test_a_server_that_ends_the_connection_is_told(target_18: Target) -> None:
    def end_it(_: str) -> None:
        ask(
            target_18,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
            " AND application_name = 'holdfast-datasets'",
        )

    with pytest.raises(TargetError, match="look at the server's log"):
        load(target_18, DataSet("tpcb"), end_it)
    with pytest.raises(TargetError, match="terminating connection"):
        load(
            target_18,
            DataSet(None, files=(SqlFile("a.sql", "SELECT pg_terminate_backend(pg_backend_pid())"),)),
        )


@pytest.mark.usefixtures("small_sets")
def test_a_trigger_of_the_database_that_changes_rows_is_noticed(target_18: Target) -> None:
    """An event trigger is the only thing that can get between our CREATE and our COPY."""
    ask(
        target_18,
        """CREATE FUNCTION meddle() RETURNS event_trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF to_regclass('public.pgbench_accounts_pkey') IS NOT NULL THEN
                DELETE FROM public.pgbench_accounts WHERE aid = 9;
            END IF;
        END $$;
        CREATE EVENT TRIGGER meddle ON ddl_command_end EXECUTE FUNCTION meddle()""",
    )
    with pytest.raises(TargetError, match="accounts: expected 2000, found 1999"):
        load(target_18, DataSet("tpcb"))
    assert ask(target_18, "SELECT to_regclass('public.pgbench_accounts')") == [(None,)]
