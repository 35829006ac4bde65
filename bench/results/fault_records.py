"""The sections of run.json about faults: what was done, who noticed, what came back, what was lost."""

from pydantic import Field, JsonValue

from bench.registry import path_name
from bench.results.model import Number, Record, Whole
from bench.scenario.fault_kinds import ACTION


class FaultRecord(Record):
    """One fault: what was done, when, and its proof. Times are ns from run zero, None for never."""

    number: Whole
    kind: str
    target: str
    client: str | None = None
    """The service on whose way to the target it acted; None: on the way of the load, or on the target."""
    role: str | None = None
    """By which the process was chosen; None where the target is one process."""
    process: str | None = None
    """That was hit, where its role chose it."""
    repeat: Whole | None = None
    settings: dict[str, JsonValue] = Field(default_factory=dict)
    how: str | None = None
    mended_by: str | None = None
    planned_ns: Whole | None = None
    for_ns: Whole | None = None
    asked_ns: Whole | None = None
    effective_ns: Whole | None
    returned_ns: Whole | None = None
    heal_asked_ns: Whole | None = None
    healed_ns: Whole | None = None
    proof: str | None = None
    took_effect: bool
    healed: bool | None = None
    """None where the target had to come back by itself, and did not."""
    uncertainty_ns: Whole | None = None

    @property
    def where(self) -> str:
        """The target, the path: "api → redis", the role that was hit: "sessions primary", or the action."""
        if self.kind == ACTION:
            return str(self.settings.get("name", self.target))
        return " ".join(filter(None, (path_name(self.client, self.target), self.role)))

    @property
    def hit(self) -> str:
        """The target that was harmed first: of a path the service that goes it."""
        return self.client or self.target


class DetectionRecord(Record):
    """Whether one detector noticed one fault."""

    fault: Whole
    detector: str
    state: str | None = None
    """None in runs of older versions: then no `at_ns` is a miss."""
    at_ns: Whole | None
    detail: str | None = None
    alarm_since_ns: Whole | None = None


class FalseAlarmRecord(Record):
    """What a detector reported without a fault."""

    detector: str
    at_ns: Whole
    detail: str | None = None
    target: str | None = None


class RoleRecord(Record):
    """From when on a server of a target said that it has a role; ns from run zero."""

    target: str
    process: str
    role: str | None
    """None: it did not answer."""
    timeline: Whole | None = None
    """Of a Postgres that said it was the primary."""
    at_ns: Whole


class PromotionRecord(Record):
    """Who became the primary after a fault that hit the one before."""

    fault: Whole
    target: str
    before: str
    process: str | None
    """None: nobody did, while the fault was watched."""
    at_ns: Whole | None


class ReplicationRecord(Record):
    """How far a standby was behind its primary, by what the primary said again and again."""

    target: str
    process: str
    samples: Whole
    silent: Whole
    """Samples in which the primary did not stream to it."""
    lag_max_ns: Whole
    lag_max_at_ns: Whole
    """When the longest was seen; ns from run zero."""
    backlog_max_bytes: Whole
    """The most of the write-ahead log that it had not replayed."""


class BaselineRecord(Record):
    """How a workload was before the first fault."""

    from_ns: Whole
    until_ns: Whole
    samples: Whole | None = None
    p99_ns: Whole | None = None
    band_ns: Whole | None
    """What counts as full performance; None where too little is known."""
    stall_ns: Whole | None
    """What counts as a stall; likewise."""
    ok_per_s: Number | None = None
    harmed_ratio: Number | None = None
    planned_per_s: Number | None = None


class BrownOutRecord(Record):
    """Response time beyond the band, summed up: planned before the outage, in it and after it."""

    before_ns: Whole | None = None
    outage_ns: Whole | None = None
    after_ns: Whole | None = None


class ReconnectsRecord(Record):
    """How many lanes lost their connection, and for how long."""

    count: Whole
    p50_ns: Whole | None = None
    max_ns: Whole | None = None


