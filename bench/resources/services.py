"""What services report about themselves, asked in separate threads: one that does not answer delays no
other.

A Redis reports its memory and clients (INFO), a Postgres its connections, waits and transactions. The
session that asks a Postgres is in another database than the one under load, because its queries are
transactions too: what pg_stat_database counts of the loaded database stays the load's alone.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from typing import TYPE_CHECKING, Any, Protocol

from bench.stack.probes.connection import ProbeError
from bench.stack.probes.postgres import libpq_parameters
from bench.stack.probes.redis import ErrorReply, RespClient

if TYPE_CHECKING:
    import psycopg

    from bench.stack.target import Target


GIVEN_UP_S = 2.0
"""A question older than this is broken off."""


class Service(Protocol):
    """Something that can be asked for figures."""

    def ask(self) -> dict[str, float]:
        """The figures now, by column; none where there is no answer."""

    def abort(self) -> None:
        """Break off a question that is under way; called from another thread."""


class Poller:
    """One question at a time: `begin` it, and take the `answer` if it comes soon enough."""

    def __init__(self, name: str, service: Service) -> None:
        self._service = service
        self._begun = threading.Event()
        self._ended = threading.Event()
        self._ended.set()
        self._begun_s = 0.0
        self._answer: dict[str, float] = {}
        self._is_closed = False
        self.cpu_ns = 0
        """What asking has cost us so far."""
        self._thread = threading.Thread(target=self._run, name=f"ask-{name}", daemon=True)
        self._thread.start()

    def begin(self) -> None:
        """Ask, unless the question before has no answer yet; one without for long is broken off."""
        if not self._ended.is_set():
            if time.monotonic() - self._begun_s > GIVEN_UP_S:
                self._service.abort()
            return
        self._ended.clear()
        self._begun_s = time.monotonic()
        self._answer = {}
        self._begun.set()

    def answer(self, within_s: float) -> dict[str, float]:
        """What was answered to the last question, once; nothing when it takes longer than so many seconds."""
        if not self._ended.wait(max(within_s, 0.0)):
            return {}
        answer, self._answer = self._answer, {}
        return answer

    def close(self, within_s: float = GIVEN_UP_S) -> None:
        """End the thread; a question that does not end is broken off."""
        self._is_closed = True
        self._begun.set()
        if not self._ended.wait(within_s):
            self._service.abort()
        self._thread.join(within_s)

    def _run(self) -> None:
        while True:
            self._begun.wait()
            self._begun.clear()
            if self._is_closed:
                break
            try:
                self._answer = self._service.ask()
            except Exception:  # noqa: BLE001 - whatever a server or its library does, the samples go on
                self._answer = {}
            self.cpu_ns = time.thread_time_ns()
            self._ended.set()
        if close := getattr(self._service, "close", None):
            close()
        self._ended.set()


DEADLINE_S = 1.0
SECTIONS = ("memory", "clients", "stats")
COLUMNS = {
    "used_memory": "used_memory_bytes",
    "used_memory_rss": "used_memory_rss_bytes",
    "mem_fragmentation_ratio": "fragmentation_ratio",
    "connected_clients": "clients",
    "evicted_keys": "evicted_keys",
}
"""Field of INFO -> column of resources.csv."""


class RedisInfo:
    """Asks over a new connection each time: a server that was unreachable needs no other care."""

    def __init__(self, target: Target) -> None:
        self._target = target

    def ask(self) -> dict[str, float]:
        """The columns; none while the server is unreachable, or does not allow this user to ask."""
        try:
            with RespClient.logged_in(self._target, DEADLINE_S) as server:
                sections = [server.ask("INFO", section) for section in SECTIONS]
        except (ProbeError, ErrorReply):
            return {}
        return redis_columns("\n".join(str(text) for text in sections))

    def abort(self) -> None:
        """Nothing to do: no question outlasts its deadline."""


def redis_columns(info: str) -> dict[str, float]:
    """The columns that stand in a text of INFO; our own connection is not among the clients."""
    found: dict[str, float] = {}
    for line in info.split("\n"):
        name, _, text = line.partition(":")
        if name in COLUMNS:
            try:
                found[COLUMNS[name]] = float(text)
            except ValueError:
                continue
    if "clients" in found:
        found["clients"] = max(found["clients"] - 1, 0)
    return found


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
