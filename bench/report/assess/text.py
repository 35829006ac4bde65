"""The assessment for a terminal: at most 80 columns, the recommendation first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.assess.recommendation import SAID, Recommendation
from bench.assess.status import Standing, counted, date, figure, old, share
from bench.judge.verdict import Status, limit_text
from bench.report.assess.summary import COMMAND, folded_command
from bench.report.columns import heading, row, styled, wrapped

if TYPE_CHECKING:
    from bench.assess.assessment import Assessment
    from bench.assess.matrix import RequirementResult, Row


COLOURS = {
    Recommendation.READY: Status.PASS,
    Recommendation.WARNINGS: Status.WARN,
    Recommendation.NOT_READY: Status.FAIL,
    Recommendation.CANNOT_TELL: Status.INCONCLUSIVE,
}
LIKE = {**{Standing[status.name]: status for status in Status}, Standing.NOT_SHOWN: Status.INCONCLUSIVE}
INDENT = " " * 4
SHOWN_REASONS = 12
AREA = 24


def render(found: Assessment, colour: bool = False) -> str:
    """The report, with a line end."""
    blocks = [
        _head(found, colour),
        _scorecard(found, colour),
        *(_area(area, mets, colour) for area, mets in found.areas().items()),
        _further(found, colour),
        _notes(found, colour),
        _todo(found, colour),
    ]
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def _head(found: Assessment, colour: bool) -> list[str]:
    lines = [styled(found.recommendation.value, COLOURS[found.recommendation], colour)]
    lines += wrapped(SAID[found.recommendation])
    lines += wrapped(
        f"{found.score.shown} of {found.score.total} requirements shown, by "
        f"{counted(len(found.body.by_scenario), 'run')} in {found.results}, {date(found.now_ns)}."
    )
    for reason in found.reasons[:SHOWN_REASONS]:
        lines += ["", *_said(reason.standing, reason.text, colour)]
        if reason.todo:
            lines += wrapped(reason.todo, f"{INDENT}-> ", f"{INDENT}   ")
    if len(found.reasons) > SHOWN_REASONS:
        lines += ["", f"and {len(found.reasons) - SHOWN_REASONS} more reasons: see --format html"]
    return lines


def _said(standing: Standing, text: str, colour: bool) -> list[str]:
    first, *rest = wrapped(text, f"{standing.words}  ", INDENT)
    word = styled(standing.words, LIKE[standing], colour)
    return [word + first[len(standing.words) :], *rest]


def _scorecard(found: Assessment, colour: bool) -> list[str]:
    heads = (("shown", 9), ("warn", 7), ("failed", 8), ("not shown", 11), ("cannot tell", 13))
    lines = [heading(row("Scorecard", AREA, heads)[0], colour)]
    for area, mets in found.areas().items():
        counts = {one: sum(met.standing is one for met in mets) for one in Standing}
        shown = sum(met.standing.is_shown for met in mets)
        unclear = counts[Standing.INCONCLUSIVE] + counts[Standing.INVALID]
        cells = (
            (f"{shown} of {len(mets)}", 9),
            (str(counts[Standing.WARN] or "-"), 7),
            (str(counts[Standing.FAIL] or "-"), 8),
            (str(counts[Standing.NOT_SHOWN] or "-"), 11),
            (str(unclear or "-"), 13),
        )
        lines += row(area, AREA, cells)
    return lines


def _area(area: str, mets: list[RequirementResult], colour: bool) -> list[str]:
    lines = [heading(area, colour)]
    for met in mets:
        lines += _indented(met.standing, met.requirement.demand, colour, "  ")
        if not met.rows:
            lines += wrapped(met.because, " " * 6, " " * 6)
        for one in met.rows:
            lines += _proof(one) if one.evidence is not None else []
        silent = dict.fromkeys(one.scenario for one in met.rows if one.evidence is None)
        if silent:
            lines += wrapped(f"no run: {', '.join(silent)}", " " * 6, " " * 8)
    return lines


def _indented(standing: Standing, text: str, colour: bool, indent: str) -> list[str]:
    first, *rest = wrapped(text, f"{indent}{standing.words}  ", indent + INDENT)
    word = styled(standing.words, LIKE[standing], colour)
    return [indent + word + first[len(indent) + len(standing.words) :], *rest]


def _proof(one: Row) -> list[str]:
    indent = " " * 6
    assert one.check is not None
    assert one.evidence is not None
    limit = "to be recorded" if one.is_recorded_only else f"{one.rule.op} {limit_text(one.rule)}"
    left = "" if one.headroom is None else f", headroom {share(one.headroom)}"
    form = "" if one.evidence.form == "standard" else f", {one.evidence.form}"
    text = (
        f"{one.scenario}: {one.rule.metric} {figure(one.check.observed, one.check.unit)} ({limit}{left}), "
        f"{old(one.evidence.age_ns)}{form}"
    )
    lines = wrapped(text, indent, indent + "  ")
    if one.uncertainty is not None and one.uncertainty.method and not one.standing.is_open:
        lines += wrapped(f"uncertainty: {one.uncertainty.text}", indent + "  ", indent + "  ")
    if not one.standing.is_shown:
        lines += wrapped(f"{one.standing.words}: {one.because}", indent + "  ", indent + "  ")
    return lines


def _further(found: Assessment, colour: bool) -> list[str]:
    odd = [one for one in found.further if one.standing is not Standing.PASS]
    held = len(found.further) - len(odd)
    if not found.further:
        return []
    lines = [
        heading("Rules of the scenarios beyond the requirements", colour),
        f"  {held} of {len(found.further)} hold",
    ]
    for one in odd:
        lines += _indented(one.standing, f"{one.scenario}, {one.rule.text}: {one.because}", colour, "  ")
    return lines


def _notes(found: Assessment, colour: bool) -> list[str]:
    lines = []
    for one in found.targets:
        lines += wrapped(f"{one.name}: {one.state}, {one.seen}; {one.detail}", "  ", INDENT)
    lines = [heading("Targets", colour), *lines] if lines else []
    said = [f"damaged: {one.reason}" for one in found.body.damaged]
    said += [f"not finished: {name}" for name in found.found.unfinished]
    said += found.body.remarks
    said += [
        f"{name}: {mark.text}"
        for name, one in found.body.by_scenario.items()
        for mark in one.marks
        if mark.word != "quick"
    ]
    if said:
        lines += ["", heading("To know", colour)] if lines else [heading("To know", colour)]
    for text in said:
        lines += wrapped(text, "  ", INDENT)
    return lines


def _todo(found: Assessment, colour: bool) -> list[str]:
    if not found.to_run:
        return []
    lines = [heading("To show what is not shown, or shown by marked evidence only", colour)]
    for text in found.to_run:
        if text.startswith(COMMAND):
            lines += [f"  {line}" for line in folded_command(text, 78)]
        else:
            lines += wrapped(text, "  ", INDENT)
    return lines
