"""Documents as text in 80 columns: tables, wrapped lines, and colour on a terminal only."""

import os
import re
import sys
import textwrap
from collections.abc import Iterable, Sequence
from typing import TextIO

from bench.judge.verdict import Status
from bench.report import document as doc

WIDTH = 80
INDENT = 2
BELOW_A_STATUS = 4
COLOURS = {
    Status.PASS: "green",
    Status.WARN: "yellow",
    Status.INCONCLUSIVE: "magenta",
    Status.FAIL: "red",
    Status.INVALID: "red",
}


def render(sections: Iterable[doc.Section], colour: bool = False, wraps: bool = True) -> str:
    """The sections with an empty line between them, and a line end; one without any line is left out.

    Without `wraps` every sentence is one line, as long as it is.
    """
    writer = _Writer(colour, wraps)
    return "\n\n".join("\n".join(lines) for lines in map(writer.section, sections) if lines) + "\n"


def is_colourful() -> bool:
    """Whether standard output is a terminal whose user did not ask for plain text (NO_COLOR)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def is_unicode(stream: TextIO | None = None) -> bool:
    """Whether a stream, or standard output, can show the characters that lines are drawn with."""
    return ((stream or sys.stdout).encoding or "").lower().startswith("utf")


class _Writer:
    """What every block needs to know: whether there are colours, and whether lines are wrapped."""

    def __init__(self, colour: bool, wraps: bool) -> None:
        self._colour = colour
        self._wraps = wraps

    def section(self, section: doc.Section) -> list[str]:
        indent = INDENT if section.title else 0
        lines = [line for block in section.blocks for line in self._block(block, indent)]
        return [self._bold(section.title), *lines] if section.title else lines

    def _block(self, block: doc.Block, indent: int) -> list[str]:
        match block:
            case doc.Table():
                return [" " * indent + line for line in self._table(block)]
            case doc.Bullets():
                entries = (" ".join(map(self._cell, entry)) for entry in block.entries)
                return [line for text in entries for line in self._wrapped(text, indent, indent + 2)]
            case doc.Facts():
                return [
                    line for label, text in block.entries for line in self._fact(label, text, block.width)
                ]
            case doc.Findings():
                return [line for entry in block.entries for line in self._finding(entry, indent)]
            case doc.Headline():
                return [" " * indent + self._headline(block)]
            case doc.Line():
                return self._wrapped(" ".join(map(self._cell, block.cells)), indent, indent)
            case doc.Note():
                return self._wrapped(block.text, indent, indent)
            case doc.Preformatted():
                return [" " * indent + line for line in block.lines]
            case doc.Folded():
                lines = [line for part in block.blocks for line in self._block(part, indent + 2)]
                return [" " * indent + block.summary, *lines]
            case _:
                return self._wrapped(block, indent, indent)

    def _headline(self, headline: doc.Headline) -> str:
        badge = self._styled(headline.badge) if headline.badge else ""
        if headline.subject:
            return f"{badge}{'  ' * bool(badge)}{self._bold(headline.subject)}: {headline.text}"
        return f"{badge}: {headline.text}" if headline.text else badge

    def _fact(self, label: str, text: str, width: int) -> list[str]:
        return self._wrapped(text, f"{label:<{width - 1}} ", width)

    def _finding(self, finding: doc.Finding, indent: int) -> list[str]:
        start, deeper = " " * indent, indent + (BELOW_A_STATUS if finding.badge else 2)
        if finding.badge is None:
            lines = self._wrapped(finding.text, indent, deeper)
        else:
            word = finding.badge.word
            first, *rest = self._wrapped(finding.text, f"{start}{word}  ", deeper)
            lines = [start + self._styled(finding.badge) + first[indent + len(word) :], *rest]
        for part in finding.below:
            lines += (
                self._finding(part, deeper)
                if isinstance(part, doc.Finding)
                else self._wrapped(part, deeper, deeper)
            )
        if finding.advice:
            lines += self._wrapped(finding.advice, f"{' ' * deeper}-> ", deeper + 3)
        return lines

    def _table(self, table: doc.Table) -> list[str]:
        """The numbers at the right of their columns; words behind them two spaces apart."""
        rows = [[self._plain(cell) for cell in row] for row in table.rows]
        widths = [_width_of(column, place, rows) for place, column in enumerate(table.columns)]
        numbers = 1 + sum(column.numeric for column in table.columns)
        heads = [column.title for column in table.columns]
        *_, line = _row(heads[0], widths[0], zip(heads[1:numbers], widths[1:numbers], strict=True))
        head = "  ".join([line, *filter(None, heads[numbers:])])
        lines = [self._bold(head)] if head.strip() else []
        for cells, row in zip(table.rows, rows, strict=True):
            *above, line = _row(row[0], widths[0], zip(row[1:numbers], widths[1:], strict=False))
            if row[numbers:]:
                line = f"{line:<{sum(widths[:numbers])}}"
            lines += [*above, "  ".join([line, *map(self._cell, cells[numbers:])]).rstrip()]
        return lines

    def _cell(self, cell: doc.Cell) -> str:
        match cell:
            case doc.Badge():
                return self._styled(cell)
            case doc.Strong(content=doc.Badge() as badge):
                return self._styled(badge)
            case _:
                return self._plain(cell)

    def _plain(self, cell: doc.Cell) -> str:
        match cell:
            case doc.Badge():
                return cell.word
            case doc.Link() | doc.Code():
                return cell.text
            case doc.Strong():
                return self._plain(cell.content)
            case doc.Lines():
                return "; ".join(cell.lines)
            case _:
                return cell

    def _styled(self, badge: doc.Badge) -> str:
        status = Status.INCONCLUSIVE if badge.status is None else badge.status
        return styled(badge.word, status, self._colour)

    def _bold(self, text: str) -> str:
        if not self._colour:
            return text
        import click

        return click.style(text, bold=True)

    def _wrapped(self, text: str, first: str | int, rest: int) -> list[str]:
        start = " " * first if isinstance(first, int) else first
        return wrapped(text, start, " " * rest) if self._wraps else [start + text]


def _row(label: str, width: int, cells: Iterable[tuple[str, int]]) -> list[str]:
    """A label at the left, cells at the right of their columns; a long label has a line of its own."""
    right = "".join(f" {text:>{room - 1}}" for text, room in cells)
    if len(label) <= width or not right:
        return [f"{label:<{width}}{right}".rstrip()]
    return [label, f"{'':<{width}}{right}".rstrip()]


def _width_of(column: doc.Column, place: int, rows: Sequence[Sequence[str]]) -> int:
    if column.width is not None:
        return column.width
    longest = max([len(column.title), *(len(row[place]) for row in rows if len(row) > place)])
    return longest if place == 0 else longest + 2


def wrapped(text: str, first: str = "", rest: str = "") -> list[str]:
    """`text` in lines of at most 80 columns; a longer word (a path) stays whole, to be copied."""
    # A number stays on one line with its unit: "1 200 samples", "2 µs".
    bound = re.sub(r"(?<=\d) (?=\S)", "\u00a0", " ".join(text.split()))
    lines = textwrap.wrap(
        bound,
        WIDTH,
        initial_indent=first,
        subsequent_indent=rest,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [line.replace("\u00a0", " ") for line in lines]


def styled(text: str, status: Status, colour: bool) -> str:
    """The text in the colour of a status, on a terminal."""
    if not colour:
        return text
    import click

    return click.style(text, fg=COLOURS[status], bold=status >= Status.FAIL)
