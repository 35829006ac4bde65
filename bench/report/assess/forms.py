"""The assessment as page, Markdown, JSON and text for a terminal: the recommendation comes first in each."""

from pathlib import Path
from typing import Any

from bench.assess.assessment import AreaResult, Assessment
from bench.assess.evidence import Evidence
from bench.assess.matrix import RequirementResult, Row
from bench.assess.recommendation import SAID, Reason, Recommendation
from bench.assess.status import RequirementStatus, age, date, figure, old, share
from bench.core.units import counted
from bench.judge.verdict import Status
from bench.report.assess.sections import badge_of, named
from bench.report.assess.summary import COMMAND, folded_command, scorecard, sections
from bench.report.document import (
    Badge,
    Block,
    Bullets,
    Cell,
    Code,
    Finding,
    Findings,
    Folded,
    Headline,
    Preformatted,
    Section,
    Table,
    columns,
)
from bench.report.html.page import SHAPES, Html, details, element, page
from bench.report.render import html, markdown, text
from bench.results.layout import as_json

REASONS_IN_A_TERMINAL = 12
INDEX = "index.html"
"""The page over all runs, where `bench report` has put it beside them."""
SCORECARD = columns("Scorecard:24 | #shown:9 | #warn:7 | #failed:8 | #not shown:11 | #cannot tell:13")


def sections_for_a_terminal(assessment: Assessment, headline: Headline) -> list[Section]:
    """In the order of reading."""
    return [
        _head(assessment, headline),
        *_reasons(assessment),
        _scorecard(assessment),
        *(_area(assessment, area) for area in assessment.areas()),
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
        for reason in assessment.reasons[:REASONS_IN_A_TERMINAL]
    ]
    shown = [Section("", (Findings((finding,)),)) for finding in findings]
    more = len(assessment.reasons) - REASONS_IN_A_TERMINAL
    words = f"and {counted(more, 'more reason')}: see --format html"
    return [*shown, Section("", (words,))] if more > 0 else shown


def _scorecard(assessment: Assessment) -> Section:
    rows: list[tuple[Cell, ...]] = []
    for area in assessment.areas():
        statuses = [result.counts_as for result in area.mets]
        unclear = statuses.count(RequirementStatus.INCONCLUSIVE) + statuses.count(RequirementStatus.INVALID)
        counts = (
            *map(
                statuses.count, (RequirementStatus.WARN, RequirementStatus.FAIL, RequirementStatus.NOT_SHOWN)
            ),
            unclear,
        )
        shown = sum(status.is_shown for status in statuses)
        rows.append((area.name, f"{shown} of {len(statuses)}", *(str(count or "-") for count in counts)))
    return Section("", (Table("", SCORECARD, tuple(rows)),))


def _area(found: Assessment, area: AreaResult) -> Section:
    findings = tuple(_requirement(result, named(found, result)) for result in area.mets)
    return Section(area.name, (Findings(findings),))


def _requirement(result: RequirementResult, name: str) -> Finding:
    below: list[str | Finding] = [] if result.rows or result.items else [result.because]
    below += [_proof(row) for row in result.rows if row.evidence is not None]
    if silent := dict.fromkeys(row.scenario for row in result.rows if row.evidence is None):
        below.append(Finding(f"no run: {', '.join(silent)}"))
    below += [Finding(f"{one.name}: {one.because}", badge_of(one.status)) for one in result.items]
    text = name.removeprefix(f"{result.requirement.area}: ")
    return Finding(text, badge_of(result.counts_as), tuple(below))


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


TITLE = "Production readiness"
STYLE = """
.recommendation { border-left-width: 10px; padding: 1rem 1.2rem; }
.recommendation h2 { border: 0; margin: 0; padding: 0; font-size: 1.7rem; }
.banner ul.why { list-style: none; padding: 0; margin: .6rem 0 0; }
.why li { padding: .35rem 0; border-bottom: 1px solid var(--line); color: var(--ink); }
.why li:last-child { border-bottom: 0; }
.why .todo { display: block; color: var(--soft); }
nav.contents ul { display: flex; flex-wrap: wrap; gap: .2rem 1rem; list-style: none; padding: 0; }
tbody th { min-width: 9rem; }
td:has(> .wide), th:has(> .wide) { min-width: 12rem; }
@media print {
  nav.contents { display: none; }
  table { font-size: 7.6pt; }
  tbody th, td:has(> .wide), th:has(> .wide) { min-width: 0; }
  .badge { white-space: normal; }
}
"""
LIKE = {
    Recommendation.READY: Status.PASS,
    Recommendation.WARNINGS: Status.WARN,
    Recommendation.NOT_READY: Status.FAIL,
    Recommendation.CANNOT_TELL: Status.INCONCLUSIVE,
}
"""The status whose colour and sign a recommendation has."""
SIGNS: dict[Status | None, str] = {**{Status[name]: sign for name, sign in SHAPES.items()}, None: "○"}
SHOWN_REASONS = 8


