"""READY, READY WITH WARNINGS, NOT READY or CANNOT TELL, with every reason. Pure.

One broken rule of any run that speaks, or one target that is down, is NOT READY, whatever the score. A
requirement that no run shows is CANNOT TELL, unless it is one of what a system need not have. Quick evidence
counts, but gives READY WITH WARNINGS at most; so does whatever else must be said along with the evidence, and
a requirement of level `should` that is broken or not shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from bench.assess.status import RequirementStatus, listed
from bench.core.errors import ExitCode
from bench.core.units import counted
from bench.judge.verdict import Status

if TYPE_CHECKING:
    from bench.assess.evidence import Evidence, EvidenceSet
    from bench.assess.health import TargetHealth
    from bench.assess.matrix import RequirementResult, Row


class Recommendation(Enum):
    """What to do with the system; the value is what the page says."""

    READY = "READY"
    WARNINGS = "READY WITH WARNINGS"
    NOT_READY = "NOT READY"
    CANNOT_TELL = "CANNOT TELL"


EXIT_CODES = {
    Recommendation.READY: ExitCode.OK,
    Recommendation.WARNINGS: ExitCode.OK,
    Recommendation.NOT_READY: ExitCode.SLA_FAILED,
    Recommendation.CANNOT_TELL: ExitCode.UNKNOWN,
}
SAID = {
    Recommendation.READY: "Every requirement is shown by a run, and nothing speaks against it.",
    Recommendation.WARNINGS: "Every requirement that must be is shown by a run; read the warnings first.",
    Recommendation.NOT_READY: "Something that must hold does not.",
    Recommendation.CANNOT_TELL: "Nothing is known to be broken, but not all that must be shown is shown.",
}


SHOWN_REQUIREMENTS = 3
SHOWN_SILENT = 3
"""More scenarios without a run than that are reported together."""


@dataclass(frozen=True)
class Reason:
    """Why: a status, a sentence, and what to do, where there is something."""

    status: RequirementStatus
    text: str
    todo: str | None = None
    evidence: Evidence | None = None


@dataclass(frozen=True)
class Score:
    """How many requirements stand how: a share of requirements shown, without weights or points."""

    counts: dict[RequirementStatus, int]

    @property
    def total(self) -> int:
        """All requirements, but those of parts that a system need not have and that nothing covers."""
        return sum(self.counts.values())

    @property
    def shown(self) -> int:
        """Requirements that a run shows to hold, past their warning level or not."""
        return sum(count for status, count in self.counts.items() if status.is_shown)


def score_of(mets: Sequence[RequirementResult]) -> Score:
    """The score of some requirements."""
    counted_in = [met for met in mets if not is_excused(met)]
    return Score({one: sum(met.counts_as is one for met in counted_in) for one in RequirementStatus})


def is_excused(met: RequirementResult) -> bool:
    """Whether it is about a part that a system need not have, and nothing covers it."""
    return met.requirement.where_used and met.status is RequirementStatus.NOT_SHOWN


def recommend(
    mets: Sequence[RequirementResult],
    further: Sequence[Row],
    body: EvidenceSet,
    targets: Sequence[TargetHealth],
    extra: Sequence[str],
) -> tuple[Recommendation, list[Reason]]:
    """The recommendation and its reasons, the gravest first. `extra`: further things to be warned of."""
    broken = [*_broken(mets, body), *_down(mets, targets)]
    unknown = _unknown(mets)
    warnings = [*_warnings(mets, further, body), *(Reason(RequirementStatus.WARN, text) for text in extra)]
    reasons = [*broken, *unknown, *warnings]
    if broken:
        return Recommendation.NOT_READY, reasons
    if unknown:
        return Recommendation.CANNOT_TELL, reasons
    return (Recommendation.WARNINGS if warnings else Recommendation.READY), reasons


def _source(met: RequirementResult) -> Evidence | None:
    return met.tightest.evidence if met.tightest else None


def _name(met: RequirementResult) -> str:
    return f"{met.requirement.area}, {met.requirement.demand}" + (
        " (should)" if met.requirement.level == "should" else ""
    )


def _unknown(mets: Sequence[RequirementResult]) -> list[Reason]:
    """What is not known, gathered by the run that is missing or says nothing."""
    asked: dict[tuple[str, str], list[str]] = {}
    rows: dict[tuple[str, str], Row] = {}
    for met in mets:
        for row in met.rows if met.requirement.level == "must" else ():
            if row.status.is_open:
                rows.setdefault((row.scenario, row.because), row)
                names = asked.setdefault((row.scenario, row.because), [])
                names += [_name(met)] * (_name(met) not in names)
    silent = [key for key, row in rows.items() if row.evidence is None]
    found = []
    if len(silent) > SHOWN_SILENT:
        whose = dict.fromkeys(name for key in silent for name in asked[key])
        scenarios = listed(list(dict.fromkeys(scenario for scenario, _ in silent)))
        text = f"no run speaks for {scenarios}: {counted(len(whose), 'requirement')} cannot be shown"
        found.append(Reason(RequirementStatus.NOT_SHOWN, text, "run them; the commands are at the end"))
    for key, row in rows.items():
        if row.evidence is None and len(silent) > SHOWN_SILENT:
            continue
        named, more = asked[key][:SHOWN_REQUIREMENTS], len(asked[key]) - SHOWN_REQUIREMENTS
        whose_text = "; ".join(named) + (f"; and {more} more" if more > 0 else "")
        because = row.because if row.evidence is None else f"{row.scenario}: {row.because}"
        found.append(Reason(row.status, f"{because} (asked for by: {whose_text})", row.todo, row.evidence))
    found += [
        Reason(met.status, f"{_name(met)}: {met.because}", met.todo)
        for met in mets
        if met.is_gap and not met.rows and not met.items and not is_excused(met)
    ]
    found += [
        Reason(item.status, f"{_name(met)}: {item.name}: {item.because}", item.todo)
        for met in mets
        for item in met.items
        if item.status.is_open and met.requirement.level == "must"
    ]
    return sorted(found, key=lambda reason: -reason.status)


def _broken(mets: Sequence[RequirementResult], body: EvidenceSet) -> list[Reason]:
    """Requirements that are broken, then whatever else the runs that speak have broken."""
    found = [
        Reason(met.status, f"{_name(met)}: {met.because}", met.todo, _source(met))
        for met in mets
        if met.counts_as is RequirementStatus.FAIL
    ]
    reported = {
        row.check.because
        for met in mets
        for row in met.rows
        if row.check and row.status is RequirementStatus.FAIL
    }
    for name, evidence in body.by_scenario.items():
        if evidence.verdict.status is not Status.FAIL:
            continue
        for check in evidence.verdict.checks:
            if check.status is Status.FAIL and check.because not in reported:
                what = check.rule if check.is_rule else "the run"
                found.append(
                    Reason(RequirementStatus.FAIL, f"{name}, {what}: {check.because}", check.advice, evidence)
                )
    return found


def _down(mets: Sequence[RequirementResult], targets: Sequence[TargetHealth]) -> list[Reason]:
    reported = {met.requirement.kind for met in mets if met.status is RequirementStatus.FAIL}
    return [
        Reason(RequirementStatus.FAIL, f"{one.name} at {one.address} is down, {one.seen}: {one.detail}")
        for one in targets
        if one.status is RequirementStatus.FAIL and one.kind not in reported
    ]


def _is_lesser_gap(met: RequirementResult) -> bool:
    """Whether it is not known and only should hold."""
    return met.status.is_open and not met.is_gap and not is_excused(met)


def _warnings(mets: Sequence[RequirementResult], further: Sequence[Row], body: EvidenceSet) -> list[Reason]:
    found = [
        Reason(min(met.status, met.counts_as), f"{_name(met)}: {met.because}", None, _source(met))
        for met in mets
        if met.counts_as is RequirementStatus.WARN or _is_lesser_gap(met)
    ]
    excused = [met for met in mets if is_excused(met)]
    if excused:
        parts = listed([met.requirement.demand for met in excused])
        text = f"it was not checked whether {parts}: where the system has none of them, nothing is missing"
        found.append(Reason(RequirementStatus.NOT_SHOWN, text, excused[-1].todo))
    found += [
        Reason(row.status, f"{row.scenario}, {row.rule.text}: {row.because}", row.todo, row.evidence)
        for row in further
        if row.status is RequirementStatus.WARN or row.status.is_open
    ]
    by_mark: dict[str, list[str]] = {}
    for name, evidence in body.by_scenario.items():
        for mark in evidence.marks:
            if mark.warns:
                by_mark.setdefault(mark.word, []).append(name)
    total = len(body.by_scenario)
    for word, names in by_mark.items():
        whose = "all of it" if len(names) == total > 1 else listed(names)
        found.append(Reason(RequirementStatus.WARN, f"{counted(len(names), 'run')} marked '{word}': {whose}"))
    return found
