"""The sections of an assessment about figures: the compliance matrix, resilience, alert thresholds,
capacity.
"""

from collections.abc import Iterator

from bench.assess.assessment import Assessment
from bench.assess.capacity import Alert, Headroom, Validated, alerts, load_alerts
from bench.assess.evidence import Evidence
from bench.assess.matrix import Item, RequirementResult, Row
from bench.assess.requirements import FLAGS, LEAST_HEADROOM
from bench.assess.resilience import Resilience, Spread
from bench.assess.status import RequirementStatus, age, figure, listed, old, share
from bench.core import units
from bench.core.units import counted, spaced
from bench.judge.uncertainty import METHODS
from bench.judge.verdict import Status
from bench.report.document import Badge, Block, Bullets, Cell, Folded, Link, Section, table
from bench.scenario.rules.metric_facts import DETECTORS

REQUIREMENT = "Requirement | Status | #Achieved | #Limit | #Headroom | #Proofs | Tightest evidence"
PROOF = "Scenario and metric | Status | #Achieved | Uncertainty | #Limit | #Warn | #Headroom | Evidence"
ITEM = "Requirement | Status | Evidence | #Age | What it shows"
RECOVERY = (
    "Fault | #n | First success | Stable | Full performance | Outage | #Arrivals lost | #Availability | Run"
)
HEADROOM = "Target | Status | #Needed | #Validated | #Headroom | Flag | By"
VALIDATED = "Target | Run | Workload | Loop | #Offered | #Completed | #Generator idle | #Target CPU | Limit"


def badge_of(status: RequirementStatus) -> Badge:
    """A requirement's status by its words, in the colour of the judged status of that name."""
    is_judged = status is not RequirementStatus.NOT_SHOWN
    return Badge(status.words, Status[status.name] if is_judged else None)


def compliance(found: Assessment) -> Section:
    """The requirements, every proof of them, then the rules of the scenarios beyond them."""
    proofs = [_proof(row) for row in _each_once(found)]
    shown = [row for met in found.mets for row in met.rows] + list(found.further)
    methods = dict.fromkeys(
        row.uncertainty.method for row in shown if row.uncertainty and row.uncertainty.method
    )
    legend = tuple((f"{name}: {METHODS[name]}",) for name in methods)
    return Section(
        "SLA compliance matrix",
        (
            "Of each requirement the proof that leaves the least headroom: the share of the limit that is "
            "left. Requirements are judged by these limits, whatever the scenario files ask today.",
            *table("Acceptance requirements", REQUIREMENT, [_met(found, met) for met in found.mets]),
            *table("Every proof of the requirements", PROOF, proofs),
            *table(
                "Evidence of others, and facts of targets",
                ITEM,
                [_item(found, met, one) for met in found.mets for one in met.items],
            ),
            *_further(found),
            *((Folded("How the uncertainty is shown", (Bullets(legend),)),) if legend else ()),
        ),
    )


def _further(found: Assessment) -> Iterator[Block]:
    """What does not hold in full; what holds is folded away."""
    odd = [_proof(row) for row in found.further if row.status is not RequirementStatus.PASS]
    held = [_proof(row) for row in found.further if row.status is RequirementStatus.PASS]
    caption = "Rules of the scenarios beyond the requirements (a FAIL here is NOT READY, too)"
    yield from table(caption, PROOF, odd)
    if held:
        summary = f"{counted(len(held), 'further rule')} of the scenarios hold"
        yield Folded(summary, table("Further rules that hold", PROOF, held))


def _each_once(found: Assessment) -> list[Row]:
    """The proofs of all requirements, in their order; one that two requirements share once."""
    rows = {(row.scenario, row.rule.text): row for met in found.mets for row in met.rows}
    return list(rows.values())


def named(found: Assessment, met: RequirementResult) -> str:
    """A requirement with what must be known of it: "API: answers in time (should; owner platform)"."""
    owner = found.requirements.owner_of(met.requirement)
    notes: list[str] = [met.requirement.level] if met.requirement.level != "must" else []
    notes += [f"owner {owner}"] if owner else []
    said = f" ({'; '.join(notes)})" if notes else ""
    return f"{met.requirement.area}: {met.requirement.demand}{said}"


def _met(found: Assessment, met: RequirementResult) -> tuple[Cell, ...]:
    name, row = named(found, met), met.tightest
    if row is None:
        return (name, badge_of(met.counts_as), "-", "-", "-", "-", met.because)
    shown = sum(one.status.is_shown for one in met.rows)
    achieved = figure(row.check.observed, row.check.unit) if row.check else "-"
    cell = evidence_cell(row.evidence) if row.evidence else met.because
    proofs = f"{shown} of {len(met.rows)}"
    return (name, badge_of(met.counts_as), achieved, _limit(row), share(row.headroom), proofs, cell)


def _proof(row: Row) -> tuple[Cell, ...]:
    name = f"{row.scenario}: {row.rule.metric}"
    return (
        f"{name}. {row.because}" if row.status.is_open else name,
        badge_of(row.status),
        figure(row.check.observed, row.check.unit) if row.check else "-",
        _uncertainty(row),
        _limit(row),
        row.rule.written.warn or "-",
        share(row.headroom),
        _age_cell(row.evidence),
    )


def _item(found: Assessment, met: RequirementResult, one: Item) -> tuple[Cell, ...]:
    name: Cell = one.name if one.shown is None else Link(one.name, one.shown)
    return (
        named(found, met),
        badge_of(one.status),
        name,
        "-" if one.age_ns is None else age(one.age_ns),
        one.because,
    )


