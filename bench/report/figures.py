"""The figures that every report shows, computed once from the run on disk.

Response times and outcomes by workload and operation; CPU, memory and its growth, open files by
source.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from bench.core import histogram, units
from bench.core.histogram import Counts
from bench.core.units import spaced
from bench.judge.guards import SAMPLES_ABOVE
from bench.judge.observation import Tally, Unmeasurable, tally_of
from bench.judge.resources.growth import MEMORY, Series, Times, by_memory, growth, series_of, times_of, within
from bench.judge.resources.measures import cpu
from bench.report.document import Table, columns
from bench.results.logs import KINDS
from bench.results.reader import Run

PERCENTILES = (50, 90, 95, 99, 99.9)


@dataclass(frozen=True)
class Latency:
    """One distribution of the measured phases, in ns; `operation` is None for a workload as a whole."""

    workload: str
    operation: str | None
    kind: str
    samples: int
    percentiles_ns: dict[float, int]
    mean_ns: float
    max_ns: int


def latencies(run: Run) -> list[Latency]:
    """Every distribution that has samples: by workload and operation, in the order of the scenario."""
    found = []
    for entry in run.workloads:
        workload = entry.name
        measured = {tag.operation for tag in run.tags() if tag.measured and tag.workload == workload}
        ordered = [name for name in entry.operations if name in measured]
        ordered += sorted(measured - set(ordered))
        arriving = [name for name in ordered if run.arrives(workload, name)]
        scopes: list[str | None] = [*ordered, None] if len(arriving) > 1 else list(ordered)
        for operation in scopes:
            for kind in KINDS:
                counts = run.histogram(kind, workload, operation)
                if counts.any():
                    found.append(latency_of(workload, operation, kind, counts))
    return found


def latency_of(workload: str, operation: str | None, kind: str, counts: Counts) -> Latency:
    """The figures of one histogram. Raises ValueError for no samples."""
    return Latency(
        workload,
        operation,
        kind,
        int(counts.sum()),
        {percent: histogram.percentile_ns(counts, percent) for percent in PERCENTILES},
        histogram.mean_ns(counts),
        histogram.max_ns(counts),
    )


def scope_text(workload: str, operation: str | None, whole: str = "all") -> str:
    """An operation, or its workload as a whole: "cache.get", "cache, all"."""
    return f"{workload}.{operation}" if operation else f"{workload}, {whole}"


def kind_text(run: Run, found: Latency) -> str:
    """What a distribution is of: response, service, waiting for a pool; of messages "end to end"."""
    is_delivery = (found.workload, found.operation) in run.received(found.workload)
    return "end to end" if is_delivery else found.kind.replace("_", " ")


def time_cells(found: Latency, percents: Iterable[float] = PERCENTILES, marked: bool = True) -> list[str]:
    """The percentiles, the longest time and the number of samples.

    `marked`: a percentile of very few samples is one accident, so it is shown with a mark.
    """
    cells = []
    for percent in percents:
        is_few = found.samples * (1 - percent / 100) < SAMPLES_ABOVE - 1e-6
        mark = "~" if marked and is_few else ""
        cells.append(mark + units.format_duration_ns(found.percentiles_ns[percent]))
    return [*cells, units.format_duration_ns(found.max_ns), spaced(found.samples)]


def arrival_rows(run: Run) -> list[tuple[str, ...]]:
    """How many arrivals of the measured phases were planned, and how many ended in each outcome."""
    return [
        (scope_text(workload, operation), *map(spaced, (tally.planned, *tally.outcomes.values())))
        for workload, operation, tally in tallies(run)
        if run.arrives(workload, operation or "")
    ]


def tallies(run: Run) -> list[tuple[str, str | None, Tally]]:
    """Workload, operation (None: the workload as a whole) and how its measured arrivals ended."""
    rows: list[tuple[str, str | None, Tally]] = []
    for entry in run.workloads:
        workload = entry.name
        operations = list(dict.fromkeys(count.operation for count in entry.counts))
        rows += [(workload, name, tally_of(run, (workload, name))) for name in operations]
        if sum(run.arrives(workload, name) for name in operations) > 1:
            rows.append((workload, None, tally_of(run, (workload,))))
    return rows


RESOURCES = columns("Resources:17 | #CPU:11 | #memory first:13 | #last:13 | #growth:13 | #open files:11")
LAST = ("generator", "machine")


@dataclass(frozen=True)
class ResourceUse:
    """One source in the measured time; None where it is not known."""

    source: str
    cpu: float | None
    """Share of all cores, on average under load."""
    memory: str | None
    """What the three figures of memory are: working set, PSS, RSS or used memory."""
    first_bytes: float | None
    last_bytes: float | None
    growth_bytes: float | None
    fds: int | None
    """Open files at the end."""


def resources(run: Run) -> list[ResourceUse]:
    """Every source that has samples, the targets first. Raises ResultError for a damaged run."""
    names = list(dict.fromkeys(str(sample["source"]) for sample in run.resources()))
    times = times_of(run)
    ordered = [name for name in names if name not in LAST] + [name for name in LAST if name in names]
    return [_use(series_of(run, name), times) for name in ordered]


def resource_table(run: Run) -> Table:
    """The table of the text report; without rows for a run without samples."""
    return Table("", RESOURCES, tuple(map(resource_cells, resources(run))))


def resource_cells(use: ResourceUse) -> tuple[str, ...]:
    """A source, its CPU, its memory first and last and the growth of it, open files; a dash for unknown."""
    sizes = (use.first_bytes, use.last_bytes, use.growth_bytes)
    return (
        use.source,
        "-" if use.cpu is None else units.format_ratio(round(use.cpu, 4)),
        *("-" if size is None else units.format_bytes(size) for size in sizes),
        "-" if use.fds is None else str(use.fds),
    )


def _use(series: Series, times: Times) -> ResourceUse:
    try:
        share = cpu(series, times).share
    except Unmeasurable:
        share = None
    memory, first, last = _ends(series, times)
    grown = None
    try:
        found, memory = by_memory(series, lambda column: growth(series, times, column))
        first, last, grown = found.first, found.last, found.value
    except Unmeasurable:
        pass  # too few samples to speak of a growth
    files = _measured(series, times, "fds")
    return ResourceUse(series.source, share, memory, first, last, grown, int(files[-1]) if files else None)


def _ends(series: Series, times: Times) -> tuple[str | None, float | None, float | None]:
    """The first and the last sample, where there are too few for a growth."""
    for column, name in MEMORY.items():
        values = _measured(series, times, column)
        if values:
            return name, values[0], values[-1]
    return None, None, None


def _measured(series: Series, times: Times, column: str) -> list[float]:
    at_ns, values = series.known(column)
    return [float(value) for value in values[within(at_ns, times.measured)]]
