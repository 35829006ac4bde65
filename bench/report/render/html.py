"""Documents as HTML: the blocks of a page; `bench.report.html.page` has the page around them."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TypeAlias
from urllib.parse import quote

from bench.report import document as doc
from bench.report.html.page import Child, Html, badge, details, element, section, table

Card: TypeAlias = tuple[str, str, str]
"""A name, a figure, and a note."""
LONG = 40
"""From so many characters on a cell is a sentence and needs room."""


def sections(parts: Iterable[doc.Section], beside: Path) -> list[Html]:
    """Each under its own heading; links are relative to `beside`, the folder that the page will be in."""
    return [
        section(part.title, [_block(block, beside) for block in part.blocks], anchor=anchor(part.title))
        for part in parts
    ]


def anchor(title: str) -> str:
    """The name by which a link of the page leads to a section."""
    return "-".join("".join(c if c.isalnum() else " " for c in title.lower()).split())


def cards(figures: Iterable[Card]) -> Html:
    """Figures to be seen first, each with its name and a note."""
    shown = [
        element(
            "div",
            element("div", name, class_="name"),
            element("div", figure, class_="figure"),
            element("div", note, class_="note"),
            class_="card",
        )
        for name, figure, note in figures
    ]
    return element("div", shown, class_="cards")


def relative_url(path: Path, beside: Path) -> str:
    """A relative URL to a file or folder."""
    relative = os.path.relpath(path.resolve(), beside.resolve())
    return quote(relative) + ("/" if path.is_dir() else "")


def _block(block: doc.Block, beside: Path) -> Html:
    match block:
        case doc.Table():
            rows = [[cell(part, beside) for part in row] for row in block.rows]
            return table(block.columns, rows, block.caption)
        case doc.Bullets():
            return _list([[[cell(part, beside), " "] for part in entry] for entry in block.entries])
        case doc.Facts():
            return _list([[element("strong", label), " ", said] for label, said in block.entries])
        case doc.Findings():
            return _list([_finding(entry) for entry in block.entries])
        case doc.Headline():
            said = ": ".join(filter(None, (block.subject, block.text)))
            return element("p", [_badge(block.badge), " "] if block.badge else None, said)
        case doc.Line():
            return element("p", [[cell(part, beside), " "] for part in block.cells])
        case doc.Note():
            return element("p", block.text, class_="banner neutral")
        case doc.Preformatted():
            return element("pre", "\n".join(block.lines), tabindex=0)
        case doc.Folded():
            return details(
                block.summary, [_block(part, beside) for part in block.blocks], opened=block.opened
            )
        case _:
            return element("p", block)


def _list(entries: list[Child]) -> Html:
    return element("ul", [element("li", entry) for entry in entries]) if entries else Html()


def _finding(finding: doc.Finding) -> Child:
    below = [
        _finding(part) if isinstance(part, doc.Finding) else element("p", part) for part in finding.below
    ]
    return [
        [_badge(finding.badge), " "] if finding.badge else None,
        finding.text,
        below,
        element("span", f"To do: {finding.advice}", class_="todo") if finding.advice else None,
    ]


def cell(content: doc.Cell, beside: Path) -> Child:
    """What stands in a cell or in a line."""
    match content:
        case doc.Badge():
            return _badge(content)
        case doc.Link():
            return element("a", content.text, href=relative_url(content.path, beside))
        case doc.Code():
            return element("code", content.text)
        case doc.Strong():
            return element("strong", cell(content.content, beside))
        case doc.Lines():
            return [element("div", line, class_="line") for line in content.lines]
        case _:
            return element("span", content, class_="wide") if len(content) > LONG else content


def _badge(shown: doc.Badge) -> Html:
    if shown.status is not None:
        return badge(shown.status, shown.word)
    shape = element("span", "○", aria_hidden="true", class_="shape")
    return element("span", shape, " ", shown.word, class_="badge neutral")
