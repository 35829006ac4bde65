"""The plan: everything that is decided before the run, as values. No clock, no socket."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bench.core.intervals import Stretch, load_ns, stretches, window_ends
from bench.plan.pacing import P_DURATION_NS, P_EXPECTED, P_NUMBER, P_REST, P_START_NS, PACING_COLUMNS
from bench.registry import is_planned
from bench.scenario.templates import filled

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from bench.plan.program import Program
    from bench.scenario.workloads import Workload


@dataclass(frozen=True)
class PhasePlan:
    """One phase; times in ns from run zero; load as a share of the workload's rate.

    With `cycles` each of so many equal parts ends in `rest`, a share of the part in which nothing is
    planned; a ramp goes on through the rests.
    """

    name: str
    measured: bool
    start_ns: int
    end_ns: int
    load_from: float = 1.0
    load_to: float = 1.0
    cycles: int | None = None
    rest: float | None = None

    def stretches(self) -> list[Stretch]:
        """Load and rest in turn; one stretch of load where the phase has no cycles."""
        return stretches(self.start_ns, self.end_ns, self.cycles, self.rest)

    @property
    def load_ns(self) -> int:
        """How much of the phase is load."""
        return load_ns(self.start_ns, self.end_ns, self.cycles, self.rest)


@dataclass(frozen=True)
class Segment:
    """Which part of the plan a process runs: number `number` (from 0) of `count`. A local run is 0 of 1."""

    number: int = 0
    count: int = 1


@dataclass(frozen=True)
class WorkloadPlan:
    """One workload, ready to run: its program and its pacing."""

    workload: Workload
    seed: int
    program: Program
    pacing: NDArray[np.float64]
    """The table of bench.plan.pacing, one row per stretch: at least one for every phase."""

    @property
    def name(self) -> str:
        """The workload's name in the scenario."""
        return self.workload.name

    @property
    def phase_count(self) -> int:
        """How many phases there are: what the Board has rows for."""
        return int(self.pacing[-1, P_NUMBER]) + 1

    @property
    def phase_load_ns(self) -> NDArray[np.float64]:
        """How much of each phase is load, in ns; shape (phase_count,)."""
        lengths = self.pacing[:, P_DURATION_NS] * (self.pacing[:, P_REST] == 0)
        loads = np.bincount(self.pacing[:, P_NUMBER].astype(np.int64), lengths, self.phase_count)
        return loads.astype(np.float64)

    def labelled(self, run_label: int) -> WorkloadPlan:
        """With the number of its run in what is done on each new connection."""
        if not self.workload.connect:
            return self
        steps = tuple(filled(step, run_label) for step in self.workload.connect)
        return replace(self, workload=self.workload.model_copy(update={"connect": steps}))

    def is_planned(self, operation: str) -> bool:
        """Whether an operation is a planned arrival, and nothing that the server sends by itself."""
        return is_planned(self.workload.driver, operation)

    def phase_at(self, at_ns: int) -> int:
        """The phase in which a time of the run lies; behind the last, that one."""
        return int(self.pacing[np.searchsorted(self.pacing[:, P_START_NS], at_ns, "right") - 1, P_NUMBER])

    @property
    def planned_rows(self) -> NDArray[np.bool_]:
        """Of the Board's rows those that count arrivals."""
        return np.tile([self.is_planned(name) for name in self.program.names], self.phase_count)

    @property
    def is_closed(self) -> bool:
        """Whether lanes send as fast as they are answered."""
        return self.workload.arrivals == "closed"

    @property
    def expected_arrivals(self) -> float:
        """Arrivals that an open plan expects in all; 0 for a closed one."""
        return 0.0 if self.is_closed else float(self.pacing[:, P_EXPECTED].sum())


@dataclass(frozen=True)
class Plan:
    """A scenario compiled: what each engine runs, and when."""

    name: str
    seed: int
    phases: tuple[PhasePlan, ...]
    workloads: tuple[WorkloadPlan, ...]
    digest: str
    operation_log: bool = False
    segment: Segment = Segment()
    run_label: int = 0
    """What `{run}` stands for; no part of the digest."""

    @property
    def duration_ns(self) -> int:
        """From run zero to the end of the last phase."""
        return self.phases[-1].end_ns

    @property
    def measured_ns(self) -> int:
        """Sum of the measured phases."""
        return sum(phase.end_ns - phase.start_ns for phase in self.phases if phase.measured)

    @property
    def load_ns(self) -> int:
        """Sum of all phases without their rests."""
        return sum(phase.load_ns for phase in self.phases)

    def window_ends(self) -> list[int]:
        """Ends of all windows, ns from run zero. No window spans two phases."""
        return [
            end
            for phase in self.phases
            for end in window_ends(phase.start_ns, phase.end_ns, measured=phase.measured)
        ]


def pacing_table(phases: tuple[PhasePlan, ...], rate_per_s: float) -> NDArray[np.float64]:
    """The pacing table for one workload's rate at 100 % load (zero for a closed loop)."""
    rows: list[tuple[float, ...]] = []
    before = 0.0
    for number, phase in enumerate(phases):
        slope = (phase.load_to - phase.load_from) / (phase.end_ns - phase.start_ns)
        for stretch in phase.stretches():
            duration = stretch.end_ns - stretch.start_ns
            # The ends of a whole phase are taken as they are given, free of rounding.
            ends = (phase.load_from, phase.load_to)
            if phase.cycles:
                ends = (
                    phase.load_from + slope * (stretch.start_ns - phase.start_ns),
                    phase.load_from + slope * (stretch.end_ns - phase.start_ns),
                )
            first, last = (0.0 if stretch.is_rest else end * rate_per_s / 1e9 for end in ends)
            expected = (first + last) / 2 * duration
            rows.append((stretch.start_ns, duration, first, last, before, expected, number, stretch.is_rest))
            before += expected
    return np.array(rows, dtype=np.float64).reshape(-1, PACING_COLUMNS)


class UserStretch(NamedTuple):
    """A piece of the plan in which the number of users moves evenly; times in ns from run zero."""

    start_ns: int
    end_ns: int
    users_from: float
    users_to: float


def user_stretches(phases: Iterable[PhasePlan], lanes: int) -> list[UserStretch]:
    """The whole plan for a workload of `lanes` users at 100 % load; no user runs in a rest."""
    found = []
    for phase in phases:
        slope = (phase.load_to - phase.load_from) / (phase.end_ns - phase.start_ns)
        for piece in phase.stretches():
            ends = [
                0.0 if piece.is_rest else lanes * (phase.load_from + slope * (at - phase.start_ns))
                for at in (piece.start_ns, piece.end_ns)
            ]
            found.append(UserStretch(piece.start_ns, piece.end_ns, *ends))
    return found


def users_at(stretches: Sequence[UserStretch], at_ns: int) -> int:
    """Users that run at `at_ns` from run zero: rounded, but one at least wherever there is any load.

    None before the first stretch and from the end of the last one on.
    """
    for stretch in stretches:
        if stretch.start_ns <= at_ns < stretch.end_ns:
            share = (at_ns - stretch.start_ns) / (stretch.end_ns - stretch.start_ns)
            users = stretch.users_from + (stretch.users_to - stretch.users_from) * share
            return max(int(users + 0.5), 1) if stretch.users_from + stretch.users_to > 0 else 0
    return 0
