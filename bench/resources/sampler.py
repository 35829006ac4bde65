"""Samples what everything costs, in a separate thread, into resources.csv; and when each sample is due.

The load is never held up: the engines need no lock of Python's while they run, a sample reads a few
files of /proc, services are asked in separate threads, and whatever is expensive paces itself.
"""

import bisect
import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping

from bench.core.clock import NS_PER_S, monotonic_ns
from bench.core.errors import ResultError
from bench.plan.plan import Plan
from bench.resources.cgroup import throttled_s
from bench.resources.generator import cpu_s, others
from bench.resources.machine import read_machine, read_pressure
from bench.resources.starvation import Cutter, Slice, Sum
from bench.resources.watched import WatchedProcess, WatchedTarget
from bench.results.generator_records import ResourceRecord
from bench.results.layout import GENERATOR, MACHINE, Cell, ResourceRow
from bench.results.logs import ActivityRecord
from bench.stack.target import Target, TargetDescription

LONGEST_INTERVAL_NS = 500_000_000
SHORTEST_INTERVAL_NS = 50_000_000
SAMPLES = 80
"""At least so many in the measured time, if it is long enough: eight in its first and last tenth."""

APART_NS = 25_000_000
"""No two samples are due closer to each other than this."""

BEFORE_END_NS = 20_000_000
"""How long before the end of a rest its sample is due: a late one shall still lie in the rest."""
BEFORE_END_SHARE = 0.3


