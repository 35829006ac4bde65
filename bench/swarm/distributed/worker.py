"""A worker as the coordinator knows it: its clock, the limits of its part, what it has sent.

How far its CLOCK_MONOTONIC is ahead of the coordinator's is measured as NTP does it (Mills, RFC 5905,
section 8): ask for the time, note when asked and when answered. The answer was given between the two,
so the offset is known to half the round trip, however long either way took. The shortest of several
rounds is the best.

A worker whose sums cannot be right is rejected with the reason. Its part of the load is missing from then
on, and the others continue. Pure.
"""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import NDArray

from bench.core.answers import Answers
from bench.core.clock import monotonic_ns
from bench.core.errors import HoldfastError
from bench.core.outcome import OUTCOME_COUNT
from bench.engine.api import EngineResult, EngineStats
from bench.plan.plan import Segment, WorkloadPlan
from bench.results.generator_records import CalibrationRecord, ClockRecord
from bench.swarm.distributed.host import HostInfo
from bench.swarm.distributed.messages import (
    HistogramGain,
    HostBeat,
    LogPiece,
    Result,
    Window,
)

MOST_OF_A_LANE_PER_S = 100_000_000
"""Arrivals of a closed loop: beyond what any loop makes on one lane."""
MOST_COUNTED = 2**53
MOST_EVENTS = 10_000
"""In one window."""


@dataclass(frozen=True)
class Round:
    """One question; `sent_ns` and `back_ns` on our clock, `there_ns` on the other's."""

    sent_ns: int
    there_ns: int
    back_ns: int

    @property
    def trip_ns(self) -> int:
        """How long it took."""
        return self.back_ns - self.sent_ns

    @property
    def offset_ns(self) -> int:
        """The other's clock minus ours, known to half the trip."""
        return self.there_ns - (self.sent_ns + self.back_ns) // 2


@dataclass
class ClockOffset:
    """The other's clock minus ours, by all rounds before the run and by those after it."""

    is_same: bool = False
    """Both read one clock: the offset is 0, and what was measured only shows how well it can be."""
    before: list[Round] = field(default_factory=list)
    after: list[Round] = field(default_factory=list)

    @property
    def measured_ns(self) -> int:
        """By the best round before the run."""
        return _best(self.before).offset_ns

    @property
    def offset_ns(self) -> int:
        """To be used in the run."""
        return 0 if self.is_same else self.measured_ns

    @property
    def uncertainty_ns(self) -> int:
        """Half the best round trip; 0 for one clock."""
        return 0 if self.is_same else _half(_best(self.before).trip_ns)

    @property
    def drift_ns(self) -> int:
        """By how much the offset grew until the end; 0 if it was not asked again."""
        return _best(self.after).offset_ns - self.measured_ns if self.after and not self.is_same else 0

    @property
    def longest_trip_ns(self) -> int:
        """The worst of what a message may take."""
        return max((asked.trip_ns for asked in self.before), default=0)

    def record(self) -> ClockRecord:
        """For run.json."""
        return ClockRecord(
            same=self.is_same,
            offset_ns=self.offset_ns,
            uncertainty_ns=self.uncertainty_ns,
            measured_ns=self.measured_ns,
            round_trip_ns=_best(self.before).trip_ns,
            drift_ns=self.drift_ns,
        )


def _best(rounds: list[Round]) -> Round:
    return min(rounds, key=lambda asked: asked.trip_ns)


def _half(trip_ns: int) -> int:
    return (trip_ns + 1) // 2


