"""SQL files of the user's: run whole or not at all, refused with their place."""

import pytest

from bench.core.errors import ExitCode, ScenarioError
from bench.datasets import DataSet, SqlFile, SqlRefused, check, drop, load
from bench.stack.target import Target
from tests.datasets.asking import ask, elsewhere

SETUP = """\
-- Items and what is done to them.
CREATE TABLE items (id int PRIMARY KEY, name text NOT NULL);
INSERT INTO items SELECT n, 'item; number ' || n FROM generate_series(1, 100) n;
CREATE FUNCTION rename(int) RETURNS void LANGUAGE plpgsql AS $body$
BEGIN
    UPDATE items SET name = 'it''s renamed; really' WHERE id = $1;
END $body$;
CREATE FUNCTION cheap(n int) RETURNS int LANGUAGE sql
BEGIN ATOMIC
    SELECT CASE WHEN n > 1 THEN 1 ELSE 0 END;
    SELECT n + 1;
END;
SELECT rename(7);
"""


def files(*texts: str) -> DataSet:
    return DataSet(None, files=tuple(SqlFile(f"{n}.sql", text) for n, text in enumerate(texts, 1)))


def refusal(target: Target, *texts: str) -> SqlRefused:
    with pytest.raises(SqlRefused) as caught:
        load(target, files(*texts))
    return caught.value


def place(refused: SqlRefused) -> tuple[str, int, int]:
    return refused.path, refused.line, refused.column


def test_files_run_in_their_order(target: Target) -> None:
    loaded = load(target, files(SETUP, "\ufeffALTER TABLE items ADD COLUMN price int DEFAULT 3;\r\n"))
    assert loaded.statements == 6
    assert ask(target, "SELECT * FROM items WHERE id = 7") == [(7, "it's renamed; really", 3)]
    assert ask(target, "SELECT cheap(3)") == [(4,)]
    assert check(target, files(SETUP)) == []
    drop(target, files(SETUP))


@pytest.mark.parametrize(
    ("bad", "line", "column", "sqlstate", "says"),
    [
        ("SELECT 1;\nSELEC 2;", 2, 1, "42601", 'syntax error at or near "SELEC"'),
        ("SELECT 1,\n       nothing FROM\n  items;", 2, 8, "42703", 'column "nothing" does not exist'),
        ("\n\n  SELECT * FROM missing;", 3, 17, "42P01", 'relation "missing" does not exist'),
        ("/* é ü; */ SELECT 'ß', wrong", 1, 24, "42703", 'column "wrong"'),
        (
            "INSERT INTO items VALUES (0, 'a');\n INSERT INTO items VALUES (0, 'b');",
            2,
            2,
            "23505",
            "(id)=(0)",
        ),
        ("SELECT 1; SELECT 1/0", 1, 11, "22012", "division by zero"),
        ("CREATE TABLE t (n int;\nSELECT 1;\n", 1, 22, "42601", 'at or near ";"'),
        ("SELECT 1;\nSELECT 'open;\nSELECT 2;", 2, 8, "42601", "unterminated quoted string"),
        ("SELECT 1;\n/* open;\nSELECT 2;", 2, 1, "42601", "unterminated /* comment"),
        ("SELECT 1;\n SELECT $a$ open;\n", 2, 9, "42601", "unterminated dollar-quoted string"),
        ("SELECT 1\n\\copy items from 'x'", 2, 1, "", "psql's"),
        ("SELECT 1;\n COPY items FROM STDIN;\n1\ta\n\\.\n", 2, 2, "", "COPY with data"),
        ("SELECT 1;\0", 1, 10, "", "a NUL character"),
        ("SELECT $1", 1, 8, "42P02", "there is no parameter $1"),
        ("DO $$ BEGIN\n  PERFORM oops;\nEND $$", 1, 1, "42703", "oops"),
        ("SET lock_timeout = '1 parsec'", 1, 1, "22023", "invalid value"),
    ],
)
def test_what_the_server_refuses_is_told_with_its_place(
    target_18: Target, bad: str, line: int, column: int, sqlstate: str, says: str
) -> None:
    refused = refusal(target_18, SETUP, bad)
    assert place(refused) == ("2.sql", line, column)
    assert refused.sqlstate == sqlstate
    assert says in refused.message
    assert str(refused).startswith(f"2.sql:{line}:{column}: in '")
    assert str(refused).endswith("nothing of the files has stayed")
    assert ask(target_18, "SELECT to_regclass('items')") == [(None,)]


