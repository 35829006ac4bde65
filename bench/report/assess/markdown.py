"""The assessment as Markdown, for a step summary, a ticket or a wiki."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.assess.recommendation import SAID, Recommendation
from bench.assess.status import Standing, age, date
from bench.report.assess.page import href
from bench.report.assess.summary import sections
from bench.report.document import Badge, Bullets, Commands, Folded, Link, Table
from bench.report.markdown_form import block, code, folded, table, text

if TYPE_CHECKING:
    from pathlib import Path

    from bench.assess.assessment import Assessment
    from bench.report.document import Block, Cell


SHAPES = {
    Standing.PASS: "✔",
    Standing.WARN: "▲",
    Standing.NOT_SHOWN: "○",
    Standing.INCONCLUSIVE: "?",
    Standing.INVALID: "⊘",
    Standing.FAIL: "✖",
}
OF_RECOMMENDATION = {
    Recommendation.READY: "✔",
    Recommendation.WARNINGS: "▲",
    Recommendation.NOT_READY: "✖",
    Recommendation.CANNOT_TELL: "?",
}


def render(found: Assessment, beside: Path) -> str:
    """The document, with a line end; links are relative to `beside`."""
    mark = OF_RECOMMENDATION[found.recommendation]
    lines = [
        "# Production readiness",
        "",
        f"## {mark} {found.recommendation.value}",
        "",
        SAID[found.recommendation],
        "",
        text(
            f"Runs in {found.results}, assessed {date(found.now_ns)}; runs older than "
            f"{age(found.max_age_ns)} do not count. "
            f"{found.score.shown} of {found.score.total} requirements are shown."
        ),
        "",
    ]
    for reason in found.reasons:
        todo = f" To do: {_to_do(reason.todo)}" if reason.todo else ""
        lines.append(f"- {_badge(reason.standing)} {text(reason.text)}{todo}")
    for part in sections(found):
        lines += ["", f"## {text(part.title)}", ""]
        for one in part.blocks:
            lines += [*_block(one, beside), ""]
    return "\n".join(lines).rstrip() + "\n"


def _block(part: Block, beside: Path) -> list[str]:
    match part:
        case Table():
            heads = [
                f"{'>' * (place in part.numeric)}{text(title)}" for place, title in enumerate(part.columns)
            ]
            rows = [[_cell(cell, beside) for cell in row] for row in part.rows]
            return [f"**{text(part.caption)}**", "", *table(heads, rows)]
        case Bullets():
            return ["- " + " ".join(_cell(cell, beside) for cell in entry) for entry in part.entries]
        case Commands():
            return block("\n".join(part.lines))
        case Folded():
            inner = [line for one in part.blocks for line in [*_block(one, beside), ""]]
            return folded(part.summary, inner)
        case _:
            return [text(part)]


def _cell(cell: Cell, beside: Path) -> str:
    match cell:
        case Badge():
            return _badge(cell.standing)
        case Link():
            return f"[{text(cell.text)}](<{href(cell.path, beside)}>)"
        case _:
            return text(cell)


def _badge(standing: Standing) -> str:
    return f"{SHAPES[standing]} {standing.words}"


def _to_do(todo: str) -> str:
    return code(todo) if todo.startswith("bench ") else text(todo)