class CriteriaRecord(Record):
    """What counts as stable and as full performance."""

    quiet_ns: Whole | None = None
    arrivals: Whole | None = None
    window_ns: Whole | None = None


class RecoveryRecord(Record):
    """What one fault did to one workload, by its single arrivals; ns from run zero, None: did not happen."""

    fault: Whole
    workload: str
    clean: bool | None = None
    state: str
    effective_ns: Whole
    until_ns: Whole
    """End of the watch: the next fault, or the end of the run."""
    first_failure_ns: Whole | None
    first_success_ns: Whole | None
    stable_ns: Whole | None
    full_ns: Whole | None
    quiet_since_ns: Whole | None
    """Of one cut short: the first success after the last harm."""
    slow_from_ns: Whole | None
    """Where nothing failed but P99 left the band: when it did."""
    full_cut_short: bool
    """No whole window lay between stable and the end of the watch, so full performance is unknown."""
    arrivals: Whole | None = None
    """Planned while the fault was watched; None in runs of older versions."""
    downtime_ns: Whole
    failed: Whole
    outcomes: dict[str, Whole] = Field(default_factory=dict)
    stalled: Whole
    """Answered OK, but after more than the stall threshold."""
    failed_after_stable: Whole | None = None
    planned_in_outage: Whole | None = None
    """Arrivals planned between first failure and first success."""
    drained_ns: Whole | None = None
    resolution_ns: Whole | None
    closed: bool | None = None
    baseline: BaselineRecord
    criteria: CriteriaRecord | None = None
    waited_ns: Whole | None = None
    brown_out_ns: Whole
    brown_out: BrownOutRecord = Field(default_factory=BrownOutRecord)
    reconnects: ReconnectsRecord | None = None


class ExampleRecord(Record):
    """One thing that a check of data found wrong; which keys it has depends on what that is.

    One of a register has its number as `register`, too, which no field can be called.
    """

    what: str
    arrival: int | None = None
    """Of the write, and when it was acknowledged."""
    acknowledged_ns: int | None = None
    fault: int | None = None
    """The one that may have cost it, and how old the write was then."""
    age_ns: int | None = None
    found: str | None = None
    expected: str | None = None
    at_ns: int | None = None
    value: int | None = None
    values: list[int] | None = None
    invoke_ns: int | None = None
    return_ns: int | None = None


class RecoveryPointRecord(Record):
    """How far back a restore brought the data, by the acknowledged writes that are there."""

    fault: Whole
    """The one that destroyed them."""
    age_ns: Whole | None
    """Of the newest acknowledged write that survived with everything before it unchanged, when the data were
    destroyed. None: not even the first one did."""
    written: Whole
    """Acknowledged before the data were destroyed."""
    kept: Whole
    """Of them, up to that newest one: those before the first that is missing."""


class IntegrityRecord(Record):
    """One check of data; None for what does not apply to it, or could not be found out."""

    check: str
    workload: str
    target: str | None = None
    acknowledged: Whole | None
    attempted: Whole | None = None
    found: Whole | None
    lost: Whole | None
    unexpected: Whole | None
    unknown_survived: Whole | None = None
    duplicates: Whole | None = None
    oldest_lost_age_ns: Whole | None = None
    recovery_points: list[RecoveryPointRecord] = Field(default_factory=list)
    """One for each time that a restore drill destroyed the data."""
    bound: str | None = None
    operation: str | None = None
    changed: Whole | None = None
    holes: Whole | None = None
    reordered: Whole | None = None
    split: Whole | None = None
    """Lost, and acknowledged while two servers said to be the primary; None where it has one server only."""
    examples: list[ExampleRecord] = Field(default_factory=list)
    text: str | None = None
    """What about it fails the run, in one sentence."""
    caveat: str | None = None
    inconclusive: str | None = None


class OutageRecord(Record):
    """A stretch in which nothing of a workload succeeded."""

    workload: str
    from_ns: Whole
    until_ns: Whole
    planned: Whole
    failed: Whole
    whose: str
    fault: Whole | None = None
    resolution_ns: Whole
