"""A connection to load, check or drop with, what its errors mean to a user, and a run's claim on a data
set.

A run claims a data set while it is running, and no other run takes it away meanwhile. The claim is a
shared advisory lock, held by a separate session that does nothing else; it goes with the run's
process, however that ends. Claims are made and looked up under the loaders' lock, so that nothing can
happen in between.
"""

import contextlib
import zlib
from collections.abc import Iterator

import psycopg
from psycopg import IsolationLevel

from bench.core.errors import TargetError
from bench.core.sanitize import redacted
from bench.stack.probes.postgres import conninfo, probe_postgres
from bench.stack.target import Target

CONNECT_TIMEOUT_S = 10
LOCK_DEADLINE_S = 60.0
"""How long to wait for another loader, and for others' locks on the tables."""

LOADERS_LOCK = (0x484F4C44, 1)
"""The advisory lock of all loaders in a database; the first number is HOLD in ASCII."""

_SETTINGS = {
    "statement_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "transaction_timeout": "0",
    "standard_conforming_strings": "on",  # as the splitter of SQL files reads them
}


@contextlib.contextmanager
def connected(
    target: Target, expected: str, *, autocommit: bool = False, snapshot: bool = False
) -> Iterator[psycopg.Connection]:
    """A connection whose transaction is the caller's to commit; what is not committed is undone.

    expected: what the caller does, for the message, as in "the data set to be loaded".
    snapshot: all statements see one moment, and nothing can be written.
    Raises TargetError for whatever the server or the network says meanwhile.
    """
    if autocommit and target.pooler == "transaction":
        raise target.error(
            f"a session for {expected}, because it cannot be one transaction",
            "a pooler in transaction mode",
            "name the server itself in the URL, or write the files so that they fit into one transaction",
        )
    try:
        connection = _connect(target)
    except psycopg.Error as error:
        raise _no_connection(target, error) from None
    with contextlib.closing(connection):
        try:
            connection.autocommit = autocommit
            connection.prepare_threshold = None
            connection.isolation_level = (
                IsolationLevel.REPEATABLE_READ if snapshot else IsolationLevel.READ_COMMITTED
            )
            connection.read_only = snapshot
            _set_up(connection, is_local=target.pooler == "transaction")
            yield connection
        except psycopg.Error as error:
            raise target_error(target, error, expected) from error


def unshared(target: Target, expected: str) -> psycopg.Connection:
    """A session that does one thing for long, each statement by itself; the caller closes it.

    Behind a pooler in transaction mode it is one transaction, which keeps its connection of the server.
    Raises TargetError.
    """
    try:
        connection = _connect(target)
    except psycopg.Error as error:
        raise _no_connection(target, error) from None
    try:
        connection.autocommit = target.pooler != "transaction"
        connection.prepare_threshold = None
        if not connection.autocommit:
            connection.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
            return connection
        if connection.info.server_version >= 140_000:
            connection.execute("SET idle_session_timeout = 0")
    except psycopg.Error as error:
        connection.close()
        raise target_error(target, error, expected) from error
    return connection


def take_loaders_lock(connection: psycopg.Connection, target: Target, *, session: bool) -> None:
    """Wait until no other loader works in this database. Raises TargetError after the deadline.

    Held to the end of the transaction, or of the session where there are to be several transactions.
    """
    function = "pg_advisory_lock" if session else "pg_advisory_xact_lock"
    try:
        connection.execute(f"SELECT pg_catalog.{function}(%s, %s)", LOADERS_LOCK)
    except psycopg.errors.LockNotAvailable:
        connection.rollback()
        raise target.error(
            f"the only loader of data sets in this database within {LOCK_DEADLINE_S:g} s",
            f"another one that still works ({_holder(connection)})",
            "wait for it; where nothing runs any more, end it with SELECT pg_terminate_backend(pid)",
        ) from None


def target_error(target: Target, error: psycopg.Error, expected: str) -> TargetError:
    """What the server said, with what to do about it."""
    said = first_line(error, target)
    code = f" (SQLSTATE {error.sqlstate})" if error.sqlstate else ""
    return target.error(expected, f"'{said}'{code}", _advice(error))


def first_line(error: psycopg.Error, target: Target) -> str:
    """The server's message in one line, without a secret."""
    text = " ".join((error.diag.message_primary or str(error)).split()) or type(error).__name__
    return redacted(text, [target.password])


def is_of_the_target(error: psycopg.Error) -> bool:
    """Whether it is the connection, the server's state or its resources, not the statement."""
    state = error.sqlstate
    if state is None:
        return isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
    return state[:2] in ("08", "53", "58", "XX") or state.startswith("57P")


