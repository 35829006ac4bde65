"""PostgreSQL: prepared statements in the extended protocol, transactions over several round trips.

Placeholders of a scenario's statements become numbered parameters; each statement has a name. Behind a pooler
it has none, because a name would stay on a connection that the next client is given: every request then
carries its statement, in the same flight.
"""

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.core.sql_splitter import bare
from bench.drivers.templates import TemplateWriter, Vocabulary, variables_of
from bench.engine.api import PlacedStep
from bench.engine.wire.dialler import Dialler, Stream
from bench.engine.wire.layout import BIG_ENDIAN
from bench.plan.program import Program, Step, Template
from bench.scenario.templates import IDENTIFIER, RUN, SEQUENCE, VALUE, placeholders
from bench.scenario.workloads import Workload
from bench.stack.target import Target

ROLLBACK = "ROLLBACK"
_NOT_PARAMETERS = (VALUE, SEQUENCE, RUN, IDENTIFIER)


@dataclass(frozen=True)
class Statement:
    """One prepared statement."""

    name: str
    """Under which every connection prepares it."""
    sql: str
    """With $1, $2, ... where the placeholders stood."""
    parameters: tuple[str, ...]
    """The placeholder of each $n."""
    place: tuple[str | int, ...]
    """Where it stands in the scenario, from the workload; empty for what we add."""
    source: str
    """As the scenario has it."""


def statements_of(workload: Workload) -> dict[str, Statement]:
    """Every statement of the workload by its text in the scenario, each once, in order."""
    found: dict[str, Statement] = {}
    for name, operation in workload.operations.items():
        for index, source in enumerate(operation.all_statements):
            place: tuple[str | int, ...] = ("operations", name, "sql")
            if operation.transaction is not None:
                is_ours = index in (0, len(operation.transaction) + 1)
                place = () if is_ours else ("operations", name, "transaction", index - 1)
            if source not in found:
                sql, parameters = numbered(source, workload)
                found[source] = Statement(f"holdfast_{len(found)}", sql, parameters, place, source)
        if operation.transaction is not None and ROLLBACK not in found:
            found[ROLLBACK] = Statement(f"holdfast_{len(found)}", ROLLBACK, (), (), ROLLBACK)
    return found


def numbered(source: str, workload: Workload) -> tuple[str, tuple[str, ...]]:
    """The statement with $n for each placeholder outside quotes; a name met again keeps its number."""
    numbers: dict[str, int] = {}
    pieces: list[str] = []
    at = 0
    for name, start, end in placeholders(bare(source)):
        if not is_parameter(name, workload):
            continue
        number = numbers.setdefault(name, len(numbers) + 1)
        pieces += [source[at:start], f"${number}"]
        at = end
    return "".join([*pieces, source[at:]]), tuple(numbers)


def is_parameter(name: str, workload: Workload) -> bool:
    """Whether a name in braces is sent as a parameter; what else stands in braces is SQL."""
    return name in workload.parameters or name in _NOT_PARAMETERS or name.partition(".")[0] in workload.feeds


def source_position(statement: Statement, position: int) -> int:
    """Where character `position` (from 0) of the sent statement stands in the scenario's."""
    sent = original = 0
    code = bare(statement.source)
    numbers = {name: number for number, name in enumerate(statement.parameters, start=1)}
    for name, start, end in placeholders(code):
        if name not in numbers:
            continue
        literal = start - original
        if position < sent + literal:
            break
        sent += literal
        original = start
        size = len(f"${numbers[name]}")
        if position < sent + size:
            return original
        sent += size
        original = end
    return original + position - sent


_ALL_ROWS = 0


def program(workload: Workload, seed: int, target: Target | None = None) -> Program:
    """One step for each round trip: Bind, Execute and Sync of a prepared statement, with Parse before them
    behind a pooler.

    Parameters go as text, so that the server takes each for the type that the statement needs. The
    first parameter is what the operation log calls the key.
    """
    statements = statements_of(workload)
    vocabulary = Vocabulary(workload, seed)
    is_named = target is None or target.pooler == "none"
    undo = _step(statements[ROLLBACK], vocabulary, is_named=is_named) if ROLLBACK in statements else None
    templates = [
        Template(
            name,
            tuple(
                _step(statements[source], vocabulary, is_named=is_named)
                for source in operation.all_statements
            ),
            undo=undo if operation.transaction is not None else None,
        )
        for name, operation in workload.operations.items()
    ]
    weights = [operation.weight for operation in workload.operations.values()]
    key = 0 if workload.parameters else -1
    return Program.build(templates, weights, variables_of(workload), key_variable=key)


def _step(statement: Statement, vocabulary: Vocabulary, *, is_named: bool) -> Step:
    name = statement.name.encode() if is_named else b""
    bind = TemplateWriter(vocabulary)
    bind.literal(b"\0" + name + b"\0" + struct.pack("!hh", 0, len(statement.parameters)))
    for parameter in statement.parameters:
        content = TemplateWriter(vocabulary)
        content.placeholder(parameter)
        bind.size_of(content, BIG_ENDIAN)
        bind.include(content)
    bind.literal(struct.pack("!h", 0))
    step = TemplateWriter(vocabulary)
    if not is_named:
        step.literal(parse("", statement.sql))
    step.literal(b"B")
    step.size_of(bind, BIG_ENDIAN, more=4)
    step.include(bind)
    step.literal(message(b"E", b"\0" + struct.pack("!i", _ALL_ROWS)) + message(b"S"))
    preparation = _preparation(statement) if is_named else b""
    return Step(bytes(step.content), 1, tuple(step.fields), prepare=preparation)


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
    dial: Dialler,
    target: Target,
    workload: Workload,
    *,
    subscriber: bool,
) -> Stream:
    """A connection that libpq has logged in, with its settings and statements."""
    from bench.drivers.postgres.connection import open_connection

    assert not subscriber
    return await open_connection(dial, target, workload)


def prepare(target: Target, workload: Workload, seed: int) -> None:  # noqa: ARG001 - the drivers' common form
    """Have the server look at every statement once. Raises TargetError, StatementRefused."""
    from bench.drivers.postgres.dry_run import rehearse

    rehearse(target, workload)


def perform(
    target: Target,
    workload: Workload,
    steps: Sequence[PlacedStep],
    run_label: int = 0,  # noqa: ARG001 - the statements have it already
    opened: Callable[[Callable[[], None]], None] = lambda _: None,
) -> None:
    """Have SQL carried out, each step by itself; see StepDriver."""
    from bench.drivers.postgres import dry_run

    dry_run.perform(target, workload, steps, opened)
