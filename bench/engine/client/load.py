"""The client engine inside its event loop: arrivals released on time, each ended once.

An open plan gets one task per arrival, as an application gets one per request; waiting for a
connection is the pool's affair. A closed plan gets one task per lane.
"""

import asyncio
from collections.abc import Iterator

from bench.core.answers import ErrorKinds
from bench.core.clock import NS_PER_S
from bench.core.machine_limits import OwnLimits
from bench.core.outcome import Outcome
from bench.engine.api import ClientDriver
from bench.engine.client.pool import (
    CONNECTING,
    CURRENT,
    NEVER,
    RETURNING,
    WAITING,
    Leg,
    PendingRequest,
    PoolMonitor,
    RunClock,
)
from bench.engine.client.results import ResultBatch
from bench.engine.client.timing import TICK_NS, PreciseTimer
from bench.engine.wire import layout
from bench.plan.pacing import P_DURATION_NS, P_NUMBER, P_REST, P_START_NS, stretch_at
from bench.plan.plan import WorkloadPlan
from bench.plan.walk import PlanWalk
from bench.registry import LOGIN
from bench.resources.generator import ThreadUse

CHUNK = 256
TASKS_PER_CONNECTION = 4
LEAST_TASKS = 100
"""An open plan has at most so many tasks. Arrivals beyond stay in the plan until there is room or their
deadline has passed; to them that is time spent waiting for a connection, and enough others wait inside
the pool that no connection is ever idle for it. Without a limit an outage fills the memory with tasks;
and since redis-py's pool needs time in proportion to its waiters for each that gives up, it did not get
out of a stall of half a second again at half the rate that it otherwise carries."""

REFUSED_PAUSE_S = 0.01
"""How long a lane of a closed loop rests when it could not send: an application that has just been
refused does not ask ten thousand times a second."""

LONGEST_NAP_S = 0.05
"""So that a lane of a closed loop that rests obeys a stop."""

ERROR_KINDS = 64


