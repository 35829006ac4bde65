"""Postgres behind its circuit breaker: a pool, transactions that are tried again, a schema made when
needed.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import asyncpg
from asyncpg.exceptions import (
    DeadlockDetectedError,
    InternalClientError,
    InvalidSchemaNameError,
    PostgresError,
    SerializationError,
    UndefinedTableError,
)
from asyncpg.pool import PoolConnectionProxy

from bench.reference_api.resilience import (
    Bulkhead,
    ComponentBreaker,
    Deadline,
    OutcomeUnknownError,
    UnavailableError,
)
from bench.reference_api.settings import Settings

ADVISORY_LOCK = 0x486F6C6466617374  # "Holdfast"; two that start at once must not both create
STOCK = 1_000_000

REVISION = "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
"""Microseconds rather than 1, 2, 3: a table that is made anew then has newer revisions than what a Redis
still keeps of the one before."""

TABLES = f"""
CREATE SCHEMA IF NOT EXISTS holdfast_api;
CREATE TABLE IF NOT EXISTS holdfast_api.items (
    id bigint PRIMARY KEY,
    revision bigint NOT NULL DEFAULT {REVISION},
    name text NOT NULL,
    price_cents integer NOT NULL CHECK (price_cents >= 0),
    stock bigint NOT NULL CHECK (stock >= 0),
    stocked bigint NOT NULL
) WITH (fillfactor = 70);
COMMENT ON COLUMN holdfast_api.items.stocked IS
    'all that was ever put in stock: stocked = stock + the quantities of all orders, at any time';
