"""aiohttp under uvloop: what a fast Python application uses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.benchmarks.peers.http_task import HEADERS
from tests.benchmarks.peers.python_client import run_program, versions_of

if TYPE_CHECKING:
    from tests.benchmarks.peers.contestant import Result
    from tests.benchmarks.peers.http_task import HttpTask


class AioHttp:
    """One process, one task per connection, one session for all."""

    name = "aiohttp uvloop"

    def __init__(self, task: HttpTask) -> None:
        self._task = task

    def available(self) -> str:
        """The versions of its two parts."""
        return versions_of(("aiohttp", "uvloop"))

    def run(self, seconds: float) -> Result:
        """One turn in a fresh interpreter."""
        task = {"url": self._task.url, "headers": HEADERS, "connections": self._task.connections}
        return run_program("aiohttp_process.py", task, seconds)
