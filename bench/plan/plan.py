"""The plan: everything that is decided before the run, as values. No clock, no socket."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bench.plan.pacing import P_EXPECTED, PHASE_COLUMNS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bench.plan.program import Program
    from bench.scenario.model import Workload

WINDOWS_PER_PHASE = 60
LONGEST_WINDOW_NS = 1_000_000_000
SHORTEST_WINDOW_NS = 20_000_000


@dataclass(frozen=True)
class PhasePlan:
    """One phase; times in ns from run zero; load as a share of the workload's rate."""

    name: str
    measured: bool
    start_ns: int
    end_ns: int
    load_from: float = 1.0
    load_to: float = 1.0


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
    phases: NDArray[np.float64]
    """The phase table of bench.plan.pacing, one row per phase."""

    @property
    def name(self) -> str:
        """The workload's name in the scenario."""
        return self.workload.name

    @property
    def is_closed(self) -> bool:
        """Whether lanes send as fast as they are answered."""
        return self.workload.arrivals == "closed"

    @property
    def expected_arrivals(self) -> float:
        """Arrivals that an open plan expects in all; 0 for a closed one."""
        return 0.0 if self.is_closed else float(self.phases[:, P_EXPECTED].sum())


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

    @property
    def duration_ns(self) -> int:
        """From run zero to the end of the last phase."""
        return self.phases[-1].end_ns

    @property
    def measured_ns(self) -> int:
        """Sum of the measured phases."""
        return sum(phase.end_ns - phase.start_ns for phase in self.phases if phase.measured)

    def window_ends(self) -> list[int]:
        """Ends of all windows, ns from run zero: at least WINDOWS_PER_PHASE in every measured phase.

        The last window of a phase ends with it, so no window spans two phases.
        """
        ends: list[int] = []
        for phase in self.phases:
            size = phase.end_ns - phase.start_ns
            wanted = min(max(size // WINDOWS_PER_PHASE, SHORTEST_WINDOW_NS), LONGEST_WINDOW_NS)
            count = max(1, round(size / wanted))
            if phase.measured and size >= WINDOWS_PER_PHASE * SHORTEST_WINDOW_NS:
                count = max(count, WINDOWS_PER_PHASE)
            ends += [phase.start_ns + size * number // count for number in range(1, count + 1)]
        return ends


def phase_table(phases: tuple[PhasePlan, ...], rate_per_s: float) -> NDArray[np.float64]:
    """The phase table for one workload's rate at 100 % load (zero for a closed loop)."""
    table = np.zeros((len(phases), PHASE_COLUMNS))
    before = 0.0
    for row, phase in zip(table, phases, strict=True):
        duration = phase.end_ns - phase.start_ns
        first, last = phase.load_from * rate_per_s / 1e9, phase.load_to * rate_per_s / 1e9
        expected = (first + last) / 2 * duration
        row[:] = (phase.start_ns, duration, first, last, before, expected)
        before += expected
    return table
