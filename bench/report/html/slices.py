"""The run in slices of time, few enough to be drawn: neighbouring windows put together, never averaged.

Counts of a slice are sums, levels are the highest of its windows, percentiles are those of the merged
histograms. No slice spans two phases.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

from bench.core import histogram
from bench.core.clock import NS_PER_S
from bench.core.histogram import Counts
from bench.core.outcome import OUTCOMES

if TYPE_CHECKING:
    from bench.results.reader import Run

PERCENTILES = (50, 95, 99)
LABELS = tuple(outcome.label for outcome in OUTCOMES)
EVEN = 150
"""Slices of even length, at least about so many, where the windows of phases differ."""
NEARLY = 0.98
"""Windows begin and end a little early or late."""
DRAIN = "drain"
"""The phase of windows after the last phase of the plan."""
Scope = tuple[str, str | None]
"""Workload and operation; None: all operations that are arrivals."""
Row = dict[str, float | str | None]


@dataclass(frozen=True)
class Slice:
    """Some windows in a row, ns from run zero."""

    start_ns: int
    end_ns: int
    phase: str
    windows: int

    @property
    def length_s(self) -> float:
        """Seconds."""
        return (self.end_ns - self.start_ns) / NS_PER_S


@dataclass(frozen=True)
class Spread:
    """Response times of what ended in a slice; percentiles in the order of PERCENTILES."""

    percentiles_ns: tuple[int, ...]
    max_ns: int
    samples: int


class Slices:
    """A run's windows as at most about `most` slices, and what series.csv says of each workload in them."""

    def __init__(self, rows: Sequence[Row], most: int) -> None:
        self.all = tuple(_cut(rows, most))
        self._starts = [one.start_ns for one in self.all]
        self._rows: dict[str, list[list[Row]]] = {}
        for row in rows:
            if self.all and _is_window(row):
                own = self._rows.setdefault(str(row["workload"]), [[] for _ in self.all])
                own[self.place_of(_ns(row["start_ns"]), _ns(row["end_ns"]))].append(row)

    def place_of(self, start_ns: int, end_ns: int) -> int:
        """Which slice holds a window; one beyond them belongs to the nearest."""
        return max(0, bisect_right(self._starts, (start_ns + end_ns) // 2) - 1)

    def sums(self, workload: str, column: str) -> list[float | None]:
        """The sum of a column over each slice; None where no window has it."""
        return [sum(values) if values else None for values in self._values(workload, column)]

    def highest(self, workload: str, column: str) -> list[float | None]:
        """The highest value of a column in each slice; None where no window has it."""
        return [max(values, default=None) for values in self._values(workload, column)]

    def steps(self) -> list[Slice]:
        """The slices that rates are made of: without those after the plan's end, if they are short."""
        lengths = sorted(one.length_s for one in self.all)
        least_s = lengths[len(lengths) // 2] / 2 if lengths else 0
        kept = list(self.all)
        while kept and (kept[-1].length_s <= 0 or (kept[-1].phase == DRAIN and kept[-1].length_s < least_s)):
            kept.pop()
        return kept

    def rates(self, workload: str, column: str) -> list[float | None]:
        """The sum of a column per second of each of the `steps`."""
        return [
            None if total is None or one.length_s <= 0 else total / one.length_s
            for total, one in zip(self.sums(workload, column), self.steps(), strict=False)
        ]

    def _values(self, workload: str, column: str) -> Iterator[list[float]]:
        for rows in self._rows.get(workload, [[] for _ in self.all]):
            found = [row.get(column) for row in rows]
            yield [value for value in found if isinstance(value, float)]

    def width(self) -> str:
        """How much time a slice stands for, as text; empty without slices."""
        from bench.core import units

        lengths = sorted(one.end_ns - one.start_ns for one in self.all)
        if not lengths:
            return ""
        # The ends of phases leave a shorter or longer one here and there; those do not speak for the rest.
        low, high = lengths[len(lengths) // 20], lengths[-1 - len(lengths) // 20]
        shown = units.format_duration_ns(high)
        return shown if low > 0.9 * high else f"{units.format_duration_ns(low)} to {shown}"


def spreads(run: Run, cuts: Sequence[Slices]) -> list[dict[Scope, list[Spread | None]]]:
    """Response times over the slices of each cut, None where nothing ended; the log is read once.

    Memory stays small: of each scope one histogram is open at a time. Raises ResultError.
    """
    known = [cut for cut in cuts if cut.all]
    found: list[dict[Scope, list[Spread | None]]] = [{} for _ in cuts]
    if not known:
        return found
    open_ones: list[dict[Scope, tuple[int, Counts]]] = [{} for _ in cuts]
    for window in run.windows("response"):
        tag = window.tag
        operation = None if run.arrives(tag.workload, tag.operation) else tag.operation
        scope = (tag.workload, operation)
        for cut, done, held in zip(cuts, found, open_ones, strict=True):
            place = cut.place_of(window.start_ns, window.end_ns)
            last = held.get(scope)
            if last is not None and last[0] == place:
                last[1][:] += window.counts
                continue
            if last is not None:
                _close(done, scope, last, len(cut.all))
            held[scope] = (place, window.counts.copy())
    for cut, done, held in zip(cuts, found, open_ones, strict=True):
        for scope, last in held.items():
            _close(done, scope, last, len(cut.all))
    return found


def _close(
    done: dict[Scope, list[Spread | None]], scope: Scope, last: tuple[int, Counts], length: int
) -> None:
    place, counts = last
    done.setdefault(scope, [None] * length)[place] = spread_of(counts)


def spread_of(counts: Counts) -> Spread | None:
    """The figures of a histogram, as `bench.core.histogram` defines them; None for no samples."""
    used = histogram.buckets_in_use(counts)
    if used.size == 0:
        return None
    below = np.cumsum(counts[used])
    ranks = np.maximum(1, np.ceil(below[-1] * np.array(PERCENTILES) / 100 - 1e-9))
    at = used[np.searchsorted(below, ranks)]
    edges = tuple(histogram.upper_edge_ns(int(bucket)) for bucket in at)
    return Spread(edges, histogram.upper_edge_ns(int(used[-1])), int(below[-1]))


def _cut(rows: Sequence[Row], most: int) -> Iterator[Slice]:
    windows = sorted(
        {(_ns(row["start_ns"]), _ns(row["end_ns"]), str(row["phase"])) for row in rows if _is_window(row)}
    )
    if not windows:
        return
    total_ns = windows[-1][1] - windows[0][0]
    longest_ns = max(end - start for start, end, _ in windows)
    # A short phase has short windows: drawn as they are, they would only show how few arrivals they hold.
    least_ns = max(total_ns // most, min(longest_ns, total_ns // EVEN))
    for phase, alike in groupby(windows, key=lambda window: window[2]):
        yield from _together(phase, [(start, end) for start, end, _ in alike], round(least_ns * NEARLY))


def _together(phase: str, windows: Sequence[tuple[int, int]], least_ns: int) -> list[Slice]:
    """Windows of one phase in slices of at least that length; a small rest belongs to the last one."""
    found: list[Slice] = []
    first = 0
    for place, (_, end_ns) in enumerate(windows):
        start_ns, is_last = windows[first][0], place == len(windows) - 1
        if is_last and found and end_ns - start_ns < least_ns // 2:
            before = found.pop()
            found.append(Slice(before.start_ns, end_ns, phase, before.windows + place + 1 - first))
        elif is_last or end_ns - start_ns >= least_ns:
            found.append(Slice(start_ns, end_ns, phase, place + 1 - first))
            first = place + 1
    return found


def _is_window(row: Row) -> bool:
    """Whether a row names its window; runs of other writers may lack the columns."""
    names = ("start_ns", "end_ns", "workload", "phase")
    return all(row.get(name) is not None for name in names)


def _ns(value: float | str | None) -> int:
    assert isinstance(value, float)
    return int(value)
