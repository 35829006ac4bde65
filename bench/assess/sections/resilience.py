"""The section of resilience: what each kind of fault on each target did, and what became of the data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.assess.document import Badge, Bullets, Cell, Link, Section, table
from bench.assess.sections.matrix import evidence_cell
from bench.assess.status import Standing
from bench.assess.words import counted
from bench.core import units
from bench.scenario.rules.fault_metrics import DETECTORS

if TYPE_CHECKING:
    from bench.assess.assessment import Assessment
    from bench.assess.resilience import Resilience, Spread


def resilience_section(found: Assessment) -> Section:
    """Recovery, detection, integrity and false alarms of the runs that speak."""
    if not found.resilience and not found.integrity:
        return Section("Resilience", ("No run with faults speaks: nothing is known about interruptions.",))
    recovery: list[tuple[Cell, ...]] = [_recovery(one) for one in found.resilience]
    used = [name for name in DETECTORS if any(name in one.detection for one in found.resilience)]
    detection: list[tuple[Cell, ...]] = [
        (
            f"{one.kind} {one.target}",
            *(_detected(one, name) for name in used),
            evidence_cell(one.evidence),
        )
        for one in found.resilience
    ]
    data: list[tuple[Cell, ...]] = [
        (
            f"{one.workload}, {one.check}",
            Badge(_data(one.lost, one.unexpected)),
            one.target,
            one.said,
            evidence_cell(one.evidence),
        )
        for one in found.integrity
    ]
    alarms: list[tuple[Cell, ...]] = [
        (
            f"{counted(one.count, 'false alarm')} by {counted(one.detectors, 'detector')} "
            f"in {one.watched_s:.0f} s:",
            Link(one.evidence.scenario, one.evidence.shown),
        )
        for one in found.alarms
    ]
    heads = tuple(name.replace("_", " ") for name in used)
    return Section(
        "Resilience",
        (
            "Times over the repeats of a fault: the median, and the longest; with one fault, that one. From "
            "the first failure that a client saw. Availability is projected: 1 - longest outage / 30 days, "
            "for one interruption.",
            *table(
                "Recovery",
                (
                    "Fault",
                    "n",
                    "First success",
                    "Stable",
                    "Full performance",
                    "Outage",
                    "Arrivals lost",
                    "Availability",
                    "Run",
                ),
                recovery,
                1,
                6,
                7,
            ),
            *table("Time to detect, by detector", ("Fault", *heads, "Run"), detection),
            *table("Acknowledged data", ("Data", "Standing", "Target", "Found", "Run"), data),
            Bullets(tuple(alarms)),
        ),
    )


def _recovery(one: Resilience) -> tuple[Cell, ...]:
    number = str(one.effective) if one.effective == one.made else f"{one.effective} of {one.made}"
    return (
        f"{one.kind} {one.target}",
        number,
        *(_told(one.recovery[name]) for name in ("first", "stable", "full", "downtime")),
        f"{one.lost_arrivals:,}".replace(",", " "),
        "unknown" if one.availability is None else units.format_ratio(one.availability),
        evidence_cell(one.evidence),
    )


def _detected(one: Resilience, detector: str) -> str:
    if detector not in one.detection:
        return "not looking"
    spread = one.detection[detector]
    if spread is None:
        return "no effect seen"
    return spread.shown.replace("never", "missed")


def _told(spread: Spread | None) -> str:
    return "not seen" if spread is None else spread.shown


def _data(lost: int | None, unexpected: int | None) -> Standing:
    if lost or unexpected:
        return Standing.FAIL
    return Standing.INCONCLUSIVE if lost is None and unexpected is None else Standing.PASS
