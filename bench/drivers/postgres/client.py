"""Postgres as an application uses it: asyncpg with a pool, prepared statements and transactions.

asyncpg prepares a statement when a connection first sees it, and keeps it; that costs the first
arrival on each connection a round trip more. Statements, parameters and their values are those of the
wire engine. That one sends every parameter as text; asyncpg takes a Python value of the parameter's
type, so the server is asked for the types once, before the run. Waiting for a connection ends at
planned + deadline, a call at sent + deadline, including its retries and the connection's way back.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from asyncpg import PostgresError, Type
from asyncpg.exceptions import InterfaceError, InternalClientError

from bench.core.answers import FOUND, MISSED
from bench.core.clock import NS_PER_S
from bench.core.errors import StatementRefused, TargetError
from bench.core.sanitize import redacted
from bench.core.sql_splitter import bare
from bench.drivers.postgres import wire as postgres
from bench.drivers.postgres.answers import (
    DEADLOCK_DETECTED,
    READ_ONLY_TRANSACTION,
    SERIALIZATION_FAILURE,
    is_answer,
    is_expected,
    outcome_of,
    sqlstate_of,
    text_of,
)
from bench.drivers.postgres.connection import advice_for_refusal, is_refusal, refusal_of
from bench.drivers.postgres.pool import Lease, WatchedPool, connect_options
from bench.drivers.postgres.wire import Statement, statements_of
from bench.drivers.templates import Draws, TemplateWriter, Vocabulary, Words
from bench.engine.api import ClientDriver
from bench.engine.client.pool import RETURNING, SENT, PendingRequest, PoolMonitor, RunClock, limit_s
from bench.plan.plan import WorkloadPlan
from bench.protocols.state import TEXT_BYTES
from bench.scenario.templates import IDENTIFIER, Choice, placeholders
from bench.stack.target import Target

Maker = Callable[["PendingRequest"], Any]
"""Gives a parameter's value for an arrival."""

_NUMBERS: dict[str, Callable[[int | str], Any]] = {
    "int2": int,
    "int4": int,
    "int8": int,
    "oid": int,
    "numeric": Decimal,
    "float4": float,
    "float8": float,
}
_TEXTS = ("text", "varchar", "bpchar", "name", "char", "unknown")
_BYTES, _UUID, _DATE = "bytea", "uuid", "date"


def makers_of(
    statement: Statement, types: Sequence[Type], vocabulary: Vocabulary, draws: Draws
) -> tuple[Maker, ...]:
    """One maker for each $n of the statement; `types` are those that the server found.

    Raises StatementRefused for a type that is neither a number nor text.
    """
    return tuple(
        _maker(statement, name, wanted.name, _words(name, vocabulary, draws), vocabulary)
        for name, wanted in zip(statement.parameters, types, strict=True)
    )


def _words(name: str, vocabulary: Vocabulary, draws: Draws) -> Words:
    """The text that the wire engine sends for a placeholder."""
    writer = TemplateWriter(vocabulary)
    writer.placeholder(name)
    return Words(writer, draws)


def _maker(statement: Statement, name: str, type_name: str, words: Words, vocabulary: Vocabulary) -> Maker:
    if type_name in _TEXTS or (type_name == _UUID and name == IDENTIFIER):
        return lambda ticket: words.render(ticket).decode()
    if type_name == _BYTES:
        return words.render
    parameter = vocabulary.workload.parameters.get(name)
    if type_name == _DATE and parameter is not None and parameter.date is not None:
        return lambda ticket: date.fromisoformat(words.render(ticket).decode())
    if type_name in _NUMBERS and _fits(vocabulary.choices(name), type_name):
        number_of = _NUMBERS[type_name]
        return lambda ticket: number_of(words.render(ticket).decode())
    number = words.number_maker()
    if type_name not in _NUMBERS or number is None:
        raise StatementRefused(
            statement.place,
            _place_of(statement, name),
            "parameters that are numbers or text, as asyncpg can be given them",
            f"{{{name}}} for the type {type_name}",
            f"cast it in the SQL, such as {{{name}}}::int or {{{name}}}::text, or write engine: wire",
        )
    convert = _NUMBERS[type_name]
    if convert is int:
        return number
    return lambda ticket: convert(number(ticket))


