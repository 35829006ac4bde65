"""The assessment as Markdown, for a step summary, a ticket or a wiki."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bench.assess.document import Badge, Bullets, Commands, Folded, Link, Table
from bench.assess.html_form import href
from bench.assess.recommendation import SAID, Recommendation
from bench.assess.sections import sections
from bench.assess.standing import Standing
from bench.assess.words import age, date

if TYPE_CHECKING:
    from pathlib import Path

    from bench.assess.assessment import Assessment
    from bench.assess.document import Block, Cell

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
SPECIAL = re.compile(r"([\\`*_{}\[\]#|~])")
ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
"""Not every reader of Markdown takes a backslash before them."""
UNSHOWABLE = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


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
        escape(
            f"Runs in {found.results}, assessed {date(found.now_ns)}; runs older than "
            f"{age(found.max_age_ns)} do not count. "
            f"{found.score.shown} of {found.score.total} requirements are shown."
        ),
        "",
    ]
    for reason in found.reasons:
        todo = f" To do: {_to_do(reason.todo)}" if reason.todo else ""
        lines.append(f"- {_badge(reason.standing)} {escape(reason.text)}{todo}")
    for part in sections(found):
        lines += ["", f"## {escape(part.title)}", ""]
        for block in part.blocks:
            lines += [*_block(block, beside), ""]
    return "\n".join(lines).rstrip() + "\n"


def escape(text: str) -> str:
    """Text that Markdown shows as it stands, on one line."""
    plain = SPECIAL.sub(r"\\\1", UNSHOWABLE.sub(" ", text))
    return "".join(ENTITIES.get(character, character) for character in plain)


def _block(block: Block, beside: Path) -> list[str]:
    match block:
        case Table():
            sides = ["--:" if place in block.numeric else "---" for place in range(len(block.columns))]
            return [
                f"**{escape(block.caption)}**",
                "",
                _row([escape(title) for title in block.columns]),
                _row(sides),
                *(_row([_cell(cell, beside) for cell in row]) for row in block.rows),
            ]
        case Bullets():
            return ["- " + " ".join(_cell(cell, beside) for cell in entry) for entry in block.entries]
        case Commands():
            return ["```sh", *(UNSHOWABLE.sub(" ", line).replace("```", "") for line in block.lines), "```"]
        case Folded():
            inner = [line for one in block.blocks for line in [*_block(one, beside), ""]]
            return ["<details>", f"<summary>{escape(block.summary)}</summary>", "", *inner, "</details>"]
        case _:
            return [escape(block)]


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(cell: Cell, beside: Path) -> str:
    match cell:
        case Badge():
            return _badge(cell.standing)
        case Link():
            return f"[{escape(cell.text)}](<{href(cell.path, beside)}>)"
        case _:
            return escape(cell)


def _badge(standing: Standing) -> str:
    return f"{SHAPES[standing]} {standing.words}"


def _to_do(text: str) -> str:
    if not text.startswith("bench "):
        return escape(text)
    return f"`{UNSHOWABLE.sub(' ', text).replace('`', '')}`"
