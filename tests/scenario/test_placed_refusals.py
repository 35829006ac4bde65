"""What a server refused is told with its place in the file, and without secrets."""

from typing import Any

import pytest

from bench.core.errors import Problem, StatementRefused
from bench.scenario.load import placed_refusal

HEAD = """\
scenario: example
purpose: shows where a refusal is placed
workloads:
  - name: load
    target: postgres
    driver: postgres
    arrivals: constant
    rate: 10/s
    operations:
      ask:
"""
TAIL = "\nphases: [{name: steady, for: 1s}]\n"
SQL = ("operations", "ask", "sql")


def refused(loaded: Any, offset: int | None, path: tuple[str | int, ...] = SQL) -> Problem:
    reason = StatementRefused(path, offset, "SQL", "'no such word as hidden'", "correct it")
    return placed_refusal(loaded, 0, reason).problems[0]


@pytest.mark.parametrize(
    ("sql", "offset", "place"),
    [
        ("|\n          SELECT id,\n            nothing,\n            id", 24, (14, 13)),
        ("|-\n\n          SELECT a,\n          b", 11, (14, 11)),
        ("SELECT nothing\n        # SELECT nothing", 7, (11, 21)),
        ("'SELECT nothing'", 7, (11, 22)),
        (">\n          SELECT a,\n          b", 10, (11, 14)),
        ("&x |\n          SELECT a,\n          b", 10, (13, 11)),
        ("SELECT 1", None, (11, 14)),
        ("SELECT 1", 1000, (11, 22)),
    ],
)
def test_a_refusal_has_line_and_column(load: Any, sql: str, offset: int, place: tuple[int, int]) -> None:
    problem = refused(load(f"{HEAD}        sql: {sql}{TAIL}"), offset)
    assert (problem.line, problem.column) == place


def test_the_second_of_two_equal_statements_has_its_own_place(load: Any) -> None:
    loaded = load(f"{HEAD}        transaction:\n          - SELECT 1\n          - SELECT 1{TAIL}")
    problem = refused(loaded, 7, ("operations", "ask", "transaction", 1))
    assert (problem.line, problem.column) == (13, 20)


def test_a_statement_from_the_command_line_has_no_line_of_the_file(load: Any) -> None:
    loaded = load(f"{HEAD}        sql: SELECT 1{TAIL}", ["workloads.load.operations.ask.sql=example"])
    problem = refused(loaded, 0)
    assert (problem.file, problem.line) == ("--set", 0)


@pytest.mark.parametrize("offset", [None, 7])
def test_a_statement_from_the_environment_is_not_shown(load: Any, offset: int | None) -> None:
    loaded = load(f"{HEAD}        sql: SELECT ${{PART}}{TAIL}", environment={"PART": "hidden"})
    problem = refused(loaded, offset)
    assert "hidden" not in str(problem)
    assert "PART" in problem.found