def _fits(choices: Sequence[Choice], type_name: str) -> bool:
    """Whether there are choices, and all of them are numbers of that type."""
    try:
        return bool(choices) and all(_NUMBERS[type_name](str(choice)) is not None for choice in choices)
    except (ValueError, ArithmeticError):
        return False


def _place_of(statement: Statement, name: str) -> int | None:
    """Where a placeholder first stands in the scenario's text."""
    return next((one.start for one in placeholders(bare(statement.source)) if one.name == name), None)


START_S = 10.0
TOO_SLOW = (
    "see what keeps the server, or a pooler that has fewer connections (the run itself needs two more), and "
    "whether this machine is busy with other work (bench doctor)"
)
AWAY = "look into the server's log for why it hung up, and check the address"


def check(target: Target, plan: WorkloadPlan) -> None:
    """Log in, make the settings, have every statement looked at. Raises TargetError, StatementRefused."""
    postgres.prepare(target, plan.workload, plan.seed)


@dataclass(frozen=True)
class Query:
    """A statement with what gives its parameters."""

    sql: str
    makers: tuple[Maker, ...]
    has_rows: bool
    """Whether its answer has columns."""


def touched(tag: str) -> tuple[int, ...]:
    """What a command's tag such as "UPDATE 0" counts as, in columns of a table of answers."""
    _, _, rows = tag.rpartition(" ")
    return (FOUND if int(rows) else MISSED,) if rows.isdecimal() else ()