def interval_ns(plan: Plan) -> int:
    """The pace of the samples between those that have a place of their own."""
    return min(max(plan.measured_ns // SAMPLES, SHORTEST_INTERVAL_NS), LONGEST_INTERVAL_NS)


def due_times_ns(plan: Plan) -> tuple[list[int], frozenset[int]]:
    """When samples are due, ns from run zero, in order and at least APART_NS apart; and which of them are
    at edges: those may not be left out.

    First come the ends of rests, then the edges of phases and the ends of loads, then a regular pace;
    what would be too close to one that is there already is left out.
    """
    rest_ends: list[int] = []
    edges: list[int] = [0]
    for phase in plan.phases:
        edges.append(phase.end_ns)
        for stretch in phase.stretches():
            if stretch.is_rest:
                size = stretch.end_ns - stretch.start_ns
                rest_ends.append(stretch.end_ns - min(BEFORE_END_NS, int(size * BEFORE_END_SHARE)))
                edges.append(stretch.start_ns)
    pace = interval_ns(plan)
    times: list[int] = []
    for time_ns in (*rest_ends, *edges):
        _insert(times, time_ns, APART_NS)
    at_edges = frozenset(times)
    for time_ns in range(0, plan.duration_ns, pace):
        _insert(times, time_ns, pace // 2)
    return times, at_edges


def _insert(times: list[int], time_ns: int, apart_ns: int) -> None:
    place = bisect.bisect_left(times, time_ns)
    if place and time_ns - times[place - 1] < apart_ns:
        return
    if place < len(times) and times[place] - time_ns < apart_ns:
        return
    times.insert(place, time_ns)


ANSWER_S = 0.05
"""How long a sample waits for what the services say; a later answer is left out."""
ENDING_S = 5.0
MOST_CPU_SHARE = 0.05
"""Of one core, after the first FREE_CPU_NS: regular samples beyond are left out."""
FREE_CPU_NS = 20_000_000
MOST_CPU_OF_ASKING = 0.02
"""Of one core: services are asked that much, also where samples are left out."""

HELD_UP_TWICE = 2
"""Slices in a row: one alone is no more than a hiccup."""
PRESSURES = {"cpu": "cpu_pressure_s", "memory": "memory_pressure_s", "io": "io_pressure_s"}


class Sampler:
    """Writes one row per sample and source from run zero until `stop`."""

    def __init__(
        self,
        plan: Plan,
        targets: Mapping[str, Target],
        described: Iterable[TargetDescription],
        write: Callable[[dict[str, Cell]], None],
        pool: Callable[[], tuple[int, int] | None] = lambda: None,
        note: Callable[[ActivityRecord], None] = lambda _: None,
    ) -> None:
        """`note` gets what services report beside their figures."""
        self._plan = plan
        self._write = write
        self._note = note
        self._pool = pool
        self._described = {target.name: target for target in described}
        self._targets = [
            WatchedTarget(name, targets.get(name), described.server)
            for name, described in self._described.items()
        ]
        self._own = WatchedProcess(with_descendants=False, others=others)
        self._times, self._edges = due_times_ns(plan)
        self._interval_ns = interval_ns(plan)
        self._rests = [
            (piece.start_ns, piece.end_ns)
            for phase in plan.phases
            for piece in phase.stretches()
            if piece.is_rest
        ]
        self._start_ns = 0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="resources", daemon=True)
        self._samples = 0
        self._cpu_ns = 0
        self._asked_before_ns = 0
        self._longest_ns = 0
        self._cutter = Cutter()
        self._others = Sum([(phase.start_ns, phase.end_ns) for phase in plan.phases if phase.measured])
        self._held_up = 0
        self._alarm: str | None = None
        self._pressure: tuple[ResourceRow, ResourceRow] | None = None
        self.failure: str | None = None
        """Why the samples ended early, if they did."""
        for target in self._targets:
            if target.poller is not None:
                target.poller.begin()  # imports and connects, before the clock starts

    def start(self, start_ns: int) -> None:
        """Begin at run zero `start_ns` on CLOCK_MONOTONIC."""
        self._start_ns = start_ns
        self._asked_before_ns = sum(target.poller.cpu_ns for target in self._targets if target.poller)
        self._thread.start()

    def update(self, described: Iterable[TargetDescription]) -> None:
        """Take over what the stack says now: a target that was restarted has another process."""
        self._described = {target.name: target for target in described}

    def stop(self) -> None:
        """Take a last sample and end. Idempotent, also before the start."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(ENDING_S)
        for target in self._targets:
            target.close()

    def record(self) -> ResourceRecord:
        """For the run's record: how often, and what it cost."""
        return ResourceRecord(
            samples=self._samples,
            interval_ns=self._interval_ns,
            cores=os.cpu_count() or 1,
            cpu_ns_per_sample=round(self._spent_ns() / max(self._samples, 1)),
            longest_ns=self._longest_ns,
            failure=self.failure,
            others=self._others.result().record(),
            pressure=self._pressure_shares(),
            questions={target.name: target.poller.record() for target in self._targets if target.poller},
        )

    def _pressure_shares(self) -> dict[str, float]:
        """Shares of the sampled time, by resource; those that the kernel reports."""
        if self._pressure is None:
            return {}
        first, last = self._pressure
        length_s = max((last.at_ns - first.at_ns) / NS_PER_S, 1e-9)
        before, after = first.figures(), last.figures()
        return {
            name: round(min(max(after[column] - before[column], 0.0) / length_s, 1.0), 4)
            for name, column in PRESSURES.items()
            if column in before and column in after
        }

    def take_alarm(self) -> str | None:
        """Said once, when others have begun to hold the run up; None where there is nothing to say."""
        said, self._alarm = self._alarm, None
        return said

    # --- the thread ------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            due = 0
            while not self._stopping.wait(self._seconds_until(due)):
                if due in self._edges or self._is_affordable():
                    self._sample()
                else:
                    self._ask_services()
                due = self._following()
            self._sample()
        except (OSError, ResultError, ValueError) as error:
            self.failure = f"{type(error).__name__}: {error}"

    def _seconds_until(self, due_ns: int) -> float:
        return max(due_ns - (monotonic_ns() - self._start_ns), 0) / 1e9

    def _following(self) -> int:
        """When the next sample is due; what was missed is not made up for."""
        now = monotonic_ns() - self._start_ns
        place = bisect.bisect_right(self._times, now)
        return self._times[place] if place < len(self._times) else now + self._interval_ns

    def _is_affordable(self) -> bool:
        """Whether sampling has used little enough of a core so far; a sample at an edge is taken anyway."""
        return self._spent_ns() <= MOST_CPU_SHARE * (monotonic_ns() - self._start_ns) + FREE_CPU_NS

    def _spent_ns(self) -> int:
        return self._cpu_ns + self._asking_ns()

    def _asking_ns(self) -> int:
        asked = sum(target.poller.cpu_ns for target in self._targets if target.poller)
        return asked - self._asked_before_ns

    def _sample(self) -> None:
        at_ns = monotonic_ns() - self._start_ns
        if at_ns < 0:
            return
        is_rest = self._is_rest(at_ns)
        for target in self._targets:
            target.ask(is_rest=is_rest)
        described = self._described
        phase = next((phase.name for phase in self._plan.phases if at_ns < phase.end_ns), "drain")
        machine = self._machine(at_ns, phase)
        rows = [machine, self._generator(at_ns, phase, is_rest)]
        for target in self._targets:
            row = ResourceRow(at_ns, phase, target.name)
            target.read(row, described.get(target.name), is_rest=is_rest)
            rows.append(row)
        until_s = time.monotonic() + ANSWER_S
        for target, row in zip(self._targets, rows[2:], strict=True):
            row.add(target.answer(until_s - time.monotonic()))
        known = [row for row in rows if row.figures()]  # a source of which nothing is known has no row
        for row in known:
            self._write(row.cells())
        self._write_down_noticed()
        cut = self._cutter.add(at_ns, {row.source: row for row in known})
        if cut is not None:
            self._look_at(cut)
        self._pressure = (self._pressure[0] if self._pressure else machine, machine)
        self._samples += 1
        self._cpu_ns = time.thread_time_ns()
        self._longest_ns = max(self._longest_ns, monotonic_ns() - self._start_ns - at_ns)

    def _ask_services(self) -> None:
        """In place of a sample that is too dear: what services say costs less."""
        if self._asking_ns() <= MOST_CPU_OF_ASKING * (monotonic_ns() - self._start_ns):
            for target in self._targets:
                target.ask(is_rest=False)
        self._write_down_noticed()

    def _write_down_noticed(self) -> None:
        for target in self._targets:
            for noticed in target.poller.noticed() if target.poller else ():
                if (record := noticed.record(target.name, self._start_ns)) is not None:
                    self._note(record)

    def _look_at(self, cut: Slice) -> None:
        self._others.add(cut)
        self._held_up = self._held_up + 1 if cut.held_up else 0
        if self._held_up == HELD_UP_TWICE:
            self._alarm = (
                f"this machine is busy with other work: others use {cut.others_cores:.1f} of its {cut.cores} "
                f"cores, and {cut.who} ({cut.held_up * 100:.0f} % of the time)"
            )

    def _machine(self, at_ns: int, phase: str) -> ResourceRow:
        use, pressure = read_machine(), read_pressure()
        return ResourceRow(
            at_ns,
            phase,
            MACHINE,
            cores=use.cores,
            cpu_s=use.cpu_s,
            working_set_bytes=use.working_set_bytes,
            steal_s=use.steal_s,
            cpu_pressure_s=pressure.cpu_s,
            memory_pressure_s=pressure.memory_s,
            io_pressure_s=pressure.io_s,
        )

    def _generator(self, at_ns: int, phase: str, is_rest: bool) -> ResourceRow:
        row = ResourceRow(at_ns, phase, GENERATOR)
        self._own.read(row, os.getpid(), is_rest=is_rest)
        # Finer than the kernel's ticks, which is what the other processes have.
        row.cpu_s, row.throttled_s = round(time.process_time() + cpu_s(), 6), throttled_s()
        if (pool := self._pool()) is not None:
            row.pool_in_use, row.pool_size = pool
        return row

    def _is_rest(self, at_ns: int) -> bool:
        place = bisect.bisect_right(self._rests, (at_ns, self._plan.duration_ns)) - 1
        return place >= 0 and at_ns < self._rests[place][1]
