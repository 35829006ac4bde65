"""Response times on the page: the table, each workload over time, and whole distributions."""

from collections.abc import Sequence

import numpy as np

from bench.core import histogram, units
from bench.core.clock import NS_PER_S
from bench.core.histogram import Counts
from bench.core.units import spaced
from bench.judge.guards import SAMPLES_ABOVE
from bench.judge.verdict import Verdict
from bench.report.figures import PERCENTILES, kind_text, latencies, scope_text, time_cells
from bench.report.html.page import Child, Html, element, section, table
from bench.report.html.plots import Book, Dash, Limit, Line, Plot, folded, wants_log
from bench.report.html.slices import PERCENTILES as DRAWN
from bench.report.html.slices import Scope, Slices, Spread
from bench.results.reader import Run
from bench.scenario.rules.grammar import RuleText

FIRST_SHOWN = 4
"""Workloads whose plots are open; the others are behind a line."""
STYLES: tuple[tuple[Dash, float], ...] = (("solid", 1.5), ("dash", 1.75), ("dot", 2.0))


def latency_table(run: Run) -> Html:
    """The same figures as the text report: every operation, response, service and waiting for a pool."""
    rows: list[list[Child]] = [
        [
            scope_text(found.workload, found.operation, "all operations"),
            kind_text(run, found),
            *time_cells(found),
        ]
        for found in latencies(run)
        if found.kind in ("response", "service", "pool_wait")
    ]
    columns = " | #".join(
        ("operation | time", *(f"P{percent:g}" for percent in PERCENTILES), "max", "samples")
    )
    caption = (
        "Measured phases. Response: from the planned arrival to the answer, lost arrivals "
        "charged no less than their deadline. Service: from the send to the answer. ~ fewer than "
        f"{SAMPLES_ABOVE} samples lie above: too few to judge by"
    )
    return table(columns, rows, caption)


def over_time(
    run: Run,
    verdict: Verdict,
    book: Book,
    fine: tuple[Slices, dict[Scope, list[Spread | None]]],
    coarse: tuple[Slices, dict[Scope, list[Spread | None]]],
) -> Html:
    """Percentiles over time of each workload: `fine` is drawn, `coarse` stands in the tables."""
    slices, drawn = fine
    figures: list[Html] = []
    names = [entry.name for entry in run.workloads]
    for scope in sorted(
        drawn, key=lambda scope: (names.index(scope[0]) if scope[0] in names else 99, scope[1] or "")
    ):
        workload, operation = scope
        found = drawn[scope]
        known = [one for one in found if one is not None]
        lines = [
            Line(
                f"P{percent}",
                [None if one is None else one.percentiles_ns[place] for one in found],
                place,
                STYLES[place][0],
                STYLES[place][1],
            )
            for place, percent in enumerate(DRAWN)
        ]
        is_received = (workload, operation) in run.received(workload)
        limits = _limits(verdict, workload, "end_to_end" if is_received else "response")
        values = [float(ns) for one in known for ns in one.percentiles_ns] + [one.value for one in limits]
        what = "end to end" if is_received else "response"
        plot = Plot(
            f"latency-{len(figures)}",
            [(one.start_ns + one.end_ns) / 2 / NS_PER_S for one in slices.all],
            lines,
            "ns",
            log=wants_log(values),
            limits=limits,
            floor=None if wants_log(values) else 0.0,
            tall=True,
            workload=workload,
        )
        text = (
            f"Of what ended in each {slices.width()}, lost arrivals included"
            f"{'; a logarithmic scale' if plot.log else ''}."
        )
        title = f"{workload}: {what} over time"
        beside = _spread_table(coarse[0], coarse[1].get(scope, []), title)
        figures.append(book.figure(plot, title, text, _words(slices, found), beside))
    return Html("".join(folded(figures, FIRST_SHOWN, "workloads")))


def _words(slices: Slices, found: Sequence[Spread | None]) -> str:
    known = [(one, place) for place, one in enumerate(found) if one is not None]
    if not known:
        return "Nothing ended."
    highest, place = max(known, key=lambda pair: pair[0].percentiles_ns[-1])
    lowest, _ = min(known, key=lambda pair: pair[0].percentiles_ns[-1])
    return (
        f"P99 between {units.format_duration_ns(lowest.percentiles_ns[-1])} and "
        f"{units.format_duration_ns(highest.percentiles_ns[-1])}, highest at "
        f"{units.format_duration_ns(slices.all[place].start_ns)}."
    )


def _spread_table(slices: Slices, found: Sequence[Spread | None], title: str) -> Html:
    rows: list[list[Child]] = []
    for one, spread in zip(slices.all, found, strict=False):
        times = [None] * 4 if spread is None else [*spread.percentiles_ns, spread.max_ns]
        rows.append(
            [
                units.format_duration_ns(one.start_ns),
                one.phase,
                *(None if ns is None else units.format_duration_ns(ns) for ns in times),
                0 if spread is None else spaced(spread.samples),
            ]
        )
    columns = " | #".join(("#from | phase", *(f"P{percent}" for percent in DRAWN), "max", "samples"))
    return table(columns, rows, f"{title}, in steps of {slices.width()}")


def _limits(verdict: Verdict, workload: str, wanted: str) -> list[Limit]:
    """The levels of the rules about percentiles of this workload as a whole."""
    found = []
    for check in verdict.checks:
        scope, _, name = check.metric.partition(" ")[0].rpartition(f"{wanted}.")
        if check.unit != "ns" or check.limit is None or not name.startswith("p"):
            continue
        if scope.rstrip(".") not in ("", workload):
            continue
        written = RuleText.of(check.rule)
        found.append(Limit(f"{name.upper()} {written.bound}", check.limit))
        if check.warn is not None:
            found.append(Limit(f"{name.upper()} warn {written.warn or ''}", check.warn, warn=True))
    return list(dict.fromkeys(found))


def latency(table_: Html, figures: Html) -> Html:
    """The section of response times."""
    return (
        section("Response times", table_, element("div", figures), anchor="latency")
        if table_ or figures
        else Html()
    )


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
        workload = entry.name
        shown = [(kind, run.histogram(kind, workload), dash, tone) for kind, dash, tone in KINDS]
        received = run.received(workload)
        shown += [("end to end", run.histogram("response", *scope), "dashdot", 3) for scope in received]
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
    columns = " | #".join(("percentile", *(kind.replace("_", " ") for kind, *_ in shown)))
    return table(columns, rows, title)
