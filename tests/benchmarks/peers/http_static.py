"""The subject "static HTTP": one short answer of nginx over kept-alive connections."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tests.benchmarks.peers import nginx
from tests.benchmarks.peers.contestant import TurnFailed
from tests.benchmarks.peers.http_contestants import NAMES, contestants_of
from tests.benchmarks.peers.http_task import HttpTask
from tests.benchmarks.peers.rounds import OURS
from tests.benchmarks.peers.subject import Opening, SubjectKind
from tests.benchmarks.peers.verdict import AtLeastTimes, CountedEqually, NoHiddenTime
from tests.benchmarks.peers.wrk import Wrk

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.benchmarks.peers.contestant import Contestant, Result
    from tests.benchmarks.peers.verdict import Criterion

CRITERIA = (AtLeastTimes(Wrk.name, 1.05), NoHiddenTime(0.03), CountedEqually(OURS))


class HttpStatic:
    """The nginx is up."""

    criteria: Sequence[Criterion] = CRITERIA

    def __init__(self, server: nginx.StaticNginx, opening: Opening) -> None:
        assert server.target is not None
        self._server = server
        self._target = server.target
        self._task = task = HttpTask(server.target, nginx.ANSWER_PATH, seed=opening.seed)
        self.connections = task.connections
        self.title = (
            f"HTTP GET, static answer of nginx, {task.connections} connections, closed loop, "
            f"{len(nginx.BODY)}-byte body"
        )
        self.contestants: Sequence[Contestant] = contestants_of(task, opening)
        self._begun = 0

    def before_turn(self) -> None:
        """Note nginx's count."""
        self._begun = nginx.requests_of(self._target)

    def after_turn(self, name: str, result: Result) -> Result:
        """nginx counted no fewer requests than were answered; others leave some unanswered at their end."""
        asked_by_us = 1  # the second look counts itself
        counted = nginx.requests_of(self._target) - self._begun - asked_by_us
        if counted < result.requests:
            raise TurnFailed(f"nginx counted {counted} requests, not {result.requests}")
        return replace(result, counted=counted)

    def to_json(self) -> dict[str, Any]:
        """The task and the server."""
        shown = ("kind", "server", "version", "started_by")
        server = self._server.describe()
        facts = {name: getattr(server, name) for name in shown}
        return {"task": {**self._task.to_json(), "body_bytes": len(nginx.BODY)}, "servers": [facts]}


@contextmanager
def open_http_static(opening: Opening) -> Iterator[HttpStatic]:
    """Start an nginx of our own; it is gone afterwards. Raises NotInstalled, TargetError."""
    program = nginx.PROGRAM.find(may_install=opening.may_install)
    server = nginx.StaticNginx(opening.log_dir, program)
    server.start({}, threading.Event())
    try:
        yield HttpStatic(server, opening)
    finally:
        server.stop()


KIND = SubjectKind("http_static", NAMES, open_http_static)
