"""The sections of alert thresholds and capacity: both are about shares of what was validated."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.assess.alerts import alerts, load_alerts
from bench.assess.document import Badge, Bullets, Cell, Link, Section, table
from bench.assess.requirement import FLAGS, LEAST_HEADROOM
from bench.assess.status import Standing
from bench.assess.words import figure, listed, share
from bench.core import units
from bench.judge.comparison import limit_text, warn_text

if TYPE_CHECKING:
    from bench.assess.alerts import Alert
    from bench.assess.assessment import Assessment
    from bench.assess.capacity import Headroom, Validated


def thresholds(found: Assessment) -> Section:
    """When to be told."""
    marks = tuple(share(level) for level in FLAGS)
    rows = [_alert(one) for one in alerts(found.mets)]
    loads: list[tuple[Cell, ...]] = [
        (
            one.room.capacity.subject,
            units.format_rate(one.validated_per_s),
            *(units.format_rate(level) for level in one.levels_per_s),
            units.format_rate(one.room.capacity.required_per_s) if one.room.capacity.required_per_s else "-",
            one.reached if one.room.capacity.required_per_s else "no required rate",
        )
        for one in load_alerts(found.rooms)
    ]
    at = tuple(f"{mark} of limit" for mark in marks)
    return Section(
        "Alert thresholds",
        (
            f"Warning levels as the requirements have them, and {listed(marks)} of each limit.",
            *table(
                "Values that must stay low",
                ("Requirement", "Metrics", "Warn at", "Limit", *at, "Highest", "Stands"),
                rows,
                2,
                3,
                4,
                5,
                6,
            ),
            *table(
                "Load, as a share of the highest validated rate",
                ("Target", "Validated", *(f"{mark} of it" for mark in marks), "Needed", "Stands"),
                loads,
                1,
                2,
                3,
                4,
            ),
        ),
    )


def _alert(one: Alert) -> tuple[Cell, ...]:
    rule, worst = one.rows[0].rule, one.worst
    metrics = dict.fromkeys(
        ".".join([row.rule.metric.name, row.rule.metric.stat or ""]).rstrip(".") for row in one.rows
    )
    return (
        f"{one.requirement.area}: {one.requirement.demand}",
        ", ".join(metrics),
        warn_text(rule) if rule.warn is not None else "-",
        f"{rule.op} {limit_text(rule)}",
        *(figure(level, rule.unit) for level in one.levels),
        figure(worst.check.observed, rule.unit) if worst and worst.check else "-",
        f"{one.reached} ({worst.scenario})" if worst else one.reached,
    )


def capacity(found: Assessment) -> Section:
    """What was validated beyond what is needed."""
    rows: list[tuple[Cell, ...]] = []
    best: list[tuple[Cell, ...]] = []
    silent = []
    mets = {one.requirement.capacity: one for one in found.mets if one.requirement.capacity}
    for room in found.rooms:
        best.append(_room(room, mets[room.capacity.key].standing if room.capacity.key in mets else None))
        rows += [_validated(room, one) for one in room.validated]
        if room.best is None:
            silent.append(f"{room.capacity.subject}: no rate was validated.")
        elif not any(one.is_closed for one in room.validated):
            silent.append(
                f"{room.capacity.subject}: nothing above {units.format_rate(room.best.rate_per_s)} was "
                "tried, and no closed loop: where its limit lies is not known."
            )
    silent.append(
        "Not measured: how rates of several targets limit each other beyond what scenario everything asks."
    )
    columns = ("Target", "Standing", "Needed", "Validated", "Headroom", "Flag", "By")
    each = (
        "Target",
        "Run",
        "Workload",
        "Loop",
        "Offered",
        "Completed",
        "Generator idle",
        "Target CPU",
        "Limit",
    )
    return Section(
        "Capacity",
        (
            "Validated is the highest rate at which all rules of a run held, less what was not answered OK. "
            f"Headroom is the share of it that production does not need: at least {share(LEAST_HEADROOM)}. "
            f"Flags are set where what is needed is past {listed([share(one) for one in FLAGS])} of it.",
            *table("Headroom", columns, best, 2, 3, 4),
            *table("Rates at which all rules held", each, rows, 4, 5, 6, 7),
            Bullets(tuple((text,) for text in silent)),
        ),
    )


def _room(room: Headroom, standing: Standing | None) -> tuple[Cell, ...]:
    needed, best = room.capacity.required_per_s, room.best
    return (
        f"{room.capacity.subject} ({room.capacity.unit})",
        Badge(standing) if standing is not None else "no requirement",
        units.format_rate(needed) if needed else "-",
        units.format_rate(best.rate_per_s) if best else "not measured",
        share(None if room.used is None else 1 - room.used),
        room.flag or "none",
        Link(best.evidence.scenario, best.evidence.shown) if best else "-",
    )


def _validated(room: Headroom, one: Validated) -> tuple[Cell, ...]:
    return (
        room.capacity.subject,
        Link(f"{one.evidence.scenario} ({one.evidence.form})", one.evidence.shown),
        one.workload,
        "closed" if one.is_closed else "open",
        "as fast as it goes" if one.offered_per_s is None else units.format_rate(one.offered_per_s),
        units.format_rate(one.completed_per_s),
        "-" if one.idle_ratio is None else units.format_ratio(one.idle_ratio),
        "-" if one.target_cpu is None else units.format_ratio(round(one.target_cpu, 4)),
        one.limit,
    )
