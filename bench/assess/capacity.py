"""How much more than production needs was shown: the highest rate at which all rules of a run held.

Of an open loop the rate is the one that was offered, less what was not answered OK; of a closed loop the one
that was reached. So rules that ask for little validate no rate that was not served. A closed loop reaches the
limit of its lanes and says so; an open one whose rules held has not found the limit. A search (`bench
capacity`) has: where it is of the scenario that says most about a capacity, its result counts before any run.
The headroom is the share of the validated rate that production does not need: 1 - required / validated.

Alert levels are the warning levels of the rules, and 70 % and 80 % of each limit and of each validated rate.
"""

import math
import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.assess.evidence import Evidence, EvidenceSet, command_for
from bench.assess.matrix import RequirementResult, Row
from bench.assess.requirements import FLAGS, LEAST_HEADROOM, Capacity, Requirement
from bench.assess.sources import FoundSearch, ScenarioFiles
from bench.assess.status import RequirementStatus, share
from bench.core.units import format_rate, format_ratio
from bench.judge.measures import observe
from bench.judge.observation import Unmeasurable, tally_of
from bench.judge.verdict import Status
from bench.results.load_records import WorkloadRecord
from bench.results.reader import Run
from bench.scenario.rules.grammar import Metric

NOISE = 3
"""Standard deviations by which a Poisson plan may miss its rate and still be at that rate."""
SEARCHED, GENERATOR = "searched", "generator"
BUSY = 0.05
"""A generator with less idle time than this may be what limits a closed loop."""


@dataclass(frozen=True)
class Validated:
    """A workload of a run whose rules held, or of a search for the capacity."""

    scenario: str
    form: str
    """ "standard", "quick", "searched" and others."""
    shown: Path
    """What a link leads to."""
    workload: str
    is_closed: bool
    offered_per_s: float | None
    answered_per_s: float | None
    """Of an open loop: what was offered, less what was not answered OK."""
    completed_per_s: float
    idle_ratio: float | None
    target_cpu: float | None
    limited_by: str | None = None
    """Of a search: the rule that breaks first, or "generator", "max_rate" and others."""
    first_failing_per_s: float | None = None
    """Of a search: the lowest rate shown not to hold."""

    @property
    def is_limit_known(self) -> bool:
        """Whether a higher rate was tried, and it was the target that did not take it."""
        if self.first_failing_per_s is not None:
            return True
        return self.is_closed and (self.idle_ratio is None or self.idle_ratio >= BUSY)

    @property
    def rate_per_s(self) -> float:
        """What the run validates."""
        return self.completed_per_s if self.answered_per_s is None else self.answered_per_s

    @property
    def limit(self) -> str:
        """What is known about the limit."""
        if self.first_failing_per_s is not None:
            return f"limit found: {format_rate(self.first_failing_per_s)} breaks {self.limited_by}"
        if self.limited_by == GENERATOR:
            return "limit of the generator, not of the target: it can be higher"
        if not self.is_closed:
            return "limit not reached: all rules held at this rate"
        if self.idle_ratio is not None and self.idle_ratio < BUSY:
            return "limit of the generator, not of the target: it can be higher"
        return "limit of these lanes: a closed loop sends the next when the last is answered"


@dataclass(frozen=True)
class Headroom:
    """A capacity with everything that validates it, the highest rate first."""

    capacity: Capacity
    validated: tuple[Validated, ...]

    @property
    def best(self) -> Validated | None:
        """What a search of the capacity's own scenario found; else the highest rate that was validated."""
        return self.validated[0] if self.validated else None

    @property
    def used(self) -> float | None:
        """The share of the validated rate that production needs."""
        if self.best is None or self.capacity.required_per_s is None:
            return None
        return self.capacity.required_per_s / max(self.best.rate_per_s, 1e-9)

    @property
    def flag(self) -> str | None:
        """The highest of the flags that the required rate is past."""
        passed = [level for level in FLAGS if self.used is not None and self.used >= level]
        return f"past {share(passed[-1])} of the validated rate" if passed else None


def rooms(
    capacities: Iterable[Capacity], body: EvidenceSet, searches: Sequence[FoundSearch] = ()
) -> list[Headroom]:
    """Every capacity, with the runs without faults that are neither stale nor broken, and with searches."""
    return [Headroom(capacity, tuple(_validated(capacity, body, searches))) for capacity in capacities]


def capacity_met(
    requirement: Requirement, found: list[Headroom], body: EvidenceSet, files: ScenarioFiles
) -> RequirementResult:
    """Whether the headroom is there; what was not driven to its limit cannot fail, only be not shown."""
    room = next(one for one in found if one.capacity.key == requirement.capacity)
    best, used, name = room.best, room.used, room.capacity.scenario
    file = files.by_name.get(name)
    todo = command_for(name, file)
    if best is None or used is None:
        because = f"no run whose rules hold shows a rate of {room.capacity.subject}"
        return RequirementResult(requirement, RequirementStatus.NOT_SHOWN, because, todo)
    because = (
        f"{format_rate(room.capacity.required_per_s or 0)} needed of {format_rate(best.rate_per_s)} "
        f"validated by {best.scenario}: headroom {format_ratio(1 - used)}; {best.limit}"
    )
    if 1 - used >= LEAST_HEADROOM:
        return RequirementResult(requirement, RequirementStatus.PASS, because, None)
    if best.is_limit_known:
        return RequirementResult(requirement, RequirementStatus.FAIL, because, None)
    if name in body.by_scenario and not best.is_closed:
        searched = files.by_name.get(best.scenario)
        path = shlex.quote(best.scenario if searched is None else searched.path)
        todo = f"find its limit with bench capacity {path}"
    return RequirementResult(requirement, RequirementStatus.NOT_SHOWN, because, todo)


