"""Run the user's SQL files statement by statement, so that a refusal is reported with its place.

All files run in one transaction: one that is refused leaves nothing behind. Two kinds of files cannot:
those that begin and end transactions of their own, and those with a statement that the server does not
run inside one (VACUUM, CREATE DATABASE, CREATE INDEX CONCURRENTLY). They run as they stand, each
statement by itself, and the refusal says that what ran before has stayed.
"""

from collections.abc import Callable
from typing import NamedTuple

import psycopg
from psycopg.pq import TransactionStatus

from bench.core.sql_splitter import Statement, place, statements
from bench.datasets.connection import connected, first_line, is_of_the_target, take_loaders_lock
from bench.datasets.dataset import SqlFile, SqlRefused
from bench.stack.target import Target

_EXPECTED = "the SQL files of the data set to be run"
_OUTSIDE_ONLY = ("25001", "2D000")
"""SQLSTATEs: not inside a transaction block; no COMMIT inside one (CALL, DO)."""
_OWN_TRANSACTION = ("BEGIN", "START", "COMMIT", "END", "ABORT", "ROLLBACK")


class _Step(NamedTuple):
    file: SqlFile
    statement: Statement


class _OutsideOnlyError(Exception):
    """A statement cannot run inside a transaction; never leaves this module."""


def run_files(target: Target, files: tuple[SqlFile, ...], note: Callable[[str], None]) -> int:
    """Run the files in their order; returns the number of statements. Raises TargetError, SqlRefused."""
    steps = [_Step(file, statement) for file in files for statement in statements(file.text)]
    for file in files:
        _refuse_nul(file)
    for step in steps:
        _refuse_client_commands(step)
    names = ", ".join(file.path for file in files)
    note(f"running {names}: {len(steps)} statements")
    if not any(_is_own_transaction(step.statement.words) for step in steps):
        try:
            _run_inside(target, steps)
        except _OutsideOnlyError as reason:
            note(f"{reason}: running {names} without a transaction around it")
        else:
            return len(steps)
    _run_outside(target, steps)
    return len(steps)


def _run_inside(target: Target, steps: list[_Step]) -> None:
    with connected(target, _EXPECTED) as connection:
        take_loaders_lock(connection, target, session=False)
        for step in steps:
            try:
                connection.execute(step.statement.text.encode())
            except psycopg.Error as error:
                if error.sqlstate in _OUTSIDE_ONLY:
                    raise _OutsideOnlyError(first_line(error, target)) from None
                raise _refusal(connection, target, step, error, left_behind=False) from None
        try:
            connection.commit()
        except psycopg.Error as error:  # constraints that are checked at the end
            raise _refusal(connection, target, steps[-1], error, left_behind=False) from None


def _run_outside(target: Target, steps: list[_Step]) -> None:
    with connected(target, _EXPECTED, autocommit=True) as connection:
        take_loaders_lock(connection, target, session=True)
        for number, step in enumerate(steps):
            try:
                connection.execute(step.statement.text.encode())
            except psycopg.Error as error:
                raise _refusal(connection, target, step, error, left_behind=number > 0) from None
        if connection.info.transaction_status != TransactionStatus.IDLE:
            last = steps[-1]
            raise _refused_at(
                last,
                last.statement.start,
                "the files end inside a transaction that they began",
                "write COMMIT at the end",
                left_behind=True,
            )


def _refusal(
    connection: psycopg.Connection, target: Target, step: _Step, error: psycopg.Error, *, left_behind: bool
) -> Exception:
    """The error as it is where it is the target's, otherwise the refusal of the file."""
    if is_of_the_target(error):
        return error
    message = first_line(error, target)
    if error.diag.message_detail:
        message += f": {' '.join(error.diag.message_detail.split())}"
    return _refused_at(
        step,
        step.statement.start + _offset(connection, step.statement.text, error),
        message,
        " ".join((error.diag.message_hint or "").split()),
        sqlstate=error.sqlstate or "",
        left_behind=left_behind,
    )


def _offset(connection: psycopg.Connection, text: str, error: psycopg.Error) -> int:
    """Characters from the statement's start to the place of the error; 0 where the server reports none."""
    position = max(0, int(error.diag.statement_position or 1) - 1)
    if connection.info.parameter_status("server_encoding") == "SQL_ASCII":  # it counts bytes there
        position = len(text.encode()[:position].decode(errors="ignore"))
    return min(position, len(text))


def _refuse_nul(file: SqlFile) -> None:
    at = file.text.find("\0")
    if at >= 0:
        line, column = place(file.text, at)
        raise SqlRefused(
            file.path, line, column, "", "a NUL character", file.text[:at], hint="save the file as UTF-8 text"
        )


def _refuse_client_commands(step: _Step) -> None:
    statement = step.statement
    if statement.backslash >= 0:
        raise _refused_at(
            step,
            statement.backslash,
            "a backslash outside of quotes: commands such as \\copy are psql's, the server has none",
            "leave them out",
        )
    if statement.is_client_copy:
        raise _refused_at(
            step,
            statement.start,
            "COPY with data that comes from the client",
            "write INSERT (pg_dump --inserts does), or generate_series",
        )


def _refused_at(
    step: _Step, offset: int, message: str, hint: str, *, sqlstate: str = "", left_behind: bool = False
) -> SqlRefused:
    line, column = place(step.file.text, offset)
    return SqlRefused(
        step.file.path,
        line,
        column,
        sqlstate,
        message,
        step.statement.text,
        hint=hint,
        left_behind=left_behind,
    )


def _is_own_transaction(words: tuple[str, ...]) -> bool:
    if words[:2] == ("PREPARE", "TRANSACTION"):
        return True
    if words[:1] == ("ROLLBACK",) and "TO" in words[:3]:
        return False  # back to a savepoint, which works inside ours too
    return words[:1] != () and words[0] in _OWN_TRANSACTION
