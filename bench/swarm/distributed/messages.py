"""The messages between a coordinator and the engine hosts of its workers.

Each is an object with `kind`. Times are of CLOCK_MONOTONIC of the process that reads it there. Windows are
those of Plan.window_ends, numbered from 0, then steps of DRAIN_STEP_NS until the engine ends.
"""

import base64
import zlib
from dataclasses import dataclass, fields
from typing import Annotated, Literal, NamedTuple, Self

import numpy as np
from pydantic import AfterValidator, ConfigDict, Field, with_config

from bench.core.answers import Answers, ErrorCount
from bench.core.histogram import BUCKET_COUNT
from bench.core.messages import Count, Event, Messages
from bench.core.outcome import OUTCOME_COUNT
from bench.engine.api import EngineResult, EngineStats
from bench.engine.board import Change
from bench.results.generator_records import CalibrationRecord
from bench.results.model import Whole
from bench.stack.target import Target
from bench.swarm.distributed.host import Failure, HostInfo
from bench.swarm.distributed.plan_codec import PlanMessage

LIGHT = 1
"""zlib's level: a worker has other things to do."""
MOST_BYTES = 1 << 28

exact = with_config(ConfigDict(extra="forbid", allow_inf_nan=False))
"""For messages of a worker: no unknown field, no NaN."""

# --- from the coordinator --------------------------------------------------------------------------


@dataclass(frozen=True)
class Hello:
    """Ask where it is, and what its clock says."""

    sent_ns: int
    kind: Literal["hello"] = "hello"


@dataclass(frozen=True)
class Beat:
    """The coordinator is there."""

    kind: Literal["beat"] = "beat"


@dataclass(frozen=True)
class Calibrate:
    """Measure yourself."""

    rate_per_s: float | None
    lanes: int
    kind: Literal["calibrate"] = "calibrate"


@dataclass(frozen=True)
class TakePlan:
    """The whole plan."""

    plan: PlanMessage
    kind: Literal["plan"] = "plan"


@dataclass(frozen=True)
class Prepare:
    """Make the engine of a segment (its number from 0, and how many there are) and connect."""

    workload: int
    segment: tuple[int, int]
    target: Target | None
    kind: Literal["prepare"] = "prepare"


@dataclass(frozen=True)
class Begin:
    """Run zero, on the worker's clock."""

    workload: int
    start_ns: int
    run_label: int
    kind: Literal["begin"] = "begin"


@dataclass(frozen=True)
class Stop:
    """Plan nothing further; `at_once`: give up what is in flight."""

    workload: int
    at_once: bool
    kind: Literal["stop"] = "stop"


@dataclass(frozen=True)
class Finish:
    """After the last window: send the result."""

    workload: int
    kind: Literal["finish"] = "finish"


@dataclass(frozen=True)
class FetchLog:
    """Send a piece of an operation log: records from `first` on, at most `count`."""

    workload: int
    file: int
    first: int
    count: int
    kind: Literal["log"] = "log"


@dataclass(frozen=True)
class End:
    """Release everything and exit."""

    kind: Literal["end"] = "end"


# --- from an engine host ---------------------------------------------------------------------------


@exact
@dataclass(frozen=True, kw_only=True)
class Here(HostInfo):
    """Answers Hello: when it was asked, and where and when it is."""

    sent_ns: Whole
    at_ns: Whole
    kind: Literal["here"] = "here"


@exact
@dataclass(frozen=True)
class HostBeat:
    """It lives, and uses so much."""

    generator_cpu_ratio: float | None = None
    generator_rss_bytes: float | None = None
    kind: Literal["beat"] = "beat"


@exact
@dataclass(frozen=True)
class Calibrated:
    """Answers Calibrate."""

    calibration: CalibrationRecord
    kind: Literal["calibrated"] = "calibrated"


@exact
@dataclass(frozen=True)
class Planned:
    """It has the plan, and would send the same."""

    kind: Literal["planned"] = "planned"


@exact
@dataclass(frozen=True)
class Prepared:
    """The engine is connected."""

    workload: Whole
    kind: Literal["prepared"] = "prepared"


@exact
@dataclass(frozen=True)
class Late:
    """It learned of run zero too late to take part."""

    workload: Whole
    by_ns: Whole
    kind: Literal["late"] = "late"


