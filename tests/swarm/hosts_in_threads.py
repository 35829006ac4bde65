"""A coordinator with engine hosts in threads of this process: everything but Locust and the pipes."""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.core.clock import WallLabel
from bench.core.messages import Event
from bench.judge.judge import judge
from bench.judge.verdict import Verdict
from bench.results.reader import Run
from bench.results.run_record import RunRecord
from bench.run.plugins import Observers, RunPlugin, WindowView
from bench.run.progress import Silent
from bench.run.session import Session
from bench.run.stop_request import StopRequest
from bench.scenario.load import load_scenario
from bench.scenario.model import Scenario
from bench.stack.stack import Stack
from bench.swarm.distributed.coordinator import Coordinator
from bench.swarm.distributed.engine_host import EngineHost
from bench.swarm.distributed.messages import FROM_HOST, TO_HOST, CoordinatorMessage, HostMessage

SCENARIO = """\
scenario: spread
purpose: The same load from however many workers
workloads:
  - name: cache
    target: redis
    driver: redis
    lanes: 8
    threads: {threads}
    keys: {{count: 1000, preload: true}}
    value: {{bytes: 64}}
    operations:
      get: {{weight: 80, command: [GET, "{{key}}"]}}
      set: {{weight: 20, command: [SET, "{{key}}", "{{value}}"]}}
    arrivals: {arrivals}
    deadline: 5s
phases:
  - {{name: warmup, for: 100ms, measured: false}}
  - {{name: steady, for: {steady}}}
operation_log: {log}
sla:
  - cache.errors < 1%
"""


def text_of(
    arrivals: str = "poisson\n    rate: 1000/s", steady: str = "400ms", log: str = "false", threads: int = 1
) -> str:
    return SCENARIO.format(arrivals=arrivals, steady=steady, log=log, threads=threads)


class Seen:
    """A watcher that keeps what it is shown, and may do something at a window."""

    def __init__(self, at_window: dict[int, Any] | None = None) -> None:
        self.windows: list[WindowView] = []
        self.events: list[Event] = []
        self._at_window = at_window or {}

    def started(self, record: RunRecord, zero: WallLabel) -> None:
        pass

    def window(self, view: WindowView) -> None:
        self.windows.append(view)
        if act := self._at_window.get(len(self.windows)):
            act()

    def event(self, entry: Event) -> None:
        self.events.append(entry)

    def ended(self, path: Path, *, interrupted: bool) -> None:
        pass

    def judged(self, verdict: Verdict) -> None:
        pass

    def close(self) -> None:
        pass


class ThreadedHost:
    """One worker's engine host; what it says and hears goes through JSON."""

    def __init__(self, name: str, fleet: Coordinator, scratch: Path) -> None:
        scratch.mkdir()
        self.is_cut_off = False
        self._name, self._fleet = name, fleet
        self._inbox: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self.host = EngineHost(self._say, scratch)
        threading.Thread(target=self._hear, name=f"inbox-{name}", daemon=True).start()
        self.thread = threading.Thread(target=self.host.run, name=f"host-{name}", daemon=True)
        self.thread.start()

    def tell(self, message: CoordinatorMessage) -> None:
        self._inbox.put(TO_HOST.write(message))

    def _hear(self) -> None:
        while True:
            message = json.loads(self._inbox.get())
            if not self.is_cut_off:
                self.host.hear(message)
            if message["kind"] == "end":
                self.host.end()
                return

    def _say(self, message: HostMessage) -> None:
        if not self.is_cut_off:
            self._fleet.hear(self._name, json.loads(FROM_HOST.write(message)))


class ThreadedSwarm:
    """`count` workers and their coordinator."""

    def __init__(self, folder: Path, count: int) -> None:
        self.names = [f"w{number + 1}" for number in range(count)]
        self.fleet = Coordinator(self.names, lambda name, message: self.hosts[name].tell(message))
        self.hosts = {name: ThreadedHost(name, self.fleet, folder / name) for name in self.names}

    def close(self) -> None:
        self.fleet.close()
        for host in self.hosts.values():
            host.thread.join(20)
            assert not host.thread.is_alive()


@contextmanager
def swarm(folder: Path, count: int) -> Iterator[ThreadedSwarm]:
    folder.mkdir(parents=True, exist_ok=True)
    made = ThreadedSwarm(folder, count)
    try:
        made.fleet.meet()
        yield made
    finally:
        made.close()


def run_of(
    folder: Path,
    stack: Stack,
    text: str,
    made: ThreadedSwarm | None,
    seen: Seen | None = None,
    plugins: Callable[[Scenario], list[RunPlugin]] = lambda _: [],
) -> Run:
    """One run, by the swarm's workers or, without one, by this process."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "spread.yaml"
    path.write_text(text, encoding="utf-8")
    watchers = Observers([seen] if seen else [])
    session = Session(stack, folder / "results", Silent(), StopRequest(), plugins=plugins, watchers=watchers)
    if made is not None:
        session.generators = made.fleet
    return Run.load(session.run(load_scenario(path, (), quick=False)))


def counts_of(run: Run) -> dict[tuple[str, str], tuple[int, dict[str, int]]]:
    """(operation, phase) -> planned and outcomes."""
    return {
        (count.operation, count.phase): (count.planned, count.outcomes) for count in run.workloads[0].counts
    }


def findings_of(run: Run) -> dict[str, str]:
    """Name of every finding about the run as a whole -> its sentence."""
    return {
        check.metric.removeprefix("validity."): check.because
        for check in judge(run).checks
        if not check.is_rule
    }
