"""The figures that every report shows: computed once, from the run on disk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.core import histogram
from bench.judge.outcome_counts import Tally, tally_of
from bench.results.histogram_log import KINDS

if TYPE_CHECKING:
    from bench.core.histogram import Counts
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
        workload = entry["name"]
        measured = {tag.operation for tag in run.tags() if tag.measured and tag.workload == workload}
        ordered = [name for name in entry.get("operations", []) if name in measured]
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


def tallies(run: Run) -> list[tuple[str, str | None, Tally]]:
    """Workload, operation (None: the workload as a whole) and how its measured arrivals ended."""
    rows: list[tuple[str, str | None, Tally]] = []
    for entry in run.workloads:
        workload = entry["name"]
        operations = list(dict.fromkeys(count["operation"] for count in entry.get("counts", [])))
        rows += [(workload, name, tally_of(run, (workload, name))) for name in operations]
        if sum(run.arrives(workload, name) for name in operations) > 1:
            rows.append((workload, None, tally_of(run, (workload,))))
    return rows