def _different(buckets: list[int]) -> list[int]:
    if len(set(buckets)) < len(buckets):
        raise ValueError("one bucket twice")
    return buckets


Bucket = Annotated[int, Field(ge=0, lt=BUCKET_COUNT)]


class HistogramGain(NamedTuple):
    """What one histogram gained: buckets (bench.core.histogram) and their counts, of equal length."""

    row: Count
    kind: Annotated[str, Field(pattern=r"^[a-z_]+$")]
    outcome: Annotated[int, Field(ge=0, lt=OUTCOME_COUNT)]
    buckets: Annotated[list[Bucket], AfterValidator(_different)]
    counts: list[Annotated[Count, Field(gt=0)]]

    @classmethod
    def of(cls, change: Change) -> Self:
        """A change of a Board."""
        used = change.counts.nonzero()[0]
        return cls(change.row, change.kind, int(change.outcome), used.tolist(), change.counts[used].tolist())


@exact
@dataclass(frozen=True)
class Window:
    """What an engine gained in a window, and its state at the end of it."""

    workload: Whole
    number: Whole
    is_last: bool
    gains: list[HistogramGain]
    live: EngineStats
    events: list[Event]
    kind: Literal["window"] = "window"


@exact
@dataclass(frozen=True)
class ResultValues:
    """An EngineResult as JSON knows it."""

    taken: list[Count]
    tallies: list[Annotated[list[Count], Field(min_length=OUTCOME_COUNT, max_length=OUTCOME_COUNT)]]
    idle_ratio: float
    phase_idle_ratios: list[float] | None
    phase_lag_p50_ns: list[int | None] | None
    run_delay_ns: int
    busy_ns: float | None
    answers: list[tuple[int, Answers]]
    counters: dict[str, Count]
    errors: list[ErrorCount]
    pool: dict[str, int | float] | None
    anomalies: list[tuple[str, ...]]

    @classmethod
    def of(cls, result: EngineResult) -> Self:
        """What the message has of a result."""
        same = {field.name: getattr(result, field.name) for field in fields(cls)}
        arrays = {"taken": result.taken.tolist(), "tallies": result.tallies.tolist()}
        return cls(**{**same, **arrays, "answers": list(result.answers.items())})

    def result(self) -> EngineResult:
        """The same result."""
        same = {field.name: getattr(self, field.name) for field in fields(self)}
        arrays = {name: np.array(same[name], dtype=np.int64) for name in ("taken", "tallies")}
        return EngineResult(**{**same, **arrays, "answers": dict(self.answers)})


@exact
@dataclass(frozen=True)
class Result:
    """Answers Finish: `logs` are the records of each operation log."""

    workload: Whole
    result: ResultValues
    gains: list[HistogramGain]
    logs: list[Count]
    kind: Literal["result"] = "result"


@exact
@dataclass(frozen=True)
class LogPiece:
    """Answers FetchLog."""

    workload: Whole
    file: Whole
    first: Whole
    content: str
    kind: Literal["log_piece"] = "log_piece"


@exact
@dataclass(frozen=True)
class Failed:
    """A step that failed: of one workload, or (None) of what it does for the run as a whole."""

    workload: Whole | None
    error: Failure
    kind: Literal["failed"] = "failed"


CoordinatorMessage = Hello | Beat | Calibrate | TakePlan | Prepare | Begin | Stop | Finish | FetchLog | End
TO_HOST: Messages[CoordinatorMessage] = Messages(Annotated[CoordinatorMessage, Field(discriminator="kind")])

HostMessage = Here | HostBeat | Calibrated | Planned | Prepared | Late | Window | Result | LogPiece | Failed
FROM_HOST: Messages[HostMessage] = Messages(Annotated[HostMessage, Field(discriminator="kind")])


def packed_bytes(content: bytes) -> str:
    """Bytes as text, compressed."""
    return base64.b64encode(zlib.compress(content, LIGHT)).decode()


def unpacked_bytes(text: str, most: int = MOST_BYTES) -> bytes:
    """The same bytes. Raises ValueError for anything else, and for more than `most`."""
    machine = zlib.decompressobj()
    try:
        content = machine.decompress(base64.b64decode(text, validate=True), most)
    except zlib.error as error:
        raise ValueError(str(error)) from None
    if machine.unconsumed_tail or not machine.eof:
        raise ValueError(f"expected at most {most} bytes, found more or a part")
    return content