class ClientLoad:
    """Runs one shard of a plan through a client; times in ns from run zero."""

    def __init__(
        self,
        plan: WorkloadPlan,
        *,
        duration_ns: int,
        walk: PlanWalk,
        driver: ClientDriver,
        results: ResultBatch,
        watch: PoolMonitor,
        clock: RunClock,
    ) -> None:
        workload = plan.workload
        self._is_closed = plan.is_closed
        self._duration_ns = duration_ns
        self._deadline_ns = workload.deadline_ns
        self._lanes = workload.lanes
        self._most_tasks = max(TASKS_PER_CONNECTION * workload.pool, LEAST_TASKS)
        self._operations = len(plan.program.names)
        self._names = plan.program.names
        self._pacing = plan.pacing
        self._phase_at = plan.phase_at
        self._stretch = 0
        self._rest_end(0)  # compiles, before the run
        self._driver, self._results, self._watch, self._clock = driver, results, watch, clock
        self._plan = _arrivals(walk)
        self._head: tuple[int, int, int, int, int] | None = next(self._plan, None)
        self._loop = asyncio.get_running_loop()
        self._alarm = PreciseTimer(self._loop, self._on_alarm)
        self._under_way: set[PendingRequest] = set()
        self._lane_tasks: set[asyncio.Task[None]] = set()
        self._room_ns = 0
        self._is_full = False
        self._is_stopped = False
        self._use = ThreadUse()
        self._use_zero: tuple[int, int] | None = None
        self._delay_ns = 0
        self._strike_ns = 0
        self.pool_timeouts = 0
        self.errors = ErrorKinds(ERROR_KINDS)
        self.own_limits = OwnLimits()
        """What of this machine's own prevented connections."""
        self.over: asyncio.Future[None] = self._loop.create_future()
        """Done when every arrival has ended; failed with what went wrong in here."""

    # --- control ---------------------------------------------------------------------------------

    def begin(self, start_ns: int) -> None:
        """Set run zero on CLOCK_MONOTONIC."""
        self._clock.start_ns = start_ns
        self._alarm.set(start_ns)
        self._strike_ns = self._clock.now_ns()
        self._tick()

    def stop(self, *, at_once: bool) -> None:
        """Take what was planned until now and let it end unsent, as all that waits for a connection;
        what is sent goes on, unless `at_once`.
        """
        now = self._clock.now_ns()
        self._is_stopped = True
        if not self._is_closed:
            while self._head is not None and self._head[0] <= now:
                self._end_unsent(self._take())
        self._head = None
        for ticket in self._under_way:
            # One whose task has not begun sees the stop by itself: cancelled, it would never run.
            if ticket.began_ns == NEVER or ticket.task is None:
                continue
            if ticket.stage == WAITING or (at_once and ticket.stage != RETURNING):
                ticket.task.cancel()
        self._check_over()

    def close(self) -> None:
        """Enter what was recorded and release the alarm."""
        self._note_log_ins()
        self._results.flush()
        self._alarm.close()
        self._use.close()

    # --- release ---------------------------------------------------------------------------------

    def _on_alarm(self) -> None:
        try:
            if self._is_closed:
                self._start_lanes()
            else:
                self._release_due()
        except Exception as bug:  # noqa: BLE001 - reported by the session, which waits for `over`
            self._fail(bug)

    def _release_due(self) -> None:
        """Start a task for every arrival that is due, then set the alarm for the next."""
        now = self._clock.now_ns()
        while self._head is not None:
            planned = self._head[0]
            if planned > now:
                now = self._clock.now_ns()
                if planned > now:
                    self._alarm.set(self._clock.start_ns + planned)
                    return
            self._is_full = len(self._under_way) >= self._most_tasks
            if not self._is_full:
                ticket = self._take()
                self._under_way.add(ticket)
                ticket.task = self._loop.create_task(self._run(ticket))
            elif now - planned >= self._deadline_ns:
                self._end_unsent(self._take())
            else:
                self._alarm.set(self._clock.start_ns + planned + self._deadline_ns)
                return
        self._check_over()

    def _take(self) -> PendingRequest:
        """The head of an open plan."""
        assert self._head is not None
        planned, phase, operation, key, index = self._head
        self._head = next(self._plan, None)
        row = phase * self._operations + operation
        self._results.take(row)
        return PendingRequest(planned, row, operation, key, index)

    def _start_lanes(self) -> None:
        if self._is_stopped:
            return
        for _ in range(self._lanes):
            task = self._loop.create_task(self._run_lane())
            self._lane_tasks.add(task)
            task.add_done_callback(self._on_lane_end)

    def _on_lane_end(self, task: asyncio.Task[None]) -> None:
        self._lane_tasks.discard(task)
        self._check_over()

    async def _run_lane(self) -> None:
        """Closed loop: an arrival is planned for the moment at which the one before ended, so that none
        of the lane's time is hidden.
        """
        task = asyncio.current_task()
        free = self._clock.now_ns()
        while not self._is_stopped:
            if free >= self._duration_ns or self._head is None:
                self._head = None
                return
            if (left_ns := self._rest_end(free) - free) > 0:
                await asyncio.sleep(min(left_ns / NS_PER_S, LONGEST_NAP_S))
                free = self._clock.now_ns()
                continue
            _, _, operation, key, index = self._head
            self._head = next(self._plan, None)
            row = int(self._pacing[self._stretch, P_NUMBER]) * self._operations + operation
            self._results.take(row)
            ticket = PendingRequest(free, row, operation, key, index)
            ticket.task = task
            self._under_way.add(ticket)
            await self._run(ticket)
            free = ticket.done_ns
            if ticket.sent_ns == NEVER and not self._is_stopped:
                await asyncio.sleep(REFUSED_PAUSE_S)
                free = self._clock.now_ns()

    def _rest_end(self, now_ns: int) -> int:
        """When the rest ends in which `now_ns` lies; `now_ns` itself where there is load."""
        self._stretch = int(stretch_at(self._pacing, self._stretch, now_ns))
        row = self._pacing[self._stretch]
        return int(row[P_START_NS] + row[P_DURATION_NS]) if row[P_REST] else now_ns

    # --- one arrival -----------------------------------------------------------------------------

    async def _run(self, ticket: PendingRequest) -> None:
        """From the task's first step to the arrival's one end. Raises nothing."""
        try:
            ticket.began_ns = now = self._clock.now_ns()
            # An arrival that was held back for lack of room is not the generator's lateness.
            ticket.late_ns = max(now - max(ticket.planned_ns, self._room_ns), 0)
            if self._is_stopped or now - ticket.planned_ns >= self._deadline_ns:
                self._end(ticket, Outcome.DROPPED)
                return
            CURRENT.set(ticket)
            ticket.has_asked = True
            outcome = Outcome.OK
            try:
                await self._driver.call(ticket)
            except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - every end is an outcome
                outcome = self._outcome_of(ticket, error)
            self._end(ticket, outcome)
        except Exception as bug:  # noqa: BLE001 - reported by the session, which waits for `over`
            self._fail(bug)

    def _outcome_of(self, ticket: PendingRequest, error: BaseException) -> Outcome:
        if isinstance(error, asyncio.CancelledError):
            task = asyncio.current_task()
            if task is not None:
                task.uncancel()
        elif ticket.sent_ns == NEVER and not self._driver.is_expected(error):
            raise error
        if ticket.stage == WAITING:
            self.pool_timeouts += not self._is_stopped
            return Outcome.DROPPED
        outcome = Outcome.REFUSED if ticket.stage == CONNECTING else self._driver.outcome_of(error)
        if outcome != Outcome.TIMEOUT and not isinstance(error, asyncio.CancelledError):
            self._note(ticket, error)
            self.own_limits.note(error)
        return outcome

    def _note(self, ticket: PendingRequest, error: BaseException) -> None:
        counted = ticket.legs[-1].name if ticket.legs else ticket.operation
        text, body = self._driver.text_of(error), self._driver.body_of(error)
        self.errors.add(self._names[counted], text, body=body)

    def _end(self, ticket: PendingRequest, outcome: Outcome) -> None:
        ticket.done_ns = now = self._clock.now_ns()
        self._watch.on_ended(ticket)
        # All else before the send was waiting for a connection, whether inside the pool or held back.
        waited_until = ticket.sent_ns if ticket.sent_ns != NEVER else now
        wait = waited_until - ticket.planned_ns - ticket.late_ns if ticket.has_asked else NEVER
        self._record(ticket, outcome, now, wait)
        self._under_way.discard(ticket)
        if self._is_full:
            self._room_ns = now
            self._release_due()
        elif not self._under_way:
            self._check_over()

    def _end_unsent(self, ticket: PendingRequest) -> None:
        """One that never became a task: it has waited since it was planned."""
        now = self._clock.now_ns()
        self._record(ticket, Outcome.DROPPED, now, now - ticket.planned_ns)

    def _record(self, ticket: PendingRequest, outcome: Outcome, now: int, wait: int) -> None:
        if ticket.answers:
            self._results.answer(ticket.row, ticket.answers)
        for leg in ticket.legs:
            earlier = Outcome.ERROR if leg.is_refused else Outcome.OK
            row = ticket.row - ticket.operation + leg.name
            self._results.step(row, leg, outcome if leg is ticket.legs[-1] else earlier, now)
        # The columns of a flight (layout), then those of `results`.
        self._results.batch.extend(
            (
                ticket.planned_ns,
                ticket.sent_ns,
                ticket.arrival,
                ticket.row,
                NEVER,
                ticket.key,
                0,
                outcome,
                now,
                wait,
                ticket.lane,
                ticket.late_ns,
            )
        )

    # --- ends and gauges -------------------------------------------------------------------------

    def _check_over(self) -> None:
        if self._head is None and not self._under_way and not self._lane_tasks and not self.over.done():
            self._gauge()
            self.over.set_result(None)

    def _fail(self, bug: BaseException) -> None:
        self._is_stopped = True
        self._head = None
        if not self.over.done():
            self.over.set_exception(bug)

    def _tick(self) -> None:
        if self.over.done():
            return
        now, delay_ns = self._clock.now_ns(), self._use.run_delay_ns()
        self._results.lag.struck(self._strike_ns, now, delay_ns - self._delay_ns)
        self._delay_ns = delay_ns
        self._gauge()
        self._note_log_ins()
        self._results.flush()
        self._strike_ns = self._clock.now_ns() + TICK_NS
        self._loop.call_later(TICK_NS / NS_PER_S, self._tick)

    def _note_log_ins(self) -> None:
        """Count the log-ins since the last look."""
        start_ns = self._clock.start_ns
        for one in self._driver.take_log_ins():
            leg = Leg(self._names.index(LOGIN), one.began_ns - start_ns, one.done_ns - start_ns, one.status)
            row = self._phase_at(max(leg.done_ns, 0)) * self._operations + leg.name
            self._results.step(row, leg, one.outcome, leg.done_ns)

    def _gauge(self) -> None:
        """How the loop fares. Idle is wall time in which the thread wanted no processor."""
        now = self._clock.now_ns()
        self._watch.use.account(now)
        gauges = self._results.gauges
        gauges[layout.HEARTBEAT] = now
        gauges[layout.IN_FLIGHT] = self._watch.use.in_use
        gauges[layout.CONNECTED] = self._watch.connected
        if now < 0:
            return
        busy = self._use.busy_ns()
        if self._use_zero is None:
            self._use_zero = (now, busy)
        zero, busy_zero = self._use_zero
        gauges[layout.ELAPSED_NS] = now
        gauges[layout.IDLE_NS] = max(now - zero - (busy - busy_zero), 0)
        gauges[layout.RUN_DELAY_NS] = self._use.run_delay_ns()


def _arrivals(walk: PlanWalk) -> Iterator[tuple[int, int, int, int, int]]:
    """All arrivals, one by one: planned_ns, phase, operation, key, index."""
    while rows := walk.next_chunk(CHUNK).rows():
        yield from rows
