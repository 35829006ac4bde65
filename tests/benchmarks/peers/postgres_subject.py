"""What the subjects on PostgreSQL have in common: the server, pgbench's tables, and the server's count."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bench.core.errors import TargetError
from bench.datasets import DataSet, check, load
from tests.benchmarks.peers.asyncpg_client import AsyncPg
from tests.benchmarks.peers.contestant import TurnFailed
from tests.benchmarks.peers.ours import Ours
from tests.benchmarks.peers.pgbench import PgBench
from tests.benchmarks.peers.rounds import OURS
from tests.benchmarks.peers.sql_task import SqlTask
from tests.benchmarks.peers.subject import Opening, servers_of
from tests.benchmarks.peers.transaction_count import Transactions, transactions_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bench.stack.stack import Stack
    from bench.stack.target import Target
    from tests.benchmarks.peers.contestant import Contestant, Result
    from tests.benchmarks.peers.sql_task import Script
    from tests.benchmarks.peers.verdict import Criterion

NAMES = (Ours.name, PgBench.name, AsyncPg.name)
QUIET = ("ALTER SYSTEM SET autovacuum = off", "SELECT pg_reload_conf()")
"""Its transactions would be counted with ours, and it would run in one contestant's turn and not in
another's."""

TIDY = ("VACUUM pgbench_branches", "VACUUM pgbench_tellers", "CHECKPOINT")
"""What pgbench itself does before a run without -n, and nothing left to write from the turn before."""


class PostgresSubject:
    """The server is up and its tables are filled."""

    def __init__(
        self, stack: Stack, opening: Opening, script: Script, scale: int, criteria: Sequence[Criterion]
    ) -> None:
        self._stack = stack
        self._target = target = stack.targets()["postgres"]
        self._data = DataSet("tpcb", scale)
        self._task = task = SqlTask(target, script, scale, seed=opening.seed)
        self.connections = task.connections
        self.criteria = criteria
        self.title = (
            f"PostgreSQL {script.name}, prepared, {task.connections} connections, closed loop, scale {scale}"
        )
        ours = Ours(task)
        everyone: tuple[Contestant, ...] = (ours, PgBench(task), AsyncPg(task))
        self.contestants: Sequence[Contestant] = [one for one in everyone if one.name in opening.names]
        self._begun = Transactions(0, 0)
        execute(target, QUIET)
        load(target, self._data)
        execute(target, TIDY)
        self._set_up = Transactions(0, 0)
        if OURS in opening.names:
            before = transactions_of(target)
            ours.connect_only()
            self._set_up = transactions_of(target) - before

    def before_turn(self) -> None:
        """Tidy up after the turn before."""
        if self._task.script.is_transaction:
            execute(self._target, TIDY)
        self._begun = transactions_of(self._target)

    def after_turn(self, name: str, result: Result) -> Result:
        """Every transaction was done: balances are the sums of the deltas, and the server counted no fewer.

        Of ours it counted log-ins and preparation too, which a turn without load told; so what is left
        is comparable to the unit. For the others those few are in the count.
        """
        done = transactions_of(self._target) - self._begun
        if name == OURS:
            done -= self._set_up
        if done.rolled_back:
            raise TurnFailed(f"the server rolled {done.rolled_back} transactions back")
        if name != OURS and done.committed < result.requests:
            raise TurnFailed(f"the server committed {done.committed} transactions, not {result.requests}")
        if self._task.script.is_transaction:
            self._check_sums()
        return replace(result, counted=done.committed)

    def _check_sums(self) -> None:
        try:
            broken = check(self._target, self._data)
        except TargetError as error:
            raise TurnFailed(str(error)) from None
        if broken:
            raise TurnFailed(f"not the task that the others do: {broken[0]}")

    def to_json(self) -> dict[str, Any]:
        """The task and the server."""
        return {"task": self._task.to_json(), "servers": servers_of(self._stack)}


@contextmanager
def open_postgres(
    opening: Opening, script: Script, scale: int, criteria: Sequence[Criterion]
) -> Iterator[PostgresSubject]:
    """Start a server of our own and fill its tables; it is gone afterwards. Raises TargetError."""
    from bench.stack.stack import open_stack

    with open_stack("embedded", {"postgres"}, opening.log_dir) as stack:
        yield PostgresSubject(stack, opening, script, scale, criteria)


def execute(target: Target, statements: Sequence[str]) -> None:
    """Run statements one by one, each for itself. Raises TurnFailed."""
    import psycopg

    from bench.stack.probes.postgres import libpq_parameters

    try:
        with psycopg.connect(**libpq_parameters(target), autocommit=True) as connection:  # type: ignore[arg-type]  # only text
            for statement in statements:
                connection.execute(statement.encode())
    except psycopg.Error as error:
        raise TurnFailed(f"the server refused to be set up: {error.diag.message_primary or error}") from None
