"""PostgreSQL: prepared statements in the extended protocol, transactions over several round trips."""

from __future__ import annotations

import struct
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from bench.drivers.postgres.statements import ROLLBACK, Statement, statements_of
from bench.drivers.variables import variables_of
from bench.drivers.writer import TemplateWriter, Vocabulary
from bench.plan.program import Program, Step, Template

if TYPE_CHECKING:
    import socket

    from bench.scenario.model import Workload
    from bench.stack.target import Target

_ALL_ROWS = 0


def program(workload: Workload, seed: int, target: Target | None = None) -> Program:  # noqa: ARG001 - the drivers' common form
    """One step for each round trip: Bind, Execute and Sync of a prepared statement.

    Parameters go as text, so that the server takes each for the type that the statement needs. The
    first parameter is what the operation log calls the key.
    """
    statements = statements_of(workload)
    vocabulary = Vocabulary(workload, seed)
    undo = _step(statements[ROLLBACK], vocabulary) if ROLLBACK in statements else None
    templates = [
        Template(
            name,
            tuple(_step(statements[source], vocabulary) for source in operation.all_statements),
            undo=undo if operation.transaction is not None else None,
        )
        for name, operation in workload.operations.items()
    ]
    weights = [operation.weight for operation in workload.operations.values()]
    key = 0 if workload.parameters else -1
    return Program.build(templates, weights, variables_of(workload.parameters), key_variable=key)


def _step(statement: Statement, vocabulary: Vocabulary) -> Step:
    bind = TemplateWriter(vocabulary)
    bind.literal(b"\0" + statement.name.encode() + b"\0" + struct.pack("!hh", 0, len(statement.parameters)))
    for name in statement.parameters:
        content = TemplateWriter(vocabulary)
        content.placeholder(name)
        bind.literal(struct.pack("!i", len(content.content)))
        bind.include(content)
    bind.literal(struct.pack("!h", 0))
    step = TemplateWriter(vocabulary)
    step.literal(b"B" + struct.pack("!i", len(bind.content) + 4))
    step.include(bind)
    step.literal(message(b"E", b"\0" + struct.pack("!i", _ALL_ROWS)) + message(b"S"))
    return Step(bytes(step.content), 1, tuple(step.fields), prepare=_preparation(statement))


def parse(name: str, sql: str) -> bytes:
    """The message that prepares a statement under a name."""
    return message(b"P", f"{name}\0{sql}\0".encode() + b"\0\0")


def _preparation(statement: Statement) -> bytes:
    """Prepare a statement again, after its tables were changed. First without a name: where that fails, the
    old one stays, and the next use of it says so.
    """
    name = statement.name.encode()
    close = message(b"C", b"S" + name + b"\0")
    return parse("", statement.sql) + close + parse(statement.name, statement.sql) + message(b"S")


def message(kind: bytes, body: bytes = b"") -> bytes:
    """One message of the frontend: kind, length, body."""
    return kind + struct.pack("!i", len(body) + 4) + body


async def connect(
    dial: Callable[[], Awaitable[socket.socket]],  # noqa: ARG001 - libpq dials itself
    target: Target,
    workload: Workload,
    *,
    subscriber: bool,
) -> int:
    """A connection that libpq has logged in, with its settings and statements; its descriptor."""
    from bench.drivers.postgres.connection import open_connection

    assert not subscriber
    return await open_connection(target, workload)


def prepare(target: Target, workload: Workload, seed: int) -> None:  # noqa: ARG001 - the drivers' common form
    """Have the server look at every statement once. Raises TargetError, StatementRefused."""
    from bench.drivers.postgres.dry_run import rehearse

    rehearse(target, workload)
