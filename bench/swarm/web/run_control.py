"""One run at a time, from the request to its end: the agent that does it, and everything that shows it.

The agent is a plain child, because a process that gevent has patched cannot run a session.
"""

from __future__ import annotations

import logging
import sys
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import gevent
from gevent.event import Event
from gevent.queue import Queue
from gevent.subprocess import PIPE, Popen

from bench.core.child_process import for_run
from bench.core.errors import ExitCode
from bench.core.messages import MessageError
from bench.swarm.messages import (
    FROM_AGENT,
    TO_AGENT,
    Ended,
    Failed,
    Judged,
    RelayRequest,
    Started,
    Step,
    StopRun,
    WindowMessage,
)
from bench.swarm.web.dashboard import PREPARING, Dashboard

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from bench.swarm.messages import FromAgent, ToAgent
    from bench.swarm.web.form import FilledForm
    from bench.swarm.web.statistics import ExactStatistics

logger = logging.getLogger(__name__)
IN_ORDER, AT_ONCE, LET_GO = 1, 2, 3
"""How often the end was asked for, and what it means."""


class AgentProcess:
    """One child: `bench agent`. Orders go in, its messages come out, in order.

    on_message: called for each of its messages. on_end: called once with its exit code, after the last.
    A signal to our terminal does not reach it; the end of its input does, also when we are killed.
    """

    def __init__(
        self,
        on_message: Callable[[FromAgent], None],
        on_end: Callable[[int], None],
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._on_message = on_message
        self._on_end = on_end
        self._orders: Queue[bytes | None] = Queue()
        self._gone = Event()
        self._process = Popen(
            [sys.executable, "-m", "bench", "agent"],
            stdin=PIPE,
            stdout=PIPE,
            env=for_run(environment),
            start_new_session=True,
        )
        self.pid: int = self._process.pid
        gevent.spawn(self._write)
        gevent.spawn(self._read)

    def send(self, order: ToAgent) -> None:
        """Hand an order over; returns immediately."""
        self._orders.put(TO_AGENT.write(order))

    def let_go(self) -> None:
        """Close its input: it undoes what it did, and ends."""
        self._orders.put(None)

    def wait(self, seconds: float | None = None) -> bool:
        """Wait for its end; whether it has ended."""
        return bool(self._gone.wait(seconds))

    def _write(self) -> None:
        try:
            while (line := self._orders.get()) is not None:
                self._process.stdin.write(line)
                self._process.stdin.flush()
            self._process.stdin.close()
        except OSError:
            pass  # it has ended; its exit code says why

    def _read(self) -> None:
        for line in self._process.stdout:
            try:
                message = FROM_AGENT.read(line)
            except MessageError as error:
                logger.warning("the agent wrote something that is no message (%s): %.200r", error, line)
                continue
            try:
                self._on_message(message)
            except Exception:
                # What is shown may then be wrong, but the run continues and its folder is right.
                # Not its content: what goes to a worker may hold a target's password.
                logger.exception("a message of the agent could not be shown: %r", message.say)
        self._process.stdout.close()
        code = self._process.wait()
        self._orders.put(None)
        self._gone.set()
        self._on_end(code)


@dataclass(frozen=True)
class WorkerState:
    """A worker, and what it is doing."""

    name: str
    state: str


class WorkerPool:
    """The workers of a run, seen from the coordinating agent; here none: the agent makes the load itself."""

    def begin(self, names: Sequence[str], to_agent: Callable[[ToAgent], None]) -> None:
        """Start an engine host on each worker; what they say goes to the agent."""

    def relay(self, message: RelayRequest) -> None:
        """A message of the agent to the engine host of one worker."""

    def settle(self) -> None:
        """The run folder is complete: no worker is missed from now on."""

    def end(self) -> None:
        """The run is over: the engine hosts end."""

    def state(self) -> list[WorkerState]:
        """The workers of the run or, before it, those that are ready."""
        return []


@dataclass(frozen=True)
class FinishedRun:
    """A run folder that is complete."""

    path: Path
    headline: str
    scenario: str


@dataclass
class RunControl:
    """Starts, watches and ends runs."""

    statistics: ExactStatistics
    workers: WorkerPool = field(default_factory=WorkerPool)
    dashboard: Dashboard = field(default_factory=Dashboard)
    finished: dict[str, FinishedRun] = field(default_factory=dict)
    """By the name of the folder, in the order of their ends."""
    exit_code: int = int(ExitCode.OK)
    """Of the run before."""
    on_failure: Callable[[str], None] = lambda _: None
    """Called with the sentence of a run that failed."""

    def __post_init__(self) -> None:
        self._agent: AgentProcess | None = None
        self._asked = 0
        self._path: Path | None = None
        self._over = Event()
        self._over.set()

    @property
    def is_over(self) -> bool:
        """Whether no run is under way."""
        return bool(self._over.is_set())

    @property
    def is_ending(self) -> bool:
        """Whether the run was asked to end."""
        return not self.is_over and self._asked > 0

    def start(self, form: FilledForm, workers: Sequence[str] = ()) -> None:
        """Start a run; returns immediately."""
        assert self.is_over
        self._over.clear()
        self._asked, self._path = 0, None
        self.exit_code = int(ExitCode.OK)
        self.dashboard = Dashboard(PREPARING, form.request.scenario.stem, form.request.quick)
        self.statistics.clear_all()
        try:
            self._agent = AgentProcess(self._take, self._ended, form.variables)
        except OSError as error:
            self._fail(f"the agent cannot be started: {error.strerror}", int(ExitCode.BUG))
            self._close()
            return
        self._agent.send(replace(form.request, workers=tuple(workers)))
        self.workers.begin(workers, self._agent.send)

    def stop(self) -> None:
        """Ask for the end: in order first, then immediately, then by letting the agent go."""
        if self._agent is None or self.is_over:
            return
        self._asked += 1
        self.dashboard.ending()
        if self._asked >= LET_GO:
            self._agent.let_go()
        else:
            self._agent.send(StopRun(self._asked >= AT_ONCE))

    def refuse(self, sentence: str, exit_code: int) -> None:
        """A run that could not even be requested."""
        self.dashboard = Dashboard()
        self._fail(sentence, exit_code)
        self.dashboard.over()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait for the end of the run; whether it is over."""
        return bool(self._over.wait(seconds))

    def let_go(self) -> None:
        """Leave the agent to itself: it ends, undoing what it did."""
        if self._agent is not None:
            self._agent.let_go()

    def _take(self, message: FromAgent) -> None:
        self.dashboard.take(message)
        match message:
            case RelayRequest():
                self.workers.relay(message)
            case Started():
                self.statistics.begin(message)
                logger.info("run %s: %s", message.record.run, message.record.scenario.name)
            case WindowMessage():
                self.statistics.take(message)
            case Step(text):
                logger.info("%s", text)
            case Ended(path):
                self._path = path
                self.workers.settle()
            case Judged(verdict):
                logger.info("verdict: %s", verdict.status.name)
            case Failed() if not self.dashboard.interrupted:
                self.on_failure(self.dashboard.message)
            case Failed():
                logger.info("%s", self.dashboard.message)

    def _ended(self, code: int) -> None:
        self._agent = None
        self.exit_code = code
        if not (self.dashboard.message or self.dashboard.verdict or self.dashboard.interrupted):
            self._fail(f"the agent ended with exit code {code}; the lines in the terminal say why", code)
            self.exit_code = code if 0 < code < 256 else int(ExitCode.BUG)
        self._close()

    def _close(self) -> None:
        self.workers.end()
        self.dashboard.over()
        if self._path is not None:
            self.finished[self._path.name] = FinishedRun(
                self._path, self.dashboard.headline, self.dashboard.scenario
            )
        self._over.set()

    def _fail(self, sentence: str, exit_code: int) -> None:
        self.exit_code = exit_code
        self.dashboard.message = sentence
        self.on_failure(sentence)
