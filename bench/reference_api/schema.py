"""The tables of the reference API in a schema of their own, and the items in them from the start."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncpg

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
"""

SEED = """
INSERT INTO holdfast_api.items (id, name, price_cents, stock, stocked)
SELECT n, 'Item ' || n, 100 + n * 7919 % 9900, $2, $2 FROM generate_series(1, $1::bigint) AS n
ON CONFLICT (id) DO NOTHING
"""


async def create_schema(connection: asyncpg.Connection[asyncpg.Record], items: int) -> None:
    """Create what is not there yet, and seed items 1 to `items`. Again is harmless."""
    async with connection.transaction():
        await connection.execute("SET LOCAL statement_timeout = 0; SET LOCAL client_min_messages = warning")
        await connection.execute("SELECT pg_advisory_xact_lock($1)", ADVISORY_LOCK)
        # Looked for first: one who may use the tables need not be one who may create a schema.
        if await connection.fetchval("SELECT to_regclass('holdfast_api.orders') IS NULL"):
            await connection.execute(TABLES)
        if await connection.fetchval("SELECT count(*) FROM holdfast_api.items WHERE id <= $1", items) < items:
            await connection.execute(SEED, items, STOCK)
            await connection.execute("ANALYZE holdfast_api.items")
