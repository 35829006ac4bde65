"""What a Locust process and its agent say to each other, as JSON, one object a line.

An object with `do` goes to the agent, one with `say` comes from it.
"""

from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
)

from bench.core.histogram import Counts, empty, lower_edge_ns, upper_edge_ns
from bench.core.messages import Event, Messages
from bench.judge.verdict import Verdict
from bench.results.logs import Tag
from bench.results.run_record import RunRecord

RECENT_NS = 2_000_000_000
"""What is shown as "now" is the last two seconds: samples enough for a percentile, and an outage shows."""


# --- to the agent ----------------------------------------------------------------------------------


def _named(value: object) -> object:
    if value == "":
        raise ValueError("an empty path")
    return value


def _different(names: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(names)) < len(names):
        raise ValueError("one name twice")
    return names


NamedPath = Annotated[Path, BeforeValidator(_named)]


@dataclass(frozen=True)
class RunRequest:
    """One run: as the arguments of `bench run`, and who makes the load."""

    scenario: NamedPath
    overrides: tuple[str, ...] = ()
    quick: bool = False
    stack: str | None = None
    out: NamedPath = Path("results")
    seed: Annotated[int, Field(ge=0, lt=2**63)] | None = None
    workers: Annotated[tuple[str, ...], AfterValidator(_different)] = ()
    """Names of the workers whose engine hosts can be relayed to; none: the load is made here."""
    do: Literal["run"] = "run"


@dataclass(frozen=True)
class HostRequest:
    """Be the engine host of a worker."""

    do: Literal["host"] = "host"


@dataclass(frozen=True)
class StopRun:
    """End the run in order, or immediately."""

    at_once: bool = False
    do: Literal["stop"] = "stop"


@dataclass(frozen=True)
class RelayedMessage:
    """A message of an engine host or of the coordinator; its reader is in bench.swarm.distributed."""

    sender: Annotated[str, Field(alias="from")]
    message: Any
    do: Literal["relay"] = "relay"


@dataclass(frozen=True)
class WorkerLost:
    """A worker of the run is gone."""

    worker: str
    reason: str
    do: Literal["worker_lost"] = "worker_lost"


@dataclass(frozen=True)
class WorkerJoined:
    """A worker came during the run; it takes no part."""

    worker: str
    do: Literal["worker_joined"] = "worker_joined"


ToAgent = RunRequest | HostRequest | StopRun | RelayedMessage | WorkerLost | WorkerJoined
TO_AGENT: Messages[ToAgent] = Messages(Annotated[ToAgent, Field(discriminator="do")])


# --- from the agent --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Step:
    """Something before or after the run."""

    text: str
    say: Literal["step"] = "step"


@dataclass(frozen=True)
class Started:
    """Run zero is set: run.json as far as it is known, and the wall time of run zero."""

    record: Annotated[RunRecord, PlainValidator(RunRecord.read), PlainSerializer(RunRecord.to_json)]
    wall_ns: int
    say: Literal["started"] = "started"


Numbers = Annotated[
    NDArray[np.int64],
    PlainValidator(lambda values: np.array(values, dtype=np.int64)),
    PlainSerializer(lambda values: values.tolist()),
]


class HistogramDelta(NamedTuple):
    """What one histogram gained: buckets (bench.core.histogram) and their counts, of equal length."""

    tag: Annotated[Tag, PlainValidator(Tag.parse), PlainSerializer(str)]
    buckets: Numbers
    counts: Numbers

    @classmethod
    def of(cls, tag: Tag, counts: Counts) -> Self:
        """What a whole histogram holds."""
        used = counts.nonzero()[0]
        return cls(tag, used, counts[used])

    @property
    def total(self) -> int:
        """How many samples."""
        return int(self.counts.sum())

    @property
    def edges_ns(self) -> tuple[list[int], list[int]]:
        """Lowest and highest value of each bucket."""
        return [lower_edge_ns(int(b)) for b in self.buckets], [upper_edge_ns(int(b)) for b in self.buckets]


class SeriesRow(BaseModel):
    """A row of series.csv, None for an empty cell."""

    model_config = ConfigDict(frozen=True, extra="allow")

    workload: str
    connected: int | None = None
    in_flight: int | None = None


@dataclass(frozen=True)
class WindowMessage:
    """One window with what its histograms gained, sparse and exact; times in ns from run zero."""

    start_ns: int
    end_ns: int
    phase: str
    under_way: str
    series: tuple[SeriesRow, ...]
    gains: tuple[HistogramDelta, ...]
    say: Literal["window"] = "window"


class RollingWindow:
    """The gains of one histogram in the windows of the last seconds."""

    def __init__(self) -> None:
        self._kept: deque[tuple[int, int, list[HistogramDelta]]] = deque()

    def add(self, start_ns: int, end_ns: int, gains: list[HistogramDelta]) -> None:
        """Add a window, also an empty one: time in which nothing ended is time too."""
        self._kept.append((start_ns, end_ns, gains))
        while len(self._kept) > 1 and self._kept[1][0] <= end_ns - RECENT_NS:
            self._kept.popleft()

    def clear(self) -> None:
        """Forget everything."""
        self._kept.clear()

    @property
    def seconds(self) -> float:
        """How long the windows last that are kept."""
        return (self._kept[-1][1] - self._kept[0][0]) / 1e9 if self._kept else 0.0

    def total(self, *, failed: bool | None = None) -> int:
        """Samples; only those with (or without) an outcome other than OK where `failed` says so."""
        return sum(
            gain.total
            for _, _, gains in self._kept
            for gain in gains
            if failed is None or failed == (gain.tag.outcome != "ok")
        )

    def counts(self) -> Counts:
        """All of them in one histogram."""
        merged = empty()
        for _, _, gains in self._kept:
            for gain in gains:
                merged[gain.buckets] += gain.counts
        return merged


@dataclass(frozen=True)
class EventMessage:
    """An entry of events.jsonl."""

    event: Event
    say: Literal["event"] = "event"


@dataclass(frozen=True)
class Ended:
    """The run folder is complete."""

    path: Path
    interrupted: bool
    say: Literal["ended"] = "ended"


@dataclass(frozen=True)
class Judged:
    """The verdict, and the exit code that belongs to it."""

    verdict: Annotated[Verdict, PlainValidator(Verdict.from_json), PlainSerializer(Verdict.to_json)]
    exit_code: int
    say: Literal["judged"] = "judged"


@dataclass(frozen=True)
class Failed:
    """There is no run, or no verdict."""

    message: str
    exit_code: int
    say: Literal["failed"] = "failed"


@dataclass(frozen=True)
class RelayRequest:
    """A message for an engine host, or for the coordinator (None)."""

    to: str | None
    message: Any
    say: Literal["relay"] = "relay"


FromAgent = Step | Started | WindowMessage | EventMessage | Ended | Judged | Failed | RelayRequest
FROM_AGENT: Messages[FromAgent] = Messages(Annotated[FromAgent, Field(discriminator="say")])
