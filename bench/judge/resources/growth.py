"""The samples of one source out of a run's resources, their growth, and whether memory goes on growing.

Growth is the median of the last tenth of the measured time minus that of its first tenth. Where phases
have at least 20 cycles it is the same over cycles, each with its last sample at rest: the first tenth
of the cycles (five at least) is the base, the last tenth (five at least) the end. Medians, because a
single sample may fall into a flush or a rewrite. Memory is the working set where the source is a
control group, else PSS, else RSS, else what a Redis reports as used: the first of these with enough
samples. The sentence of the check names it. RSS never replaces the PSS of several processes: what they
share would count once for each, so a Postgres would grow with every backend that touches its buffers.

A slope is distinguished from noise, warm-up, and caches that fill and stop:

1. The least value of each window (60 s; shorter so that there are at least 30, longer so that there
   are at most 60; whole cycles where a phase has at least 20): what is garbage by then does not count.
2. The first third of the windows is dropped as warm-up.
3. The slope is Theil and Sen's: the median of the slopes between all pairs of points.
4. Its bounds are the 1 % and 99 % points of a moving-block bootstrap of the residuals (blocks of four
   windows, because neighbours are alike), moved apart by 1 + 6 / number of blocks: with so few blocks
   the bootstrap alone promises too much. In simulations of 12 to 40 windows whose noise takes up to
   0.6 of the value before, they held the true slope in 96 to 99 % of the cases, before in 62 to 94 %.
5. The guard: a leak does not slow down. Only a later half that still rises at 0.6 times the slope of
   the first half or more is one that goes on; all else may be warm-up.

A rule is broken when the lower bound is above its limit and the slope goes on. It holds when the slope
is within the limit and the upper bound within twice the limit; all else is inconclusive. Comparing
with a limit and not with zero is what keeps noise from failing a run.

Theil 1950, Sen 1968 (the estimator); Künsch 1989 (the moving-block bootstrap).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from bench.core.clock import NS_PER_S
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


T = TypeVar("T")

LEAST_SAMPLES = 5
SHARE = 0.1
MEMORY = {
    "working_set_bytes": "working set",
    "pss_bytes": "PSS",
    "rss_bytes": "RSS",
    "used_memory_bytes": "used memory, as the server says",
}
"""Columns of memory, the best first, with their names in sentences."""


@dataclass(frozen=True)
class Growth:
    """A base, an end, and out of how many samples."""

    first: float
    last: float
    samples: int

    @property
    def value(self) -> float:
        """How much it grew; negative when it shrank."""
        return self.last - self.first


def by_memory(series: Series, found: Callable[[str], T]) -> tuple[T, str]:
    """`found` of the best memory column with enough samples, and its name. Raises Unmeasurable."""
    refused: Unmeasurable | None = None
    for column, name in MEMORY.items():
        if not len(series.known(column)[0]):
            continue
        if column == "rss_bytes" and refused is not None and _is_family(series):
            raise refused
        try:
            return found(column), name
        except Unmeasurable as reason:
            refused = refused or reason
    raise refused or Unmeasurable(
        f"the memory of {series.source} is not known: it runs under another user, or not on this machine",
        "let the stack start it, or sample it where it runs",
    )


def _is_family(series: Series) -> bool:
    """Whether the source is several processes, as a rule and not for the length of a fork."""
    _, processes = series.known("processes")
    return len(processes) > 0 and float(np.median(processes)) > 1


def growth(series: Series, times: Times, column: str) -> Growth:
    """The growth of one column. Raises Unmeasurable when there are too few samples."""
    at_ns, values = series.known(column)
    if len(times.cycles) >= LEAST_CYCLES:
        rests = _at_rest(at_ns, values, times)
        if len(rests) < LEAST_CYCLES:
            raise _too_few(series.source, f"{LEAST_CYCLES} cycles with a sample at rest", len(rests))
        size = max(LEAST_SAMPLES, round(SHARE * len(rests)))
        return Growth(float(np.median(rests[:size])), float(np.median(rests[-size:])), len(rests))
    offsets, inside = measured_offsets(at_ns, times)
    measured, length = values[inside], times.measured_ns
    first = measured[offsets < SHARE * length]
    last = measured[offsets >= (1 - SHARE) * length]
    if min(len(first), len(last)) < LEAST_SAMPLES:
        wanted = f"{LEAST_SAMPLES} samples in the first and in the last tenth of the measured time"
        raise _too_few(series.source, wanted, min(len(first), len(last)))
    return Growth(float(np.median(first)), float(np.median(last)), len(measured))


def measured_offsets(at_ns: NDArray[np.int64], times: Times) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Of the samples in measured phases: ns of measured time before each; and which samples they are."""
    inside = within(at_ns, times.measured)
    starts, ends = np.array(times.measured, dtype=np.int64).reshape(-1, 2).T
    before = np.concatenate([[0], np.cumsum(ends - starts)[:-1]]) if len(starts) else np.zeros(0)
    place = np.searchsorted(starts, at_ns[inside], side="right") - 1
    return at_ns[inside] - starts[place] + before[place], inside


