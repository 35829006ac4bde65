"""Connections for the compiled loop: libpq logs in, then the descriptor is ours alone.

Every way to log in that PostgreSQL knows is libpq's business; which of a target's places is tried is the
dialler's. What the loop gets is a connection on which nothing is under way: the settings are made, the
statements prepared, all answers read. TLS is not libpq's, which would keep the keys: once it is connected
we take its place towards the server, and it talks to us (`bench.drivers.postgres.tls_login`).

A pooler before the server invents the process id that a client is given at its log-in; the server's own is
another. In transaction mode what one client sets for its session is there for the next: statements and
settings that a workload prepares once for each connection then belong to the next client. So behind a
pooler that the target names, nothing is prepared, and nothing set but what the workload itself asks for.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import psycopg
from psycopg import pq
from psycopg.pq import ConnStatus, PollingStatus

from bench.core.errors import StatementRefused, TargetError
from bench.core.machine_limits import limit_in
from bench.core.sanitize import redacted
from bench.core.sql_splitter import literals
from bench.drivers.postgres.tls_login import Passage
from bench.drivers.postgres.wire import message, parse, statements_of
from bench.engine.wire.dialler import Dialler, Stream, until_ready
from bench.protocols import postgres
from bench.protocols.state import (
    BROKEN,
    CLASS,
    COMPLETE,
    ERROR_REPLY,
    RESULT,
    STATE_COLUMNS,
    TEXT,
    TEXT_BYTES,
)
from bench.scenario.workloads import Workload
from bench.stack.addresses import Place
from bench.stack.probes.postgres import conninfo
from bench.stack.target import Target

if TYPE_CHECKING:
    from psycopg.pq.abc import PGconn

NOT_YET = ("starting up", "shutting down", "in recovery mode", "not yet accepting connections")
"""What a server says that lets nobody in for a while (57P03): libpq asks the next of several hosts then."""
_ADVICE = (
    (
        (),
        ("max_client_conn",),
        "use fewer lanes, or raise the pooler's limit of clients (max_client_conn)",
    ),
    (
        ("53300",),
        ("too many", "remaining connection slots", "no more connections allowed"),
        "use fewer lanes or a smaller pool, or raise the limit: "
        "max_connections of the server, or that of the role or database",
    ),
    (
        ("57P03",),
        NOT_YET,
        "wait until the server accepts connections; its log says what it is doing",
    ),
    (
        ("28P01",),
        ("password authentication failed", "no password supplied"),
        "check the user and the password in the URL",
    ),
    (
        (),
        ("unsupported startup parameter",),
        "leave that option out of the URL, or have the pooler pass over it (ignore_startup_parameters)",
    ),
    (("3D000",), ("no such database",), "check the database in the URL"),
    (("28000",), ("pg_hba.conf",), "check the user in the URL, and what pg_hba.conf says of this host"),
)
_OTHERWISE = "check user, password and database in the URL; the server's log says more"


def advice_for_refusal(said: str, sqlstate: str | None) -> str:
    """What a reader of `said` should do; libpq often gives no SQLSTATE while it connects."""
    for states, words, advice in _ADVICE:
        if sqlstate in states or any(word in said for word in words):
            return advice
    return _OTHERWISE


_MAKE_SETTING = "SELECT pg_catalog.set_config($1, $2, false)"
_NOTICE_LEAVING = "SET client_connection_check_interval = '1s'"
"""A lane that timed out is closed. Without this the server would continue with what is not waited for, and
keep its locks, as long as it takes.
"""


async def open_connection(dial: Dialler, target: Target, workload: Workload) -> Stream:
    """Log in and make ready; the caller owns the connection.

    Raises OSError where the server is unreachable or breaks off, TargetError where it refuses.
    """
    ours = {"application_name": f"holdfast-{workload.name}", "client_encoding": "UTF8"}

    async def attempt(place: Place, limit_s: float | None) -> Stream:
        try:
            return await _logged_in(dial, target, place, ours, limit_s)
        except psycopg.OperationalError as error:
            raise _refused(target, error) from None

    stream = await dial.first(attempt)
    try:
        if target.pooler == "none":
            # An older server does not know it, and another system may not have it.
            await _asked(stream, message(b"Q", _NOTICE_LEAVING.encode() + b"\0"))
        await _make_ready(stream, target, workload)
    except BaseException:
        stream.close()
        raise
    return stream


async def _logged_in(
    dial: Dialler, target: Target, place: Place, ours: dict[str, str], limit_s: float | None
) -> Stream:
    """The connection that libpq has logged in at a place, which has so long to accept it.

    Raises OSError, psycopg.OperationalError; TargetError for a server without TLS.
    """
    plain = replace(target, tls=None)
    client = pq.PGconn.connect_start(conninfo(plain, place, **ours).encode())
    passage: Passage | None = None
    try:
        async with asyncio.timeout(limit_s):
            while client.status == ConnStatus.STARTED and not _is_connected(client.socket):
                await until_ready(client.socket, writable=True)
                if not _is_connected(client.socket):
                    break  # libpq says why
        if target.tls is not None and client.status == ConnStatus.STARTED and _is_connected(client.socket):
            passage = await Passage.begin(dial, target, client, place.host)
        while True:
            is_bad = client.status == ConnStatus.BAD
            step = PollingStatus.FAILED if is_bad else PollingStatus(client.connect_poll())
            if step == PollingStatus.OK and passage is not None:
                stream, passage = await passage.end(), None
                return stream
            if step == PollingStatus.OK:
                return Stream(_taken_over(client, place))
            if step == PollingStatus.FAILED:
                if passage is not None:
                    passage.raise_failure()
                raise psycopg.OperationalError(client.get_error_message())
            await until_ready(client.socket, writable=step == PollingStatus.WRITING)
    finally:
        if passage is not None:
            await passage.close()
        client.finish()


def _is_connected(fd: int) -> bool:
    with socket.socket(fileno=os.dup(fd)) as connection, contextlib.suppress(OSError):
        connection.getpeername()
        return True
    return False


def _taken_over(client: PGconn, place: Place) -> socket.socket:
    """The connection's socket, no longer libpq's.

    libpq says goodbye to the server when it closes; its descriptor is made to lead nowhere first.
    """
    ours = socket.socket(fileno=os.dup(client.socket))
    ours.setblocking(False)
    if not place.is_file:
        ours.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    here, there = socket.socketpair()
    with here, there:
        os.dup2(here.fileno(), client.socket)
    return ours


async def _make_ready(connection: Stream, target: Target, workload: Workload) -> None:
    """Make every setting and parse every statement under its name. Raises OSError, TargetError."""
    wanted = parse("", _MAKE_SETTING) if workload.session else b""
    for name, value in workload.session.items():
        texts = [name.encode(), value.encode()]
        bound = b"".join(struct.pack("!i", len(text)) + text for text in texts)
        wanted += message(b"B", b"\0\0" + struct.pack("!hh", 0, len(texts)) + bound + struct.pack("!h", 0))
        wanted += message(b"E", b"\0" + struct.pack("!i", 0))
    for index, step in enumerate(workload.first_statements):
        said = await _asked(connection, message(b"Q", step.encode() + b"\0"))
        if said is not None:
            shown = redacted(said, [target.password, *literals(step)])
            advice = "correct it, or look into the server's log"
            raise target.error(f"connect[{index}] to be carried out", f"the answer '{shown}'", advice)
    if target.pooler == "none":
        for one in statements_of(workload).values():
            wanted += parse(one.name, one.sql)
    elif not wanted:
        return  # a pooler that has nothing to do keeps no connection of the server for us
    said = await _asked(connection, wanted + message(b"S"))
    if said is not None and is_refusal(said):
        raise refusal_of(target)
    if said is not None:
        raise target.error(
            "every setting to be made and every statement of the workload to be prepared",
            f"the answer '{said}'",
            "look into the server's log",
        )


async def _asked(connection: Stream, wanted: bytes) -> str | None:
    """Send a request, read the answer to its end; the error in it, None where there is none."""
    await connection.send(wanted)
    state = np.zeros(STATE_COLUMNS, dtype=np.int64)
    text = np.zeros(TEXT_BYTES, dtype=np.uint8)
    while True:
        data = await connection.receive()
        if not data:
            raise ConnectionResetError("the server closed the connection while it was made ready")
        received = np.frombuffer(bytearray(data), dtype=np.uint8)  # writable, as the loop has it
        used = postgres.scan(state, received, 0, received.size, text)
        if state[RESULT] == BROKEN or (state[RESULT] == COMPLETE and used < received.size):
            raise ConnectionResetError("the server sent bytes that are none of PostgreSQL's protocol")
        if state[RESULT] == COMPLETE:
            break
    if state[CLASS] == ERROR_REPLY:
        return text[: state[TEXT]].tobytes().decode(errors="replace")
    return None


def _refused(target: Target, error: psycopg.Error) -> Exception:
    """A server that is unreachable, or a limit of ours, is an OSError; one that says no a TargetError."""
    said = " ".join((error.diag.message_primary or str(error)).split())
    said = redacted(said, [target.password])
    if (limit := limit_in(error)) is not None:
        return OSError(limit, said)
    if error.sqlstate is None and not isinstance(error, psycopg.ProgrammingError) and "FATAL" not in said:
        return ConnectionRefusedError(said)
    return target.error(
        "a PostgreSQL that takes one more connection",
        f"'{said}'",
        advice_for_refusal(said, error.sqlstate),
        "starting" if any(word in said for word in NOT_YET) else None,
    )


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
    """Why a workload cannot run through a pooler in transaction mode that the target does not name."""
    return target.error(
        "connections that keep the statements prepared and the settings made on them",
        "what looks like a pooler in transaction mode, which gives each transaction another connection",
        "declare `pooler: transaction` for the target in the stack file; or pool by session "
        "(pool_mode=session of PgBouncer), or name the server itself in the URL",
    )


def refuse_settings(target: Target, workload: Workload) -> None:
    """Raise StatementRefused for what a workload does on a connection that a pooler would hand to others."""
    if target.pooler == "transaction" and workload.connect:
        raise StatementRefused(
            ("connect", 0),
            None,
            "nothing to be done on each connection behind a pooler in transaction mode",
            f"a statement, and {target.name} with `pooler: transaction`",
            "set it for the role (ALTER ROLE ... SET ...), or by SET LOCAL in the operation's transaction",
        )
    if target.pooler == "none" or not workload.session:
        return
    if target.pooler == "session" and workload.engine == "wire":
        return
    raise StatementRefused(
        ("session", next(iter(workload.session))),
        None,
        "no settings of the session behind a pooler in transaction mode"
        if target.pooler == "transaction"
        else "no settings of the session where asyncpg logs in through a pooler, which takes none",
        f"a setting, and {target.name} with `pooler: {target.pooler}`",
        "set it for the role (ALTER ROLE ... SET ...), or by SET LOCAL in the operation's transaction",
    )


def is_refusal(said: str) -> bool:
    """Whether a server's error, which begins with its SQLSTATE, is what such a pooler makes of ours."""
    return said.startswith(NO_OWN_STATEMENT)
