"""The assessment as a whole: gathered once from a results folder, shown in several forms."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.assess.capacity import Headroom, capacity_met, rooms
from bench.assess.documents.judged import documents_of
from bench.assess.evidence import EvidenceSet, command_for, gather
from bench.assess.facts import facts_of
from bench.assess.health import TargetHealth, from_runs, health_met, live
from bench.assess.matrix import RequirementResult, Row, further_rows, met
from bench.assess.recommendation import Reason, Recommendation, Score, recommend, score_of
from bench.assess.requirements import Area, Requirement, Requirements
from bench.assess.resilience import Alarms, Integrity, Resilience, alarms, integrity, resilience
from bench.assess.sources import FoundRuns, ScenarioFiles, find_runs
from bench.assess.status import RequirementStatus, listed
from bench.core.units import counted
from bench.stack.probes.health import ServiceHealth
from bench.stack.standing import AskedTarget


@dataclass(frozen=True)
class Assessment:
    """Everything that a form shows."""

    results: Path
    requirements: Requirements
    now_ns: int
    max_age_ns: int
    recommendation: Recommendation
    reasons: tuple[Reason, ...]
    score: Score
    mets: tuple[RequirementResult, ...]
    further: tuple[Row, ...]
    targets: tuple[TargetHealth, ...]
    is_live: bool
    """Whether targets were asked now."""
    resilience: tuple[Resilience, ...]
    integrity: tuple[Integrity, ...]
    alarms: tuple[Alarms, ...]
    rooms: tuple[Headroom, ...]
    body: EvidenceSet
    found: FoundRuns
    files: ScenarioFiles
    to_run: tuple[str, ...]
    """Commands that would show what is not shown."""

    def areas(self) -> list["AreaResult"]:
        """The areas with their requirements, the weightiest first, else in the order of the file."""
        found: dict[str, list[RequirementResult]] = {}
        for one in self.mets:
            found.setdefault(one.requirement.area, []).append(one)
        areas = [AreaResult(name, self.requirements.area(name), tuple(mets)) for name, mets in found.items()]
        return sorted(areas, key=lambda one: -one.area.weight)

    @property
    def weighted(self) -> float | None:
        """The share of requirements shown in each area, by the weights of the areas; None without weights.

        It is shown beside the statuses and decides nothing.
        """
        if not self.requirements.areas:
            return None
        counted_in = [(one.area.weight, one.score) for one in self.areas() if one.score.total]
        total = sum(weight for weight, _ in counted_in) or 1.0
        return sum(weight * score.shown / score.total for weight, score in counted_in) / total


@dataclass(frozen=True)
class AreaResult:
    """An area and how it stands: as its worst requirement, never as their mean."""

    name: str
    area: Area
    mets: tuple[RequirementResult, ...]

    @property
    def score(self) -> Score:
        """How many of its requirements stand how."""
        return score_of(self.mets)

    @property
    def status(self) -> RequirementStatus:
        """The worst that must hold; what only should hold makes it a warning at most."""
        most = {"must": RequirementStatus.FAIL, "should": RequirementStatus.WARN}
        return max(min(one.counts_as, most[one.requirement.level]) for one in self.mets)


def assess(
    results: Path,
    files: ScenarioFiles,
    now_ns: int,
    max_age_ns: int,
    requirements: Requirements,
    health_rows: Sequence[ServiceHealth] = (),
    folder: Path = Path(),
    asked: Sequence[AskedTarget] = (),
) -> Assessment:
    """Assess the runs in `results`; `health_rows` are targets asked now. Nothing is written.

    `asked`: those of them of which more can be known than their health; more is asked where a requirement
    wants it. `folder` is that of the requirements' file, from which it names documents.

    Raises ResultError where there is no such folder.
    """
    found = find_runs(results)
    wanted = _wanted(requirements, max_age_ns)
    body = gather(found, files, wanted, now_ns, max_age_ns)
    targets = (*live(health_rows), *from_runs(body))

    def space_within(oldest_ns: int) -> list[Headroom]:
        fresh = [one for one in found.searches if now_ns - one.started_ns <= oldest_ns]
        return rooms(requirements.capacities, body.within(oldest_ns), fresh)

    def judged(one: Requirement) -> RequirementResult:
        oldest_ns = requirements.max_age_of(one, max_age_ns)
        if one.kind is not None:
            return health_met(one, (*live(health_rows), *from_runs(body.within(oldest_ns))))
        if one.capacity is not None:
            return capacity_met(one, space_within(oldest_ns), body, files)
        items = [*documents_of(one, folder, now_ns, oldest_ns), *facts_of(one, asked, now_ns)]
        return met(one, body.within(oldest_ns), files, items)

    space = space_within(max_age_ns)
    mets = tuple(judged(one) for one in requirements.requirements)
    further = tuple(further_rows(body, files, [row for one in mets for row in one.rows]))
    recommendation, reasons = recommend(mets, further, body, targets, _extra(body, files, wanted))
    return Assessment(
        results,
        requirements,
        now_ns,
        max_age_ns,
        recommendation,
        tuple(reasons),
        score_of(mets),
        mets,
        further,
        targets,
        bool(health_rows),
        tuple(resilience(body)),
        tuple(integrity(body)),
        tuple(alarms(body)),
        tuple(space),
        body,
        found,
        files,
        _to_run(mets, further, body, files),
    )


def _wanted(requirements: Requirements, default_ns: int) -> dict[str, int]:
    """The scenarios that proofs name, each with the age that the most patient of them allows."""
    wanted: dict[str, int] = {}
    for one in requirements.requirements:
        oldest_ns = requirements.max_age_of(one, default_ns)
        for proof in one.proofs or ():
            wanted[proof.scenario] = max(oldest_ns, wanted.get(proof.scenario, 0))
    return wanted


def environments(body: EvidenceSet) -> dict[str, list[str]]:
    """What the runs were made on, as in "cores 2, cpu Example, stack embedded" -> their scenarios.

    Of more than one the figures do not belong together.
    """
    found: dict[str, list[str]] = {}
    for name, evidence in body.by_scenario.items():
        record = evidence.run.record
        facts = {"stack": record.stack.kind or "unknown", **record.environment.key}
        known = [
            (fact.replace("_", " "), value) for fact, value in sorted(facts.items()) if value is not None
        ]
        found.setdefault(", ".join(f"{fact} {value}" for fact, value in known), []).append(name)
    return found


def _extra(body: EvidenceSet, files: ScenarioFiles, wanted: dict[str, int]) -> list[str]:
    """What warns beside the evidence's own marks."""
    said = []
    kinds = environments(body)
    if len(kinds) > 1:
        said.append(f"the runs were made in {counted(len(kinds), 'different environment')}: see below")
    if never := [name for name in files.by_name if name in body.silent and name not in wanted]:
        said.append(f"never run to its end, and asked for by no requirement: {listed(never)}")
    if body.damaged:
        said.append(f"{counted(len(body.damaged), 'damaged run folder')}: see below")
    return [*said, *files.problems]


def _to_run(
    mets: Sequence[RequirementResult], further: Sequence[Row], body: EvidenceSet, files: ScenarioFiles
) -> tuple[str, ...]:
    """One command for all scenarios whose runs are missing or do not count, then what else there is to do."""
    rows = [row for one in mets for row in one.rows] + list(further)
    names = [row.scenario for row in rows if row.status.is_open]
    names += [name for name in files.by_name if name in body.silent]
    names += [name for name, one in body.by_scenario.items() if any(mark.warns for mark in one.marks)]
    chosen = [name for name in dict.fromkeys(names) if name in files.by_name]
    commands = []
    if chosen:
        parts = [command_for(name, files.by_name[name]).removeprefix("bench run ") for name in chosen]
        commands.append(f"bench run {' '.join(parts)}")
    away = [name for name in dict.fromkeys(names) if name not in files.by_name]
    if away:
        commands.append(f"run the scenarios whose files are not in the folder: {listed(away)}")
    others = [one.todo for one in mets if one.todo and not one.status.is_shown and not one.rows]
    others += [item.todo for one in mets for item in one.items if item.todo and not item.status.is_shown]
    return (*commands, *dict.fromkeys(others))