def _at_rest(at_ns: NDArray[np.int64], values: NDArray[np.float64], times: Times) -> NDArray[np.float64]:
    """The last sample in the rest of each cycle; a cycle without one is left out."""
    found = []
    for _, load_end, end in times.cycles:
        place = int(np.searchsorted(at_ns, end)) - 1
        if place >= 0 and at_ns[place] >= load_end:
            found.append(values[place])
    return np.array(found)


def _too_few(source: str, wanted: str, had: int) -> Unmeasurable:
    return Unmeasurable(f"needed {wanted} of {source}, had {had}", "measure longer, or with more cycles")


WINDOW_NS = 60 * NS_PER_S
LEAST_WINDOWS, MOST_WINDOWS = 30, 60
LEAST_POINTS = 12
"""Windows that must be left after the warm-up is dropped: three blocks."""
BLOCK = 4
REPLICATES = 999
TAIL = 0.01
WIDER = 6.0
STILL_RISING = 0.6
SEED = 55


@dataclass(frozen=True)
class Slope:
    """Bytes per second, with its bounds; `goes_on` is the guard's word."""

    value: float
    low: float
    high: float
    goes_on: bool
    points: int


def slope(series: Series, times: Times, column: str) -> Slope:
    """The slope of one column. Raises Unmeasurable when there are too few windows with a sample."""
    at_ns, values = series.known(column)
    offsets, inside = measured_offsets(at_ns, times)
    at_s, lows = _minima(at_ns[inside], offsets, values[inside], times)
    kept = at_s[len(at_s) // 3 :], lows[len(at_s) // 3 :]
    if len(kept[0]) < LEAST_POINTS:
        raise Unmeasurable(
            f"needed {LEAST_POINTS} windows with samples of {series.source} after warm-up to tell a slope, "
            f"had {len(kept[0])}",
            "measure longer, or with more cycles",
        )
    return slope_of(*kept)


def slope_of(at_s: NDArray[np.float64], lows: NDArray[np.float64]) -> Slope:
    """The slope through points in order of time, at least LEAST_POINTS of them."""
    low, high = _bounds(at_s, lows)
    half = len(at_s) // 2
    first, later = theil_sen(at_s[:half], lows[:half]), theil_sen(at_s[half:], lows[half:])
    return Slope(
        theil_sen(at_s, lows), low, high, bool(later > 0 and later >= STILL_RISING * first), len(at_s)
    )


def theil_sen(at_s: NDArray[np.float64], values: NDArray[np.float64]) -> float:
    """Median of the slopes between all pairs of points; times must differ."""
    one, other = np.triu_indices(len(at_s), 1)
    return float(np.median((values[other] - values[one]) / (at_s[other] - at_s[one])))


def _bounds(at_s: NDArray[np.float64], values: NDArray[np.float64]) -> tuple[float, float]:
    """Between which the true slope lies, by the replicates; the same for the same points."""
    count = len(at_s)
    middle = theil_sen(at_s, values)
    left = values - middle * at_s
    # A fitted line lies closer to its points than the true one.
    left = (left - np.median(left)) * np.sqrt(count / (count - 2))
    random = np.random.default_rng(SEED)
    blocks = -(-count // BLOCK)
    starts = random.integers(0, count - BLOCK + 1, size=(REPLICATES, blocks))
    picked = (starts[:, :, None] + np.arange(BLOCK)).reshape(REPLICATES, -1)[:, :count]
    one, other = np.triu_indices(count, 1)
    drawn = left[picked]
    slopes = np.median((drawn[:, other] - drawn[:, one]) / (at_s[other] - at_s[one]), axis=1)
    low, high = np.quantile(slopes, [TAIL, 1 - TAIL])
    wider = 1 + WIDER / blocks
    return float(middle + wider * low), float(middle + wider * high)


def _minima(
    at_ns: NDArray[np.int64], offsets: NDArray[np.float64], values: NDArray[np.float64], times: Times
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Time in s and least value of each window that has a sample."""
    if len(times.cycles) >= LEAST_CYCLES:
        starts = np.array([start for start, _, _ in times.cycles])
        together = -(-len(starts) // MOST_WINDOWS)
        window = (np.searchsorted(starts, at_ns, side="right") - 1) // together
    else:
        length = times.measured_ns
        count = min(max(length // WINDOW_NS, LEAST_WINDOWS), MOST_WINDOWS)
        window = np.minimum(offsets * count // max(length, 1), count - 1).astype(np.int64)
    found = []
    for number in np.unique(window[window >= 0]):
        chosen = window == number
        # The middle of the window's samples: where the least one lies is chance.
        found.append((float(at_ns[chosen].mean()) / NS_PER_S, float(values[chosen].min())))
    at_s, lows = np.array(found, dtype=np.float64).reshape(-1, 2).T
    return at_s, lows
