"""The assessment as one page: the recommendation first, then each section."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from bench.assess.recommendation import SAID, Recommendation
from bench.assess.status import Standing, age, date, old
from bench.report.assess.summary import sections
from bench.report.document import Badge, Bullets, Commands, Folded, Link, Table
from bench.report.html.page import SHAPES, Child, Column, Html, badge, details, element, page, section, table

if TYPE_CHECKING:
    from bench.assess.assessment import Assessment
    from bench.assess.evidence import Evidence
    from bench.report.document import Block, Cell


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
MOODS = {
    Recommendation.READY: ("pass", "PASS"),
    Recommendation.WARNINGS: ("warn", "WARN"),
    Recommendation.NOT_READY: ("fail", "FAIL"),
    Recommendation.CANNOT_TELL: ("inconclusive", "INCONCLUSIVE"),
}
SHOWN_REASONS = 8
LONG = 40
"""From so many characters on a cell is a sentence and needs room."""


def render(found: Assessment, beside: Path) -> str:
    """The page; links are relative to `beside`, the folder that it will be in."""
    parts = sections(found)
    links = [element("li", element("a", part.title, href=f"#{_anchor(part.title)}")) for part in parts]
    body = [
        element("h1", "Production readiness"),
        element("p", _subtitle(found), class_="soft"),
        _recommendation(found, beside),
        _cards(found),
        element("nav", element("ul", links), class_="contents", aria_label="Sections"),
        element(
            "main",
            [
                section(
                    part.title, [_block(block, beside) for block in part.blocks], anchor=_anchor(part.title)
                )
                for part in parts
            ],
        ),
    ]
    return page(f"{found.recommendation.value}: production readiness", body, styles=[STYLE])


def _anchor(title: str) -> str:
    return "-".join("".join(c if c.isalnum() else " " for c in title.lower()).split())


def _subtitle(found: Assessment) -> str:
    oldest = age(found.max_age_ns)
    return f"Runs in {found.results}, assessed {date(found.now_ns)}; runs older than {oldest} do not count."


def _recommendation(found: Assessment, beside: Path) -> Html:
    kind, shape = MOODS[found.recommendation]
    items = [
        element(
            "li",
            _badge(reason.standing),
            " ",
            reason.text,
            [" ", _run_link(reason.evidence, beside)] if reason.evidence else None,
            element("span", f"To do: {reason.todo}", class_="todo") if reason.todo else None,
        )
        for reason in found.reasons
    ]
    shown, more = items[:SHOWN_REASONS], items[SHOWN_REASONS:]
    return element(
        "div",
        element(
            "h2",
            element("span", SHAPES[shape], aria_hidden="true", class_="shape"),
            f" {found.recommendation.value}",
        ),
        element("p", SAID[found.recommendation]),
        element("ul", shown, class_="why") if shown else None,
        details(f"{len(more)} more", element("ul", more, class_="why")) if more else None,
        class_=f"banner recommendation {kind}",
    )


def _run_link(evidence: Evidence, beside: Path) -> Html:
    quick = ", quick" if evidence.is_quick else ""
    text = f"({evidence.scenario}, {old(evidence.age_ns)}{quick})"
    return element("a", text, href=href(evidence.shown, beside))


def _cards(found: Assessment) -> Html:
    counts, total = found.score.counts, found.score.total
    unclear = counts[Standing.INCONCLUSIVE] + counts[Standing.INVALID]
    share = f"{100 * found.score.shown / total:.0f} %" if total else "-"
    cards = [
        ("Shown", f"{found.score.shown} of {total}", f"{share} of the requirements"),
        ("Past warning level", str(counts[Standing.WARN]), "of those shown"),
        ("Failed", str(counts[Standing.FAIL]), "one is NOT READY"),
        ("Not shown", str(counts[Standing.NOT_SHOWN]), "no run that counts"),
        ("Cannot tell", str(unclear), "INCONCLUSIVE or INVALID"),
        ("Runs that speak", str(len(found.body.by_scenario)), f"of {_known(found)} scenarios"),
    ]
    return element(
        "div",
        [
            element(
                "div",
                element("div", name, class_="name"),
                element("div", figure, class_="figure"),
                element("div", note, class_="note"),
                class_="card",
            )
            for name, figure, note in cards
        ],
        class_="cards",
    )


def _known(found: Assessment) -> int:
    return len(found.body.by_scenario) + len(found.body.silent)


def _block(block: Block, beside: Path) -> Html:
    match block:
        case Table():
            heads = [Column(title, place in block.numeric) for place, title in enumerate(block.columns)]
            return table(heads, [[_cell(cell, beside) for cell in row] for row in block.rows], block.caption)
        case Bullets():
            if not block.entries:
                return Html()
            return element(
                "ul",
                [element("li", [[_cell(cell, beside), " "] for cell in entry]) for entry in block.entries],
            )
        case Commands():
            return element("pre", "\n".join(block.lines), tabindex=0)
        case Folded():
            return details(block.summary, [_block(one, beside) for one in block.blocks])
        case _:
            return element("p", block)


def _cell(cell: Cell, beside: Path) -> Child:
    match cell:
        case Badge():
            return _badge(cell.standing)
        case Link():
            return element("a", cell.text, href=href(cell.path, beside))
        case _:
            return element("span", cell, class_="wide") if len(cell) > LONG else cell


def _badge(standing: Standing) -> Html:
    if standing is not Standing.NOT_SHOWN:
        return badge(standing)
    shape = element("span", "○", aria_hidden="true", class_="shape")
    return element("span", shape, " ", standing.words, class_="badge neutral")


def href(path: Path, beside: Path) -> str:
    """A relative URL to a file or folder."""
    relative = os.path.relpath(path.resolve(), beside.resolve())
    return quote(relative) + ("/" if path.is_dir() else "")
