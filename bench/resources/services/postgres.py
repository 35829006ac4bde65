"""What a Postgres reports about itself: sessions, waits, transactions."""

from __future__ import annotations

import contextlib
import os
import socket
from typing import TYPE_CHECKING, Any

from bench.resources.services.postgres_waits import PostgresWaits
from bench.stack.probes.postgres import libpq_parameters

if TYPE_CHECKING:
    import psycopg

    from bench.stack.target import Target

APPLICATION = "holdfast-monitor"
CONNECT_S = 2
STATEMENT_MS = 500
OWN_DATABASES = ("postgres", "template1")
OWN_OPTIONS = ("application_name", "options", "connect_timeout", "dbname")

ACTIVITY = """
SELECT coalesce(state, 'other'), wait_event_type, count(*) FROM pg_stat_activity
WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() GROUP BY 1, 2
"""
TOTALS = """
SELECT xact_commit, xact_rollback, deadlocks, temp_bytes, blks_hit, blks_read
FROM pg_stat_database WHERE datname = %s
"""
STATES = {
    "active": "active",
    "idle": "idle",
    "idle in transaction": "idle_in_transaction",
    "idle in transaction (aborted)": "idle_in_transaction",
}
"""State of a session -> column; what is neither is in `other_sessions`."""

WAITS = {"Lock": "waiting_lock", "LWLock": "waiting_lwlock", "IO": "waiting_io", "Client": "waiting_client"}
"""Type of wait event of an active session -> column; the others are in `waiting_other`."""


class PostgresActivity:
    """Asks over one separate connection, opened anew when it was lost."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._connection: psycopg.Connection[Any] | None = None
        self._waits = PostgresWaits(target.database or target.username or "")
        self.notices = self._waits.notices

    def ask(self) -> dict[str, float]:
        """The columns; none while the server is unreachable or has no connection to spare."""
        import psycopg

        try:
            connection = self._connection = self._connection or self._connect()
            if self._target.pooler != "none":
                connection.execute(f"SET LOCAL statement_timeout = {STATEMENT_MS}")
            sessions = connection.execute(ACTIVITY).fetchall()
            # An empty name is libpq's default: the database named like the user.
            database = self._target.database or self._target.username or connection.info.user
            totals = connection.execute(TOTALS, (database,)).fetchone()
            self._waits.look(connection)
            if self._target.pooler != "none":
                connection.rollback()
        except (psycopg.Error, OSError):
            self.close()
            return {}
        return postgres_columns(sessions, totals)

    def abort(self) -> None:
        """End a question that a stopped server does not answer; called from another thread."""
        connection = self._connection
        if connection is None or connection.closed:
            return
        with contextlib.suppress(Exception), socket.socket(fileno=os.dup(connection.fileno())) as shared:
            shared.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Give the connection up. Idempotent."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(Exception):
                connection.close()

    def _connect(self) -> psycopg.Connection[Any]:
        import psycopg

        target = self._target
        given = libpq_parameters(target)
        given = {name: value for name, value in given.items() if name not in OWN_OPTIONS}
        is_ours = target.pooler == "none"  # a pooler takes no options, and its sessions are of others too
        others = [name for name in OWN_DATABASES if name != target.database]
        for name in (*others, target.database or None):
            try:
                return psycopg.connect(
                    autocommit=is_ours,
                    prepare_threshold=None,
                    dbname=name,
                    application_name=APPLICATION,
                    connect_timeout=CONNECT_S,
                    options=f"-c statement_timeout={STATEMENT_MS}" if is_ours else None,
                    **given,  # type: ignore[arg-type]  # keywords of libpq, all of them text
                )
            except psycopg.OperationalError as error:
                # Only where the server itself refuses this database is there a point in the next one.
                if not _is_refusal(error):
                    raise
                failure = error
        raise failure


def postgres_columns(
    sessions: list[tuple[str, str | None, int]], totals: tuple[float | None, ...] | None
) -> dict[str, float]:
    """The columns of what the two queries gave."""
    names = (*STATES.values(), "other_sessions", *WAITS.values(), "waiting_other")
    found: dict[str, float] = dict.fromkeys(names, 0)
    for state, wait, count in sessions:
        found[STATES.get(state, "other_sessions")] += count
        if state == "active" and wait is not None:
            found[WAITS.get(wait, "waiting_other")] += count
    if totals is not None:
        commits, rollbacks, deadlocks, temp_bytes, hit, read = (float(value or 0) for value in totals)
        found |= {
            "commits": commits,
            "rollbacks": rollbacks,
            "deadlocks": deadlocks,
            "temp_bytes": temp_bytes,
        }
        if hit + read:
            found["buffer_hit_ratio"] = round(hit / (hit + read), 6)
    return found


def _is_refusal(error: Exception) -> bool:
    words = ("does not exist", "no such database", "permission denied", "no pg_hba")
    return any(word in str(error) for word in words)