def render_text(assessment: Assessment, colour: bool = False) -> str:
    """For a terminal, with a line end."""
    return text.render(sections_for_a_terminal(assessment, _headline(assessment)), colour)


def render_markdown(assessment: Assessment, beside: Path) -> str:
    """For a step summary, a ticket or a wiki; links are relative to `beside`."""
    score = assessment.score
    head = Section(
        "",
        (
            _headline(assessment),
            SAID[assessment.recommendation],
            f"{_subtitle(assessment)} {score.shown} of {score.total} requirements are shown.",
            Bullets(tuple(_reason_line(reason) for reason in assessment.reasons)),
        ),
    )
    return f"# {TITLE}\n\n" + markdown.render([head, *sections(assessment)], beside, signs=SIGNS)


MARK = "<!-- holdfast readiness -->"
"""First line of a comment: by it a workflow finds its own comment, to replace it."""


def render_comment(assessment: Assessment) -> str:
    """For one comment of a pull request: the gravest reasons, the scorecard, the rest folded away."""
    score = assessment.score
    lines = [_reason_line(reason) for reason in assessment.reasons]
    shown, more = lines[:SHOWN_REASONS], lines[SHOWN_REASONS:]
    rest: tuple[Block, ...] = (Folded(f"{len(more)} more", (Bullets(tuple(more)),)),) if more else ()
    head = Section(
        "",
        (
            _headline(assessment),
            f"{SAID[assessment.recommendation]} {score.shown} of {score.total} requirements are shown.",
            *((Bullets(tuple(shown)),) if shown else ()),
            *rest,
        ),
    )
    areas = Section("", tuple(block for block in scorecard(assessment).blocks if isinstance(block, Table)))
    return f"{MARK}\n" + markdown.render([head, areas], signs=SIGNS, level=3)


def _headline(assessment: Assessment) -> Headline:
    return Headline(Badge(assessment.recommendation.value, LIKE[assessment.recommendation]))


def _reason_line(reason: Reason) -> tuple[Cell, ...]:
    line: tuple[Cell, ...] = (badge_of(reason.status), reason.text)
    if reason.todo is None:
        return line
    return (*line, "To do:", Code(reason.todo) if reason.todo.startswith("bench ") else reason.todo)


def _subtitle(assessment: Assessment) -> str:
    oldest = age(assessment.max_age_ns)
    return (
        f"Runs in {assessment.results}, assessed {date(assessment.now_ns)}; "
        f"runs older than {oldest} do not count."
    )


def render_html(assessment: Assessment, beside: Path) -> str:
    """The page; links are relative to `beside`, the folder that it will be in."""
    parts = sections(assessment)
    links = [element("li", element("a", part.title, href=f"#{html.anchor(part.title)}")) for part in parts]
    body = [
        element("h1", TITLE),
        element("p", _subtitle(assessment), class_="soft"),
        _way_back(assessment, beside),
        _banner(assessment, beside),
        html.cards(_key_figures(assessment)),
        element("nav", element("ul", links), class_="contents", aria_label="Sections"),
        element("main", html.sections(parts, beside)),
    ]
    return page(f"{assessment.recommendation.value}: {TITLE.lower()}", body, styles=[STYLE])


def _way_back(assessment: Assessment, beside: Path) -> Html | None:
    index = assessment.results / INDEX
    if not index.is_file():
        return None
    return element("p", element("a", "All runs", href=html.relative_url(index, beside)))


def _banner(assessment: Assessment, beside: Path) -> Html:
    status = LIKE[assessment.recommendation].name
    items = [
        element(
            "li",
            html.cell(badge_of(reason.status), beside),
            " ",
            reason.text,
            [" ", _run_link(reason.evidence, beside)] if reason.evidence else None,
            element("span", f"To do: {reason.todo}", class_="todo") if reason.todo else None,
        )
        for reason in assessment.reasons
    ]
    shown, more = items[:SHOWN_REASONS], items[SHOWN_REASONS:]
    return element(
        "div",
        element(
            "h2",
            element("span", SHAPES[status], aria_hidden="true", class_="shape"),
            f" {assessment.recommendation.value}",
        ),
        element("p", SAID[assessment.recommendation]),
        element("ul", shown, class_="why") if shown else None,
        details(f"{len(more)} more", element("ul", more, class_="why")) if more else None,
        class_=f"banner recommendation {status.lower()}",
    )


