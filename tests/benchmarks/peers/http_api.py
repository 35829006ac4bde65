"""The subject "API": an item of the reference API, out of its cache, over kept-alive connections."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from bench.stack.probes.connection import ProbeError
from bench.stack.probes.http import http_get
from tests.benchmarks.peers.contestant import TurnFailed
from tests.benchmarks.peers.http_contestants import NAMES, contestants_of
from tests.benchmarks.peers.http_task import HttpTask
from tests.benchmarks.peers.subject import Opening, SubjectKind, servers_of
from tests.benchmarks.peers.verdict import NoHiddenTime

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bench.stack.stack import Stack
    from tests.benchmarks.peers.contestant import Contestant, Result
    from tests.benchmarks.peers.verdict import Criterion

PATH = "/items/1"
ASK_S = 10.0
CRITERIA = (NoHiddenTime(0.03),)
"""No ratio: the API is the bottleneck whoever asks, and the figures should be alike."""


class HttpApi:
    """The API is up, with its Redis and its Postgres."""

    criteria: Sequence[Criterion] = CRITERIA

    def __init__(self, stack: Stack, opening: Opening) -> None:
        self._stack = stack
        self._task = task = HttpTask(stack.targets()["api"], PATH, seed=opening.seed)
        self.connections = task.connections
        self.title = (
            f"HTTP GET, cached item of the reference API, {task.connections} connections, closed loop"
        )
        self.contestants: Sequence[Contestant] = contestants_of(task, opening)

    def before_turn(self) -> None:
        """Have the item in the cache."""
        self._ask()

    def after_turn(self, name: str, result: Result) -> Result:
        """The item is still there."""
        self._ask()
        return result

    def _ask(self) -> None:
        try:
            answer = http_get(self._task.target, PATH, ASK_S)
        except ProbeError as fact:
            raise TurnFailed(f"the API does not answer any more: {fact}") from None
        if answer.status != 200:
            raise TurnFailed(f"the API answers {answer.status} for {PATH}")

    def to_json(self) -> dict[str, Any]:
        """The task and the servers."""
        return {"task": self._task.to_json(), "servers": servers_of(self._stack)}


@contextmanager
def open_http_api(opening: Opening) -> Iterator[HttpApi]:
    """Start the API and what it needs; all is gone afterwards. Raises TargetError."""
    from bench.stack.stack import open_stack

    with open_stack("embedded", {"api"}, opening.log_dir) as stack:
        yield HttpApi(stack, opening)


KIND = SubjectKind("http_api", NAMES, open_http_api)
