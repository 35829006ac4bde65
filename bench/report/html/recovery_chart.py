"""Each fault on a line of its own, all on one scale: a drawing that needs no script and no colour."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.core import units
from bench.report.html.page import Html, element
from bench.report.timeline import SIGNS, extent_ns, round_step_ns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.report.timeline import TimeLine

WIDTH = 900
RIGHT, TOP = 40, 30
LETTER = 8.2
"""Width of a letter of a label."""
ROW, BAR = 40, 12
SIGN_ROOM = 15
"""Signs closer than this are set side by side, with a thread to their time."""


def chart(lines: Sequence[TimeLine]) -> Html:
    """A scale, and for each fault the time without answers, the slow time, and the signs of what happened.

    Empty where nothing followed any fault.
    """
    extents = [extent_ns(line) for line in lines]
    if max(extents, default=0) <= 1:
        return Html()
    extent = max(extents)
    height = TOP + ROW * len(lines) + 6
    left = min(320.0, 24 + LETTER * max(len(line.label) for line in lines))
    scale = Scale(left, extent)
    parts = [_grid(scale, height), *(_row(line, n, scale) for n, line in enumerate(lines))]
    drawing = element(
        "svg",
        _patterns(),
        parts,
        viewBox=f"0 0 {WIDTH} {height}",
        role="img",
        aria_label="Time line of each fault; the table of recoveries holds its numbers",
        class_="recovery",
    )
    return element(
        "div", drawing, class_="scroll", role="region", tabindex=0, aria_label="Time line of faults"
    )


def _patterns() -> Html:
    stripe = element("path", d="M-2,2 l4,-4 M0,8 l8,-8 M6,10 l4,-4", class_="stripe")
    pattern = element("pattern", stripe, id="down-stripes", width=8, height=8, patternUnits="userSpaceOnUse")
    return element("defs", pattern)


@dataclass(frozen=True)
class Scale:
    """From time to place: where 0 is, and how many ns there are up to the right edge."""

    left: float
    extent: int

    def x(self, at_ns: float) -> float:
        """Where a time stands; one before 0 at 0, one beyond the edge at the edge."""
        share = min(1.0, max(0.0, at_ns / self.extent))
        return round(self.left + share * (WIDTH - self.left - RIGHT), 1)


def _grid(scale: Scale, height: int) -> list[Html]:
    step = round_step_ns(scale.extent / 7)
    found = []
    for number in range(int(scale.extent // step) + 1):
        x = scale.x(number * step)
        found.append(element("line", x1=x, x2=x, y1=TOP - 6, y2=height - 4, class_="grid"))
        text = units.format_duration_ns(number * step)
        found.append(element("text", text, x=x, y=TOP - 12, class_="tick", text_anchor="middle"))
    return found


def _row(line: TimeLine, number: int, scale: Scale) -> list[Html]:
    middle = TOP + ROW * number + ROW / 2 + 4
    parts = [element("text", line.label, x=0, y=middle + 4, class_="label")]
    first = line.marks.get("first", line.watched_ns)
    if line.down_from_ns is not None:
        whole = line.marks.get("full", line.marks.get("stable", first))
        parts += _bar("slow", first, whole, middle, scale)
        parts += _bar("down", line.down_from_ns, first, middle, scale)
    elif line.slow_from_ns is not None:
        whole = line.marks.get("full", line.watched_ns)
        parts += _bar("slow", line.slow_from_ns, whole, middle, scale)
    return [*parts, *_signs(line, middle, scale)]


def _bar(kind: str, from_ns: int, to_ns: int, middle: float, scale: Scale) -> list[Html]:
    start, end = scale.x(from_ns), scale.x(to_ns)
    if to_ns <= from_ns:
        return []
    width = max(2.0, round(end - start, 1))
    return [element("rect", x=start, y=middle, width=width, height=BAR, class_=f"bar {kind}")]


def _signs(line: TimeLine, middle: float, scale: Scale) -> list[Html]:
    found = []
    marks = sorted(line.marks.items(), key=lambda mark: (mark[1], list(SIGNS).index(mark[0])))
    for (name, at_ns), place in zip(marks, _places([scale.x(at_ns) for _, at_ns in marks]), strict=True):
        x = scale.x(at_ns)
        sign, word = SIGNS[name]
        title = element("title", f"{word} at {units.format_duration_ns(at_ns)}")
        letter = element("text", sign, x=place, y=middle - 5, class_=f"sign {name}", text_anchor="middle")
        thread = element("line", x1=place, x2=x, y1=middle - 3, y2=middle + 1, class_="thread")
        found.append(element("g", title, thread, letter))
    return found


def _places(wanted: Sequence[float]) -> list[float]:
    """Where signs stand that want these places, in their order: side by side, and none beyond the edge."""
    places: list[float] = []
    for x in wanted:
        places.append(max(x, places[-1] + SIGN_ROOM) if places else x)
    edge = WIDTH - SIGN_ROOM / 2
    for number in range(len(places) - 1, -1, -1):
        places[number] = min(places[number], edge)
        edge = places[number] - SIGN_ROOM
    return [round(place, 1) for place in places]
