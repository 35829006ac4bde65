"""Whole distributions: response, service and lag of each workload on one percentile axis."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bench.core import histogram, units
from bench.judge.guards import SAMPLES_ABOVE
from bench.judge.outcome_counts import spaced
from bench.report.html.latency_part import FIRST_SHOWN
from bench.report.html.page import Child, Html, numbers, section, table, words
from bench.report.html.plots import Book, Line, Plot, folded
from bench.results.reader import DELIVERY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.core.histogram import Counts
    from bench.report.html.plots import Dash
    from bench.results.reader import Run

KINDS: tuple[tuple[str, Dash, int], ...] = (
    ("response", "solid", 0),
    ("service", "dash", 1),
    ("lag", "dot", 2),
    ("pool_wait", "dashdot", 3),
)
FINE = 20
"""Points for each power of ten of 1 / (1 - p)."""
TABLE_PERCENTILES = (1.0, 25.0, 50.0, 75.0, 90.0, 95.0, 99.0, 99.9, 99.99)


def distributions(run: Run, book: Book) -> Html:
    """Every workload's response, service and lag on one percentile axis."""
    figures: list[Html] = []
    for entry in run.workloads:
        workload = entry["name"]
        shown = [(kind, run.histogram(kind, workload), dash, tone) for kind, dash, tone in KINDS]
        delivered = (
            run.histogram("response", workload, DELIVERY) if not run.arrives(workload, DELIVERY) else None
        )
        if delivered is not None:
            shown.append(("end to end", delivered, "dashdot", 3))
        shown = [one for one in shown if one[1].any()]
        if not shown:
            continue
        most = max(int(counts.sum()) for _, counts, _, _ in shown)
        levels = _levels(most)
        lines = [
            Line(kind.replace("_", " "), _curve(counts, levels), tone, dash, 1.75)
            for kind, counts, dash, tone in shown
        ]
        plot = Plot(
            f"distribution-{len(figures)}", levels, lines, "ns", axis="percentile", log=True, tall=True
        )
        title = f"{workload}: how the times are distributed"
        text = (
            "To the right ever fewer arrivals: at 99 % one of a hundred took longer. The end of each line is "
            "its slowest sample. Response counts from the plan; where it leaves service, arrivals waited."
        )
        response = shown[0][1]
        words = ", ".join(
            f"P{p} {units.format_duration_ns(histogram.percentile_ns(response, p))}" for p in (50, 99)
        )
        figures.append(book.figure(plot, title, text, f"{shown[0][0]}: {words}.", _curve_table(shown, title)))
    return section("Distribution of times", *folded(figures, FIRST_SHOWN, "workloads"), anchor="distribution")


def _levels(samples: int) -> list[float]:
    """log10(1 / (1 - p)) from 0 to where only the slowest sample is left."""
    last = int(np.ceil(np.log10(2 * samples) * FINE))
    marked = {float(np.log10(1 / (1 - p))) for p in (0.5, 0.95)}
    steps = {step / FINE for step in range(last + 1)}
    return sorted(steps | {level for level in marked if level < last / FINE})


def _curve(counts: Counts, levels: Sequence[float]) -> list[float | None]:
    """Nearest-rank times at each level, up to the first that asks for the slowest sample of all."""
    used = np.flatnonzero(counts)
    below = np.cumsum(counts[used])
    total = int(below[-1])
    values: list[float | None] = []
    for level in levels:
        if values and level >= np.log10(2 * total) + 1 / FINE:
            values.append(None)
            continue
        rank = max(1, int(np.ceil(total - total * 10.0**-level - 1e-9)))
        values.append(float(histogram.upper_edge_ns(int(used[np.searchsorted(below, rank)]))))
    return values


def _curve_table(shown: Sequence[tuple[str, Counts, Dash, int]], title: str) -> Html:
    rows: list[list[Child]] = []
    for percent in TABLE_PERCENTILES:
        cells = []
        for _, counts, _, _ in shown:
            few = counts.sum() * (1 - percent / 100) < SAMPLES_ABOVE - 1e-6
            time = units.format_duration_ns(histogram.percentile_ns(counts, percent))
            cells.append(f"~{time}" if few else time)
        rows.append([f"{percent:g} %", *cells])
    rows.append(["max", *(units.format_duration_ns(histogram.max_ns(counts)) for _, counts, _, _ in shown)])
    rows.append(["samples", *(spaced(int(counts.sum())) for _, counts, _, _ in shown)])
    columns = [*words("percentile"), *numbers(*(kind.replace("_", " ") for kind, *_ in shown))]
    return table(columns, rows, title)
