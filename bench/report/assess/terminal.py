"""The assessment for a terminal, in sections: the recommendation, the areas with their proofs, what to do."""

from bench.assess.assessment import Assessment
from bench.assess.matrix import RequirementResult, Row
from bench.assess.recommendation import SAID
from bench.assess.status import RequirementStatus, date, figure, old, share
from bench.core.units import counted
from bench.report.assess.sections import badge_of
from bench.report.assess.summary import COMMAND, folded_command
from bench.report.document import (
    Block,
    Bullets,
    Cell,
    Finding,
    Findings,
    Headline,
    Preformatted,
    Section,
    Table,
    columns,
)

SHOWN_REASONS = 12
SCORECARD = columns("Scorecard:24 | #shown:9 | #warn:7 | #failed:8 | #not shown:11 | #cannot tell:13")


def sections(assessment: Assessment, headline: Headline) -> list[Section]:
    """In the order of reading."""
    return [
        _head(assessment, headline),
        *_reasons(assessment),
        _scorecard(assessment),
        *(_area(area, results) for area, results in assessment.areas().items()),
        _further_rules(assessment),
        _targets(assessment),
        _notes(assessment),
        _to_do(assessment),
    ]


def _head(assessment: Assessment, headline: Headline) -> Section:
    score = assessment.score
    runs = counted(len(assessment.body.by_scenario), "run")
    basis = (
        f"{score.shown} of {score.total} requirements shown, by {runs} in {assessment.results}, "
        f"{date(assessment.now_ns)}."
    )
    return Section("", (headline, SAID[assessment.recommendation], basis))


def _reasons(assessment: Assessment) -> list[Section]:
    findings = [
        Finding(reason.text, badge_of(reason.status), advice=reason.todo)
        for reason in assessment.reasons[:SHOWN_REASONS]
    ]
    shown = [Section("", (Findings((finding,)),)) for finding in findings]
    more = len(assessment.reasons) - SHOWN_REASONS
    words = f"and {counted(more, 'more reason')}: see --format html"
    return [*shown, Section("", (words,))] if more > 0 else shown


def _scorecard(assessment: Assessment) -> Section:
    rows: list[tuple[Cell, ...]] = []
    for area, results in assessment.areas().items():
        statuses = [result.status for result in results]
        unclear = statuses.count(RequirementStatus.INCONCLUSIVE) + statuses.count(RequirementStatus.INVALID)
        counts = (
            *map(
                statuses.count, (RequirementStatus.WARN, RequirementStatus.FAIL, RequirementStatus.NOT_SHOWN)
            ),
            unclear,
        )
        shown = sum(status.is_shown for status in statuses)
        rows.append((area, f"{shown} of {len(results)}", *(str(count or "-") for count in counts)))
    return Section("", (Table("", SCORECARD, tuple(rows)),))


def _area(area: str, results: list[RequirementResult]) -> Section:
    return Section(area, (Findings(tuple(map(_requirement, results))),))


def _requirement(result: RequirementResult) -> Finding:
    below: list[str | Finding] = [] if result.rows else [result.because]
    below += [_proof(row) for row in result.rows if row.evidence is not None]
    if silent := dict.fromkeys(row.scenario for row in result.rows if row.evidence is None):
        below.append(Finding(f"no run: {', '.join(silent)}"))
    return Finding(result.requirement.demand, badge_of(result.status), tuple(below))


def _proof(row: Row) -> Finding:
    assert row.check is not None
    assert row.evidence is not None
    limit = "to be recorded" if row.is_recorded_only else f"{row.rule.op} {row.rule.written.limit}"
    left = "" if row.headroom is None else f", headroom {share(row.headroom)}"
    form = "" if row.evidence.form == "standard" else f", {row.evidence.form}"
    below = []
    if row.uncertainty is not None and row.uncertainty.method and not row.status.is_open:
        below.append(f"uncertainty: {row.uncertainty.text}")
    if not row.status.is_shown:
        below.append(f"{row.status.words}: {row.because}")
    return Finding(
        f"{row.scenario}: {row.rule.metric} {figure(row.check.observed, row.check.unit)} ({limit}{left}), "
        f"{old(row.evidence.age_ns)}{form}",
        below=tuple(below),
    )


def _further_rules(assessment: Assessment) -> Section:
    if not assessment.further:
        return Section("", ())
    odd = [row for row in assessment.further if row.status is not RequirementStatus.PASS]
    held = len(assessment.further) - len(odd)
    findings = [
        Finding(f"{row.scenario}, {row.rule.text}: {row.because}", badge_of(row.status)) for row in odd
    ]
    return Section(
        "Rules of the scenarios beyond the requirements",
        (f"{held} of {len(assessment.further)} hold", Findings(tuple(findings))),
    )


def _targets(assessment: Assessment) -> Section:
    lines = [f"{one.name}: {one.state}, {one.seen}; {one.detail}" for one in assessment.targets]
    return _listed("Targets", lines)


def _notes(assessment: Assessment) -> Section:
    evidence = assessment.body
    notes = [f"damaged: {damaged.reason}" for damaged in evidence.damaged]
    notes += [f"not finished: {name}" for name in assessment.found.unfinished]
    notes += evidence.remarks
    notes += [
        f"{name}: {mark.text}"
        for name, run in evidence.by_scenario.items()
        for mark in run.marks
        if mark.word != "quick"
    ]
    return _listed("To know", notes)


def _listed(title: str, lines: list[str]) -> Section:
    return Section(title, (Bullets(tuple((line,) for line in lines)),)) if lines else Section("", ())


def _to_do(assessment: Assessment) -> Section:
    blocks: list[Block] = [
        Preformatted(tuple(folded_command(line, 78))) if line.startswith(COMMAND) else Bullets(((line,),))
        for line in assessment.to_run
    ]
    title = "To show what is not shown, or shown by marked evidence only"
    return Section(title if blocks else "", tuple(blocks))
