"""What the runs with faults have shown, for each kind of fault and target: detection, recovery, data."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.core import units
from bench.core.units import spaced
from bench.judge.faults.times import NOTHING, took_effect
from bench.judge.measures import observe
from bench.judge.observation import KNOWN, Repeat, Unmeasurable, nearest_rank
from bench.judge.windowed import with_faults
from bench.results.fault_records import FaultRecord, IntegrityRecord
from bench.results.reader import Run
from bench.scenario.rules.grammar import Metric
from bench.scenario.rules.metric_facts import DETECTORS

if TYPE_CHECKING:
    from bench.assess.evidence import Evidence, EvidenceSet

MONTH_NS = 30 * units.NS["d"]


@dataclass(frozen=True)
class Spread:
    """Times of repeated faults, in ns. What did not come counts as longest."""

    count: int
    median: Repeat
    longest: Repeat
    missed: int

    @property
    def shown(self) -> str:
        """ "310 ms, at most 500 ms", "never for 1 of 5"."""
        text = self.median.shown if self.count == 1 else f"{self.median.shown}, at most {self.longest.shown}"
        return (
            text
            if not self.missed or self.count == 1
            else f"{text}; {self.missed} of {self.count} not seen to end"
        )


@dataclass(frozen=True)
class Resilience:
    """One kind of fault on one target, in one run."""

    kind: str
    target: str
    evidence: Evidence
    made: int
    """Faults that were to be made; `effective` of them took effect with proof."""
    effective: int
    detection: dict[str, Spread | None]
    """By detector that was looking; None where no client saw anything to detect."""
    recovery: dict[str, Spread | None]
    """first, stable, full and downtime."""
    lost_arrivals: int
    availability: float | None
    """Over 30 days with one such interruption."""


@dataclass(frozen=True)
class Integrity:
    """One check of data across the faults of a run."""

    evidence: Evidence
    check: IntegrityRecord

    @property
    def said(self) -> str:
        """What it has counted, in words."""
        return _said(self.check)


@dataclass(frozen=True)
class Alarms:
    """False alarms of a run: how many, by how many detectors, in how many seconds."""

    evidence: Evidence
    count: int
    detectors: int
    watched_s: float


def resilience(body: EvidenceSet) -> list[Resilience]:
    """Every kind of fault and target of the runs that speak, INVALID ones left out."""
    found = []
    for evidence in _with_faults(body):
        faults = [one for one in evidence.run.record.faults if one.kind != NOTHING]
        for kind, where in dict.fromkeys((one.kind, one.where) for one in faults):
            chosen = [one for one in faults if (one.kind, one.where) == (kind, where)]
            found.append(_resilience(kind, where, evidence, chosen))
    return sorted(found, key=lambda one: (one.target, one.kind, one.evidence.scenario))


def integrity(body: EvidenceSet) -> list[Integrity]:
    """Every check of data of the runs that speak."""
    return [Integrity(one, check) for one in _valid(body) for check in one.run.record.integrity]


def alarms(body: EvidenceSet) -> list[Alarms]:
    """The false alarms of each run that looked for them."""
    return [
        Alarms(
            evidence,
            len(evidence.run.record.false_alarms),
            len({one.detector for one in evidence.run.record.detections}),
            float(evidence.run.record.duration_ns) / units.NS["s"],
        )
        for evidence in _with_faults(body)
        if evidence.run.record.has("false_alarms")
    ]


def _valid(body: EvidenceSet) -> list[Evidence]:
    return [one for one in body.by_scenario.values() if not one.is_void]


def _with_faults(body: EvidenceSet) -> list[Evidence]:
    return [one for one in _valid(body) if one.run.record.faults]


def _resilience(kind: str, target: str, evidence: Evidence, faults: list[FaultRecord]) -> Resilience:
    numbers = {fault.number for fault in faults}
    run = evidence.run
    effective = sum(fault.number in numbers for fault in took_effect(run))
    names = {one.detector for one in run.record.detections if one.fault in numbers}
    only = with_faults(run, numbers)
    return Resilience(
        kind,
        target,
        evidence,
        len(faults),
        effective,
        {name: _spread(only, f"detection.{name}") for name in DETECTORS if name in names},
        {
            name: _spread(only, name if name == "downtime" else f"recovery.{name}")
            for name in ("first", "stable", "full", "downtime")
        },
        sum(one.failed for one in only.record.recoveries),
        _availability(only),
    )


def _spread(run: Run, metric: str) -> Spread | None:
    try:
        repeats = observe(run, Metric((), metric)).repeats or ()
    except Unmeasurable:
        return None
    return spread_of(repeats)


def spread_of(repeats: Iterable[Repeat]) -> Spread | None:
    """Number, median and longest; None for no repeats."""
    ordered = sorted(repeats, key=lambda repeat: (repeat.kind != KNOWN, repeat.value))
    if not ordered:
        return None
    missed = sum(repeat.kind != KNOWN for repeat in ordered)
    return Spread(len(ordered), nearest_rank(ordered, 50), ordered[-1], missed)


def _availability(run: Run) -> float | None:
    metric = Metric((), "availability", None, {"window": float(MONTH_NS), "incidents": 1.0})
    try:
        seen = observe(run, metric)
    except Unmeasurable:
        return None
    return None if seen.never else seen.value


def _said(entry: IntegrityRecord) -> str:
    if entry.lost is None and entry.unexpected is None:
        return entry.inconclusive or "nothing was counted"
    parts = []
    if entry.lost is not None:
        lost, of = entry.lost, entry.acknowledged
        if lost == 0 and of:
            parts.append(f"0 of {spaced(of)} lost, at most {units.format_ratio(3 / of)} (3/n, 95 %)")
        else:
            parts.append(f"{spaced(lost)} of {'unknown' if of is None else spaced(of)} lost")
    if entry.unexpected is not None:
        parts.append(f"{spaced(entry.unexpected)} unexpected")
    return ", ".join(parts)
