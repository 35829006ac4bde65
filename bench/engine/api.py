"""What a session needs of any engine and what an engine reports at the end; what the client engine needs
of a driver.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from bench.core.answers import Answers, ErrorCount
from bench.core.messages import Count, Event
from bench.core.outcome import OUTCOME_COUNT, Outcome
from bench.core.units import often
from bench.engine.board import Change, Reconnection
from bench.engine.client.pool import PendingRequest, PoolMonitor, RunClock
from bench.engine.wire.dialler import Dialler, Stream
from bench.plan.plan import WorkloadPlan
from bench.plan.program import Program
from bench.protocols.wants.state import Search
from bench.scenario.problems import Path as KeyPath
from bench.scenario.workloads import Step, Workload
from bench.stack.target import Target

LEAST_CLIENT_IDLE_RATIO = 0.1
"""A Python event loop with less to spare than this serves its tasks late: its time shows as service time."""

_COUNTED = {
    "broken_replies": ("inconclusive", "times the server sent bytes that are no reply"),
    "stray_replies": ("inconclusive", "replies came that nothing had asked for"),
    "stray_messages": ("inconclusive", "messages came on our channels that are not ours"),
    "saturated_histogram": ("note", "times were longer than the histogram's hour"),
    "operation_log_full": ("inconclusive", "operations did not fit into the operation log"),
    "left_read_only": ("note", "connections were closed and dialled anew: their server takes no writes"),
}
"""Anomalies that are a count: code -> severity, and what stands behind the count."""


def counted_anomalies(workload: str, counts: Mapping[str, int]) -> list[tuple[str, ...]]:
    """(code, severity, message) of every count of a workload that is not 0."""
    return [
        (code, _COUNTED[code][0], f"{workload}: {count} {_COUNTED[code][1]}")
        for code, count in counts.items()
        if count
    ]


def kept_waiting(target: Target | None, workload: str, lanes: int, timeouts: int) -> list[tuple[str, ...]]:
    """A note where a pooler in session mode stands before what gave no answer in time: whom the wait is owed
    to cannot be told from here.
    """
    if target is None or target.pooler != "session" or not timeouts:
        return []
    text = (
        f"{workload}: {timeouts} requests had no answer by their deadline behind a pooler in session mode. "
        "It keeps a connection of the server for each lane that has asked: if its pool (default_pool_size "
        f"of PgBouncer) has fewer than {lanes}, the others wait for the pooler, not for the server"
    )
    advice = "use no more lanes than it has connections, raise its pool, or pool by transaction"
    return [("waited_at_pooler", "note", text, advice)]


def moved(workload: str, addresses: Mapping[str, int]) -> list[tuple[str, ...]]:
    """A note where connections led to several addresses: how many to each, in the order of their use."""
    places = ", then ".join(f"{address} ({often(count)})" for address, count in addresses.items())
    return [("addresses", "note", f"{workload}: connected to {places}")] if len(addresses) > 1 else []


def reconnected(workload: str, lane: Reconnection) -> Event:
    """A lane that lost its connection has another."""
    return Event.model_validate(
        {
            "at_ns": lane.back_ns,
            "kind": "reconnected",
            "workload": workload,
            "thread": lane.thread,
            "lane": lane.lane,
            "away_ns": lane.back_ns - lane.lost_ns,
            "attempts": lane.attempts,
        }
    )


@dataclass(frozen=True)
class EngineStats:
    """A look at a running workload; all but the gauges grow only."""

    taken: Count
    outcomes: Annotated[tuple[Count, ...], Field(min_length=OUTCOME_COUNT, max_length=OUTCOME_COUNT)]
    """One count per Outcome."""
    in_flight: Count
    connected: Count
    idle_ns: Annotated[int, Field(gt=-(2**53), lt=2**53)]
    elapsed_ns: Count
    lost_connections: Count
    reconnections: Count
    run_delay_ns: Count = 0
    """For how long the engine's thread was ready to run and had no processor; of several, the worst."""
    answers: Answers = field(default_factory=Answers)
    """Of all that was answered."""
    pool_in_use: Count | None = None


