"""Text in 80 columns: rows of a table, wrapped lines beside a label, colour on a terminal only, times of
day.
"""

from __future__ import annotations

import re
import textwrap
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from bench.judge.verdict import Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


WIDTH = 80
LABEL = 11

COLOURS = {
    Status.PASS: "green",
    Status.WARN: "yellow",
    Status.INCONCLUSIVE: "magenta",
    Status.FAIL: "red",
    Status.INVALID: "red",
}


def row(label: str, width: int, cells: Iterable[tuple[str, int]]) -> list[str]:
    """A label at the left, cells at the right of their columns; a long label has a line of its own."""
    right = "".join(f" {text:>{room - 1}}" for text, room in cells)
    if len(label) <= width:
        return [f"{label:<{width}}{right}".rstrip()]
    return [label, f"{'':<{width}}{right}".rstrip()]


def beside(label: str, text: str) -> list[str]:
    """`text` wrapped to the right of a short label."""
    return wrapped(text, f"{label:<{LABEL}}", " " * LABEL)


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


def heading(text: str, colour: bool) -> str:
    """The head of a table, set off on a terminal."""
    if not colour:
        return text
    import click

    return click.style(text, bold=True)


def joined(parts: Sequence[str]) -> str:
    """The parts that say something, with commas."""
    return ", ".join(part for part in parts if part)


def clock_text(utc: str) -> str:
    """`utc` as in run.json, to the second; as it stands where it is no time."""
    try:
        found = datetime.fromisoformat(utc)
    except ValueError:
        return utc
    return f"{found if found.tzinfo is None else found.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
