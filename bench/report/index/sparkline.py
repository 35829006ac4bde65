"""A trend line in the size of a few words: SVG in the page, zero at its foot."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.judge.status import Status
from bench.report.html.page import Html, element
from bench.report.timestamps import clock_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.report.index.trends import Metric, Point

WIDTH, HEIGHT = 120, 30
EDGE = 4
RADIUS = 1.8


def sparkline(points: Sequence[Point], metric: Metric, places: int, breaks: Sequence[int]) -> Html:
    """The line of at least one point. `places`: how many runs its width stands for; `breaks`: before which
    of them comparability ends.
    """
    highest = max(point.value for point in points) or 1.0
    at = [(_x(point.place, places), _y(point.value, highest)) for point in points]
    marks = [
        element("path", d=f"M{x:.1f} 1V{HEIGHT - 1}", class_="break")
        for x in ((_x(place, places) + _x(place - 1, places)) / 2 for place in breaks)
    ]
    line = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in at)
    dots = [_dot(point, metric, x, y) for point, (x, y) in zip(points, at, strict=True)]
    return element(
        "svg",
        element("path", d=f"M0 {HEIGHT - 0.5}H{WIDTH}", class_="foot"),
        marks,
        element("path", d=line, class_="line") if len(points) > 1 else None,
        dots,
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        width=WIDTH,
        height=HEIGHT,
        class_="spark",
        role="img",
        aria_label=_told(points, metric),
    )


def _x(place: int, places: int) -> float:
    return WIDTH / 2 if places < 2 else EDGE + place * (WIDTH - 2 * EDGE) / (places - 1)


def _y(value: float, highest: float) -> float:
    return HEIGHT - 1 - value / highest * (HEIGHT - 1 - EDGE)


def _dot(point: Point, metric: Metric, x: float, y: float) -> Html:
    """A run: a cross where it failed, else a dot; its words show when it is pointed at."""
    status = point.entry.status
    word = status.name if status is not None else "not judged"
    title = element("title", f"{clock_text(point.entry.utc)}: {metric.shown(point.value)}, {word}")
    if status is Status.FAIL:
        return element("path", title, d=f"M{x - 3:.1f} {y - 3:.1f}l6 6m0-6l-6 6", class_="failed")
    return element("circle", title, cx=f"{x:.1f}", cy=f"{y:.1f}", r=RADIUS, class_="dot")


def _told(points: Sequence[Point], metric: Metric) -> str:
    values = [point.value for point in points]
    if len(values) == 1:
        return f"{metric.title} of one run: {metric.shown(values[0])}"
    told = [f"first {metric.shown(values[0])}", f"last {metric.shown(values[-1])}"]
    told += [f"lowest {metric.shown(min(values))}", f"highest {metric.shown(max(values))}"]
    return f"{metric.title} over {len(values)} comparable runs: {', '.join(told)}"
