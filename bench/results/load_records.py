"""The sections of run.json about the load: phases, counts and errors of each workload, pools, data sets."""

from typing import Annotated

from pydantic import AfterValidator, Field

from bench.core.answers import Answers
from bench.core.outcome import OUTCOMES
from bench.registry import is_planned
from bench.results.model import Number, Record, Whole

LABELS = frozenset(outcome.label for outcome in OUTCOMES)


def _known_outcomes(outcomes: dict[str, int]) -> dict[str, int]:
    for label in outcomes:
        if label not in LABELS:
            raise ValueError(f"expected one of {', '.join(sorted(LABELS))}, found {label!r}")
    return outcomes


def _http_statuses(statuses: dict[str, int]) -> dict[str, int]:
    for status in statuses:
        if not (status.isascii() and status.isdigit() and len(status) == 3):
            raise ValueError(f"expected HTTP statuses, found {status!r}")
    return statuses


Outcomes = Annotated[dict[str, Whole], AfterValidator(_known_outcomes)]
"""How many arrivals ended in each outcome, by its label."""


class PhaseRecord(Record):
    """A part of the run's time."""

    name: str
    measured: bool
    start_ns: Whole
    end_ns: Whole
    cycles: Whole | None = None
    rest: Number | None = None


class CountRecord(Record):
    """How the arrivals of one operation that were planned in one phase ended, and what answers brought."""

    operation: str
    phase: str = "unknown"
    measured: bool
    planned: Whole
    outcomes: Outcomes
    hits: Whole = 0
    misses: Whole = 0
    statuses: Annotated[dict[str, Whole], AfterValidator(_http_statuses)] = Field(default_factory=dict)

    @property
    def answers(self) -> Answers:
        """What answers brought. Raises ValueError for a count below zero."""
        return Answers.from_record({"hits": self.hits, "misses": self.misses, "statuses": self.statuses})


class ErrorRecord(Record):
    """Errors of one operation that differ at most in the values they name."""

    operation: str
    text: str
    count: Whole
    example: str | None = None
    body: str | None = None
    """The beginning of the first answer that was such an error."""

    @property
    def shown(self) -> str:
        """Its text, and an example where that says more; then what the answer said."""
        text = f"{self.text} (such as: {self.example})" if self.example else self.text
        return f"{text}: {self.body}" if self.body else text


class WorkloadRecord(Record):
    """One workload: what was planned, and how it ended."""

    name: str
    driver: str = ""
    engine: str = "wire"
    target: str = ""
    lanes: Whole = 0
    threads: Whole | None = None
    pipeline: Whole = 1
    arrivals: str | None = None
    rate_per_s: Number | None = None
    """At 100 % load; None in a closed loop."""
    deadline_ns: Whole | None = None
    subscribers: Whole | None = None
    operations: list[str] = Field(default_factory=list)
    counts: list[CountRecord] = Field(default_factory=list)
    counters: dict[str, Whole] = Field(default_factory=dict)
    errors: list[ErrorRecord] = Field(default_factory=list)
    idle_ratio: Number | None = None
    run_delay_ns: Whole | None = None

    def is_planned(self, operation: str) -> bool:
        """Whether the plan makes arrivals of this operation: it makes none of what is only received."""
        return is_planned(self.driver, operation)

    @property
    def is_closed(self) -> bool:
        """Whether the lanes ask as fast as they are answered, without a plan."""
        return self.arrivals == "closed"


class TotalsRecord(Record):
    """All arrivals of all workloads in all phases."""

    planned: Whole
    outcomes: Outcomes


class ResponseRecord(Record):
    """Measured response times of one operation, or of all of a workload together."""

    workload: str
    operation: str | None = None
    samples: Whole
    p50_ns: Whole
    p95_ns: Whole
    p99_ns: Whole
    max_ns: Whole
    done: Whole | None = None


class PoolRecord(Record):
    """A connection pool of the client engine."""

    size: Whole | None = None
    utilization_max: Number | None = None
    utilization_max_on_time: Number | None = None
    """Without the connections that arrivals held which the generator itself began late."""
    utilization_max_ns: Whole | None = None
    """When the highest was first reached, from run zero."""
    utilization_mean: Number | None = None


class DataSetRecord(Record):
    """Data that was loaded before the run."""

    target: str
    name: str | None = None
    scale: Whole | None = None
    files: list[str] = Field(default_factory=list)
    reused: bool | None = None
    rows: dict[str, Whole | None] = Field(default_factory=dict)
    took_ms: Whole | None = None
