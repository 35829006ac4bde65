"""The subject "TPC-B": pgbench's transaction of seven statements, each a round trip of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.benchmarks.peers.pgbench import PgBench
from tests.benchmarks.peers.postgres_subject import NAMES, open_postgres
from tests.benchmarks.peers.rounds import OURS
from tests.benchmarks.peers.sql_task import TPCB_LIKE
from tests.benchmarks.peers.subject import Opening, SubjectKind
from tests.benchmarks.peers.verdict import AtLeastTimes, CountedEqually, NoHiddenTime

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from tests.benchmarks.peers.postgres_subject import PostgresSubject

SCALE = 8
"""As many branches as connections: with fewer, they queue for a branch's row and nothing else is measured."""

CRITERIA = (AtLeastTimes(PgBench.name, 0.95), NoHiddenTime(0.03), CountedEqually(OURS))


def open_postgres_tpcb(opening: Opening) -> AbstractContextManager[PostgresSubject]:
    """A server with pgbench's tables. Raises TargetError."""
    return open_postgres(opening, TPCB_LIKE, SCALE, CRITERIA)


KIND = SubjectKind("postgres_tpcb", NAMES, open_postgres_tpcb)
