"""asyncpg under uvloop with prepared statements: what a fast Python application uses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.core.child_process import for_python
from tests.benchmarks.peers.python_client import run_program, versions_of

if TYPE_CHECKING:
    from tests.benchmarks.peers.contestant import Result
    from tests.benchmarks.peers.sql_task import SqlTask

PASSWORD_VARIABLE = "PGPASSWORD"


class AsyncPg:
    """One process, one task and one connection per lane."""

    name = "asyncpg uvloop"

    def __init__(self, task: SqlTask) -> None:
        self._task = task

    def available(self) -> str:
        """The versions of its two parts."""
        return versions_of(("asyncpg", "uvloop"))

    def run(self, seconds: float) -> Result:
        """One turn in a fresh interpreter."""
        target = self._task.target
        task = {
            "host": target.host,
            "port": target.port,
            "user": target.username,
            "database": target.database or None,
            "connections": self._task.connections,
            "statements": self._task.script.statements,
            "is_transaction": self._task.script.is_transaction,
            "ranges": self._task.ranges,
            "seed": self._task.seed,
        }
        # By the environment: a command line can be read by everyone.
        environment = {**for_python(), PASSWORD_VARIABLE: target.password or ""}
        return run_program("asyncpg_process.py", task, seconds, environment)
