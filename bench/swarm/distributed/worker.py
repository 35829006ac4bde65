"""A worker as the coordinator knows it: its clock, its host, the limits of its part, what it has sent.

How far its CLOCK_MONOTONIC is ahead of the coordinator's is measured as NTP does it (Mills, RFC 5905,
section 8): ask for the time, note when asked and when answered. The answer was given between the two,
so the offset is known to half the round trip, however long either way took. The shortest of several
rounds is the best.
"""

from __future__ import annotations

import math
import os
import platform
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from bench.core.clock import monotonic_ns
from bench.core.outcome import OUTCOME_COUNT
from bench.engine.api import EngineResult, EngineStats

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from bench.core.errors import HoldfastError
    from bench.plan.plan import Segment, WorkloadPlan


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
        """By how much the offset grew until the end; 0 where nobody asked again."""
        return _best(self.after).offset_ns - self.measured_ns if self.after and not self.is_same else 0

    @property
    def longest_trip_ns(self) -> int:
        """The worst of what a message may take."""
        return max((one.trip_ns for one in self.before), default=0)

    def facts(self) -> dict[str, bool | int]:
        """For run.json."""
        return {
            "same": self.is_same,
            "offset_ns": self.offset_ns,
            "uncertainty_ns": self.uncertainty_ns,
            "measured_ns": self.measured_ns,
            "round_trip_ns": _best(self.before).trip_ns,
            "drift_ns": self.drift_ns,
        }


def _best(rounds: list[Round]) -> Round:
    return min(rounds, key=lambda one: one.trip_ns)


def _half(trip_ns: int) -> int:
    return (trip_ns + 1) // 2


PROTOCOL = 1
"""Of the messages between coordinator and engine host."""


@dataclass(frozen=True)
class HostInfo:
    """What two processes must share to share a clock or a loopback."""

    host: str
    pid: int
    boot: str
    time_namespace: str
    network_namespace: str
    protocol: int = PROTOCOL

    @classmethod
    def of_this_process(cls) -> Self:
        """Ours."""
        boot = Path("/proc/sys/kernel/random/boot_id")
        return cls(
            host=platform.node(),
            pid=os.getpid(),
            boot=boot.read_text("ascii").strip() if boot.exists() else "",
            time_namespace=_namespace("time"),
            network_namespace=_namespace("net"),
        )

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> Self:
        """What another process says of itself."""
        return cls(**{name: values[name] for name in cls.__dataclass_fields__})

    def shares_clock_with(self, other: HostInfo) -> bool:
        """Whether both read the same CLOCK_MONOTONIC: one kernel, and one time namespace of it."""
        return self.boot != "" and (self.boot, self.time_namespace) == (other.boot, other.time_namespace)

    def shares_loopback_with(self, other: HostInfo) -> bool:
        """Whether 127.0.0.1 is the same for both."""
        return self.boot != "" and (self.boot, self.network_namespace) == (
            other.boot,
            other.network_namespace,
        )


def _namespace(kind: str) -> str:
    try:
        return str(Path(f"/proc/self/ns/{kind}").readlink())
    except OSError:
        return ""  # a kernel without it has one for all


MOST_OF_A_LANE_PER_S = 100_000_000
"""Arrivals of a closed loop: beyond what any loop makes on one lane."""
MOST_COUNTED = 2**53
DELIVERY = "deliver"
"""The operation of a pub/sub workload that holds end-to-end times: no arrival of the plan's."""


def most_arrivals(plan: WorkloadPlan, segment: Segment, duration_ns: int) -> int:
    """What no segment can exceed in a whole run: of a Poisson plan, eight deviations above its mean."""
    if plan.is_closed:
        return int(plan.workload.lanes * MOST_OF_A_LANE_PER_S * (duration_ns / 1e9 + 60))
    lanes = plan.workload.lanes
    expected = plan.expected_arrivals * -(-lanes // segment.count) / lanes  # arrivals go by lanes
    spread = 8 * math.sqrt(expected) if plan.workload.arrivals == "poisson" else 0.0
    return int(expected + spread) + 16


LAST = 1 << 62
"""Number of the window that holds what an engine counted at its end."""


@dataclass
class RemotePart:
    """One workload on one worker."""

    segment: Segment
    tallies: NDArray[np.int64]
    """tallies[row, outcome] of what has been sent: all that is known of a worker that is lost."""
    most_arrivals: int = MOST_COUNTED
    """What it cannot exceed: see bench.swarm.distributed.worker."""
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