@dataclass(frozen=True)
class EngineResult:
    """What a workload did, exact: read after its engine has ended."""

    taken: NDArray[np.int64]
    """taken[row], row = phase * operations + operation."""
    tallies: NDArray[np.int64]
    """tallies[row, outcome]."""
    idle_ratio: float
    """Share of the time in which the busiest thread of the generator had nothing to do; waiting for a
    processor is no such time."""
    phase_idle_ratios: list[float] | None = None
    """The same for each phase; None where only the whole is known."""
    phase_lag_p50_ns: list[int | None] | None = None
    """Median of planned to sent for each phase; None for one in which nothing was sent."""
    run_delay_ns: int = 0
    """For how long its thread was ready to run and had no processor; of several, the worst."""
    busy_ns: float | None = None
    """Sum of all service times: the time that lanes were busy, for Little's law; None where unknown."""
    answers: dict[int, Answers] = field(default_factory=dict)
    """What answers brought, by row; rows without any are left out."""
    counters: dict[str, int] = field(default_factory=dict)
    errors: list[ErrorCount] = field(default_factory=list)
    pool: dict[str, float] | None = None
    anomalies: list[tuple[str, ...]] = field(default_factory=list)
    """(code, severity, message), and advice where there is some."""


class Engine(Protocol):
    """One workload under way. Called from one thread, in the order of the methods."""

    plan: WorkloadPlan

    def prepare(self) -> None:
        """Compile, put data in place, connect. Raises TargetError."""

    def begin(self, start_ns: int, run_label: int = 0) -> None:
        """Set run zero on CLOCK_MONOTONIC, ahead of now, and the number that `{run}` stands for."""

    def is_running(self) -> bool:
        """Whether arrivals are still open. Raises what went wrong in the engine's thread."""

    def changes(self) -> Iterator[Change]:
        """What the histograms gained since the last call."""

    def live(self) -> EngineStats:
        """A look at the run."""

    def events(self) -> list[Event]:
        """What happened to connections since the last call; times on CLOCK_MONOTONIC."""

    def stop(self, *, at_once: bool) -> None:
        """Plan nothing further; `at_once`: give up what is in flight."""

    def finish(self) -> EngineResult:
        """After the end: everything exact."""

    def raw_logs(self) -> list[tuple[Path, int]]:
        """After the end: the operation logs (layout.LOG_RECORD), each with its number of records."""

    def close(self) -> None:
        """Release everything. Idempotent, also after a failed `prepare`."""


@dataclass(frozen=True)
class LoggedIn:
    """One log-in of a lane; times on CLOCK_MONOTONIC in ns."""

    began_ns: int
    done_ns: int
    outcome: Outcome
    status: int


@dataclass
class LogIns:
    """What came of all log-ins of a workload so far."""

    count: int = 0
    refused: int = 0
    secrets: set[str] = field(default_factory=set)
    """Texts that were captured: they must stand in no output."""

    def counters(self) -> dict[str, int]:
        """For the run's record; none where there was no log-in."""
        return {"log_ins": self.count, "log_ins_refused": self.refused} if self.count else {}

    def anomalies(self, workload: str, again: int) -> list[tuple[str, ...]]:
        """A note where lanes had to log in again, because so many answers said HTTP 401."""
        if not again:
            return []
        text = f"{workload}: an answer said HTTP 401 {often(again)}, and its lane logged in again"
        text += "; the request was sent once more, the first time in its arrival"
        return [("logged_in_again", "note", f"{text}; {self.count} log-ins in all")]


class LaneLogIn(Protocol):
    """Logs lanes in, each before its connection carries arrivals; used in one event loop."""

    made: LogIns

    async def log_in(self, lane: int) -> Search:
        """Log a lane in, by its number of all lanes; what was captured. Raises TargetError, OSError."""


