"""Before the run every statement is shown to the server once, so that a mistake is reported with its place.

No statement is given a name, and behind a pooler all of it happens in one transaction, which is rolled back:
nothing stays behind on a connection that is handed on.
"""

from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from functools import partial

import psycopg
from psycopg import pq

from bench.core.errors import StatementRefused
from bench.core.sanitize import redacted
from bench.drivers.postgres.connection import (
    is_pooled,
    leave_mark,
    refusal_of,
    refuse_settings,
    takes_marks_over,
)
from bench.drivers.postgres.wire import Statement, source_position, statements_of
from bench.engine.api import PlacedStep, steps_at
from bench.scenario.problems import Path
from bench.scenario.workloads import Workload
from bench.stack.probes.postgres import conninfo, probe_postgres
from bench.stack.target import Target

CONNECT_TIMEOUT_S = "5"
CANCEL_S = 2.0


def rehearse(target: Target, workload: Workload) -> None:
    """Log in, make the settings, prepare every statement; nothing is executed.

    Raises TargetError where the server cannot be reached or takes too few connections,
    StatementRefused for a setting or a statement that it does not accept.
    """
    refuse_settings(target, workload)
    facts = probe_postgres(target)
    how = conninfo(target, connect_timeout=CONNECT_TIMEOUT_S, client_encoding="UTF8")
    try:
        is_declared = has_pooler = target.pooler != "none"
        if not is_declared:
            with psycopg.connect(how, autocommit=True) as connection:
                has_pooler = is_pooled(connection)
                if has_pooler:
                    leave_mark(connection)
        if not has_pooler:
            _expect_room(target, workload, facts.max_connections)
        with psycopg.connect(how, autocommit=True) as connection:
            if has_pooler and not is_declared and takes_marks_over(connection):
                raise refusal_of(target)
            # Undone where the connection is not ours; elsewhere it would count among the server's rollbacks.
            with connection.transaction(force_rollback=True) if has_pooler else nullcontext():
                for name, value in workload.session.items():
                    _make_setting(connection, target, name, value)
                for path, step in steps_at("connect", workload.connect):
                    carry_out(connection, target, path, step)
                for statement in statements_of(workload).values():
                    _prepare(connection.pgconn, statement)
    except psycopg.OperationalError as error:
        said = " ".join(str(error).split()) or "no reason given"
        raise target.error(
            "a PostgreSQL that looks at the statements",
            f"'{redacted(said, [target.password])}'",
            "look into the server's log",
        ) from None


def _expect_room(target: Target, workload: Workload, free: int | None) -> None:
    """Raise TargetError for more connections than the server takes; a pooler takes what it likes."""
    is_wire = workload.engine == "wire"
    wanted, fewer = (workload.lanes, "fewer lanes") if is_wire else (workload.pool, "a smaller pool")
    if free is not None and wanted > free:
        raise target.error(
            f"room for {wanted} connections of the workload {workload.name}",
            f"a server that takes {free} in all",
            f"use {fewer}, or raise its max_connections",
        )


def _make_setting(connection: psycopg.Connection, target: Target, name: str, value: str) -> None:
    try:
        connection.execute("SELECT pg_catalog.set_config(%s, %s, false)", (name, value))
    except psycopg.OperationalError:
        raise
    except psycopg.Error as error:
        said = " ".join((error.diag.message_primary or str(error)).split())
        raise StatementRefused(
            ("session", name),
            None,
            "a setting that the server knows and accepts",
            f"'{said}' (SQLSTATE {error.sqlstate})",
            f"correct it; the server is {target.address}",
        ) from None


def _prepare(connection: pq.abc.PGconn, statement: Statement) -> None:
    result = connection.prepare(b"", statement.sql.encode())
    if result.status == pq.ExecStatus.COMMAND_OK:
        return
    severity = result.error_field(pq.DiagnosticField.SEVERITY_NONLOCALIZED)
    if connection.status != pq.ConnStatus.OK or severity in (None, b"FATAL", b"PANIC"):
        # It hung up, which says nothing of the statement.
        said = max(result.error_message, connection.error_message, key=len)
        raise psycopg.OperationalError(said.decode(errors="replace").strip())

    def field(which: pq.DiagnosticField) -> str:
        return (result.error_field(which) or b"").decode(errors="replace")

    position = field(pq.DiagnosticField.STATEMENT_POSITION)
    offset = source_position(statement, int(position) - 1) if position.isdigit() else None
    hint = field(pq.DiagnosticField.MESSAGE_HINT).rstrip(".")
    raise StatementRefused(
        statement.place,
        offset,
        "SQL that the server accepts",
        f"'{field(pq.DiagnosticField.MESSAGE_PRIMARY)}' (SQLSTATE {field(pq.DiagnosticField.SQLSTATE)})",
        hint or "correct the statement, or name the data set that has its tables",
    )


def carry_out(connection: psycopg.Connection, target: Target, path: Path, sql: str) -> None:
    """Execute a step of the scenario. Raises StatementRefused, psycopg.OperationalError."""
    try:
        connection.execute(sql.encode())
    except psycopg.Error as error:
        if error.sqlstate is None or error.sqlstate.startswith(("08", "57P")):
            raise psycopg.OperationalError(str(error)) from None
        said = " ".join((error.diag.message_primary or str(error)).split())
        position = error.diag.statement_position
        raise StatementRefused(
            path,
            int(position) - 1 if position else None,
            "SQL that the server accepts",
            f"'{redacted(said, [target.password])}' (SQLSTATE {error.sqlstate})",
            (error.diag.message_hint or "").rstrip(".") or "correct the statement",
        ) from None


def perform(
    target: Target,
    workload: Workload,
    steps: Sequence[PlacedStep],
    opened: Callable[[Callable[[], None]], None],
) -> None:
    """Have SQL carried out, each step by itself; see StepDriver."""
    ours = {"application_name": f"holdfast-{workload.name}", "client_encoding": "UTF8"}
    try:
        with psycopg.connect(
            conninfo(target, connect_timeout=CONNECT_TIMEOUT_S, **ours), autocommit=True
        ) as connection:
            connection.prepare_threshold = None
            opened(partial(_abandon, connection))
            for path, step in steps:
                carry_out(connection, target, path, step)
    except psycopg.OperationalError as error:
        said = " ".join(str(error).split()) or "no reason given"
        expected = f"a PostgreSQL that carries out {steps[0].path[0]}"
        raise target.error(
            expected, f"'{redacted(said, [target.password])}'", "look into the server's log"
        ) from None


def _abandon(connection: psycopg.Connection) -> None:
    """What still runs there ends, so that it holds no lock against what undoes it."""
    with suppress(psycopg.Error):
        connection.cancel_safe(timeout=CANCEL_S)
    connection.close()