def _age_cell(one: Evidence | None) -> Cell:
    """A link to the run of a row that names its scenario already."""
    if one is None:
        return "none"
    return Link(f"{old(one.age_ns)}" + ("" if one.form == "standard" else f", {one.form}"), one.shown)


def _limit(row: Row) -> str:
    return "to be recorded" if row.is_recorded_only else f"{row.rule.op} {row.rule.written.limit}"


def _uncertainty(row: Row) -> str:
    if row.uncertainty is None:
        return "-"
    method = f" ({row.uncertainty.method})" if row.uncertainty.method else ""
    return f"{row.uncertainty.text}{method}"


def evidence_cell(one: Evidence | None) -> Cell:
    """A link to the run, with its age and form."""
    if one is None:
        return "none"
    form = "" if one.form == "standard" else f", {one.form} evidence"
    return Link(f"{one.scenario}, {old(one.age_ns)}{form}", one.shown)


def resilience_section(found: Assessment) -> Section:
    """Recovery, detection, integrity and false alarms of the runs that speak."""
    if not found.resilience and not found.integrity:
        return Section("Resilience", ("No run with faults speaks: nothing is known about interruptions.",))
    recovery: list[tuple[Cell, ...]] = [_recovery(one) for one in found.resilience]
    used = [name for name in DETECTORS if any(name in one.detection for one in found.resilience)]
    detection: list[tuple[Cell, ...]] = [
        (f"{one.kind} {one.target}", *(_detected(one, name) for name in used), evidence_cell(one.evidence))
        for one in found.resilience
    ]
    data: list[tuple[Cell, ...]] = [
        (
            f"{one.check.workload}, {one.check.check.replace('_', ' ')}",
            badge_of(_data(one.check.lost, one.check.unexpected)),
            one.check.target or "unknown",
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
            *table("Recovery", RECOVERY, recovery),
            *table("Time to detect, by detector", " | ".join(("Fault", *heads, "Run")), detection),
            *table("Acknowledged data", "Data | Status | Target | Found | Run", data),
            Bullets(tuple(alarms)),
        ),
    )


def _recovery(one: Resilience) -> tuple[Cell, ...]:
    number = str(one.effective) if one.effective == one.made else f"{one.effective} of {one.made}"
    return (
        f"{one.kind} {one.target}",
        number,
        *(_shown(one.recovery[name]) for name in ("first", "stable", "full", "downtime")),
        spaced(one.lost_arrivals),
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


def _shown(spread: Spread | None) -> str:
    return "not seen" if spread is None else spread.shown


def _data(lost: int | None, unexpected: int | None) -> RequirementStatus:
    if lost or unexpected:
        return RequirementStatus.FAIL
    return RequirementStatus.INCONCLUSIVE if lost is None and unexpected is None else RequirementStatus.PASS


def thresholds(found: Assessment) -> Section:
    """When to alert."""
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
    low = " | #".join(("Requirement | Metrics | #Warn at | #Limit", *(f"{mark} of limit" for mark in marks)))
    load = " | #".join(("Target | #Validated", *(f"{mark} of it" for mark in marks)))
    return Section(
        "Alert thresholds",
        (
            f"Warning levels as the requirements have them, and {listed(marks)} of each limit.",
            *table("Values that must stay low", f"{low} | #Highest | Stands", rows),
            *table("Load, as a share of the highest validated rate", f"{load} | #Needed | Stands", loads),
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
        rule.written.warn or "-",
        f"{rule.op} {rule.written.limit}",
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
        best.append(_room(room, mets[room.capacity.key].status if room.capacity.key in mets else None))
        rows += [_validated(room, one) for one in room.validated]
        if room.best is None:
            silent.append(f"{room.capacity.subject}: no rate was validated.")
        elif not any(one.is_closed or one.is_limit_known for one in room.validated):
            silent.append(
                f"{room.capacity.subject}: nothing above {units.format_rate(room.best.rate_per_s)} was "
                "tried, and no closed loop: where its limit lies is not known."
            )
    silent.append(
        "Not measured: how rates of several targets limit each other beyond what scenario everything asks."
    )
    return Section(
        "Capacity",
        (
            "Validated is the highest rate at which all rules of a run held, less what was not answered OK. "
            f"Headroom is the share of it that production does not need: at least {share(LEAST_HEADROOM)}. "
            f"Flags are set where what is needed is past {listed([share(one) for one in FLAGS])} of it.",
            *table("Headroom", HEADROOM, best),
            *table("Rates at which all rules held", VALIDATED, rows),
            Bullets(tuple((text,) for text in silent)),
        ),
    )


def _room(room: Headroom, status: RequirementStatus | None) -> tuple[Cell, ...]:
    needed, best = room.capacity.required_per_s, room.best
    return (
        f"{room.capacity.subject} ({room.capacity.unit})",
        badge_of(status) if status is not None else "no requirement",
        units.format_rate(needed) if needed else "-",
        units.format_rate(best.rate_per_s) if best else "not measured",
        share(None if room.used is None else 1 - room.used),
        room.flag or "none",
        Link(best.scenario, best.shown) if best else "-",
    )


def _validated(room: Headroom, one: Validated) -> tuple[Cell, ...]:
    return (
        room.capacity.subject,
        Link(f"{one.scenario} ({one.form})", one.shown),
        one.workload,
        "closed" if one.is_closed else "open",
        "as fast as it goes" if one.offered_per_s is None else units.format_rate(one.offered_per_s),
        units.format_rate(one.completed_per_s),
        "-" if one.idle_ratio is None else units.format_ratio(one.idle_ratio),
        "-" if one.target_cpu is None else units.format_ratio(round(one.target_cpu, 4)),
        one.limit,
    )