class WireDriver(Protocol):
    """What the wire engine needs of a driver; modules fulfil it with functions."""

    def program(self, workload: Workload, seed: int, target: Target | None = None) -> Program:
        """The requests of the workload as templates. Pure. Without a target, as a plan is printed,
        what only the target knows (the host of an HTTP request) is left open.
        """

    async def connect(
        self,
        dial: Dialler,
        target: Target,
        workload: Workload,
        *,
        subscriber: bool,
    ) -> Stream:
        """A connection that is logged in and has no unread bytes; the caller owns it. `dial()` opens one to
        the target, over TLS where the target has it.

        Raises OSError or TargetError.
        """

    def log_in(
        self, target: Target, plan: WorkloadPlan, run_label: int, record: Callable[[LoggedIn], None]
    ) -> LaneLogIn:
        """What logs the lanes of a workload in; only of a driver whose workloads may have `login`. `record`
        is told of each log-in.
        """

    def key_words(self, workload: Workload) -> list[int]:
        """For each operation, which word of its first command is the key, -1 where it has none; only of a
        driver that follows the slots of a cluster.
        """

    def prepare(self, target: Target, workload: Workload, seed: int) -> None:
        """Put the keys in place that the operations expect, and have the target look at what it will be
        asked. Raises TargetError, StatementRefused.
        """


STEP_S = 300.0
"""How long one step around the load may take: an index is built in it, and nothing hangs for ever."""


class PlacedStep(NamedTuple):
    """A step of `setup`, `teardown` or `connect`, with the path that leads to it from the workload."""

    path: KeyPath
    what: Any
    """Words of a command, SQL, or a Request; `{run}` is filled in except in a request."""


def steps_at(key: str, steps: Iterable[Step]) -> list[PlacedStep]:
    """The steps under a key of a workload."""
    return [PlacedStep((key, index), step) for index, step in enumerate(steps)]


class StepDriver(Protocol):
    """A driver that can carry out steps around the load; modules fulfil it with functions."""

    def perform(
        self,
        target: Target,
        workload: Workload,
        steps: Sequence[PlacedStep],
        run_label: int,
        opened: Callable[[Callable[[], None]], None],
    ) -> None:
        """Carry the steps out in order, on a connection of its own. `opened` is given what breaks that off.

        Raises StatementRefused for a step that the target does not accept, TargetError for all else.
        """


class ClientDriver(Protocol):
    """An application's client with its pool; everything but `check` runs in the engine's event loop."""

    async def open(self) -> None:
        """Open every connection of the pool. Raises TargetError."""

    async def call(self, ticket: PendingRequest) -> None:
        """Do what the ticket asks for, as one call of the library; raises what went wrong.

        Moves the ticket's stage on, stamps `sent_ns` and sets `lane`, the connection's number.
        """

    def outcome_of(self, error: BaseException) -> Outcome:
        """How an arrival ended that had been sent: ERROR, TIMEOUT or RESET."""

    def is_expected(self, error: BaseException) -> bool:
        """Whether the client library or the network, and no bug of ours, can have raised this."""

    def text_of(self, error: BaseException) -> str:
        """The error in words, without secrets."""

    def body_of(self, error: BaseException) -> str | None:  # noqa: ARG002 - for those that have bodies
        """The beginning of the answer that an error is about, without secrets; None where there is none."""
        return None

    def counters(self) -> dict[str, int]:
        """What only this driver counts; asked when the loop has ended."""

    def anomalies(self, workload: str) -> list[tuple[str, ...]]:  # noqa: ARG002 - for those that find some
        """What this driver found odd: code, severity, message."""
        return []

    def take_log_ins(self) -> list[LoggedIn]:
        """Log-ins since the last call."""
        return []

    async def settle(self) -> None:
        """Every arrival has ended: wait until the connections that were given up are back in the pool, or
        closed. Ends within seconds, whatever the server does. Nothing to do where a library takes a
        connection back before its call ends.
        """

    async def close(self) -> None:
        """Close every connection."""


class ClientModule(Protocol):
    """A driver's module."""

    def check(self, target: Target, plan: WorkloadPlan) -> None:
        """Whether the target is what it should be; then its data put in place. Raises TargetError."""

    def application(
        self, target: Target, plan: WorkloadPlan, watch: PoolMonitor, clock: RunClock
    ) -> ClientDriver:
        """The client, not yet open; called in the engine's event loop."""
