"""Whether a pooler stands before a Postgres, and whether it takes the connection away between transactions.

A pooler invents the process id that a client is told at its log-in; the server's own says another. In
transaction mode what one client sets for its session is there for the next: statements and settings that a
workload prepares once for each connection then belong to whoever comes next.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.core.errors import TargetError

if TYPE_CHECKING:
    import psycopg

    from bench.stack.target import Target

MARK = "holdfast.pooled"
NO_OWN_STATEMENT = ("42P05", "26000")
"""SQLSTATE: a prepared statement is there already, or is not there: what a transaction pool makes of them."""


def is_pooled(connection: psycopg.Connection) -> bool:
    """Whether something between us and the server made up the process id of this session."""
    row = connection.execute("SELECT pg_catalog.pg_backend_pid()").fetchone()
    return row is not None and row[0] != connection.info.backend_pid


def leave_mark(connection: psycopg.Connection) -> None:
    """Set something for this session; one that is its own ends with it."""
    connection.execute("SELECT pg_catalog.set_config(%s, 'here', false)", (MARK,))


def takes_marks_over(connection: psycopg.Connection) -> bool:
    """Whether another session's mark is here; then it is wiped off."""
    row = connection.execute("SELECT pg_catalog.current_setting(%s, true)", (MARK,)).fetchone()
    is_there = row is not None and row[0] == "here"
    if is_there:
        connection.execute(f"RESET {MARK}")
    return is_there


def refusal_of(target: Target) -> TargetError:
    """Why a workload cannot run through a pooler in transaction mode."""
    return TargetError(
        target.name,
        target.address,
        "connections that keep the statements prepared and the settings made on them",
        "a pooler in transaction mode, which gives each transaction another connection of the server",
        "pool by session (pool_mode=session of PgBouncer), or name the server itself in the URL",
    )


def is_refusal(said: str) -> bool:
    """Whether a server's error, which begins with its SQLSTATE, is what such a pooler makes of ours."""
    return said.startswith(NO_OWN_STATEMENT)