def _connect(target: Target) -> psycopg.Connection:
    timeout = dict(target.options).get("connect_timeout", str(CONNECT_TIMEOUT_S))
    ours = {"application_name": "holdfast-datasets", "client_encoding": "UTF8"}
    return psycopg.connect(conninfo(target, connect_timeout=timeout, **ours))


def _set_up(connection: psycopg.Connection, *, is_local: bool) -> None:
    """`is_local`: for the first transaction alone; the session is another's afterwards."""
    command = "SET LOCAL" if is_local else "SET"
    for name, value in {**_SETTINGS, "lock_timeout": str(round(LOCK_DEADLINE_S * 1000))}.items():
        if name != "transaction_timeout" or connection.info.server_version >= 170_000:
            connection.execute(f"{command} {name} = {value}".encode())
    if not connection.autocommit and not is_local:
        connection.commit()  # a rollback later would take the settings with it


def _holder(connection: psycopg.Connection) -> str:
    row = connection.execute(
        "SELECT a.pid, a.application_name FROM pg_catalog.pg_locks l"
        " JOIN pg_catalog.pg_stat_activity a USING (pid)"
        " WHERE l.locktype = 'advisory' AND l.granted AND l.classid = %s AND l.objid = %s"
        " AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())",
        LOADERS_LOCK,
    ).fetchone()
    return f"server process {row[0]}, application '{row[1]}'" if row else "it has just ended"


def _no_connection(target: Target, error: psycopg.Error) -> TargetError:
    """The probe knows best why a Postgres does not let us in."""
    try:
        probe_postgres(target)
    except TargetError as reason:
        return reason
    advice = "check that the server runs, and the host, port, user and database in the URL"
    expected = "a Postgres that lets us in"
    return target.error(expected, f"'{first_line(error, target)}'", advice)


def _advice(error: psycopg.Error) -> str:
    state = error.sqlstate or ""
    hint = (error.diag.message_hint or "").rstrip(".")
    if state == "42501":
        return (
            "GRANT CREATE ON the schema (for the app set: ON the database) to this user,"
            " or name the owner of the tables in the URL"
        )
    if state == "25006":
        return "name the primary server and a database that can be written to"
    if state == "55P03":
        return "end what holds a lock on the tables, and try again"
    if state == "2BP01":
        return "drop what was built upon the tables of the data set, and try again"
    if state == "53100":
        return "make room on the server's disk, or choose a smaller scale"
    if state.startswith("53"):
        return hint or "look at the server's limits: connections, memory, disk"
    if not state or state.startswith(("08", "57P")):
        return "look at the server's log: the connection ended in the middle"
    return hint or "look at the server's log"


_TAKE = "SELECT pg_catalog.pg_advisory_lock_shared(%s, %s)"
_TAKE_IN_TRANSACTION = "SELECT pg_catalog.pg_advisory_xact_lock_shared(%s, %s)"
_HOLDERS = (
    "SELECT a.pid FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_stat_activity a USING (pid)"
    " WHERE l.locktype = 'advisory' AND l.granted AND l.classid = %s AND l.objid = %s AND l.objsubid = 2"
    " AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())"
    " ORDER BY a.pid"
)


class Claim:
    """One run's use of one data set. Raises TargetError where no session for it can be had."""

    def __init__(self, target: Target, name: str) -> None:
        self._key = lock_of(name)
        self._session = unshared(target, f"the data set {name} to be claimed")

    def take(self) -> None:
        """From now on the set is in use. The caller holds the loaders' lock."""
        self._session.execute(_TAKE if self._session.autocommit else _TAKE_IN_TRANSACTION, self._key)

    def give_back(self) -> None:
        """The set is free when this returns. A server that was unreachable meanwhile has freed it already."""
        with contextlib.suppress(psycopg.Error):
            if self._session.autocommit:
                self._session.execute("SELECT pg_catalog.pg_advisory_unlock_all()")
            else:
                self._session.rollback()
        self.close()

    def close(self) -> None:
        """The set is free soon, without waiting for a server that may be stopped. Idempotent."""
        with contextlib.suppress(psycopg.Error):
            self._session.close()


def lock_of(name: str) -> tuple[int, int]:
    """The advisory lock of a data set by its name: the loaders' first number, and one of 31 bits."""
    return LOADERS_LOCK[0], zlib.crc32(name.encode()) >> 1


def refuse_while_used(connection: psycopg.Connection, target: Target, name: str, to: str) -> None:
    """Raise TargetError while a run uses the set. The caller holds the loaders' lock."""
    holders = [str(row[0]) for row in connection.execute(_HOLDERS, lock_of(name)).fetchall()]
    if holders:
        raise target.error(
            f"the data set {name} to be in use by no other run, so that it can be {to}",
            f"another run at work on it (server process {', '.join(holders)})",
            "wait until that run has ended, or name another database in the URL",
        )
