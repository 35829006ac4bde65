"""The subject "prepared SELECT": one row by its key, pgbench -S."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.benchmarks.peers.pgbench import PgBench
from tests.benchmarks.peers.postgres_subject import NAMES, open_postgres
from tests.benchmarks.peers.rounds import OURS
from tests.benchmarks.peers.sql_task import SELECT_ONLY
from tests.benchmarks.peers.subject import Opening, SubjectKind
from tests.benchmarks.peers.verdict import AtLeastTimes, CountedEqually, NoHiddenTime

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from tests.benchmarks.peers.postgres_subject import PostgresSubject

SCALE = 1
CRITERIA = (AtLeastTimes(PgBench.name, 1.05), NoHiddenTime(0.03), CountedEqually(OURS))


def open_postgres_select(opening: Opening) -> AbstractContextManager[PostgresSubject]:
    """A server with pgbench's tables. Raises TargetError."""
    return open_postgres(opening, SELECT_ONLY, SCALE, CRITERIA)


KIND = SubjectKind("postgres_select", NAMES, open_postgres_select)
