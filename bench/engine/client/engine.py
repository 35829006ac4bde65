"""The client engine: a workload run through a client library, to measure what an application sees.

Everything happens in one thread with a separate event loop (uvloop); the session's thread calls
the methods here, reads counts that only grow, and posts commands into the loop.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.core.answers import Answers
from bench.core.histogram import mean_ns
from bench.core.messages import Event
from bench.core.outcome import Outcome
from bench.core.threads import ask_for_turns_of
from bench.engine.api import (
    ClientDriver,
    ClientModule,
    EngineResult,
    EngineStats,
    counted_anomalies,
    kept_waiting,
    moved,
    reconnected,
)
from bench.engine.board import AnswerReader, BoardReader, Change, lag_medians_ns, open_log
from bench.engine.client.load import ClientLoad
from bench.engine.client.pool import PoolMonitor, RunClock
from bench.engine.client.results import ResultBatch
from bench.engine.client.timing import calm, uncalm
from bench.engine.wire import layout
from bench.plan.plan import Plan, WorkloadPlan
from bench.plan.walk import PlanWalk
from bench.registry import DRIVERS, load
from bench.stack.target import Target

TURN_NS = 400_000
"""Of a processor, for the loop: one operation in Python."""
ENDING_S = 5.0
CLOSING_S = 5.0


class ClientEngine:
    """Runs one workload through a client library's pool."""

    def __init__(
        self, plan: Plan, workload: WorkloadPlan, target: Target | None, log_folder: Path | None = None
    ) -> None:
        self.plan = workload
        self.logs: list[Path] = []
        self._target = target
        self._segment = plan.segment
        self._duration_ns = plan.duration_ns
        self._clock = RunClock()
        self._clock.run_label = plan.run_label
        log = None
        if plan.operation_log and log_folder is not None:
            path, log = open_log(plan, workload, 0, 1, log_folder)
            self.logs.append(path)
        self._results = ResultBatch(workload, log)
        self._reader = BoardReader([self._results.board])
        self._answers = AnswerReader([self._results.board])
        measured = [(phase.start_ns, phase.end_ns) for phase in plan.phases if phase.measured]
        self.watch = PoolMonitor(workload.workload.pool, measured, self._clock)
        self._walk = PlanWalk(workload, workload.seed, self._segment.number, self._segment.count)
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ready = threading.Event()
        self._is_over = threading.Event()
        """Set when the load is over and the driver closed. To close the loop of libuv may take for ever."""
        self._failure: BaseException | None = None
        self._load: ClientLoad | None = None
        self._leaked = 0
        self._is_calm = False
        self.driver: ClientDriver | None = None

    # --- the session's side ----------------------------------------------------------------------

    def prepare(self) -> None:
        """Check the target, put data in place, open the pool."""
        assert self._target is not None
        self._module().check(self._target, self.plan)
        self._thread = threading.Thread(target=self._run, name="client-engine", daemon=True)
        self._thread.start()
        self._ready.wait()
        self._raise_failure()
        self._is_calm = True
        calm()

    def _module(self) -> ClientModule:
        client = DRIVERS[self.plan.workload.driver].client
        assert client is not None
        module: ClientModule = load(client)
        return module

    def begin(self, start_ns: int, run_label: int = 0) -> None:
        """Set run zero and the run's label."""
        self._clock.run_label = run_label
        assert self._load is not None
        self._post(self._load.begin, start_ns)

    def is_running(self) -> bool:
        """Whether the load is not over yet."""
        self._raise_failure()
        return self._is_alive()

    def _is_alive(self) -> bool:
        return self._thread is not None and self._thread.is_alive() and not self._is_over.is_set()

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    def changes(self) -> Iterator[Change]:
        """What the histograms gained since the last call."""
        return self._reader.changes()

    def live(self) -> EngineStats:
        """The state of a hundredth of a second ago."""
        gauges = self._results.gauges
        return EngineStats(
            taken=int(gauges[layout.TAKEN]),
            outcomes=tuple(int(count) for count in self._request_tallies().sum(axis=0)),
            in_flight=int(gauges[layout.IN_FLIGHT]),
            connected=int(gauges[layout.CONNECTED]),
            idle_ns=int(gauges[layout.IDLE_NS]),
            elapsed_ns=int(gauges[layout.ELAPSED_NS]),
            lost_connections=self.watch.lost,
            reconnections=self.watch.reconnected,
            run_delay_ns=int(gauges[layout.RUN_DELAY_NS]),
            answers=Answers.total(self._answers.answers().values()),
            pool_in_use=self.watch.use.in_use,
        )

    def _request_tallies(self) -> NDArray[np.int64]:
        """tallies[row, outcome] of arrivals, not of their steps."""
        return self._results.board.tallies[self.plan.planned_rows]

    def events(self) -> list[Event]:
        """Reconnections since the last call."""
        events: list[Event] = []
        while self.watch.notes:
            events.append(reconnected(self.plan.name, self.watch.notes.popleft()))
        return events

    def stop(self, *, at_once: bool) -> None:
        """Plan nothing further."""
        if self._load is not None:
            self._post(lambda load: load.stop(at_once=at_once), self._load)

    def finish(self) -> EngineResult:
        """After the loop has ended."""
        if self._thread is not None:
            self._thread.join(ENDING_S + CLOSING_S)
        if self._is_alive():
            raise RuntimeError("the client engine's loop did not end")
        self._raise_failure()
        assert self._load is not None
        assert self.driver is not None
        gauges, board = self._results.gauges, self._results.board
        return EngineResult(
            taken=board.taken.copy(),
            tallies=board.tallies.copy(),
            run_delay_ns=int(gauges[layout.RUN_DELAY_NS]),
            idle_ratio=int(gauges[layout.IDLE_NS]) / max(int(gauges[layout.ELAPSED_NS]), 1),
            # A lane is busy while it waits for the pool, too.
            busy_ns=self._sum_ns(int(layout.LAG)) + self._sum_ns(int(layout.SERVICE)),
            phase_lag_p50_ns=lag_medians_ns([self._results.board], self.plan.phase_count),
            answers=self._answers.answers(),
            counters={
                "lost_connections": self.watch.lost,
                "reconnects": self.watch.reconnected,
                "connections_created": self.watch.opened,
                "leaked_connections": self._leaked,
                "pool_timeouts": self._load.pool_timeouts,
                **self._load.own_limits.counters(),
                **self.driver.counters(),
            },
            errors=self._load.errors.entries(),
            pool=self.watch.use.figures(),
            anomalies=self._anomalies()
            + self.driver.anomalies(self.plan.name)
            + self._load.own_limits.anomalies(self.plan.name, self._unsent()),
        )

    def _sum_ns(self, kind: int) -> float:
        counts = self._results.board.counts[:, kind].sum(axis=(0, 1))
        return mean_ns(counts) * float(counts.sum()) if counts.any() else 0.0

    def _unsent(self) -> int:
        """Arrivals that never had a connection."""
        return int(self._results.board.tallies[:, [Outcome.REFUSED, Outcome.DROPPED]].sum())

    def _anomalies(self) -> list[tuple[str, ...]]:
        gauges = self._results.gauges
        counts = {
            "broken_replies": self.watch.broken_replies,
            "stray_replies": self.watch.stray_replies,
            "saturated_histogram": int(gauges[layout.SATURATED]),
            "operation_log_full": int(gauges[layout.LOG_FULL]),
            "left_read_only": self.watch.left_read_only,
        }
        timeouts = int(self._results.board.tallies[:, Outcome.TIMEOUT].sum())
        waited = kept_waiting(self._target, self.plan.name, self.plan.workload.pool, timeouts)
        where = moved(self.plan.name, self.watch.addresses)
        return counted_anomalies(self.plan.name, counts) + where + waited

    def raw_logs(self) -> list[tuple[Path, int]]:
        """The operation log with its number of records; none where it is off."""
        return [(path, int(self._results.gauges[layout.LOG_LENGTH])) for path in self.logs]

    def close(self) -> None:
        """End what still runs and release everything."""
        if self._is_alive():
            self.stop(at_once=True)
        if self._thread is not None:
            self._thread.join(ENDING_S + CLOSING_S)
        if self._is_calm:
            self._is_calm = False
            uncalm()

    def _post(self, call: Callable[..., object], *arguments: object) -> None:
        """Have it called in the loop; a loop that has ended needs nothing."""
        assert self._loop is not None
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(call, *arguments)

    # --- the loop's thread -----------------------------------------------------------------------

    def _run(self) -> None:
        import uvloop

        ask_for_turns_of(TURN_NS)
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(self._serve())
        except BaseException as failure:  # noqa: BLE001 - a thread's failure is the session's to tell
            self._failure = failure
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        assert self._target is not None
        self._loop = asyncio.get_running_loop()
        self.driver = driver = self._module().application(self._target, self.plan, self.watch, self._clock)
        try:
            await driver.open()
            self._load = load = ClientLoad(
                self.plan,
                duration_ns=self._duration_ns,
                walk=self._walk,
                driver=driver,
                results=self._results,
                watch=self.watch,
                clock=self._clock,
            )
            self._ready.set()
            try:
                await load.over
                await driver.settle()
            finally:
                self._leaked = self.watch.leaked()
                load.close()
        finally:
            try:
                async with asyncio.timeout(CLOSING_S):
                    await driver.close()
            finally:
                self._is_over.set()
