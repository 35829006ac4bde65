"""What may have made statements wait in a Postgres: locks and who holds them, waits, checkpoints, statements.

All of it is read from its statistics views, over the monitor's own session. What others' sessions do is shown
to members of pg_monitor only, and of a statement only its outline is kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.core.clock import NS_PER_S, monotonic_ns
from bench.resources.services.noticed import Noticed, Notices, outline
from bench.results.activity import (
    BUSY_STATEMENT,
    CHECKPOINT,
    LOCK_WAIT,
    SLOW_STATEMENT,
    UNKNOWN_HOLDER,
    WAIT,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    import psycopg

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
