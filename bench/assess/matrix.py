"""The compliance matrix: each requirement with its proofs, judged on the runs that speak."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.assess.evidence import STALE, Evidence, EvidenceSet, command_for
from bench.assess.requirements import Proof, Requirement
from bench.assess.sources import ScenarioFiles
from bench.assess.status import RequirementStatus, status_of, worst
from bench.core import units
from bench.core.errors import ResultError
from bench.judge.faults.times import effective_ns, took_effect
from bench.judge.judge import judge
from bench.judge.uncertainty import Uncertainty, uncertainty
from bench.judge.verdict import Check, Status, headroom
from bench.scenario.rules.grammar import Rule, parse_rule


@dataclass(frozen=True)
class Row:
    """One proof as it stands. `because` and `todo` are sentences; `evidence` is None where no run speaks."""

    scenario: str
    rule: Rule
    is_recorded_only: bool
    status: RequirementStatus
    because: str
    todo: str | None
    evidence: Evidence | None = None
    check: Check | None = None
    uncertainty: Uncertainty | None = None

    @property
    def headroom(self) -> float | None:
        """The share of the limit that is left; None where a share means nothing."""
        if self.check is None or self.check.observed is None or self.is_recorded_only:
            return None
        return headroom(self.rule.op, self.rule.limit, self.rule.unit, self.check.observed)


@dataclass(frozen=True)
class Item:
    """What shows a requirement beside runs, as it stands: a document of others."""

    name: str
    status: RequirementStatus
    because: str
    todo: str | None
    age_ns: int | None = None
    shown: Path | None = None
    """What a link leads to."""


@dataclass(frozen=True)
class RequirementResult:
    """A requirement and how it stands."""

    requirement: Requirement
    status: RequirementStatus
    because: str
    todo: str | None
    rows: tuple[Row, ...] = ()
    items: tuple[Item, ...] = ()

    @property
    def counts_as(self) -> RequirementStatus:
        """As it counts: what only should hold and is broken is a warning."""
        is_must = self.requirement.level == "must"
        return self.status if is_must or self.status < RequirementStatus.FAIL else RequirementStatus.WARN

    @property
    def is_gap(self) -> bool:
        """Whether it is not known, although it must be."""
        return self.status.is_open and self.requirement.level == "must"

    @property
    def tightest(self) -> Row | None:
        """Of the proofs that stand worst the one with the least headroom; None for none."""
        decisive = [row for row in self.rows if row.status is self.status]
        return min(decisive, key=lambda row: 0.0 if row.headroom is None else row.headroom, default=None)


def met(
    requirement: Requirement, body: EvidenceSet, files: ScenarioFiles, items: Sequence[Item] = ()
) -> RequirementResult:
    """A requirement with proofs and `items`: all of them must hold. Raises ResultError for a damaged run."""
    rows = tuple(_row(proof, body, files) for proof in requirement.proofs or ())
    parts: list[Row | Item] = [*rows, *items]
    status = worst(part.status for part in parts)
    decisive = [part for part in parts if part.status is status]
    more = f" (and {len(decisive) - 1} more of {len(parts)} proofs)" if len(decisive) > 1 else ""
    because = _whose(decisive[0]) + decisive[0].because + (more if status > RequirementStatus.PASS else "")
    todo = next((part.todo for part in decisive if part.todo), None)
    return RequirementResult(requirement, status, because, todo, rows, tuple(items))


def _whose(part: Row | Item) -> str:
    if isinstance(part, Item):
        return f"{part.name}: "
    return f"{part.scenario}: " if part.evidence else ""


def further_rows(body: EvidenceSet, files: ScenarioFiles, proven: Iterable[Row]) -> list[Row]:
    """The rules of the runs themselves that no requirement asks for, in the order of the scenarios."""
    covered = {(row.scenario, str(row.rule.metric), row.rule.op, row.rule.limit) for row in proven}
    rows = []
    for name, evidence in body.by_scenario.items():
        for check in evidence.verdict.checks:
            rule = _parsed(check.rule) if check.is_rule else None
            if rule is None or (name, str(rule.metric), rule.op, rule.limit) in covered:
                continue
            rows.append(_judged(rule, False, 0, check, evidence, command_for(name, files.by_name.get(name))))
    return rows


def _parsed(text: str) -> Rule | None:
    try:
        return parse_rule(text)
    except ValueError:
        return None


def _row(proof: Proof, body: EvidenceSet, files: ScenarioFiles) -> Row:
    rule = proof.parsed
    evidence = body.by_scenario.get(proof.scenario)
    if evidence is None:
        silence = body.silence_of(proof.scenario)
        return Row(
            proof.scenario,
            rule,
            proof.is_recorded_only,
            RequirementStatus.NOT_SHOWN,
            silence.because,
            silence.todo,
        )
    todo = command_for(proof.scenario, files.by_name.get(proof.scenario))
    check = judge(evidence.run, [rule]).checks[-1]
    return _judged(rule, proof.is_recorded_only, proof.cycles, check, evidence, todo)


def _judged(
    rule: Rule, is_recorded_only: bool, cycles: int, check: Check, evidence: Evidence, todo: str
) -> Row:
    status, because = _status(rule, cycles, check, evidence)
    return Row(
        evidence.scenario,
        rule,
        is_recorded_only,
        status,
        because,
        None if status.is_shown or status is RequirementStatus.FAIL else todo,
        evidence,
        check,
        _sure(evidence, rule, check),
    )


def _sure(evidence: Evidence, rule: Rule, check: Check) -> Uncertainty:
    try:
        return uncertainty(evidence.run, rule, check)
    except (ResultError, ArithmeticError, LookupError, TypeError, ValueError) as error:
        return Uncertainty(None, None, f"unknown: {error}", None)


def _status(rule: Rule, cycles: int, check: Check, evidence: Evidence) -> tuple[RequirementStatus, str]:
    """What the run as a whole forbids comes first, then a broken limit, then what makes a run no proof."""
    flaw = evidence.flaw
    if flaw is not None and flaw.status is Status.INVALID:
        return RequirementStatus.INVALID, f"the run says nothing: {flaw.because}"
    if check.status is Status.FAIL:
        return RequirementStatus.FAIL, check.because
    if flaw is not None and check.status < Status.INCONCLUSIVE:
        return RequirementStatus.INCONCLUSIVE, flaw.because
    doubt = _no_proof(rule, cycles, evidence)
    if doubt is not None and status_of(check.status).is_shown:
        return RequirementStatus.NOT_SHOWN, doubt
    return status_of(check.status), check.because


def _no_proof(rule: Rule, cycles: int, evidence: Evidence) -> str | None:
    if evidence.is_stale:
        return next(mark.text for mark in evidence.marks if mark.word == STALE)
    had = _cycles_of(evidence)
    if had < cycles:
        return f"the run had {had} cycles of load in its measured time, {cycles} are asked for"
    if rule.metric.name == "breaker_open_time":
        return _cannot_break(rule, evidence)
    return None


def _cycles_of(evidence: Evidence) -> int:
    phases = evidence.run.record.phases
    return sum(phase.cycles or 0 for phase in phases if phase.measured)


def _cannot_break(rule: Rule, evidence: Evidence) -> str | None:
    """A breaker that never closes is open until the run ends: a run that ends sooner cannot show it."""
    first_ns = min((effective_ns(fault) for fault in took_effect(evidence.run)), default=None)
    if first_ns is None:
        return None
    watched_ns = evidence.run.record.duration_ns - first_ns
    if watched_ns > rule.limit:
        return None
    return (
        f"the run ended {units.format_duration_ns(watched_ns)} after the fault: a breaker that never closes "
        f"would not have broken the limit of {units.format_duration_ns(rule.limit)}"
    )