def most_arrivals(plan: WorkloadPlan, segment: Segment, duration_ns: int) -> int:
    """What no segment can exceed in a whole run: of a Poisson plan, eight deviations above its mean."""
    if plan.is_closed:
        return int(plan.workload.lanes * MOST_OF_A_LANE_PER_S * (duration_ns / 1e9 + 60))
    lanes = plan.workload.lanes
    expected = plan.expected_arrivals * -(-lanes // segment.count) / lanes  # arrivals go by lanes
    spread = 8 * math.sqrt(expected) if plan.workload.arrivals == "poisson" else 0.0
    return int(expected + spread) + 16


@dataclass
class RemotePart:
    """One workload on one worker."""

    segment: Segment
    tallies: NDArray[np.int64]
    """tallies[row, outcome] of what has been sent: all that is known of a worker that is lost."""
    most_arrivals: int = MOST_COUNTED
    """What it cannot exceed: see `most_arrivals`."""
    phases: int = 1
    planned: list[int] = field(default_factory=list)
    """Rows whose responses are arrivals of the plan."""
    is_prepared: bool = False
    failure: HoldfastError | None = None
    windows: deque[Window] = field(default_factory=deque)
    """Sent and not yet read."""
    last_gains: list[HistogramGain] = field(default_factory=list)
    """Sent with the result, and not yet read."""
    newest: int = -1
    """Number of the newest window that was sent."""
    is_behind: bool = False
    """A window was waited for in vain, and has not come since."""
    has_ended: bool = False
    live: EngineStats | None = None
    """As of the newest window that was read."""
    result: EngineResult | None = None
    log_lengths: list[int] = field(default_factory=list)
    piece: LogPiece | None = None

    @classmethod
    def empty(cls, segment: Segment, rows: int) -> Self:
        """Nothing sent so far, and every row one of arrivals."""
        return cls(segment, np.zeros((rows, OUTCOME_COUNT), dtype=np.int64), planned=list(range(rows)))

    @classmethod
    def of(cls, segment: Segment, plan: WorkloadPlan, duration_ns: int) -> Self:
        """Nothing sent so far of a plan that lasts so long."""
        names = plan.program.names
        part = cls.empty(segment, plan.phase_count * len(names))
        part.planned = [row for row in part.planned if plan.is_planned(names[row % len(names)])]
        part.most_arrivals, part.phases = most_arrivals(plan, segment, duration_ns), plan.phase_count
        return part

    def add_window(self, window: Window) -> str | None:
        """Keep a window that was sent; what is wrong with it, if it cannot be right."""
        if self.has_ended or self.result is not None:
            return f"it sent window {window.number} after its last one"
        if window.number <= self.newest:
            return f"it sent window {window.number} after window {self.newest}"
        if len(window.events) > MOST_EVENTS or any("self" in event.details for event in window.events):
            return "it sent events that cannot be"
        if problem := _problem_of_answers([window.live.answers]) or self._problem_of(window.gains):
            return problem
        self._count(window.gains)
        self.windows.append(window)
        self.newest, self.has_ended = window.number, window.is_last
        return None

    def add_result(self, message: Result) -> str | None:
        """Keep the result; what is wrong with it, if it is not the sum of what was sent before."""
        values, rows = message.result, len(self.tallies)
        if self.result is not None:
            return "it sent a second result"
        if (len(values.taken), len(values.tallies)) != (rows, rows):
            return "it sent a result with rows that are not in the plan"
        if problem := _problem_of_answers([answers for _, answers in values.answers]):
            return problem
        for phases in (values.phase_idle_ratios, values.phase_lag_p50_ns):
            if phases and len(phases) != self.phases:
                return f"it sent {len(phases)} phases, where the plan has {self.phases}"
        if problem := self._problem_of(message.gains):
            return problem
        before = self.tallies.copy()
        self._count(message.gains)
        problem = None
        if self.tallies[self.planned].tolist() != [values.tallies[row] for row in self.planned]:
            problem = "its result is not the sum of the windows that it sent"
        elif any(length > self.most_arrivals for length in message.logs):
            problem = "it claims more records than its part of the plan has arrivals"
        if problem:
            self.tallies = before
            return problem
        self.last_gains, self.log_lengths = message.gains, message.logs
        self.result = values.result()
        return None

    def read(self, up_to: int | None) -> list[Window]:
        """Take out the windows up to that number, or all."""
        windows = []
        while self.windows and (up_to is None or self.windows[0].number <= up_to):
            windows.append(self.windows.popleft())
        return windows

    def read_last_gains(self) -> list[HistogramGain]:
        """Take out what came with the result."""
        gains, self.last_gains = self.last_gains, []
        return gains

    def _count(self, gains: Sequence[HistogramGain]) -> None:
        for gain in gains:
            if gain.kind == "response":  # every arrival that ends has one
                self.tallies[gain.row, gain.outcome] += sum(gain.counts)

    def _problem_of(self, gains: Sequence[HistogramGain]) -> str | None:
        claimed = int(self.tallies[self.planned].sum())
        for gain in gains:
            if problem := _problem_of_gain(gain, len(self.tallies)):
                return problem
            if gain.kind == "response" and gain.row in self.planned:
                claimed += sum(gain.counts)
        if claimed > self.most_arrivals:
            return f"it claims {claimed} arrivals, more than the {self.most_arrivals} that its part can have"
        return None


def _problem_of_gain(gain: HistogramGain, rows: int) -> str | None:
    if gain.row >= rows:
        return "it sent a histogram of a row that is not in the plan"
    if len(gain.buckets) != len(gain.counts):
        return "it sent a histogram whose buckets have no counts"
    return None


def _problem_of_answers(several: Sequence[Answers]) -> str | None:
    for answers in several:
        for count in (answers.hits, answers.misses, *answers.statuses.values()):
            if not 0 <= count < MOST_COUNTED:
                return "it sent a count that cannot be"
    return None


@dataclass
class Worker:
    """One worker. Times in ns on the coordinator's clock."""

    name: str
    where: HostInfo | None = None
    clock: ClockOffset = field(default_factory=ClockOffset)
    asked_ns: set[int] = field(default_factory=set)
    """When it was asked for the time, without an answer so far."""
    heard_ns: int = field(default_factory=monotonic_ns)
    lost_because: str | None = None
    lost_ns: int = 0
    has_plan: bool = False
    failure: HoldfastError | None = None
    """Of what it does for the run as a whole."""
    calibration: CalibrationRecord | None = None
    use: HostBeat | None = None
    parts: dict[int, RemotePart] = field(default_factory=dict)
    late_windows: int = 0
    first_late_ns: int = 0
    """From run zero."""

    @property
    def is_lost(self) -> bool:
        """Whether nothing more is expected of it."""
        return self.lost_because is not None

    @property
    def words(self) -> str:
        """Name, host and process."""
        if self.where is None:
            return f"worker {self.name}"
        return f"worker {self.name} (host {self.where.host}, pid {self.where.pid})"

    @property
    def under_way(self) -> int:
        """Arrivals it had taken and not ended when it was last heard of."""
        count = 0
        for part in self.parts.values():
            live = part.windows[-1].live if part.windows else part.live
            if live is not None and not part.has_ended:
                count += max(live.taken - sum(live.outcomes), 0)
        return count
