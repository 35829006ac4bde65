"""hey, a generator in Go that many teams have at hand."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tests.benchmarks.peers.child_process import children_cpu_s, output_of
from tests.benchmarks.peers.contestant import Result, TurnFailed
from tests.benchmarks.peers.http_task import HEADERS
from tests.benchmarks.peers.programs import DebianProgram

if TYPE_CHECKING:
    from tests.benchmarks.peers.http_task import HttpTask

PROGRAM = DebianProgram("hey", "hey")
NS_PER_S = 1e9
LINES = {
    "seconds": re.compile(r"^ *Total:\s+([\d.]+) secs", re.MULTILINE),
    "mean_s": re.compile(r"^ *Average:\s+([\d.]+) secs", re.MULTILINE),
    "p50_s": re.compile(r"^ *50% in ([\d.]+) secs", re.MULTILINE),
    "p99_s": re.compile(r"^ *99% in ([\d.]+) secs", re.MULTILINE),
}
STATUSES = re.compile(r"^ *\[(\d+)\]\s+(\d+) responses", re.MULTILINE)


class Hey:
    """One process with its defaults: as many threads as there are cores. It tells times to 0.1 ms."""

    name = "hey"

    def __init__(self, task: HttpTask, *, may_install: bool = False) -> None:
        self._task = task
        self._may_install = may_install
        self._program = ""

    def available(self) -> str:
        """Its package's version, since hey itself tells none; installed where that was allowed."""
        self._program = PROGRAM.find(may_install=self._may_install)
        return PROGRAM.package_version()

    def run(self, seconds: float) -> Result:
        """One turn."""
        milliseconds = max(round(seconds * 1000), 1)
        options = ["-c", str(self._task.connections), "-z", f"{milliseconds}ms", "-disable-compression"]
        headers = [word for name, text in HEADERS.items() for word in ("-H", f"{name}: {text}")]
        before = children_cpu_s()
        output = output_of([self._program, *options, *headers, self._task.url], seconds)
        return result_of(output, children_cpu_s() - before)


def result_of(output: str, cpu_s: float) -> Result:
    """hey's summary. Raises TurnFailed for anything else, and for answers that are not 200."""
    found = {name: pattern.search(output) for name, pattern in LINES.items()}
    statuses = {int(status): int(count) for status, count in STATUSES.findall(output)}
    missing = [name for name, match in found.items() if match is None]
    if missing or not statuses:
        lacking = ", ".join(missing or ["status codes"])
        raise TurnFailed(f"expected a summary with {lacking}, found {output[:200]!r}")
    if set(statuses) != {200} or "Error distribution" in output:
        raise TurnFailed(f"expected only answers of status 200, found {statuses} and errors")
    times = {name: float(match[1]) for name, match in found.items() if match is not None}
    if not times["seconds"] > 0:
        raise TurnFailed("expected a time above 0")
    mean, p50, p99 = (times[name] * NS_PER_S for name in ("mean_s", "p50_s", "p99_s"))
    return Result(statuses[200], times["seconds"], mean, p50, p99, cpu_s)