CREATE TABLE IF NOT EXISTS holdfast_api.orders (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    idempotency_key text UNIQUE,
    item_id bigint NOT NULL REFERENCES holdfast_api.items,
    quantity integer NOT NULL CHECK (quantity > 0),
    customer text NOT NULL,
    price_cents integer NOT NULL,
    placed_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE IF NOT EXISTS holdfast_api.carts (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer text NOT NULL,
    item_id bigint REFERENCES holdfast_api.items,
    quantity integer NOT NULL DEFAULT 0
);
"""

SEED = """
INSERT INTO holdfast_api.items (id, name, price_cents, stock, stocked)
SELECT n, 'Item ' || n, 100 + n * 7919 % 9900, $2, $2 FROM generate_series(1, $1::bigint) AS n
ON CONFLICT (id) DO NOTHING
"""


async def create_schema(connection: asyncpg.Connection[asyncpg.Record], items: int) -> None:
    """Create what is not there yet, and seed items 1 to `items`. Idempotent."""
    async with connection.transaction():
        await connection.execute("SET LOCAL statement_timeout = 0; SET LOCAL client_min_messages = warning")
        await connection.execute("SELECT pg_advisory_xact_lock($1)", ADVISORY_LOCK)
        # Looked for first: one who may use the tables need not be one who may create a schema.
        if await connection.fetchval("SELECT to_regclass('holdfast_api.carts') IS NULL"):
            await connection.execute(TABLES)
        if await connection.fetchval("SELECT count(*) FROM holdfast_api.items WHERE id <= $1", items) < items:
            await connection.execute(SEED, items, STOCK)
            await connection.execute("ANALYZE holdfast_api.items")


T = TypeVar("T")
Body = Callable[["PoolConnectionProxy[asyncpg.Record]"], Awaitable[T]]

AWAY_CLASSES = ("08", "28", "3D", "53", "57", "58", "XX")
"""SQLSTATE classes that say that the server cannot be used: connection, log-in, no such database, out of
something, shut down or cancelled, the system's errors, internal ones. All others speak of the statement."""

ATTEMPTS = 3
FIRST_PAUSE_S = 0.005
SCHEMA_TIMEOUT_S = 30.0


class Database:
    """Runs statements. Every method raises UnavailableError, never later than its deadline says."""

    def __init__(self, settings: Settings) -> None:
        self.breaker = ComponentBreaker(
            "postgres",
            failures=settings.breaker_failures,
            reset_s=settings.breaker_reset_s,
            is_failure=is_failure,
        )
        self.bulkhead = Bulkhead("postgres", settings.pool)
        self.is_ready = False
        """Whether the schema is there, as far as is known."""
        self._settings = settings
        self._options = connection_options(settings)
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None

    async def query(self, body: Body[T], deadline: Deadline) -> T:
        """Await `body(connection)` outside a transaction: for a single statement."""
        end_s = deadline.database_end_s()
        if not self.is_ready:
            raise self.breaker.unavailable("its schema is not there yet")
        await self.bulkhead.take(end_s)
        try:
            return await self.breaker.call(end_s, self._with_connection, body)
        except (UndefinedTableError, InvalidSchemaNameError):
            self.is_ready = False  # the monitor makes it
            raise self.breaker.unavailable("its schema is gone") from None
        finally:
            self.bulkhead.give()

    async def transaction(self, body: Body[T], deadline: Deadline) -> T:
        """Await `body(connection)` in a transaction; again when Postgres broke it off for others' sake.

        What `body` raises rolls it back. Raises OutcomeUnknownError when it is unknown whether it was
        committed, and UnavailableError when it was not.
        """
        is_committing = False

        async def run(connection: PoolConnectionProxy[asyncpg.Record]) -> T:
            nonlocal is_committing
            is_committing = False
            await connection.execute("BEGIN ISOLATION LEVEL READ COMMITTED")
            try:
                result = await body(connection)
            except Exception as error:
                if not is_failure(error):  # else there is no one to answer
                    await connection.execute("ROLLBACK")
                raise
            is_committing = True
            await connection.execute("COMMIT")
            return result

        for attempt in range(ATTEMPTS):
            try:
                with contextlib.suppress(SerializationError, DeadlockDetectedError):
                    return await self.query(run, deadline)
            except UnavailableError as error:
                if is_committing:
                    raise OutcomeUnknownError(error.component, error.because, error.retry_after_s) from error
                raise
            pause_s = FIRST_PAUSE_S * 2**attempt * random.uniform(0.5, 1.5)  # noqa: S311 - no secret
            if deadline.now_s() + pause_s >= deadline.database_end_s():
                break
            await asyncio.sleep(pause_s)
        raise UnavailableError(
            "postgres", "it broke the transaction off for the sake of others, again and again"
        )

    async def ping(self) -> None:
        """A round trip."""
        await self._with_connection(lambda connection: connection.execute("SELECT 1"))

    async def prepare(self) -> None:
        """Make the schema if it is not known to be there. Raises what went wrong."""
        if self.is_ready:
            return
        async with asyncio.timeout(SCHEMA_TIMEOUT_S):
            connection = await asyncpg.connect(**self._options)
            try:
                await create_schema(connection, self._settings.items)
            finally:
                connection.terminate()
            await self._open_all()
        self.is_ready = True

    async def _open_all(self) -> None:
        """Log in on every connection before there are requests: each costs some milliseconds of computing."""
        if self._pool is None:
            await self.renew()
        pool = self._pool
        assert pool is not None
        connections = []
        try:
            for _ in range(self._settings.pool):
                connections.append(await pool.acquire())  # noqa: PERF401 - cut short, all are given back
        finally:
            for connection in connections:
                await pool.release(connection)

    async def renew(self) -> None:
        """Drop all connections: they may lead to a server that is no more, and nothing would tell of it."""
        if self._pool is not None:
            self._pool.terminate()
        self._pool = await asyncpg.create_pool(
            min_size=0,
            max_size=self._settings.pool + 1,  # the monitor's
            max_queries=2**31,
            max_inactive_connection_lifetime=0,
            reset=_leave_as_it_is,
            **self._options,
        )

    async def close(self) -> None:
        """Drop all connections."""
        if self._pool is not None:
            self._pool.terminate()

    async def _with_connection(self, body: Body[T]) -> T:
        if self._pool is None:
            await self.renew()
        pool = self._pool
        assert pool is not None
        connection = await pool.acquire()
        try:
            return await body(connection)
        except BaseException as error:
            # In the middle of something that is not waited for any more: of no use to anyone.
            if not isinstance(error, Exception) or is_failure(error):
                connection.terminate()
            raise
        finally:
            await pool.release(connection)


def connection_options(settings: Settings) -> dict[str, Any]:
    """Where and how to connect."""
    target = settings.database
    # A statement whose client has given up must not hold its locks for longer than this.
    limit_ms = str(int(settings.deadline_s * 1e3))
    return {
        "host": target.host,
        "port": target.port,
        "user": target.username,
        "password": target.password,
        "database": target.database or None,
        "ssl": target.tls_context() or dict(target.options).get("sslmode"),
        "server_settings": {
            "application_name": "holdfast reference API",
            "statement_timeout": limit_ms,
            "idle_in_transaction_session_timeout": limit_ms,
        },
    }


def is_failure(error: BaseException) -> bool:
    """Whether the error says that Postgres is unavailable, rather than what it thinks of a statement."""
    if isinstance(error, PostgresError):
        return (error.sqlstate or "XX")[:2] in AWAY_CLASSES
    return isinstance(error, OSError | asyncpg.InterfaceError | InternalClientError)


async def _leave_as_it_is(_: object) -> None:
    """No statement here changes its session, so the round trip that would reset it is saved."""
