"""redis-benchmark, the tool that comes with Redis."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

from tests.benchmarks.peers.child_process import children_cpu_s, output_of
from tests.benchmarks.peers.contestant import Result, TurnFailed
from tests.benchmarks.peers.programs import DebianProgram

if TYPE_CHECKING:
    from tests.benchmarks.peers.key_space import KeySpace

PROGRAM = DebianProgram("redis-benchmark", "redis-tools")
NS_PER_MS = 1e6
TRIAL_REQUESTS = 20_000
"""It takes a number of requests, not a time; a short trial before the first turn tells how many."""

LEAST_REQUESTS = 1_000
COLUMNS = ("test", "rps", "avg_latency_ms", "p50_latency_ms", "p99_latency_ms")


class RedisBenchmark:
    """One process, one thread, no pipelining: its defaults."""

    name = "redis-benchmark"

    def __init__(self, keys: KeySpace, *, may_install: bool = False) -> None:
        self._keys = keys
        self._may_install = may_install
        self._program: str | None = None
        self._rate_per_s: float | None = None

    def available(self) -> str:
        """Its version; Debian's package is installed where that was allowed."""
        self._program = PROGRAM.find(may_install=self._may_install)
        return PROGRAM.version(self._program)

    def run(self, seconds: float) -> Result:
        """As many requests as took `seconds` at the rate of the turn before."""
        if self._rate_per_s is None:
            self._rate_per_s = self._turn(TRIAL_REQUESTS, seconds).throughput_per_s
        result = self._turn(max(round(self._rate_per_s * seconds), LEAST_REQUESTS), seconds)
        self._rate_per_s = result.throughput_per_s
        return result

    def _turn(self, requests: int, seconds: float) -> Result:
        assert self._program is not None
        keys = self._keys
        options = {
            "-h": keys.target.host,
            "-p": keys.target.port,
            "-t": "get",
            "-c": keys.connections,
            "-r": keys.key_count,
            "-d": keys.value_bytes,
            "-n": requests,
        }
        words = [str(word) for option in options.items() for word in option]
        before = children_cpu_s()
        output = output_of([self._program, *words, "--csv"], seconds)
        return result_of(output, requests, children_cpu_s() - before)


def result_of(output: str, requests: int, cpu_s: float) -> Result:
    """The GET line of `redis-benchmark --csv`, whose latencies are in ms. Raises TurnFailed."""
    lines = [line for line in output.splitlines() if line.startswith('"')]
    rows = {row.get("test"): row for row in csv.DictReader(io.StringIO("\n".join(lines)))}
    row = rows.get("GET")
    if row is None or any(row.get(column) is None for column in COLUMNS):
        raise TurnFailed(
            f"expected CSV with the columns {', '.join(COLUMNS)} and a line for GET, found {output[:120]!r}; "
            "it is there from Redis 6.2 on"
        )
    try:
        rate, mean, p50, p99 = (float(row[column]) for column in COLUMNS[1:])
    except ValueError:
        raise TurnFailed(f"expected numbers in the line for GET, found {list(row.values())}") from None
    if not (rate > 0 and mean > 0):
        raise TurnFailed(f"expected a rate and a mean above 0, found {rate:g} and {mean:g}")
    return Result(requests, requests / rate, mean * NS_PER_MS, p50 * NS_PER_MS, p99 * NS_PER_MS, cpu_s)
