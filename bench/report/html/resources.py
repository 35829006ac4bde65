"""Resources on the page: the samples of each source, thinned out for drawing so that no peak is lost."""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from bench.core import units
from bench.core.clock import NS_PER_S
from bench.judge.resources.growth import MEMORY, Series, series_of
from bench.report.document import Column
from bench.report.figures import ResourceUse, resource_cells, resources
from bench.report.html.page import Child, Html, element, section, table
from bench.report.html.plots import Book, Line, Plot, line_style
from bench.report.html.slices import Slices
from bench.results.reader import Run

Samples: TypeAlias = tuple[NDArray[np.int64], NDArray[np.float64]]
"""When, in ns from run zero and in the order of time, and what."""

MOST_POINTS = 240


def shared(lines: Sequence[Samples]) -> tuple[list[float], list[list[float | None]]]:
    """Times of all lines, and each line's values there, None where it has none.

    Of too many samples each step keeps the lowest and the highest, in their order: no peak is lost, and no
    time is off by more than a step.
    """
    times = np.unique(np.concatenate([at_ns for at_ns, _ in lines]))
    if len(times) <= MOST_POINTS:
        columns = [np.full(len(times), np.nan) for _ in lines]
        for column, (at_ns, values) in zip(columns, lines, strict=True):
            column[np.searchsorted(times, at_ns)] = values
        return (times / NS_PER_S).tolist(), [_with_none(column) for column in columns]
    steps = MOST_POINTS // 2
    edges = np.linspace(times[0], times[-1], steps + 1)
    found = []
    for at_ns, values in lines:
        place = np.clip(np.searchsorted(edges, at_ns, side="right") - 1, 0, steps - 1)
        column = np.full(2 * steps, np.nan)
        for step in np.unique(place):
            part = values[place == step]
            low, high = int(part.argmin()), int(part.argmax())
            column[2 * step : 2 * step + 2] = part[min(low, high)], part[max(low, high)]
        found.append(_with_none(column))
    middle = (edges[1:] + edges[:-1]) / 2
    return (np.column_stack([edges[:-1], middle]).ravel() / NS_PER_S).tolist(), found


def _with_none(column: NDArray[np.float64]) -> list[float | None]:
    return [None if np.isnan(value) else float(value) for value in column]


