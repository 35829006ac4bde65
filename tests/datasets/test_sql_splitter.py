"""SQL text cut into statements, held against the rules and against the server's own lexer."""

from collections.abc import Iterator

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.core.sql_splitter import place, statements
from bench.stack.target import Target
from tests.datasets.asking import connect


def texts(sql: str) -> list[str]:
    return [statement.text for statement in statements(sql)]


@pytest.mark.parametrize(
    "one",
    [
        "SELECT 'a;b'",
        "SELECT 'it''s; one'",
        r"SELECT 'back\'",
        r"SELECT E'it\'s; one'",
        r"SELECT e'\\'",
        "SELECT E'a''b;'",
        "SELECT E'one'\n  'two\\';'",
        "SELECT E'one' -- so;\n -- and so;\n\n 'two\\';'",
        r"SELECT some_e'\'",
        r"SELECT U&'\0041;' || B'01' || N';'",
        'SELECT ";" AS "a""; b"',
        "SELECT $$;$$, $a$ $b$ ; $$ $a$",
        "SELECT a$b$c FROM t$;".removesuffix(";"),
        "SELECT 1 -- ; not here\n + 1",
        "SELECT 1 /* ; /* ; */ ; */ + 1",
        "SELECT 1 */* ; */2",
        "SELECT $tag$ ; $tg$ ; $Tag$ ; $tag$",
        "CREATE RULE r AS ON INSERT TO t DO ALSO (SELECT 1; SELECT 2)",
        "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT 2; END",
        "CREATE OR REPLACE PROCEDURE f() LANGUAGE sql\nbegin atomic\n SELECT CASE WHEN 1>0 THEN 2 END; END",
        "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT t.end, 1 AS end FROM t; SELECT 1; END",
        "SELECT $1$2",
        "SELECT é$a$ FROM t",
        'SELECT 1 AS "BEGIN ATOMIC"',
    ],
)
def test_a_semicolon_ends_a_statement_only_where_the_server_sees_it(one: str) -> None:
    assert texts(f"{one};SELECT 2") == [one, "SELECT 2"]
    assert texts(f" ; {one}\n;;\n{one} ; -- end") == [one + "\n", one + " "]


def test_begin_atomic_is_a_body_only_where_a_routine_is_made() -> None:
    assert texts("BEGIN; SELECT atomic; END") == ["BEGIN", " SELECT atomic"[1:], "END"]
    assert len(statements("SELECT begin atomic; SELECT 1")) == 2


def test_words_places_and_client_commands_are_told() -> None:
    copy, other, quoted = statements("COPY t (a) FROM STDIN WITH (FORMAT csv);\n copy t to 'f';SELECT '\\'")
    assert copy.words[:3] == ("COPY", "T", "A")
    assert copy.is_client_copy
    assert not other.is_client_copy
    assert other.words[0] == "COPY"
    assert quoted.backslash == -1
    [client] = statements(" SELECT 1 \\gset")
    assert client.start == 1
    assert client.backslash == 10
    assert place("ab\ncd", 4) == (2, 2)
    assert place("ab", 0) == (1, 1)


WORDS = "BEGIN ATOMIC |CREATE FUNCTION |END| CASE |COPY x FROM STDIN|--|/*|*/|$$|$a$|E'|''"
PIECES = st.sampled_from([*WORDS.split("|"), *"'\"$;()\\-/*eE\nU&.a1é\ufeff\r "])


@given(st.lists(PIECES, max_size=40).map("".join) | st.text(max_size=60))
def test_any_text_is_cut_into_slices_of_itself_in_order(text: str) -> None:
    end = 0
    for statement in statements(text):
        assert statement.start >= end
        assert text[statement.start :].startswith(statement.text)
        assert statement.text.strip(" \t\n\r\f\v;")
        between = text[end : statement.start]
        assert statements(between) == []  # only blanks, comments and semicolons
        end = statement.start + len(statement.text)
        assert end == len(text) or text[end] == ";"
    assert statements(text[end:]) == []


def dollar_quoted(tag: str, body: str) -> str:
    return f"${tag}${body.replace('$', '')}${tag}$"


BODY = st.text(alphabet=" ;'\"$\\abE-*/é\n", max_size=8)
LITERALS = st.one_of(
    BODY.map(lambda body: "'" + body.replace("'", "''") + "'"),
    BODY.map(lambda body: "E'" + body.replace("\\", "\\\\").replace("'", "\\'") + "'"),
    BODY.map(lambda body: "e'" + body.replace("\\", "\\\\").replace("'", "''") + "'\n 'more\\';'"),
    BODY.map(lambda body: '1 AS "x' + body.replace('"', '""') + '"'),
    st.builds(dollar_quoted, st.sampled_from(["", "a", "_b1", "é"]), BODY),
    st.sampled_from(["1", "(2)", "3.5e1", "x'1F'", "U&'\\0041'", "(SELECT 4)", "CASE WHEN true THEN 5 END"]),
)
BLANKS = st.lists(
    st.one_of(
        st.sampled_from([" ", "\n", "\t", "\r\n", ";", " ; "]),
        BODY.map(lambda body: "--" + body.replace("\n", "") + "\n"),
        BODY.map(lambda body: "/*" + body.replace("*", "").replace("/", "") + "/* ; */*/"),
    ),
    max_size=3,
).map("".join)
FILES = st.lists(st.tuples(BLANKS, LITERALS, BLANKS), max_size=6)


@given(FILES)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_server_counts_as_many_statements_in_the_whole_text(
    connection: psycopg.Connection, parts: list[tuple[str, str, str]]
) -> None:
    text = ";".join(f"{before}SELECT {literal} {after}" for before, literal, after in parts)
    cursor = connection.execute(text.encode())
    whole = [cursor.fetchall()] if cursor.description else []
    while cursor.nextset():
        whole += [cursor.fetchall()] if cursor.description else []
    alone = [connection.execute(statement.text.encode()).fetchall() for statement in statements(text)]
    assert alone == whole
    assert len(whole) == len(parts)


SOUP_PIECES = "SELECT |'a|'|''|$$|$a$|$1|a|E'|\\'|--|/*|*/|U&'|; "
SOUP = st.lists(
    st.sampled_from([*SOUP_PIECES.split("|"), *'"()\n;1 +eé$*/-\\']),
    max_size=25,
).map("".join)


@given(SOUP)
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_text_that_the_server_takes_whole_it_takes_in_our_pieces_too(
    connection: psycopg.Connection, text: str
) -> None:
    try:
        cursor = connection.execute(text.encode())
    except psycopg.Error:
        return
    results = 1 if cursor.statusmessage else 0  # an empty statement has none
    while cursor.nextset():
        results += 1 if cursor.statusmessage else 0
    found = statements(text)
    assert len(found) == results
    for statement in found:
        connection.execute(statement.text.encode())


@pytest.fixture(scope="module")
def connection(servers: dict[str, Target]) -> Iterator[psycopg.Connection]:
    opened = connect(servers["postgres"])
    yield opened
    opened.close()
