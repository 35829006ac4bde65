"""What a Postgres reports about itself: sessions, transactions, and what may have made statements wait.

All of it is read from its statistics views, over the monitor's own session. What others' sessions do is shown
to members of pg_monitor only, and of a statement only its outline is kept.
"""

from __future__ import annotations

import contextlib
import os
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.core.clock import NS_PER_S, monotonic_ns
from bench.resources.services.noticed import Noticed, Notices, outline
from bench.results.logs import BUSY_STATEMENT, CHECKPOINT, LOCK_WAIT, SLOW_STATEMENT, UNKNOWN_HOLDER, WAIT
from bench.stack.probes.postgres import libpq_parameters

if TYPE_CHECKING:
    from collections.abc import Sequence

    import psycopg

    from bench.stack.target import Target


MAY_SEE = "SELECT pg_has_role(current_user, 'pg_read_all_stats', 'USAGE')"
SESSIONS = """
SELECT pid, coalesce(wait_event_type, ''), coalesce(wait_event, ''), left(query, 512),
       extract(epoch FROM clock_timestamp() - query_start)::float8
FROM pg_stat_activity
WHERE backend_type = 'client backend' AND state = 'active' AND pid <> pg_backend_pid()
  AND (wait_event_type IN ('Lock', 'LWLock', 'IO', 'IPC', 'BufferPin')
       OR query_start < clock_timestamp() - interval '100 ms')
ORDER BY query_start LIMIT 100
"""
HOLDERS = """
SELECT DISTINCT holder.pid, coalesce(holder.state, ''), coalesce(left(holder.query, 512), '')
FROM unnest(%s::int[]) AS waiter CROSS JOIN LATERAL unnest(pg_blocking_pids(waiter)) AS blocking(pid)
JOIN pg_stat_activity AS holder ON holder.pid = blocking.pid
WHERE holder.wait_event_type IS DISTINCT FROM 'Lock'
"""
ASKED_WAITERS = 10
"""For whose holders is asked: looking them up locks the table of locks for a moment."""
CHECKPOINTS = "SELECT num_timed, num_requested, write_time, sync_time FROM pg_stat_checkpointer"
CHECKPOINTS_BEFORE_17 = (
    "SELECT checkpoints_timed, checkpoints_req, checkpoint_write_time, checkpoint_sync_time"
    " FROM pg_stat_bgwriter"
)
CHECKPOINTER = "SELECT wait_event FROM pg_stat_activity WHERE backend_type = 'checkpointer'"
AT_REST = (None, "CheckpointerMain", "")
STATEMENTS_ARE_KEPT = "SELECT to_regclass('pg_stat_statements') IS NOT NULL"
STATEMENTS = """
SELECT queryid, left(query, 512), calls, total_exec_time FROM pg_stat_statements
WHERE dbid = (SELECT oid FROM pg_database WHERE datname = %s) ORDER BY total_exec_time DESC LIMIT 20
"""
STATEMENTS_APART_NS = 5 * NS_PER_S
"""Reading them is the dearest question: the server reads a file for it."""
BUSY_SHARE = 0.1
"""Of one session's time: a statement that took less is not worth a word."""
VERSION_17 = 170_000


@dataclass(frozen=True)
class Session:
    """One active session that waits, or has been at its statement for long."""

    pid: int
    wait_type: str
    wait: str
    query: str
    age_s: float