def cores_used(series: Series) -> Samples:
    """CPU seconds per second over steps that are long beside the kernel's ticks of 10 ms."""
    at_ns, used_s = series.known("cpu_s")
    times: list[int] = []
    cores: list[float] = []
    least_ns = max(NS_PER_S // 4, int(at_ns[-1] - at_ns[0]) // 120) if len(at_ns) else 0
    last = 0
    for place in range(1, len(at_ns)):
        passed_ns = int(at_ns[place] - at_ns[last])
        if passed_ns < least_ns and place < len(at_ns) - 1:
            continue
        used = float(used_s[place] - used_s[last])
        # A target that was started again counts from 0: that step is not known.
        if passed_ns >= least_ns // 2 and used >= 0:
            times.append(int(at_ns[last] + at_ns[place]) // 2)
            cores.append(used * NS_PER_S / passed_ns)
        last = place
    return np.array(times, dtype=np.int64), np.array(cores)


MOST_LINES = 12
TABLE_ROWS = 24
SESSIONS = (
    ("pool_in_use", "pool in use"),
    ("pool_size", "pool size"),
    ("clients", "clients"),
    ("active", "active sessions"),
    ("idle", "idle sessions"),
    ("idle_in_transaction", "sessions idle in a transaction"),
)


def resource_use(run: Run, book: Book, slices: Slices) -> Html:
    """The section of resources; only the pools of the workloads for a run without samples."""
    uses = resources(run)
    series = [series_of(run, use.source) for use in uses]
    figures = [
        *_memory(book, series, {use.source: use.memory for use in uses}),
        _cpu(book, series),
        _files(book, series),
        _sessions(book, series),
        _pools(run, book, slices),
    ]
    shown = [one for one in figures if one is not None]
    if not uses and not shown:
        return Html()
    return section("Memory, CPU, files and pools", _totals(run, uses), element("div", shown, class_="pairs"))


def _totals(run: Run, uses: Sequence[ResourceUse]) -> Html:
    """The same figures as the text report."""
    rows: list[list[Child]] = []
    for use in uses:
        (source, cpu, *sizes, _), memory = resource_cells(use), use.memory
        rows.append([source, cpu, memory, *sizes, use.fds])
    pools = [
        f"{name}: {'?' if pool.size is None else pool.size} connections, "
        f"{units.format_ratio(pool.utilization_max)} in use at most"
        for name, pool in run.record.pool.items()
        if pool.utilization_max is not None
    ]
    columns = "source | #CPU under load | memory is its | #first | #last | #growth | #open files"
    caption = f"Measured phases; CPU is the share of all cores. {'. '.join(pools)}"
    return table(columns, rows, caption)


def _memory(book: Book, series: Sequence[Series], judged: dict[str, str | None]) -> list[Html]:
    """One plot for each source: growth beside a source ten times as large would not be seen.

    `judged`: which figure of memory of each source the rules are about.
    """
    figures = []
    for number, one in enumerate(series):
        column = next((name for name, kind in MEMORY.items() if kind == judged[one.source]), None)
        if column is None:
            continue
        samples, kind = one.known(column), MEMORY[column]
        x, (values,) = shared([samples])
        plot = Plot(f"memory-{number}", x, [Line(kind, values, 0)], "bytes", joined=True)
        low, high = (units.format_bytes(float(size)) for size in (samples[1].min(), samples[1].max()))
        text = f"{kind[:1].upper()}{kind[1:]}; the scale does not begin at 0."
        title = f"{one.source}: memory"
        beside = _samples_table(title, {kind: samples}, "bytes")
        figures.append(book.figure(plot, title, text, f"Between {low} and {high}.", beside))
    return figures


def _cpu(book: Book, series: Sequence[Series]) -> Html | None:
    lines = {one.source: cores_used(one) for one in series}
    text = "Cores in use, on average over each step: 1 is one core fully used."
    return _together(book, "cpu", "CPU", text, lines)


def _files(book: Book, series: Sequence[Series]) -> Html | None:
    lines = {one.source: one.known("fds") for one in series}
    return _together(book, "files", "Open files", "Descriptors of each source.", lines)


def _sessions(book: Book, series: Sequence[Series]) -> Html | None:
    lines: dict[str, Samples] = {}
    for one in series:
        for column, word in SESSIONS:
            samples = one.known(column)
            if samples[1].any():
                lines[word if one.source == "generator" else f"{one.source}, {word}"] = samples
    text = "Connections: of the generator's pools, and as the servers count them."
    return _together(book, "sessions", "Connections and sessions", text, lines)


def _pools(run: Run, book: Book, slices: Slices) -> Html | None:
    """Of workloads that drive the target through a client's pool."""
    lines: dict[str, Samples] = {}
    for entry in run.workloads:
        in_use = slices.highest(entry.name, "pool_in_use")
        known = [(cut.end_ns, used) for cut, used in zip(slices.all, in_use, strict=True) if used is not None]
        if known:
            at_ns, values = zip(*known, strict=True)
            lines[entry.name] = np.array(at_ns, dtype=np.int64), np.array(values)
    sizes = [str(pool.size) for pool in run.record.pool.values() if pool.size is not None]
    of = f", of {', '.join(sizes)}" if sizes else ""
    text = f"Connections in use, the most of each {slices.width()}{of}."
    return _together(book, "pools", "Pools of the clients", text, lines)


def _together(book: Book, name: str, title: str, text: str, lines: dict[str, Samples]) -> Html | None:
    """Several sources in one plot, on steps of time that they share."""
    known = {label: samples for label, samples in lines.items() if len(samples[0])}
    if not known:
        return None
    x, columns = shared(list(known.values()))
    left_out = f" The first {MOST_LINES} of {len(known)} are drawn." if len(known) > MOST_LINES else ""
    drawn = []
    for number, (label, values) in enumerate(zip(list(known)[:MOST_LINES], columns, strict=False)):
        tone, dash = line_style(number)
        drawn.append(Line(label, values, tone, dash, 1.75))
    plot = Plot(name, x, drawn, "count", floor=0.0, joined=True)
    words = "; ".join(f"{label} at most {samples[1].max():.3g}" for label, samples in known.items())
    return book.figure(plot, title, text + left_out, f"{words}.", _samples_table(title, known, "count"))


def _samples_table(title: str, lines: dict[str, Samples], unit: str) -> Html:
    """Some of the samples, evenly spread over the time of all lines: the last one by then."""
    times = np.unique(np.concatenate([at_ns for at_ns, _ in lines.values()]))
    chosen = times[np.unique(np.linspace(0, len(times) - 1, TABLE_ROWS).astype(int))]
    rows: list[list[Child]] = []
    heads = [Column(title, numeric=True) for title in ("at", *list(lines)[:MOST_LINES])]
    for at in chosen:
        cells: list[Child] = [units.format_duration_ns(int(at))]
        for at_ns, values in list(lines.values())[:MOST_LINES]:
            place = int(np.searchsorted(at_ns, at, side="right")) - 1
            cells.append(None if place < 0 else units.format_quantity(round(float(values[place]), 4), unit))
        rows.append(cells)
    return table(heads, rows, f"{title}: samples by then")
