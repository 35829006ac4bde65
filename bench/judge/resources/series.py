"""The samples of one source out of a run's resources, and the times that they are judged by."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.core.intervals import stretches
from bench.judge.observation import Unmeasurable
from bench.registry import contacts_a_target, reachable_targets
from bench.results.reader import Run

LEAST_CYCLES = 20
"""With fewer, growth is judged by time and not by cycle: a tenth of them would say too little."""

Span = tuple[int, int]


@dataclass(frozen=True)
class Series:
    """One source; all arrays in the order of time, NaN where a sample lacks a figure."""

    source: str
    at_ns: NDArray[np.int64]
    columns: dict[str, NDArray[np.float64]]

    def known(self, column: str) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Times and values of the samples that have the figure."""
        values = self.columns.get(column, np.full(len(self.at_ns), np.nan))
        has_it = ~np.isnan(values)
        return self.at_ns[has_it], values[has_it]


@dataclass(frozen=True)
class Times:
    """When the run measured, in ns from run zero."""

    measured: tuple[Span, ...]
    loads: tuple[Span, ...]
    """The measured phases without their rests."""
    cycles: tuple[tuple[int, int, int], ...]
    """Start, end of load and end of each cycle of the measured phases."""

    @property
    def measured_ns(self) -> int:
        """Length of the measured phases."""
        return sum(end - start for start, end in self.measured)


def series_of(run: Run, source: str) -> Series:
    """The samples of `source`. Raises Unmeasurable when there are none, ResultError for a damaged run."""
    rows = [row for row in run.resources() if row.get("source") == source]
    if not rows:
        raise Unmeasurable(
            f"there are no samples of what {source} uses",
            "only services that the stack starts can be sampled: for others, sample where they run"
            if source in targets_of(run)
            else "run it again with this version, which writes resources.csv",
        )
    names = [name for name in rows[0] if name not in ("at_ns", "phase", "source")]
    columns = {name: np.array([_number(row.get(name)) for row in rows]) for name in names}
    return Series(source, np.array([int(_number(row["at_ns"])) for row in rows], dtype=np.int64), columns)


def _number(value: float | str | None) -> float:
    return float(value) if isinstance(value, float | int) else float("nan")


def targets_of(run: Run) -> tuple[str, ...]:
    """The targets of the run whose use of resources is judged."""
    names = (entry.target for entry in run.workloads if contacts_a_target(entry.driver))
    return reachable_targets(names, run.record.topology)


def times_of(run: Run) -> Times:
    """Measured phases, loads and cycles by the run's record."""
    measured, loads, cycles = [], [], []
    for phase in run.record.phases:
        if not phase.measured:
            continue
        start, end = int(phase.start_ns), int(phase.end_ns)
        measured.append((start, end))
        pieces = stretches(start, end, phase.cycles, phase.rest)
        loads += [(piece.start_ns, piece.end_ns) for piece in pieces if not piece.is_rest]
        rests = [piece for piece in pieces if piece.is_rest]
        cycles += [
            (load.start_ns, load.end_ns, rest.end_ns)
            for load, rest in zip((piece for piece in pieces if not piece.is_rest), rests, strict=False)
        ]
    return Times(tuple(measured), tuple(loads), tuple(cycles))


def within(at_ns: NDArray[np.int64], spans: tuple[Span, ...]) -> NDArray[np.bool_]:
    """Which times lie in one of the spans, which are in order and do not overlap."""
    if not spans:
        return np.zeros(len(at_ns), dtype=np.bool_)
    starts, ends = np.array(spans).T
    place = np.searchsorted(starts, at_ns, side="right") - 1
    inside: NDArray[np.bool_] = (place >= 0) & (at_ns < ends[place])
    return inside


def refuse_restarts(series: Series, times: Times) -> None:
    """Raise Unmeasurable when the target was another process at the end than at the beginning."""
    at_ns, pids = series.known("pid")
    seen = np.unique(pids[within(at_ns, times.measured)])
    if len(seen) > 1:
        raise Unmeasurable(
            f"{series.source} was restarted in the measured time ({len(seen)} processes after one another): "
            "what a new process uses says nothing about the growth of the old one",
            "judge growth in a run without restarts",
        )
