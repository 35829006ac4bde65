"""Documents as Markdown as GitHub shows it: text that stays text, tables, parts that unfold.

Names, rules and what servers said come from outside. In Markdown a bar would end a cell, a `<` begin an
element, `@name` call a person, `#12` link an issue; so each of these is taken apart or written as an entity.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from bench.judge.verdict import Status
from bench.report import document as doc
from bench.report.html.page import UNSHOWABLE
from bench.report.render.html import relative_url

SIGNS: Mapping[Status | None, str] = {
    Status.PASS: "✅",
    Status.WARN: "⚠️",
    Status.INCONCLUSIVE: "❔",
    Status.FAIL: "❌",
    Status.INVALID: "🚫",
    None: "○",
}

APART = "&#8203;"
"""A space without width: the reader sees none, and the name or link before it is no name or link any more."""

ENTITIES = {
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    "@": f"@{APART}",
    "#": f"#{APART}",
    "$": "<span>$</span>",  # two of them on a line would be a formula
    **{sign: f"\\{sign}" for sign in "\\`*_{}[]|~"},
}
HTML = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
MARKUP = re.compile("[" + re.escape("".join(ENTITIES)) + "]")
ADDRESS = re.compile(
    r"(?i)(?<=\w)(?=://)|(?<=\bwww)(?=\.)|(?<=\bGH)(?=-\d)|(?<!\d):(?=[a-z+_-][a-z0-9+_-]*:)"
)
"""Where addresses, references such as GH-12 and names of emoji (:bug:) are taken apart."""


def render(
    sections: Iterable[doc.Section],
    beside: Path | None = None,
    level: int = 2,
    signs: Mapping[Status | None, str] = SIGNS,
) -> str:
    """The sections, with a line end; one without any line is left out.

    `beside` is the folder that the text will be in: links are relative to it. `level`: of headings. `signs`
    stand before the words of statuses.
    """
    writer = _Writer(beside, level, signs)
    return paragraphs(map(writer.section, sections))


def paragraphs(parts: Iterable[Sequence[str]]) -> str:
    """Parts with an empty line between them, and a line end."""
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


class _Writer:
    def __init__(self, beside: Path | None, level: int, signs: Mapping[Status | None, str]) -> None:
        self._beside = beside or Path()
        self._heading = "#" * level
        self._signs = signs

    def section(self, section: doc.Section) -> list[str]:
        head = [f"{self._heading} {text(section.title)}"] if section.title else []
        return apart([head, *map(self._block, section.blocks)])

    def _block(self, block: doc.Block) -> list[str]:
        match block:
            case doc.Table():
                return self._table(block)
            case doc.Bullets():
                return ["- " + self._cells(entry) for entry in block.entries]
            case doc.Facts():
                return [f"- {text(label)}: {text(said)}" for label, said in block.entries]
            case doc.Findings():
                return [self._finding(entry) for entry in block.entries]
            case doc.Line():
                return [self._cells(block.cells)]
            case doc.Note():
                return [f"> {text(block.text)}"]
            case doc.Headline():
                return [f"{self._heading} {self._headline(block)}"]
            case doc.Preformatted():
                return fenced(block.lines)
            case doc.Folded():
                inner = _Writer(self._beside, len(self._heading) + 1, self._signs)
                return folded(block.summary, apart(map(inner._block, block.blocks)), opened=block.opened)
            case _:
                return [text(block)]

    def _headline(self, headline: doc.Headline) -> str:
        badge, said = self._badge(headline.badge) if headline.badge else "", text(headline.text)
        if headline.subject:
            return f"{badge} {text(headline.subject)}: {said}".lstrip()
        return f"{badge}: {said}" if said else badge

    def _table(self, table: doc.Table) -> list[str]:
        heads = [text(column.title) for column in table.columns]
        lines = ["---:" if column.numeric else "---" for column in table.columns]
        rows = [[*map(self._cell, row), *[""] * (len(heads) - len(row))] for row in table.rows]
        caption = [f"**{text(table.caption)}**", ""] if table.caption else []
        return [*caption, *("| " + " | ".join(cells) + " |" for cells in (heads, lines, *rows))]

    def _finding(self, finding: doc.Finding) -> str:
        """One line, whatever stands below it."""
        mark = f"**{self._badge(finding.badge)}** " if finding.badge else ""
        below = [part.text if isinstance(part, doc.Finding) else part for part in finding.below]
        advice = f" → {text(finding.advice)}" if finding.advice else ""
        return f"- {mark}{': '.join(map(text, (finding.text, *below)))}{advice}"

    def _cells(self, cells: Sequence[doc.Cell]) -> str:
        return " ".join(map(self._cell, cells))

    def _cell(self, cell: doc.Cell) -> str:
        match cell:
            case doc.Badge():
                return self._badge(cell)
            case doc.Link():
                return f"[{text(cell.text)}](<{relative_url(cell.path, self._beside)}>)"
            case doc.Code():
                return code(cell.text)
            case doc.Strong():
                return f"**{self._cell(cell.content)}**"
            case doc.Lines():
                return "<br>".join(map(text, cell.lines))
            case _:
                return text(cell)

    def _badge(self, badge: doc.Badge) -> str:
        return f"{self._signs[badge.status]} {badge.word}"


def text(value: str) -> str:
    """Any text on one line, shown as it is: without markup, mentions, references and links of its own."""
    marked = MARKUP.sub(lambda sign: ENTITIES[sign[0]], _one_line(value))
    return ADDRESS.sub(lambda found: found[0] + APART, marked)


def code(value: str) -> str:
    """Any text on one line in the type of code; a bar in it does not end a cell."""
    shown = _one_line(value).replace("|", "\\|")
    ticks = "`" * (max(map(len, re.findall("`+", shown)), default=0) + 1)
    edge = " " if shown[:1] == "`" or shown[-1:] == "`" else ""
    return f"{ticks}{edge}{shown}{edge}{ticks}" if shown else ""


def fenced(lines: Sequence[str]) -> list[str]:
    """Lines as they are, in the type of code; what they hold cannot end it."""
    shown = UNSHOWABLE.sub("\ufffd", "\n".join(lines)).rstrip("\n")
    fence = "`" * max(3, max(map(len, re.findall("`+", shown)), default=0) + 1)
    return [f"{fence}text", shown, fence]


def folded(summary: str, lines: Sequence[str], opened: bool = False) -> list[str]:
    """Lines behind one that unfolds them; `summary` is any text."""
    head = "<details open>" if opened else "<details>"
    # The line is HTML: Markdown's own signs mean nothing in it.
    named = re.sub("[@#]", lambda sign: sign[0] + APART, _one_line(summary).translate(HTML))
    return [f"{head}<summary>{named}</summary>", "", *lines, "", "</details>"]


def apart(parts: Iterable[Sequence[str]]) -> list[str]:
    """The lines of parts, an empty one between two of them."""
    lines: list[str] = []
    for part in parts:
        lines += ["", *part] if lines and part else part
    return lines


def _one_line(value: str) -> str:
    return " ".join(UNSHOWABLE.sub("\ufffd", value).split())
