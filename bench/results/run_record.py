"""run.json as it is read and written. `results/FORMAT.md` says what each key means.

What an older version did not write has a default. A complete run must have the sections in `OF_COMPLETE`; one
that was interrupted may lack any.
"""

from typing import Any, Self

from pydantic import Field, JsonValue

from bench.core.sanitize import all_visible
from bench.core.units import format_duration_ns
from bench.registry import TargetOutline, dependents_of, proxy_name, shipped_topology
from bench.results import layout
from bench.results.fault_records import (
    DetectionRecord,
    FalseAlarmRecord,
    FaultRecord,
    IntegrityRecord,
    OutageRecord,
    PromotionRecord,
    RecoveryRecord,
    ReplicationRecord,
    RoleRecord,
)
from bench.results.generator_records import (
    CalibrationRecord,
    EnvironmentRecord,
    GeneratorRecord,
    Percentiles,
    ResourceRecord,
    WorkerRecord,
)
from bench.results.load_records import (
    DataSetRecord,
    PhaseRecord,
    PoolRecord,
    ResponseRecord,
    TotalsRecord,
    WorkloadRecord,
)
from bench.results.model import KINDS, Number, Record, Whole, kind_of

COMPLETE, INTERRUPTED = "complete", "interrupted"
OF_COMPLETE: dict[str, type] = {
    "scenario": dict,
    "sla": list,
    "phases": list,
    "workloads": list,
    "totals": dict,
    "anomalies": list,
    "measured_ns": int,
}


class ScenarioRecord(Record):
    """The scenario as it was when the run was made."""

    name: str = "unknown"
    purpose: str = ""
    text: str = ""
    digest: str = ""
    path: str = ""


class PlanRecord(Record):
    """The plan that the scenario and its seed gave."""

    digest: str | None = None
    seed: Whole | None = None
    quick: bool = False
    overrides: list[str] = Field(default_factory=list)
    segment: list[Whole] = Field(default_factory=list)


class PairRecord(Record):
    """Which run of `bench ab` it is."""

    ab: str
    """The name of the comparison."""
    variant: str
    """a or b."""
    number: Whole
    """Of the pair, from 1."""
    place: Whole
    """1: the first run of its pair, 2: the second."""


class StartRecord(Record):
    """Run zero on both clocks."""

    utc: str = ""
    monotonic_ns: Whole | None = None
    wall_ns: Whole | None = None
    run_label: Whole | None = None
    """The value of {run}."""


class TargetRecord(Record):
    """One service of the system under test, as its stack described it."""

    name: str
    kind: str = ""
    address: str = ""
    server: str | None = None
    version: str | None = None
    started_by: str | None = None
    program: str | None = None
    pid: Whole | None = None
    supervisor_pid: Whole | None = None
    listener_pid: Whole | None = None
    state: str | None = None
    log: str | None = None
    container: str | None = None
    image: str | None = None
    cgroup: str | None = None
    restart_policy: str | None = None
    data_directory: str | None = None
    settings: dict[str, str | None] = Field(default_factory=dict)
    """What differs from the server's own."""
    tls: str | None = None
    """How far its certificate was checked, where it was reached over TLS."""
    behind: list[str] | None = None
    """The targets that it does its work with; None where the stack did not say."""


class StackRecord(Record):
    """The system under test."""

    kind: str = ""
    """embedded, docker, compose or external; or the name that a stack file gives."""
    file: str | None = None
    """Of that stack file, where there was one."""
    targets: list[TargetRecord] = Field(default_factory=list)


class ProxyRecord(Record):
    """A fault proxy, which is in the path of the load, or of another service, for the whole run."""

    target: str
    client: str | None = None
    """The service that reached the target through it; None: the load."""
    ended: str | None = None
    compiled: bool | None = None
    dials_failed: Whole | None = None
    reads: Whole | None = None
    most_ready: Whole | None = None
    busy_ratio: Number | None = None
    cpu_ratio: Number | None = None
    run_queue_ratio: Number | None = None
    stalls: Whole = 0
    stalled_ns: Whole = 0
    lateness_ns: Percentiles = Field(default_factory=dict)
    """Percentiles, `mean` and `max`."""
    later_than: list[list[Whole]] = Field(default_factory=list)
    """Pairs: ns, and how many reads were later."""
    floor_ns: Percentiles = Field(default_factory=dict)
    lag_ns: Percentiles = Field(default_factory=dict)
    table: list[JsonValue] = Field(default_factory=list)

    @property
    def name(self) -> str:
        """In a sentence."""
        return proxy_name(self.client, self.target)


class PromQueryRecord(Record):
    """A query of the user's Prometheus during the run; its answers are in prometheus.csv."""

    name: str
    query: str = ""
    unit: str = "count"
    """Of the answers in the file: the base unit of rules."""
    asked: Whole = 0
    failed: Whole = 0
    """Without an answer."""
    empty: Whole = 0
    """Answered with nothing."""
    said: str | None = None
    """The last failure."""


class StoppedRecord(Record):
    """Why a run ended before its plan; times in ns from run zero."""

    when: str
    """The condition under stop_when that held."""
    since_ns: Whole
    at_ns: Whole
    """When it was seen to hold, and the load was ended."""
    planned_ns: Whole = 0
    """How long the run was to be."""
    found: str = ""
    """What was seen last."""

    @property
    def sentence(self) -> str:
        """In words."""
        since, at, planned = map(format_duration_ns, (self.since_ns, self.at_ns, self.planned_ns))
        return f"{self.when} held from {since} on ({self.found}): load and faults ended at {at} of {planned}"


