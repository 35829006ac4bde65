"""A worker as the coordinator knows it: where it is, how it is, and what it has sent."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.core.clock import monotonic_ns
from bench.core.outcome import OUTCOME_COUNT
from bench.engine.api import EngineResult, EngineStats
from bench.swarm.distributed.clock_offset import ClockOffset
from bench.swarm.distributed.limits import DELIVERY, MOST_COUNTED, most_arrivals

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bench.core.errors import HoldfastError
    from bench.plan.plan import Segment, WorkloadPlan
    from bench.swarm.distributed.host_info import HostInfo

LAST = 1 << 62
"""Number of the window that holds what an engine counted at its end."""


@dataclass
class RemotePart:
    """One workload on one worker."""

    segment: Segment
    tallies: NDArray[np.int64]
    """tallies[row, outcome] of what has been sent: all that is known of a worker that is lost."""
    most_arrivals: int = MOST_COUNTED
    """What it cannot exceed: see bench.swarm.distributed.limits."""
    phases: int = 1
    planned: list[int] = field(default_factory=list)
    """Rows whose responses are arrivals of the plan."""
    is_prepared: bool = False
    failure: HoldfastError | None = None
    windows: deque[dict[str, Any]] = field(default_factory=deque)
    """Sent and not yet read."""
    newest: int = -1
    """Number of the newest window that was sent."""
    is_behind: bool = False
    """A window was waited for in vain, and has not come since."""
    has_ended: bool = False
    live: EngineStats | None = None
    """As of the newest window that was read."""
    result: EngineResult | None = None
    log_lengths: list[int] = field(default_factory=list)
    piece: dict[str, Any] | None = None

    @classmethod
    def empty(cls, segment: Segment, rows: int) -> RemotePart:
        """Nothing sent so far, and every row one of arrivals."""
        return cls(segment, np.zeros((rows, OUTCOME_COUNT), dtype=np.int64), planned=list(range(rows)))

    @classmethod
    def of(cls, segment: Segment, plan: WorkloadPlan, duration_ns: int) -> RemotePart:
        """Nothing sent so far of a plan that lasts so long."""
        names = plan.program.names
        part = cls.empty(segment, plan.phase_count * len(names))
        if plan.workload.is_pubsub:
            part.planned = [row for row in part.planned if names[row % len(names)] != DELIVERY]
        part.most_arrivals, part.phases = most_arrivals(plan, segment, duration_ns), plan.phase_count
        return part

    def add(self, window: dict[str, Any]) -> None:
        """Keep a window that was sent."""
        self.windows.append(window)
        self.newest = max(self.newest, window["number"])
        for row, kind, outcome, _, counts in window["gains"]:
            if kind == "response":  # every arrival that ends has one
                self.tallies[row, outcome] += sum(counts)

    def read(self, up_to: int) -> list[dict[str, Any]]:
        """Take out the windows up to that number."""
        found = []
        while self.windows and self.windows[0]["number"] <= up_to:
            found.append(self.windows.popleft())
        return found


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
    calibration: dict[str, Any] | None = None
    use: dict[str, Any] = field(default_factory=dict)
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
        found = 0
        for part in self.parts.values():
            live = part.windows[-1]["live"] if part.windows else part.live
            if isinstance(live, EngineStats) and not part.has_ended:
                found += max(live.taken - sum(live.outcomes), 0)
        return found