class PostgresWaits:
    """What happened between one look and the next."""

    def __init__(self, database: str) -> None:
        self.notices = Notices()
        self._database = database
        self._before_ns: int | None = None
        self._checkpoints: Sequence[float] | None = None
        self._statements: dict[int, tuple[int, float]] | None = None
        self._statements_ns = 0
        self._keeps_statements: bool | None = None

    def look(self, connection: psycopg.Connection[Any]) -> None:
        """Ask. Raises psycopg.Error where the server will not answer."""
        if self._before_ns is None:
            self._look_at_rights(connection)
        sessions = [Session(*row) for row in connection.execute(SESSIONS).fetchall()]
        now_ns = monotonic_ns()
        waiters = [one.pid for one in sessions if one.wait_type == "Lock"][:ASKED_WAITERS]
        holders = connection.execute(HOLDERS, (waiters,)).fetchall() if waiters else []
        for noticed in sessions_noticed(now_ns, sessions, holders):
            self.notices.add(noticed)
        self._look_at_checkpoints(connection, now_ns)
        if self._keeps_statements and now_ns - self._statements_ns >= STATEMENTS_APART_NS:
            self._look_at_statements(connection, now_ns)
        self._before_ns = now_ns

    def _look_at_rights(self, connection: psycopg.Connection[Any]) -> None:
        row = connection.execute(MAY_SEE).fetchone()
        if not row or not row[0]:
            self.notices.leave_out("waits of other users' sessions", "this user is no member of pg_monitor")
        row = connection.execute(STATEMENTS_ARE_KEPT).fetchone()
        self._keeps_statements = bool(row and row[0])

    def _look_at_checkpoints(self, connection: psycopg.Connection[Any], now_ns: int) -> None:
        is_new = connection.info.server_version >= VERSION_17
        found = connection.execute(CHECKPOINTS if is_new else CHECKPOINTS_BEFORE_17).fetchone()
        known, self._checkpoints = self._checkpoints, found
        at_work = connection.execute(CHECKPOINTER).fetchone()
        if known is None or found is None or self._before_ns is None:
            return
        timed, asked, wrote_ms, synced_ms = (
            float(now - then) for now, then in zip(found, known, strict=True)
        )
        if wrote_ms + synced_ms > 0 or timed + asked > 0:
            took_ns = int((wrote_ms + synced_ms) * 1e6)
            text = "requested" if asked else "timed"
            self.notices.add(
                Noticed(self._before_ns - took_ns, now_ns, CHECKPOINT, text, took_ns=took_ns or None)
            )
        elif at_work and at_work[0] not in AT_REST:
            self.notices.add(Noticed(self._before_ns, now_ns, CHECKPOINT, "under way"))

    def _look_at_statements(self, connection: psycopg.Connection[Any], now_ns: int) -> None:
        rows = connection.execute(STATEMENTS, (self._database,)).fetchall()
        known, before_ns = self._statements, self._statements_ns
        self._statements = {number: (calls, spent_ms) for number, _, calls, spent_ms in rows}
        self._statements_ns = now_ns
        if known is None:
            return
        for number, text, calls, spent_ms in rows:
            calls_before, spent_before_ms = known.get(number, (0, 0.0))
            ran, took_ms = calls - calls_before, spent_ms - spent_before_ms
            share = took_ms * 1e6 / max(now_ns - before_ns, 1)
            if ran > 0 and share >= BUSY_SHARE:
                mean_ns = int(took_ms * 1e6 / ran)
                self.notices.add(
                    Noticed(before_ns, now_ns, BUSY_STATEMENT, outline(text), ran, mean_ns, share)
                )


def sessions_noticed(
    now_ns: int, sessions: Sequence[Session], holders: Sequence[tuple[int, str, str]]
) -> list[Noticed]:
    """Lock waits with who holds the locks, other waits by event, and statements under way for long."""
    found = []
    locked = [one for one in sessions if one.wait_type == "Lock"]
    if locked:
        longest_ns = int(max(one.age_s for one in locked) * NS_PER_S)
        begun_ns = now_ns - longest_ns
        text = _holder_text(holders)
        found.append(Noticed(begun_ns, now_ns, LOCK_WAIT, text, len(locked), longest_ns))
    waits: dict[str, list[Session]] = {}
    for one in sessions:
        if one.wait_type in ("LWLock", "IO", "IPC", "BufferPin"):
            waits.setdefault(f"{one.wait_type} {one.wait}", []).append(one)
        elif one.wait_type not in ("Lock", "Client"):
            took_ns = int(one.age_s * NS_PER_S)
            begun_ns = now_ns - took_ns
            found.append(Noticed(begun_ns, now_ns, SLOW_STATEMENT, outline(one.query), 1, took_ns))
    for name, waiting in waits.items():
        longest_ns = int(max(one.age_s for one in waiting) * NS_PER_S)
        found.append(Noticed(now_ns - longest_ns, now_ns, WAIT, name, len(waiting), longest_ns))
    return found


def _holder_text(holders: Sequence[tuple[int, str, str]]) -> str:
    """Who holds what others wait for: the state of its session, and the statement that it ran last."""
    if not holders:
        return UNKNOWN_HOLDER
    _, state, query = max(holders, key=lambda one: one[1].startswith("idle in transaction"))
    more = f" and {len(holders) - 1} more" if len(holders) > 1 else ""
    return f"{state or 'a session'}: {outline(query)}{more}"


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
