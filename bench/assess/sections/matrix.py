"""The section of the compliance matrix: requirement, achieved, uncertainty, limit, headroom, evidence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.assess.document import Badge, Block, Bullets, Cell, Folded, Link, Section, table
from bench.assess.status import Standing
from bench.assess.uncertainty import METHODS
from bench.assess.words import counted, figure, old, share
from bench.judge.comparison import limit_text, warn_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.assess.assessment import Assessment
    from bench.assess.evidence import Evidence
    from bench.assess.matrix import RequirementResult, Row

REQUIREMENT = ("Requirement", "Standing", "Achieved", "Limit", "Headroom", "Proofs", "Tightest evidence")
PROOF = (
    "Scenario and metric",
    "Standing",
    "Achieved",
    "Uncertainty",
    "Limit",
    "Warn",
    "Headroom",
    "Evidence",
)


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
            *table("Acceptance requirements", REQUIREMENT, [_met(met) for met in found.mets], 2, 3, 4, 5),
            *table("Every proof of the requirements", PROOF, proofs, 2, 4, 5, 6),
            *_further(found),
            *((Folded("How the uncertainty is told", (Bullets(legend),)),) if legend else ()),
        ),
    )


def _further(found: Assessment) -> Iterator[Block]:
    """What does not hold in full; what holds is folded away."""
    odd = [_proof(row) for row in found.further if row.standing is not Standing.PASS]
    held = [_proof(row) for row in found.further if row.standing is Standing.PASS]
    caption = "Rules of the scenarios beyond the requirements (a FAIL here is NOT READY, too)"
    yield from table(caption, PROOF, odd, 2, 4, 5, 6)
    if held:
        summary = f"{counted(len(held), 'further rule')} of the scenarios hold"
        yield Folded(summary, table("Further rules that hold", PROOF, held, 2, 4, 5, 6))


def _each_once(found: Assessment) -> list[Row]:
    """The proofs of all requirements, in their order; one that two requirements share once."""
    rows = {(row.scenario, row.rule.text): row for met in found.mets for row in met.rows}
    return list(rows.values())


def _met(met: RequirementResult) -> tuple[Cell, ...]:
    name, row = f"{met.requirement.area}: {met.requirement.demand}", met.tightest
    if row is None:
        return (name, Badge(met.standing), "-", "-", "-", "-", met.because)
    shown = sum(one.standing.is_shown for one in met.rows)
    achieved = figure(row.check.observed, row.check.unit) if row.check else "-"
    cell = evidence_cell(row.evidence) if row.evidence else met.because
    proofs = f"{shown} of {len(met.rows)}"
    return (name, Badge(met.standing), achieved, _limit(row), share(row.headroom), proofs, cell)


def _proof(row: Row) -> tuple[Cell, ...]:
    name = f"{row.scenario}: {row.rule.metric}"
    return (
        f"{name}. {row.because}" if row.standing.is_open else name,
        Badge(row.standing),
        figure(row.check.observed, row.check.unit) if row.check else "-",
        _uncertainty(row),
        _limit(row),
        warn_text(row.rule) if row.rule.warn is not None else "-",
        share(row.headroom),
        _age_cell(row.evidence),
    )


def _age_cell(one: Evidence | None) -> Cell:
    """A link to the run of a row that names its scenario already."""
    if one is None:
        return "none"
    return Link(f"{old(one.age_ns)}" + ("" if one.form == "standard" else f", {one.form}"), one.shown)


def _limit(row: Row) -> str:
    return "to be recorded" if row.is_recorded_only else f"{row.rule.op} {limit_text(row.rule)}"


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
