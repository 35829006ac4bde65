"""A search on disk: one JSON file beside the runs of its probes, written whole after every probe.

While the search goes on it is what `--resume` continues from; in the end it is the result, which reports and
`bench assess` read. Its first keys are those of `bench capacity --json`.
"""

from pathlib import Path
from typing import Annotated

from pydantic import Field, JsonValue

from bench.capacity.search import Bounds, Ending, Reading, Trial, findings
from bench.core.errors import ResultError
from bench.core.sanitize import all_visible
from bench.judge.verdict import Status
from bench.results import layout
from bench.results.model import Number, Record, Whole

FORMAT = 1
SUFFIX = ".capacity.json"
PAGE_SUFFIX = ".capacity.html"
FOLDER = "capacity"
"""Below a folder of results: where searches and their probes are kept unless another is named."""
CONTRACT = ("scenario", "rate_per_s", "interval", "first_failing_per_s", "limited_by", "saturated")
"""What `--json` prints, and the probes."""
OF_A_PROBE = ("rate_per_s", "run", "status")
SEARCHING, ENDED = "searching", "ended"


class ProbeRecord(Record):
    """One probe: an ordinary run, whose folder is beside the file."""

    rate_per_s: Number
    run: str
    status: str
    """Of the run: PASS, WARN, INCONCLUSIVE, FAIL or INVALID, by the rules that the probe judged."""
    reading: str
    """What that says about the rate: held, broke, undecided or generator."""
    because: str = ""
    limited_by: str | None = None
    measured_ns: Whole = 0
    offered_per_s: Number = 0.0
    done_per_s: Number = 0.0
    p50_ns: Whole | None = None
    p95_ns: Whole | None = None
    p99_ns: Whole | None = None
    service_p50_ns: Whole | None = None
    in_use: dict[str, Number] = Field(default_factory=dict)
    """What was how busy; 1 is full."""
    left_out: dict[str, str] = Field(default_factory=dict)
    """Rules that the probe did not judge, and why."""

    @property
    def found(self) -> Reading:
        """What it says about its rate. Raises ValueError for what this version does not know."""
        return Reading(self.reading)

    @property
    def busy(self) -> float | None:
        """The share in use of the busiest; lanes wait with the target and say nothing by themselves."""
        shares = [share for name, share in self.in_use.items() if not name.endswith(".lanes")]
        return max(shares, default=None)


class QuestionRecord(Record):
    """What was asked: a search is continued only with the same question."""

    path: str
    digest: str
    """SHA-256 of the scenario's text."""
    workload: str | None = None
    """The one whose rate is searched; None: all of them, in proportion."""
    overrides: list[str] = Field(default_factory=list)
    stack: str | None = None
    seed: Whole = 0
    measured_ns: Whole = 0


class CapacityRecord(Record):
    """A search and its result so far."""

    format: int = FORMAT
    holdfast: str = "unknown"
    scenario: str
    rate_per_s: Number | None = None
    """The highest rate shown to hold; None where none was."""
    interval: Annotated[tuple[Number, Number | None], Field(strict=False)] | None = None
    """That rate, and the lowest shown not to hold: None where none was, as behind a generator's limit."""
    first_failing_per_s: Number | None = None
    limited_by: str | None = None
    """The rule that breaks first, "backlog" where only a queue grew, "generator", "max_rate" or
    "max_probes"; None where nothing could be told.
    """
    saturated: str | None = None
    """What was full first, as "redis.cpu"; None where nothing measured was: requests wait for what is not
    measured.
    """
    knee_per_s: Number | None = None
    state: str = SEARCHING
    ending: str | None = None
    started_utc: str = ""
    precision: Number = 0.05
    own_per_s: dict[str, Number] = Field(default_factory=dict)
    """The rates of the scenario, of each workload that is scaled."""
    drivers: dict[str, str] = Field(default_factory=dict)
    unmet: list[str] = Field(default_factory=list)
    """Minimum throughputs that the capacity is below."""
    environment: dict[str, JsonValue] = Field(default_factory=dict)
    question: QuestionRecord
    probes: list[ProbeRecord] = Field(default_factory=list)

    @property
    def is_ended(self) -> bool:
        """Whether there is nothing left to try."""
        return self.state == ENDED

    @property
    def trials(self) -> list[Trial]:
        """The probes as the search sees them."""
        return [Trial(probe.rate_per_s, probe.found, probe.busy) for probe in self.probes]

    def rate_of(self, workload: str) -> float | None:
        """The share of one workload in the rate that was found."""
        own, whole = self.own_per_s.get(workload), sum(self.own_per_s.values())
        return None if own is None or self.rate_per_s is None or not whole else self.rate_per_s * own / whole

    def contract(self) -> dict[str, JsonValue]:
        """What `bench capacity --json` prints."""
        return self.model_dump(
            include={**dict.fromkeys(CONTRACT, True), "probes": {"__all__": set(OF_A_PROBE)}}
        )


def with_findings(record: CapacityRecord, bounds: Bounds) -> CapacityRecord:
    """The record with what its probes show of the rate."""
    found = findings(record.trials, bounds.precision)
    interval = None if found.held_per_s is None else (found.held_per_s, found.broke_per_s)
    return record.model_copy(
        update={
            "rate_per_s": found.held_per_s,
            "interval": interval,
            "first_failing_per_s": found.broke_per_s,
        }
    )


def ending_of(record: CapacityRecord) -> Ending | None:
    """Why the search ended; None while it goes on. Raises ValueError for what this version does not know."""
    return None if record.ending is None else Ending(record.ending)


def save(record: CapacityRecord, file: Path) -> None:
    """Write it whole, or not at all. Raises ResultError."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        layout.write_whole(file, layout.as_json(record.model_dump()))
    except OSError as error:
        raise ResultError(f"{file}: the search cannot be written: {error.strerror}; make room") from error


def load(file: Path) -> CapacityRecord:
    """The search in a file. Raises ResultError that says what is wrong with it."""
    try:
        record = _checked(all_visible(layout.read_json(file)))
    except (OSError, ValueError) as error:
        raise ResultError(f"{file}: this search cannot be read: {error}; search anew") from error
    return record


def _checked(value: object) -> CapacityRecord:
    """The record written as `value`. Raises ValueError for one that this version cannot read."""
    if isinstance(value, dict) and value.get("format") != FORMAT:
        raise ValueError(f"expected format {FORMAT}, found {value.get('format')!r}")
    record = CapacityRecord.read(value)
    if unknown := [probe.status for probe in record.probes if probe.status not in Status.__members__]:
        raise ValueError(f"probes: expected one of {', '.join(Status.__members__)}, found {unknown[0]!r}")
    if any(probe.rate_per_s <= 0 for probe in record.probes):
        raise ValueError("probes: expected rates above 0")
    _ = record.trials, ending_of(record)  # words that this version knows
    return record


def searches_in(folder: Path) -> list[Path]:
    """The files of searches right in a folder and in its folder for them, the oldest first."""
    found = [*folder.glob(f"*{SUFFIX}"), *folder.glob(f"{FOLDER}/*{SUFFIX}")]
    return sorted(found, key=lambda file: file.name)
