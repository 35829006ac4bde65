"""wrk, the fastest of the plain HTTP generators."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tests.benchmarks.peers.child_process import children_cpu_s, output_of
from tests.benchmarks.peers.contestant import Result, TurnFailed
from tests.benchmarks.peers.http_task import HEADERS
from tests.benchmarks.peers.programs import DebianProgram

if TYPE_CHECKING:
    from tests.benchmarks.peers.http_task import HttpTask

PROGRAM = DebianProgram("wrk", "wrk", version_flag="-v")
REPORT = Path(__file__).with_name("wrk_report.lua")
MARK = "holdfast"
FIELDS = ("requests", "duration_us", "errors", "mean_us", "p50_us", "p99_us")
NS_PER_US = 1e3
US_PER_S = 1e6


class Wrk:
    """One process, one thread: -t 1. A script that only reports costs it nothing in a request.

    After slow answers it adds latencies of requests that it believes to have missed, so on a busy
    machine Little's law gives more than 1 for it.
    """

    name = "wrk"

    def __init__(self, task: HttpTask, *, may_install: bool = False) -> None:
        self._task = task
        self._may_install = may_install
        self._program = ""

    def available(self) -> str:
        """Its version; Debian's package is installed where that was allowed."""
        self._program = PROGRAM.find(may_install=self._may_install)
        return PROGRAM.version(self._program).partition(" Copyright")[0]

    def run(self, seconds: float) -> Result:
        """One turn; wrk takes whole seconds, at least one."""
        whole = max(round(seconds), 1)
        headers = [word for name, text in HEADERS.items() for word in ("-H", f"{name}: {text}")]
        options = ["-t", "1", "-c", str(self._task.connections), "-d", f"{whole}s", "-s", str(REPORT)]
        before = children_cpu_s()
        output = output_of([self._program, *options, *headers, self._task.url], whole)
        return result_of(output, children_cpu_s() - before)


def result_of(output: str, cpu_s: float) -> Result:
    """The line that wrk_report.lua writes. Raises TurnFailed without it, and for any error of wrk's."""
    words = next((line.split() for line in output.splitlines() if line.startswith(MARK)), [])
    try:
        requests, duration, errors, mean, p50, p99 = map(float, words[1:])
    except ValueError:
        raise TurnFailed(
            f"expected a line {MARK} with {', '.join(FIELDS)}, found {output[-200:]!r}"
        ) from None
    if errors:
        raise TurnFailed(f"{errors:.0f} of {requests:.0f} requests were not answered well")
    if not (requests > 0 and duration > 0 and mean > 0):
        raise TurnFailed(f"expected figures above 0, found {words[1:]}")
    times = (mean * NS_PER_US, p50 * NS_PER_US, p99 * NS_PER_US)
    return Result(int(requests), duration / US_PER_S, *times, cpu_s)
