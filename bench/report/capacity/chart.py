"""A small drawing for a terminal: P95 of every probe, on a logarithmic scale, over its rate."""

import math
from collections.abc import Sequence

from bench.capacity.record import ProbeRecord
from bench.capacity.search import Reading
from bench.core.units import format_duration_ns, format_rate

WIDTH, HEIGHT = 62, 9
MARGIN = 10
SIGNS = {Reading.HELD: "o", Reading.BROKE: "x", Reading.UNDECIDED: "?", Reading.GENERATOR: "!"}
WORDS = {
    Reading.HELD: "held",
    Reading.BROKE: "broke",
    Reading.UNDECIDED: "undecided",
    Reading.GENERATOR: "generator",
}


def chart(probes: Sequence[ProbeRecord], unicode: bool = True) -> tuple[str, ...]:
    """Lines of at most 80 columns; none where fewer than two rates have times."""
    points = [(probe.rate_per_s, probe.p95_ns, probe.found) for probe in probes if probe.p95_ns]
    if len({rate for rate, _, _ in points}) < 2:
        return ()
    rates, times = [rate for rate, _, _ in points], [time for _, time, _ in points]
    lowest, highest = math.log(min(times)), math.log(max(times))
    canvas = [[" "] * WIDTH for _ in range(HEIGHT)]
    for rate, time, reading in points:
        column = round((rate - min(rates)) / (max(rates) - min(rates)) * (WIDTH - 1))
        share = (math.log(time) - lowest) / (highest - lowest) if highest > lowest else 0.0
        canvas[round((1 - share) * (HEIGHT - 1))][column] = SIGNS[reading]
    wall, floor, corner = ("│", "─", "└") if unicode else ("|", "-", "+")
    marks = {0: format_duration_ns(max(times)), HEIGHT - 1: format_duration_ns(min(times))}
    lines = [
        f"{marks.get(row, ''):>{MARGIN}} {wall}{''.join(cells).rstrip()}" for row, cells in enumerate(canvas)
    ]
    left, right = format_rate(min(rates)), format_rate(max(rates))
    used = ", ".join(
        f"{SIGNS[one]} {WORDS[one]}" for one in SIGNS if any(point[2] is one for point in points)
    )
    return (
        f"{'P95':>{MARGIN}}",
        *lines,
        f"{'':>{MARGIN}} {corner}{floor * WIDTH}",
        f"{'':>{MARGIN}}  {left}{right:>{WIDTH - len(left)}}",
        f"{'':>{MARGIN}}  {used}; the scale of P95 is logarithmic",
    )