class PostgresApplication(ClientDriver):
    """One asyncpg pool."""

    def __init__(self, target: Target, plan: WorkloadPlan, watch: PoolMonitor, clock: RunClock) -> None:
        workload = plan.workload
        self._target = target
        self._clock = clock
        self._deadline_ns = workload.deadline_ns
        self._retries = workload.retries
        self._size = workload.pool
        self._vocabulary = Vocabulary(workload, plan.seed)
        self._draws = Draws(plan, clock)
        self._operations = list(workload.operations.values())
        self._statements = statements_of(workload)
        options = connect_options(target, workload, len(self._statements))
        deadline_s = workload.deadline_ns / NS_PER_S
        self.pool = WatchedPool(target, options, watch, deadline_s, workload.first_statements)
        self._queries: list[list[Query]] = []
        self._counts = dict.fromkeys(("rows_received", "serialization_failures", "deadlocks", "retries"), 0)

    async def open(self) -> None:
        """Open every connection of the pool, and ask for the types of all parameters."""
        try:
            async with asyncio.timeout(START_S):
                await self.pool.open()
                queries = await self._ask_for_types()
        except TimeoutError:
            raise self._unopened(f"fewer after {START_S:.0f} s", TOO_SLOW) from None
        except (PostgresError, InterfaceError, InternalClientError, OSError) as error:
            said = self.text_of(error)
            if is_refusal(said):
                raise refusal_of(self._target) from None
            state = sqlstate_of(error)  # none is no word of the server's: it hung up, or is not there
            advice = AWAY if state is None else advice_for_refusal(said, state)
            raise self._unopened(f"'{said}'", advice) from None
        self._queries = [
            # asyncpg says BEGIN and COMMIT by itself.
            [queries[source] for source in operation.transaction or operation.all_statements]
            for operation in self._operations
        ]

    async def _ask_for_types(self) -> dict[str, Query]:
        queries = {}
        async with self.pool.pool.acquire() as connection, connection.transaction():
            for source, statement in self._statements.items():
                prepared = await connection.prepare(statement.sql, name="")
                makers = makers_of(statement, prepared.get_parameters(), self._vocabulary, self._draws)
                queries[source] = Query(statement.sql, makers, bool(prepared.get_attributes()))
        return queries

    def _unopened(self, found: str, advice: str) -> TargetError:
        return self._target.error(f"a pool of {self._size} connections to be opened", found, advice)

    async def call(self, ticket: PendingRequest) -> None:
        """One operation on one connection, which is given back before the call ends."""
        left_ns = self._deadline_ns - (self._clock.now_ns() - ticket.planned_ns)
        lease = await self.pool.acquire(ticket, limit_s(left_ns))
        ticket.sent_ns = self._clock.now_ns()
        ticket.stage = SENT
        try:
            async with asyncio.timeout(limit_s(self._deadline_ns)):
                refusal = await self._carry_out(ticket, lease)
        except BaseException:
            self.pool.give_up(lease)
            raise
        ticket.stage = RETURNING
        if refusal is not None and sqlstate_of(refusal) == READ_ONLY_TRANSACTION:
            self.pool.part_with(lease)
        left_ns = self._deadline_ns - (self._clock.now_ns() - ticket.sent_ns)
        try:
            await self.pool.give_back(lease, limit_s(left_ns))
        finally:
            if refusal is not None:
                raise refusal  # whatever happened on the way back

    async def _carry_out(self, ticket: PendingRequest, lease: Lease) -> Exception | None:
        """Do it, up to `retries` times more where others were in the way. Returns the server's last no."""
        tries = 0
        while True:
            try:
                await self._try(ticket, lease)
            except PostgresError as error:
                if not is_answer(error):
                    raise
                if lease.transaction is not None and lease.connection.is_in_transaction():
                    await lease.transaction.rollback()
                lease.transaction = None
                if not self._may_help(error) or tries >= self._retries:
                    return error
                tries += 1
                self._counts["retries"] += 1
            else:
                return None

    async def _try(self, ticket: PendingRequest, lease: Lease) -> None:
        queries = self._queries[ticket.operation]
        if self._operations[ticket.operation].transaction is None:
            await self._ask(ticket, lease.connection, queries)
            return
        # Not `async with`: leaving that would wait for a server that says nothing. A transaction that is
        # given up is rolled back on the connection's way back.
        lease.transaction = lease.connection.transaction()
        await lease.transaction.start()
        await self._ask(ticket, lease.connection, queries)
        await lease.transaction.commit()
        lease.transaction = None

    async def _ask(self, ticket: PendingRequest, connection: Any, queries: Sequence[Query]) -> None:
        for query in queries:
            parameters = [make(ticket) for make in query.makers]
            if query.has_rows or not parameters:
                await connection.fetch(query.sql, *parameters)
                rows = connection.answers.rows  # of a large answer asyncpg has not all
                # Without parameters asyncpg tells the tag of a simple query only, which is another protocol.
                ticket.answers += (FOUND if rows else MISSED,) if query.has_rows else ()
                self._counts["rows_received"] += rows
            else:
                ticket.answers += touched(await connection.execute(query.sql, *parameters))

    def _may_help(self, error: Exception) -> bool:
        """Whether another try may end better; counts why."""
        sqlstate = sqlstate_of(error)
        self._counts["serialization_failures"] += sqlstate == SERIALIZATION_FAILURE
        self._counts["deadlocks"] += sqlstate == DEADLOCK_DETECTED
        return sqlstate in (SERIALIZATION_FAILURE, DEADLOCK_DETECTED)

    outcome_of = staticmethod(outcome_of)
    is_expected = staticmethod(is_expected)

    def text_of(self, error: BaseException) -> str:
        """SQLSTATE and message, as long as the wire engine keeps them."""
        text = text_of(error)
        text = redacted(text, [self._target.password])
        return text.encode()[:TEXT_BYTES].decode(errors="ignore")

    def counters(self) -> dict[str, int]:
        """As the wire engine names them."""
        return dict(self._counts)

    async def settle(self) -> None:
        """Wait for the connections that were given up."""
        await self.pool.settle()

    async def close(self) -> None:
        """Close the pool, leaked connections too."""
        await self.pool.close()


application = PostgresApplication
"""The client, not yet open."""
