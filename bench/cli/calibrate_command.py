"""`bench calibrate`: what the harness records against delays that are known exactly."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import click

from bench.cli.output import say

if TYPE_CHECKING:
    from bench.run.calibration.measure import Measurement

RATES_PER_S = (1_000, 10_000, 20_000)
OVERLOAD_NS = 1_000_000
SHOWN = ("p50", "p95", "p99")


@click.command()
@click.option(
    "--rate", "rates", multiple=True, type=click.IntRange(1, 1_000_000), help="Arrivals per second."
)
@click.option("--seconds", type=click.FloatRange(1.0, 600.0), default=3.0, show_default=True)
@click.option("--lanes", type=click.IntRange(1, 1000), default=50, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print the table as JSON.")
def command(rates: tuple[int, ...], seconds: float, lanes: int, as_json: bool) -> None:
    """Measure the built-in server of known delays and compare what it did with what was recorded.

    \b
    given     response times by the server's own stamps: planned to answered
    error     recorded minus given: what generator, kernel and wire add
    late      how late the generator itself sent, where a lane was free
    """
    from bench.run.calibration.measure import measure
    from bench.run.calibration.truth_server import PROFILES

    if math.isnan(seconds):
        raise click.BadParameter("expected a number of seconds, found nan", param_hint="--seconds")
    found = []
    if not as_json:
        say(heading())
    for delays in PROFILES:
        for rate in rates or RATES_PER_S:
            measurement = measure(delays, float(rate), seconds, lanes)
            found.append(measurement)
            if not as_json:
                say(row(measurement))
    if as_json:
        from bench.results.layout import as_json as json_text

        say(json_text([measurement.to_json() for measurement in found]), newline=False)
    else:
        say(footing(found))


def heading() -> str:
    """Two lines of column heads, 80 columns."""
    groups = f"{'':<24}{'':>5}{'given':^22}{'error':^22}{'late':>7}"
    columns = "".join(f"{name.upper():>7}" for name in SHOWN)
    return f"{groups}\n{'known delay':<24}{'rate':>5} {columns} {columns}{'P99':>7}"


def row(found: Measurement) -> str:
    """One profile at one rate."""
    given = "".join(f"{short(found.given_ns[name]):>7}" for name in SHOWN)
    error = "".join(f"{short(found.error_ns[name]):>7}" for name in SHOWN)
    rate = f"{found.rate_per_s / 1000:g}k"
    mark = "!" if is_overloaded(found) else " "
    return f"{found.profile:<24}{rate:>5}{mark}{given} {error}{short(found.late_ns['p99']):>7}"


def is_overloaded(found: Measurement) -> bool:
    """Whether half of the arrivals were sent late: the rate was not kept."""
    return found.late_ns["p50"] > OVERLOAD_NS


def footing(found: list[Measurement]) -> str:
    """What the table says in a sentence."""
    medians = sorted(measurement.error_ns["p50"] for measurement in found)
    worst = max(found, key=lambda measurement: measurement.error_ns["p99"])
    if any(map(is_overloaded, found)):
        return "\n! the generator could not keep this rate here: its row says nothing about smaller ones."
    return (
        f"\nMedian error of P50: {short(medians[len(medians) // 2])}. Largest error of P99: "
        f"{short(worst.error_ns['p99'])} ({worst.profile}, {worst.rate_per_s:.0f}/s)."
    )


def short(value_ns: int) -> str:
    """A time in at most six characters: 0.2µs, 216µs, -5.0ms."""
    sign, size = ("-" if value_ns < 0 else ""), abs(value_ns)
    for unit, scale in (("s", 10**9), ("ms", 10**6), ("µs", 10**3)):
        if size >= scale or unit == "µs":
            number = size / scale
            return f"{sign}{number:.{0 if number >= 9.95 else 1}f}{unit}"
    return "0"