class Anomaly(Record):
    """Something odd about a run: `severity` note, inconclusive, fail or invalid."""

    code: str = "anomaly"
    severity: str = ""
    message: str = "no message"
    advice: str | None = None


class RunRecord(Record):
    """run.json."""

    format: int = layout.FORMAT
    holdfast: str = "unknown"
    run: str = ""
    status: str = ""
    scenario: ScenarioRecord = Field(default_factory=ScenarioRecord)
    sla: list[str] = Field(default_factory=list)
    plan: PlanRecord = Field(default_factory=PlanRecord)
    pair: PairRecord | None = None
    started: StartRecord = Field(default_factory=StartRecord)
    duration_ns: Whole = 0
    measured_ns: Whole = 0
    stack: StackRecord = Field(default_factory=StackRecord)
    versions: dict[str, str] = Field(default_factory=dict)
    environment: EnvironmentRecord = Field(default_factory=EnvironmentRecord)
    calibration: CalibrationRecord = Field(default_factory=CalibrationRecord)
    phases: list[PhaseRecord] = Field(default_factory=list)
    workloads: list[WorkloadRecord] = Field(default_factory=list)
    totals: TotalsRecord | None = None
    response: list[ResponseRecord] = Field(default_factory=list)
    workers: list[WorkerRecord] = Field(default_factory=list)
    generator: GeneratorRecord = Field(default_factory=GeneratorRecord)
    resources: ResourceRecord = Field(default_factory=ResourceRecord)
    pool: dict[str, PoolRecord] = Field(default_factory=dict)
    data_sets: list[DataSetRecord] = Field(default_factory=list)
    faults: list[FaultRecord] = Field(default_factory=list)
    detections: list[DetectionRecord] = Field(default_factory=list)
    false_alarms: list[FalseAlarmRecord] = Field(default_factory=list)
    roles: list[RoleRecord] = Field(default_factory=list)
    promotions: list[PromotionRecord] = Field(default_factory=list)
    replication: list[ReplicationRecord] = Field(default_factory=list)
    recoveries: list[RecoveryRecord] = Field(default_factory=list)
    integrity: list[IntegrityRecord] = Field(default_factory=list)
    breaker_open_ns: Whole | None = None
    proxies: list[ProxyRecord] = Field(default_factory=list)
    stopped: StoppedRecord | None = None
    prometheus: list[PromQueryRecord] = Field(default_factory=list)
    outages: list[OutageRecord] = Field(default_factory=list)
    anomalies: list[Anomaly] = Field(default_factory=list)

    @classmethod
    def read(cls, value: object) -> Self:
        """The record, with every text that others wrote made visible; the scenario's own text stays as it is.

        Raises ValueError that says what was expected and found, and where.
        """
        if isinstance(value, dict):
            value = visible_record(value)
            _check_version(value)
            for section, kind in OF_COMPLETE.items():
                is_there = section in value or value.get("status") == COMPLETE
                if is_there and value.get(section) is None:
                    raise ValueError(f"{section}: expected {KINDS[kind]}, found {kind_of(None)}")
        return super().read(value)

    @property
    def is_complete(self) -> bool:
        """False for a run that was interrupted."""
        return self.status == COMPLETE

    @property
    def topology(self) -> dict[str, TargetOutline]:
        """The targets of the run's stack: those that it described, beside those of the shipped stacks."""
        described = {
            target.name: TargetOutline(target.kind, tuple(target.behind))
            for target in self.stack.targets
            if target.behind is not None
        }
        return shipped_topology() | described

    def behind(self, target: str) -> tuple[str, ...]:
        """The targets that one does its work with."""
        topology = self.topology
        return topology[target].behind if target in topology else ()

    def beyond(self, client: str) -> tuple[str, ...]:
        """The targets whose answers may come by a way that begins at this one: itself, and what needs it."""
        return (client, *dependents_of((client,), self.topology))

    def passed_by(self, proxy: ProxyRecord) -> tuple[str, ...]:
        """The targets whose answers to the load come through a fault proxy, at least in part."""
        return (proxy.target,) if proxy.client is None else self.beyond(proxy.client)

    def may_hit(self, fault: FaultRecord, target: str) -> bool:
        """Whether a fault may harm the load on a target. One between two services leaves others alone; of
        one that hits a server the machine they share is hit too.
        """
        return fault.client is None or target in self.beyond(fault.client)

    def has(self, section: str) -> bool:
        """Whether the run has a section at all, be it empty."""
        return section in self.model_fields_set


def visible_record(record: dict[str, Any]) -> dict[str, Any]:
    """A record as JSON has it, with every text made visible that others wrote."""
    shown: dict[str, Any] = all_visible(record)
    scenario = record.get("scenario")
    if isinstance(scenario, dict) and "text" in scenario:
        shown["scenario"]["text"] = scenario["text"]
    return shown


def _check_version(record: dict[str, Any]) -> None:
    version = record.get("format")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise ValueError(f"expected a format number, found {version!r}")
    if version > layout.FORMAT:
        raise ValueError(
            f"expected format {layout.FORMAT} or older, found {version}, "
            f"written by Holdfast {record.get('holdfast', 'of a newer version')}; read it with that version"
        )
