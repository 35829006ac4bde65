"""A fault and what followed it, on one line of time; all faults of a run on one scale."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.core import units
from bench.report.columns import WIDTH, wrapped

if TYPE_CHECKING:
    from collections.abc import Sequence

SIGNS = {
    "fault": ("X", "fault"),
    "client_errors": ("c", "client errors"),
    "probe": ("p", "probe"),
    "container_health": ("h", "container health"),
    "engine_event": ("e", "engine event"),
    "breaker": ("b", "breaker"),
    "first": ("1", "first success"),
    "stable": ("S", "stable"),
    "full": ("F", "full performance"),
}
DOWN, SLOW, EDGE = ("━", "─", "│"), ("=", "-", "|"), 2
LEAST_TICK = 10
"""Columns from one mark of the scale to the next: room for "200 ms" and a space."""
SPARE = 6
"""Columns at the end for marks that fall together and are set side by side."""


@dataclass(frozen=True)
class TimeLine:
    """One fault; times in ns after it took effect, which may be slightly negative."""

    label: str
    marks: dict[str, int]
    """Name of a sign -> when."""
    down_from_ns: int | None
    """First failure; None where there was none."""
    watched_ns: int
    slow_from_ns: int | None = None
    """Where nothing failed: since when it was slower than usual."""


def drawn(lines: Sequence[TimeLine], unicode: bool = True) -> list[str]:
    """A scale, a line for each fault, and what the signs mean; at most 80 columns wide.

    Empty where nothing followed any fault.
    """
    if all(extent_ns(line) <= 1 for line in lines):
        return []
    room = max(len("Timeline"), *(len(line.label) for line in lines)) + 2
    cells = WIDTH - room
    extent = max(extent_ns(line) for line in lines)
    used = {name: None for line in lines for name in SIGNS if name in line.marks}
    scale = _scale(extent, cells, unicode)
    body = [f"{line.label:<{room}}{_line(line, extent, cells, unicode)}" for line in lines]
    legend = ", ".join(f"{SIGNS[name][0]} {SIGNS[name][1]}" for name in SIGNS if name in used)
    return [f"{'Timeline':<{room}}{scale}", *body, *wrapped(legend)]


def extent_ns(line: TimeLine) -> int:
    """The last thing that happened; a target that did not come back was waited for."""
    never = line.down_from_ns is not None and "first" not in line.marks
    never |= line.slow_from_ns is not None and "full" not in line.marks
    return max([1, *line.marks.values(), line.watched_ns if never else 0])


def _cell(at_ns: int, extent: int, cells: int) -> int:
    return max(0, round(at_ns / extent * (cells - SPARE)))


def _line(line: TimeLine, extent: int, cells: int, unicode: bool) -> str:
    down, slow, _ = DOWN if unicode else SLOW
    row = [" "] * cells
    if line.down_from_ns is not None:
        start = _cell(line.down_from_ns, extent, cells)
        back = _cell(line.marks.get("first", line.watched_ns), extent, cells)
        whole = _cell(line.marks.get("full", line.marks.get("stable", 0)), extent, cells)
        row[start:back] = down * (min(back, cells) - start)
        row[back:whole] = slow * max(0, whole - back)
    elif line.slow_from_ns is not None:
        start = _cell(line.slow_from_ns, extent, cells)
        whole = _cell(line.marks.get("full", line.watched_ns), extent, cells)
        row[start:whole] = slow * max(0, whole - start)
    for name, at_ns in sorted(line.marks.items(), key=lambda mark: (mark[1], list(SIGNS).index(mark[0]))):
        place = _cell(at_ns, extent, cells)
        while place < cells and not (row[place] == " " or row[place] in (down, slow)):
            place += 1  # two at once are set side by side
        if place < cells:
            row[place] = SIGNS[name][0]
    return "".join(row).rstrip()


def _scale(extent: int, cells: int, unicode: bool) -> str:
    """Marks at round times, each followed by its time."""
    edge = DOWN[EDGE] if unicode else SLOW[EDGE]
    step = round_step_ns(extent * LEAST_TICK / max(1, cells - SPARE))
    row = [" "] * cells
    for number in range(int(extent // step) + 1):
        place = _cell(number * step, extent, cells)
        text = edge + units.format_duration_ns(number * step)
        if place + len(text) <= cells:
            row[place : place + len(text)] = text
    return "".join(row).rstrip()


def round_step_ns(least_ns: float) -> int:
    """The smallest round time (1, 2 or 5 times a power of ten) of at least `least_ns`."""
    power = 1
    while True:
        for factor in (1, 2, 5):
            if factor * power >= least_ns:
                return factor * power
        power *= 10
