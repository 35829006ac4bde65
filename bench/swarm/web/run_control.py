"""One run at a time, from the request to its end: the agent that does it, and everything that shows it.

The agent is a plain child, because a process that gevent has patched cannot run a session.
"""

from __future__ import annotations

import json
import logging
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import gevent
from gevent.event import Event
from gevent.queue import Queue
from gevent.subprocess import PIPE, Popen

from bench.core.child_environment import for_run
from bench.core.errors import ExitCode
from bench.swarm.messages import WindowMessage
from bench.swarm.web.dashboard import DashboardState

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bench.swarm.web.form import FilledForm
    from bench.swarm.web.statistics import ExactStatistics


logger = logging.getLogger(__name__)


class AgentProcess:
    """One child: `bench agent`. Orders go in, what it says comes out, in order.

    on_say: called for each object that it says. on_end: called once with its exit code, after the last.
    A signal to our terminal does not reach it; the end of its input does, also when we are killed.
    """

    def __init__(
        self,
        on_say: Callable[[dict[str, Any]], None],
        on_end: Callable[[int], None],
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._on_say, self._on_end = on_say, on_end
        self._orders: Queue = Queue()
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

    def tell(self, order: Mapping[str, Any]) -> None:
        """Hand an order over; returns at once."""
        self._orders.put(json.dumps(order).encode() + b"\n")

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
                said = json.loads(line)
            except ValueError:
                logger.warning("the agent wrote something that is no JSON: %.200r", line)
                continue
            try:
                self._on_say(said)
            except Exception:
                # What is shown may then be wrong, but the run goes on and its folder is right.
                # Not its content: what goes to a worker may hold a target's password.
                logger.exception("what the agent said could not be shown: %r", said.get("say"))
        self._process.stdout.close()
        code = self._process.wait()
        self._orders.put(None)
        self._gone.set()
        self._on_end(code)


IN_ORDER, AT_ONCE, LET_GO = 1, 2, 3
"""How often somebody asked for the end, and what it means."""


class WorkerPool(Protocol):
    """The workers of a run, seen from the coordinating agent."""

    def begin(self, names: Sequence[str], to_agent: Callable[[Mapping[str, Any]], None]) -> None:
        """Start an engine host on each worker; what they say goes to the agent."""

    def relay(self, name: str, message: Mapping[str, Any]) -> None:
        """A message of the agent to the engine host of one worker."""

    def settle(self) -> None:
        """The run folder is complete: nobody is missed any more."""

    def end(self) -> None:
        """The run is over: the engine hosts end."""

    def state(self) -> list[dict[str, str]]:
        """The workers of the run or, before it, those that are ready: name and state."""


class Alone:
    """No workers: the agent makes the load itself."""

    def begin(self, names: Sequence[str], to_agent: Callable[[Mapping[str, Any]], None]) -> None:
        """Nothing."""

    def relay(self, name: str, message: Mapping[str, Any]) -> None:
        """Nothing."""

    def settle(self) -> None:
        """Nothing."""

    def end(self) -> None:
        """Nothing."""

    def state(self) -> list[dict[str, str]]:
        """None."""
        return []


@dataclass
class FinishedRun:
    """A run folder that is complete."""

    path: Path
    headline: str
    scenario: str


@dataclass
class RunControl:
    """Starts, watches and ends runs."""

    statistics: ExactStatistics
    crew: WorkerPool = field(default_factory=Alone)
    picture: DashboardState = field(default_factory=DashboardState)
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
        """Whether somebody asked the run to end."""
        return not self.is_over and self._asked > 0

    def start(self, form: FilledForm, workers: Sequence[str] = ()) -> None:
        """Start a run; returns at once."""
        assert self.is_over
        self._over.clear()
        self._asked, self._path = 0, None
        self.exit_code = int(ExitCode.OK)
        self.picture.begin(form.order.scenario.stem, quick=form.order.quick)
        self.statistics.clear_all()
        try:
            self._agent = AgentProcess(self._said, self._ended, form.variables)
        except OSError as error:
            self._fail(f"the agent cannot be started: {error.strerror}", int(ExitCode.BUG))
            self._close()
            return
        self._agent.tell(form.message(workers))
        self.crew.begin(workers, self._agent.tell)

    def stop(self) -> None:
        """Ask for the end: in order first, then at once, then by letting the agent go."""
        if self._agent is None or self.is_over:
            return
        self._asked += 1
        self.picture.ending()
        if self._asked >= LET_GO:
            self._agent.let_go()
        else:
            self._agent.tell({"do": "stop", "at_once": self._asked >= AT_ONCE})

    def refuse(self, sentence: str, exit_code: int) -> None:
        """A run that could not even be ordered."""
        self.picture.begin("", quick=False)
        self._fail(sentence, exit_code)
        self.picture.over()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait for the end of the run; whether it is over."""
        return bool(self._over.wait(seconds))

    def let_go(self) -> None:
        """Leave the agent to itself: it ends at once, undoing what it did."""
        if self._agent is not None:
            self._agent.let_go()

    def _said(self, message: dict[str, Any]) -> None:
        if message["say"] == "relay":
            self.crew.relay(message["to"], message["message"])
            return
        window = WindowMessage.of(message) if message["say"] == "window" else None
        self.picture.take(message, window)
        match message["say"]:
            case "started":
                self.statistics.begin(message)
                logger.info("run %s: %s", message["run"], message["scenario"])
            case "window" if window is not None:
                self.statistics.take(window)
            case "step":
                logger.info("%s", message["text"])
            case "ended":
                self._path = Path(message["path"])
                self.crew.settle()
            case "judged":
                logger.info("verdict: %s", message["verdict"]["status"])
            case "failed" if not self.picture.interrupted:
                self.on_failure(self.picture.message)
            case "failed":
                logger.info("%s", self.picture.message)

    def _ended(self, code: int) -> None:
        self._agent = None
        self.exit_code = code
        if not (self.picture.message or self.picture.verdict or self.picture.interrupted):
            self._fail(f"the agent ended with exit code {code}; the lines in the terminal say why", code)
            self.exit_code = code if 0 < code < 256 else int(ExitCode.BUG)
        self._close()

    def _close(self) -> None:
        self.crew.end()
        self.picture.over()
        if self._path is not None:
            finished = FinishedRun(self._path, self.picture.headline, self.picture.scenario)
            self.finished[self._path.name] = finished
        self._over.set()

    def _fail(self, sentence: str, exit_code: int) -> None:
        self.exit_code = exit_code
        self.picture.message = sentence
        self.on_failure(sentence)