def _run_link(evidence: Evidence, beside: Path) -> Html:
    quick = ", quick" if evidence.is_quick else ""
    name = f"({evidence.scenario}, {old(evidence.age_ns)}{quick})"
    return element("a", name, href=html.relative_url(evidence.shown, beside))


def _key_figures(assessment: Assessment) -> list[tuple[str, str, str]]:
    score, evidence = assessment.score, assessment.body
    unclear = score.counts[RequirementStatus.INCONCLUSIVE] + score.counts[RequirementStatus.INVALID]
    share = f"{100 * score.shown / score.total:.0f} %" if score.total else "-"
    scenarios = len(evidence.by_scenario) + len(evidence.silent)
    return [
        ("Shown", f"{score.shown} of {score.total}", f"{share} of the requirements"),
        ("Past warning level", str(score.counts[RequirementStatus.WARN]), "of those shown"),
        ("Failed", str(score.counts[RequirementStatus.FAIL]), "one is NOT READY"),
        ("Not shown", str(score.counts[RequirementStatus.NOT_SHOWN]), "no run that counts"),
        ("Cannot tell", str(unclear), "INCONCLUSIVE or INVALID"),
        ("Runs that speak", str(len(evidence.by_scenario)), f"of {scenarios} scenarios"),
    ]


FORMAT = 1


def render_json(found: Assessment) -> str:
    """For a gate in a script, with a line end; values in base units, as in verdict.json."""
    return as_json(
        {
            "format": FORMAT,
            "recommendation": found.recommendation.value,
            "assessed_wall_ns": found.now_ns,
            "max_age_ns": found.max_age_ns,
            "results": str(found.results),
            "score": {
                "shown": found.score.shown,
                "total": found.score.total,
                **{status.name.lower(): count for status, count in found.score.counts.items()},
                "weighted": found.weighted,
            },
            "areas": [
                {
                    "area": one.name,
                    "standing": one.status.name,
                    "shown": one.score.shown,
                    "total": one.score.total,
                    "weight": one.area.weight,
                    "owner": one.area.owner,
                }
                for one in found.areas()
            ],
            "reasons": [
                {"standing": one.status.name, "text": one.text, "todo": one.todo} for one in found.reasons
            ],
            "requirements": [
                {
                    "key": result.requirement.key,
                    "area": result.requirement.area,
                    "demand": result.requirement.demand,
                    "level": result.requirement.level,
                    "owner": found.requirements.owner_of(result.requirement),
                    "max_age_ns": found.requirements.max_age_of(result.requirement, found.max_age_ns),
                    "standing": result.counts_as.name,
                    "because": result.because,
                    "todo": result.todo,
                    "proofs": [_row(row) for row in result.rows],
                    "evidence": [
                        {
                            "name": one.name,
                            "standing": one.status.name,
                            "because": one.because,
                            "age_ns": one.age_ns,
                            "todo": one.todo,
                        }
                        for one in result.items
                    ],
                }
                for result in found.mets
            ],
            "further_rules": [_row(one) for one in found.further],
            "targets": [
                {
                    "name": one.name,
                    "kind": one.kind,
                    "address": one.address,
                    "state": one.state,
                    "uptime_s": one.uptime_s,
                    "version": one.version,
                    "asked_now": one.evidence is None,
                    "run": one.evidence.run.name if one.evidence else None,
                }
                for one in found.targets
            ],
            "runs": [
                {
                    "scenario": name,
                    "run": one.run.name,
                    "verdict": one.verdict.status.name,
                    "form": one.form,
                    "age_ns": one.age_ns,
                    "marks": [mark.word for mark in one.marks],
                }
                for name, one in found.body.by_scenario.items()
            ],
            "missing": {name: silence.because for name, silence in found.body.silent.items()},
            "damaged": [{"path": str(one.path), "reason": one.reason} for one in found.body.damaged],
            "to_run": list(found.to_run),
        }
    )


def _row(row: Row) -> dict[str, Any]:
    check, sure = row.check, row.uncertainty
    return {
        "scenario": row.scenario,
        "rule": row.rule.text,
        "standing": row.status.name,
        "because": row.because,
        "observed": check.observed if check else None,
        "unit": row.rule.unit,
        "interval": [sure.low, sure.high] if sure and sure.method else None,
        "method": sure.method if sure else None,
        "limit": None if row.is_recorded_only else row.rule.limit,
        "warn": row.rule.warn,
        "headroom": row.headroom,
        "run": row.evidence.run.name if row.evidence else None,
        "todo": row.todo,
    }