def _validated(capacity: Capacity, body: EvidenceSet, searches: Sequence[FoundSearch]) -> list[Validated]:
    found = [one for search in searches for one in _searched(capacity, search)]
    for evidence in body.by_scenario.values():
        record = evidence.run.record
        held = evidence.verdict.status in (Status.PASS, Status.WARN)
        if not held or evidence.is_stale or record.faults:
            continue
        found += [
            _of(evidence, workload)
            for workload in evidence.run.workloads
            if workload.driver in capacity.drivers
        ]

    def place(one: Validated) -> tuple[bool, float]:
        return (one.form, one.scenario) != (SEARCHED, capacity.scenario), -one.rate_per_s

    return sorted((one for one in found if one.rate_per_s > 0), key=place)


def _searched(capacity: Capacity, search: FoundSearch) -> Iterator[Validated]:
    """The workloads of a search that show a capacity."""
    record = search.record
    for name in record.own_per_s:
        rate = record.rate_of(name)
        if rate is None or record.drivers.get(name) not in capacity.drivers:
            continue
        yield Validated(
            record.scenario,
            SEARCHED,
            search.shown,
            name,
            is_closed=False,
            offered_per_s=rate,
            answered_per_s=rate,
            completed_per_s=rate,
            idle_ratio=None,
            target_cpu=None,
            limited_by=record.limited_by,
            first_failing_per_s=record.first_failing_per_s
            and record.first_failing_per_s * rate / (record.rate_per_s or 1),
        )


def _of(evidence: Evidence, workload: WorkloadRecord) -> Validated:
    run, name = evidence.run, workload.name
    is_closed = workload.is_closed
    completed = observe(run, Metric((name,), "throughput")).value
    tally = tally_of(run, (name,))
    return Validated(
        evidence.scenario,
        evidence.form,
        evidence.shown,
        name,
        is_closed,
        None if is_closed else _rate_per_s(run, workload, tally.planned),
        None if is_closed else _rate_per_s(run, workload, tally.ok),
        completed,
        _idle_ratio(run, workload),
        _cpu(run, workload.target),
    )


def _rate_per_s(run: Run, workload: WorkloadRecord, arrivals: int) -> float:
    """So many arrivals per measured second; the rate of the scenario where it is that but for chance."""
    measured_s = max(run.measured_s, 1e-9)
    rate = workload.rate_per_s
    if rate is not None and abs(arrivals - rate * measured_s) <= NOISE * math.sqrt(rate * measured_s):
        return float(rate)
    return arrivals / measured_s


def _idle_ratio(run: Run, workload: WorkloadRecord) -> float | None:
    """That of the workload's own threads; where the run does not separate them, that of the generator."""
    if "idle_ratio" in workload.model_fields_set:
        return workload.idle_ratio
    return run.record.generator.idle_ratio


def _cpu(run: Run, target: str) -> float | None:
    try:
        return observe(run, Metric((target,), "cpu")).value
    except Unmeasurable:
        return None


KEPT_LOW = ("<", "<=")


@dataclass(frozen=True)
class Alert:
    """What to watch, in base units: the proofs of a requirement that have one limit.

    `levels` are 70 % and 80 % of it.
    """

    requirement: Requirement
    rows: tuple[Row, ...]
    levels: tuple[float, ...]

    @property
    def worst(self) -> Row | None:
        """The proof whose value is highest; None where none has one."""
        known = [row for row in self.rows if row.check and row.check.observed is not None]
        return max(known, key=_observed, default=None)

    @property
    def reached(self) -> str:
        """Where the highest value stands: "below 70 %", "past 70 %", "past 80 %"."""
        return reached(_observed(self.worst) if self.worst else None, self.levels)


@dataclass(frozen=True)
class LoadAlert:
    """The load at which to alert, as a share of what was validated."""

    room: Headroom
    validated_per_s: float
    levels_per_s: tuple[float, ...]

    @property
    def reached(self) -> str:
        """Where the load that production needs stands."""
        return reached(self.room.capacity.required_per_s, self.levels_per_s)


def alerts(mets: Iterable[RequirementResult]) -> list[Alert]:
    """One for each limit that a value must stay below: of the others a share of the limit means nothing."""
    found = []
    for met in mets:
        kept_low = [
            row
            for row in met.rows
            if row.rule.op in KEPT_LOW and row.rule.limit > 0 and not row.is_recorded_only
        ]
        for limit in dict.fromkeys((row.rule.limit, row.rule.warn, row.rule.unit) for row in kept_low):
            rows = [row for row in kept_low if (row.rule.limit, row.rule.warn, row.rule.unit) == limit]
            found.append(Alert(met.requirement, tuple(rows), tuple(limit[0] * level for level in FLAGS)))
    return found


def _observed(row: Row) -> float:
    return row.check.observed or 0.0 if row.check else 0.0


def load_alerts(rooms: Iterable[Headroom]) -> list[LoadAlert]:
    """One for each capacity with a validated rate."""
    return [
        LoadAlert(room, room.best.rate_per_s, tuple(room.best.rate_per_s * level for level in FLAGS))
        for room in rooms
        if room.best is not None
    ]


def reached(value: float | None, levels: tuple[float, ...]) -> str:
    """The highest level that a value is at or past, in words."""
    if value is None:
        return "unknown"
    passed = [flag for flag, level in zip(FLAGS, levels, strict=True) if value >= level]
    return f"past {share(passed[-1])}" if passed else f"below {share(FLAGS[0])}"