def test_a_refusal_is_a_wrong_scenario_to_the_command_line(target_18: Target) -> None:
    refused = refusal(target_18, "SELECT\n  coun(*)\nFROM pg_class")
    assert isinstance(refused, ScenarioError)
    assert refused.exit_code is ExitCode.SCENARIO
    assert str(refused) == (
        "1.sql:2:3: in 'SELECT coun(*) FROM pg_class': expected SQL that the server accepts, found "
        f"'{refused.message}' (SQLSTATE 42883); {refused.problems[0].advice}"
    )


def test_a_constraint_that_is_checked_at_the_end_refuses_the_files(target_18: Target) -> None:
    refused = refusal(
        target_18,
        "CREATE TABLE a (n int PRIMARY KEY);"
        "CREATE TABLE b (n int REFERENCES a DEFERRABLE INITIALLY DEFERRED);\nINSERT INTO b VALUES (5);",
    )
    assert refused.sqlstate == "23503"
    assert not refused.left_behind
    assert ask(target_18, "SELECT to_regclass('a')") == [(None,)]


@pytest.mark.parametrize(
    "outside",
    [
        "VACUUM items",
        "CREATE INDEX CONCURRENTLY ON items (name)",
        "CREATE PROCEDURE p() LANGUAGE plpgsql AS $$ BEGIN COMMIT; END $$; CALL p()",
    ],
)
def test_statements_that_no_transaction_can_hold_run_without_one(target_18: Target, outside: str) -> None:
    notes: list[str] = []
    load(target_18, files(SETUP, outside), notes.append)
    assert notes[1].endswith("running 1.sql, 2.sql without a transaction around it")
    assert ask(target_18, "SELECT count(*) FROM items") == [(100,)]


def test_transactions_of_the_file_are_the_files_own(target: Target) -> None:
    refused = refusal(
        target,
        "BEGIN; CREATE TABLE a (n int); COMMIT;\nBEGIN; CREATE TABLE b (n int); SELECT 1/0; COMMIT;",
    )
    assert place(refused) == ("1.sql", 2, 32)
    assert refused.left_behind
    assert str(refused).endswith("what ran before it has stayed")
    assert ask(target, "SELECT to_regclass('a') IS NULL, to_regclass('b') IS NULL") == [(False, True)]


def test_a_savepoint_needs_no_transaction_of_the_files_own(target_18: Target) -> None:
    refused = refusal(
        target_18,
        "CREATE TABLE a (n int); SAVEPOINT s; DROP TABLE a; ROLLBACK TO s; RELEASE s; TABLE a; SELECT x",
    )
    assert refused.column == 94
    assert not refused.left_behind


def test_a_transaction_that_is_not_ended_is_refused(target_18: Target) -> None:
    refused = refusal(target_18, "CREATE TABLE a (n int);\nBEGIN;\nCREATE TABLE b (n int);")
    assert "end inside a transaction" in refused.message
    assert place(refused) == ("1.sql", 3, 1)
    assert ask(target_18, "SELECT to_regclass('b')") == [(None,)]


def test_files_without_a_statement_do_nothing(target_18: Target) -> None:
    assert load(target_18, files("", " -- nothing\n/* at all; */ ;;")).statements == 0


def test_places_are_right_in_a_database_that_counts_bytes(target_18: Target) -> None:
    ask(target_18, "CREATE DATABASE bytes ENCODING 'SQL_ASCII' TEMPLATE template0")
    try:
        refused = refusal(elsewhere(target_18, "bytes"), "SELECT 'äöü€', wrong")
        assert place(refused) == ("1.sql", 1, 16)
    finally:
        ask(target_18, "DROP DATABASE bytes WITH (FORCE)")


def test_a_data_set_is_a_name_or_files() -> None:
    for name, some in ((None, ()), ("tpcb", (SqlFile("a.sql", ""),))):
        with pytest.raises(ValueError, match="either a name or files"):
            DataSet(name, files=some)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="scale"):
        DataSet("tpcb", 0)
