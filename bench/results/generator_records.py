"""What made the load, in run.json: its machine, how exact it measures, its workers, what it used."""

from pydantic import Field, JsonValue

from bench.results.model import Number, Record, Whole

Percentiles = dict[str, Whole]
"""By name ("p50", "p99.9"), in ns."""


class MachineFacts(Record):
    """About the machine, beside what two runs must share."""

    load_average: list[Number] = Field(default_factory=list)
    memory_bytes: Whole | None = None
    clock_source: str | None = None
    system: str | None = None


class EnvironmentRecord(Record):
    """The machine that made the load."""

    key: dict[str, JsonValue] = Field(default_factory=dict)
    """What two runs must share to be compared."""
    facts: MachineFacts = Field(default_factory=MachineFacts)


class MeasurementRecord(Record):
    """One row of a self-measurement: delays that a server gave, and what was recorded."""

    profile: str | None = None
    rate_per_s: Number | None = None
    arrivals: Whole | None = None
    given_ns: Percentiles = Field(default_factory=dict)
    recorded_ns: Percentiles = Field(default_factory=dict)
    lag_ns: Percentiles = Field(default_factory=dict)
    late_ns: Percentiles = Field(default_factory=dict)
    error_ns: Percentiles = Field(default_factory=dict)
    worker: str | None = None


class CalibrationRecord(Record):
    """What this machine adds to a known delay."""

    floor_ns: Percentiles = Field(default_factory=dict)
    lag_ns: Percentiles = Field(default_factory=dict)
    table: list[MeasurementRecord] = Field(default_factory=list)


class ClockRecord(Record):
    """A worker's clock, compared with the coordinator's."""

    same: bool | None = None
    offset_ns: Whole | None = None
    uncertainty_ns: Whole | None = None
    measured_ns: Whole | None = None
    round_trip_ns: Whole | None = None
    drift_ns: Whole | None = None


class WorkerRecord(Record):
    """One process of a distributed run."""

    name: str
    host: str | None = None
    pid: Whole | None = None
    segment: list[Whole] | None = None
    workloads: dict[str, list[Whole] | None] = Field(default_factory=dict)
    clock: ClockRecord | None = None
    floor_ns: Percentiles | None = None
    """None of a worker that had nothing to do, or was lost before."""
    idle_ratio: Number | None = None
    planned: Whole | None = None
    late_windows: Whole | None = None
    lost: str | None = None


class GeneratorRecord(Record):
    """How the load generator coped."""

    idle_ratio: Number | None = None
    saturated: bool = False
    busy: list[str] = Field(default_factory=list)
    """Closed loops in which it never had time to spare."""
    run_delay_ns: Whole | None = None
    littles_law: dict[str, Number] = Field(default_factory=dict)


class OtherProcessesRecord(Record):
    """What other processes did to the run on its machine."""

    cores: Whole
    others_cores: Number
    starved_ratio: Number
    held_up_ratio: Number
    because: str


class QuestionRecord(Record):
    """What it cost a service at most to be asked about itself: how long its answers took."""

    asked: Whole
    mean_ns: Whole
    longest_ns: Whole


class ResourceRecord(Record):
    """How resources were sampled, and what else was going on."""

    samples: Whole = 0
    interval_ns: Whole | None = None
    cores: Whole | None = None
    cpu_ns_per_sample: Whole | None = None
    longest_ns: Whole | None = None
    failure: str | None = None
    others: OtherProcessesRecord | None = None
    pressure: dict[str, Number] = Field(default_factory=dict)
    questions: dict[str, QuestionRecord] = Field(default_factory=dict)
    """By target; none of one that is not asked."""
