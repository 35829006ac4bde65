"""The server's own count of the transactions in a database: pg_stat_database.

A session hands its counts over when it ends, and only now and then before. So we read when no session
is left in the database, from another database, where our own questions are not counted.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bench.stack.probes.postgres import libpq_parameters
from tests.benchmarks.peers.contestant import TurnFailed

if TYPE_CHECKING:
    from bench.stack.target import Target

WATCHED_FROM = "postgres"
"""A database that every server has, and no contestant uses."""

LIMIT_S = 30.0
POLL_S = 0.005

SESSIONS = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s"
COUNTS = "SELECT xact_commit, xact_rollback FROM pg_stat_database WHERE datname = %s"


@dataclass(frozen=True)
class Transactions:
    """Committed and rolled back, since the server's statistics began."""

    committed: int
    rolled_back: int

    def __sub__(self, other: Transactions) -> Transactions:
        return Transactions(self.committed - other.committed, self.rolled_back - other.rolled_back)


def transactions_of(target: Target) -> Transactions:
    """The counts of the target's database, once nobody is in it. Raises TurnFailed."""
    import psycopg

    database = target.database
    elsewhere = libpq_parameters(replace(target, database=WATCHED_FROM))
    try:
        with psycopg.connect(**elsewhere, autocommit=True) as connection:  # type: ignore[arg-type]  # only text
            limit = time.monotonic() + LIMIT_S
            while _number(connection.execute(SESSIONS, (database,)).fetchone(), 0) > 0:
                if time.monotonic() > limit:
                    raise TurnFailed(f"someone was still in the database after {LIMIT_S:.0f} s")
                time.sleep(POLL_S)
            row = connection.execute(COUNTS, (database,)).fetchone()
            return Transactions(_number(row, 0), _number(row, 1))
    except psycopg.Error as error:
        raise TurnFailed(
            f"the server does not tell its counts: {error.diag.message_primary or error}"
        ) from None


def _number(row: tuple[object, ...] | None, column: int) -> int:
    assert row is not None
    return int(str(row[column]))
