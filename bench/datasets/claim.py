"""Who uses a data set: a run claims it for as long as it goes on, and no other run takes it away meanwhile.

The claim is a shared advisory lock, held by a session of its own that does nothing else; it goes with the
run's process, however that ends. Claims are made and looked up by whoever holds the loaders' lock, so that
between a look and what follows from it nobody can come in.
"""

from __future__ import annotations

import contextlib
import zlib
from typing import TYPE_CHECKING

import psycopg

from bench.core.errors import TargetError
from bench.datasets.connection import LOADERS_LOCK, unshared

if TYPE_CHECKING:
    from bench.stack.target import Target

_TAKE = "SELECT pg_catalog.pg_advisory_lock_shared(%s, %s)"
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
        self._session.execute(_TAKE, self._key)

    def give_back(self) -> None:
        """The set is free when this returns. A server that was away meanwhile has freed it already."""
        with contextlib.suppress(psycopg.Error):
            self._session.execute("SELECT pg_catalog.pg_advisory_unlock_all()")
        self.close()

    def close(self) -> None:
        """The set is free soon, without waiting for a server that may be stopped. Again is harmless."""
        with contextlib.suppress(psycopg.Error):
            self._session.close()


def lock_of(name: str) -> tuple[int, int]:
    """The advisory lock of a data set by its name: the loaders' first number, and one of 31 bits."""
    return LOADERS_LOCK[0], zlib.crc32(name.encode()) >> 1


def refuse_while_used(connection: psycopg.Connection, target: Target, name: str, to: str) -> None:
    """Raise TargetError while a run uses the set. The caller holds the loaders' lock."""
    holders = [str(row[0]) for row in connection.execute(_HOLDERS, lock_of(name)).fetchall()]
    if holders:
        raise TargetError(
            target.name,
            target.address,
            f"the data set {name} to be in use by no other run, so that it can be {to}",
            f"another run at work on it (server process {', '.join(holders)})",
            "wait until that run has ended, or name another database in the URL",
        )
