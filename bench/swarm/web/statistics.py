"""Locust's statistics, filled from our histograms instead of from requests: exact, below a millisecond.

Locust rounds each response time to a whole millisecond before it counts it, and its percentiles are
one rank off the nearest. Here a row holds the histogram itself: the table, the charts, the CSV and
the HTML report of Locust show what the run folder holds, to four digits (a bucket is 1/1024 wide).

Until the first measured phase the totals show the warm-up, which then makes way: in the end they
are those of the measured phases alone. "Current" is the last two seconds, of whatever phase.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from locust import stats
from locust.stats import (
    PERCENTILES_TO_REPORT,
    STATS_TYPE_WIDTH,
    RequestStats,
    StatsCSV,
    StatsEntry,
    StatsError,
)

from bench.core import histogram
from bench.core.clock import NS_PER_S, WallLabel
from bench.core.histogram import Counts
from bench.registry import is_planned
from bench.swarm.messages import HistogramDelta, RollingWindow, Started, WindowMessage

NS_PER_MS = 1e6

MEANINGS = {
    "error": "error: the server answered that it would not do it",
    "timeout": "timeout: sent, and not answered within the deadline",
    "reset": "reset: the connection broke before the answer",
    "refused": "refused: never sent, there was no connection until its deadline",
    "dropped": "dropped: never sent, every lane was busy until its deadline",
}


def milliseconds(value_ns: float) -> float:
    """A time for Locust's tables: ms with four digits."""
    return float(f"{value_ns / NS_PER_MS:.4g}")


class ExactEntry(StatsEntry):
    """One row of the statistics: a workload's operation, or all of them."""

    counts: Counts
    recent: RollingWindow
    # Locust counts whole milliseconds; what it does with its numbers works with fractions too.
    response_times: dict[float, int]  # type: ignore[assignment]
    total_response_time: float  # type: ignore[assignment]
    min_response_time: float | None  # type: ignore[assignment]
    max_response_time: float  # type: ignore[assignment]

    def reset(self) -> None:
        """Locust's hook: back to nothing."""
        super().reset()  # type: ignore[no-untyped-call]
        self.clear_totals()
        self.recent = RollingWindow()

    def clear_totals(self) -> None:
        """Forget the totals; what is current goes on."""
        self.counts = histogram.empty()
        self.num_requests = self.num_failures = 0
        self.total_response_time = self.max_response_time = 0
        self.min_response_time = None
        self.response_times = defaultdict(int)

    def take(
        self, window: WindowMessage, gains: Sequence[HistogramDelta], at_s: float, *, measuring: bool
    ) -> None:
        """Add what a window gained in this row. at_s: its end on the wall clock, in seconds.

        measuring: a measured phase has begun, so that only what was measured counts as a total.
        """
        self.recent.add(window.start_ns, window.end_ns, list(gains))
        for gain in gains:
            failed = gain.total if gain.tag.outcome != "ok" else 0
            self.num_reqs_per_sec[int(at_s)] += gain.total
            self.num_fail_per_sec[int(at_s)] += failed
            if gain.tag.measured or not measuring:
                self._add(gain, failed)
        if gains:
            self.last_request_timestamp = at_s

    def _add(self, gain: HistogramDelta, failed: int) -> None:
        self.counts[gain.buckets] += gain.counts
        self.num_requests += gain.total
        self.num_failures += failed
        lowest, highest = gain.edges_ns
        for low, high, count in zip(lowest, highest, gain.counts, strict=True):
            self.response_times[milliseconds(high)] += int(count)
            self.total_response_time += (low + high) / 2 * int(count) / NS_PER_MS
        least = milliseconds(min(lowest))
        self.min_response_time = min(
            least, least if self.min_response_time is None else self.min_response_time
        )
        self.max_response_time = max(milliseconds(max(highest)), self.max_response_time)

    def get_response_time_percentile(self, percent: float) -> float:  # type: ignore[override]
        """In ms, nearest rank; `percent` is a ratio as everywhere in Locust. 0 without samples."""
        return _percentile_ms(self.counts, percent)

    def get_current_response_time_percentile(  # type: ignore[override]
        self, percent: float
    ) -> float | None:
        """The same over the last seconds; None where nothing ended."""
        return _percentile_ms(self.recent.counts(), percent) or None

    @property
    def median_response_time(self) -> float:  # type: ignore[override]
        """In ms."""
        return self.get_response_time_percentile(0.5)

    @property
    def current_rps(self) -> float:
        """Arrivals that ended per second, over the last seconds."""
        return self.recent.total() / (self.recent.seconds or 1.0)

    @property
    def current_fail_per_sec(self) -> float:
        """The same of those that did not end OK."""
        return self.recent.total(failed=True) / (self.recent.seconds or 1.0)

    def to_dict(self, escape_string_values: bool = False) -> dict[str, Any]:
        """Locust's row, without rounding the extremes to whole milliseconds."""
        row = super().to_dict(escape_string_values)
        row["min_response_time"] = self.min_response_time or 0
        row["max_response_time"] = self.max_response_time
        row["avg_response_time"] = milliseconds(self.avg_response_time * NS_PER_MS)
        return row

    def to_string(self, current: bool = True) -> str:
        """Locust's line in the terminal, in its columns."""
        rps, failures = self.current_rps, self.current_fail_per_sec
        if not current:
            rps, failures = self.total_rps, self.total_fail_per_sec
        times = (self.avg_response_time, self.min_response_time or 0, self.max_response_time)
        cells = [f"{time:>7.4g}" for time in (*times, self.median_response_time)]
        name = f"{self.method or '':<{STATS_TYPE_WIDTH}}{self.name}"
        failed = f"{self.num_failures}({self.fail_ratio:.2%})"
        return (
            f"{name:<{stats.STATS_NAME_WIDTH + 5}} {self.num_requests:>7} {failed:>12} |"
            f"{cells[0]} {cells[1]} {cells[2]}{cells[3]} | {rps:>7.2f} {failures:>11.2f}"
        )

    def percentile(self) -> str:
        """Locust's line of percentiles in the terminal."""
        first, *others = (
            f"{self.get_response_time_percentile(ratio):.4g}" for ratio in PERCENTILES_TO_REPORT
        )
        cells = " ".join(f"{cell:>6}" for cell in (*others, str(self.num_requests)))
        name = f"{self.method or '':<{STATS_TYPE_WIDTH}} {self.name:<{stats.STATS_NAME_WIDTH}}"
        return f"{name} {first:>8} {cells}"

    def _cache_response_times(self, t: int) -> None:
        """Nothing: what is current is kept as windows."""


def _percentile_ms(counts: Counts, ratio: float) -> float:
    return milliseconds(histogram.percentile_ns(counts, ratio * 100)) if counts.any() else 0.0


def _csv_percentiles(writer: StatsCSV, entry: StatsEntry, use_current: bool = False) -> list[Any]:
    """Locust's columns of percentiles, without cutting them to whole milliseconds."""
    if not entry.num_requests:
        return list(writer.percentiles_na)
    ask = entry.get_current_response_time_percentile if use_current else entry.get_response_time_percentile
    return [ask(ratio) or 0 for ratio in writer.percentiles_to_report]


def exact_csv() -> None:
    """Make all CSV of this process exact, the files and the downloads."""
    StatsCSV._percentile_fields = _csv_percentiles  # type: ignore[method-assign, assignment]


class History(list[dict[str, Any]]):
    """What Locust's charts begin with after a reload; "users" are lanes, as in the live charts."""

    def __init__(self, statistics: ExactStatistics) -> None:
        super().__init__()
        self._statistics = statistics

    def append(self, entry: dict[str, Any]) -> None:
        """Locust's hook."""
        if "user_count" in entry:
            entry["user_count"][1] = self._statistics.lanes
        super().append(entry)


class ExactStatistics(RequestStats):
    """All rows. What works with Locust's statistics can work with these."""

    entries: dict[tuple[str, str], ExactEntry]  # type: ignore[assignment]
    total: ExactEntry

    def __init__(self) -> None:
        super().__init__()
        self._forget()

    def _forget(self) -> None:
        self.entries = {}
        self.errors = {}
        self.total = ExactEntry(self, "Aggregated", "", use_response_times_cache=True)
        self.history = History(self)
        self.lanes = 0
        self._drivers: dict[str, str] = {}
        self._zero_s = WallLabel.read().wall_ns / NS_PER_S
        self._measuring = False

    def clear_all(self) -> None:
        """Locust's hook, before every test."""
        self._forget()

    def reset_all(self) -> None:
        """Locust's hook: the button Reset."""
        super().reset_all()
        self.history = History(self)

    def begin(self, started: Started) -> None:
        """The agent's `started`: a row for every operation, also for those that never come."""
        self._zero_s = started.wall_ns / NS_PER_S
        for workload in started.record.workloads:
            self._drivers[workload.name] = workload.driver
            for operation in workload.operations:
                self._row(workload.name, operation)
        for entry in (self.total, *self.entries.values()):
            entry.start_time = self._zero_s

    def take(self, window: WindowMessage) -> None:
        """Add a window."""
        at_s = self._zero_s + window.end_ns / 1e9
        responses = [gain for gain in window.gains if gain.tag.kind == "response"]
        if not self._measuring and any(gain.tag.measured for gain in responses):
            self._measuring = True
            for entry in (self.total, *self.entries.values()):
                entry.clear_totals()
                entry.start_time = self._zero_s + window.start_ns / 1e9
            self.errors = {}
        by_row: dict[tuple[str, str], list[HistogramDelta]] = defaultdict(list)
        for gain in responses:
            by_row[gain.tag.workload, gain.tag.operation].append(gain)
            self._row(gain.tag.workload, gain.tag.operation)
        for (name, _), entry in self.entries.items():
            workload, _, operation = name.partition("/")
            entry.take(window, by_row.get((workload, operation), ()), at_s, measuring=self._measuring)
        arrivals = [gain for gain in responses if self._arrives(gain)]
        self.total.take(window, arrivals, at_s, measuring=self._measuring)
        for gain in arrivals:
            if gain.tag.outcome != "ok" and (gain.tag.measured or not self._measuring):
                self._note(gain, at_s)
        self.lanes = sum((row.connected or 0) for row in window.series)

    def _arrives(self, gain: HistogramDelta) -> bool:
        return is_planned(self._drivers.get(gain.tag.workload, ""), gain.tag.operation)

    def _row(self, workload: str, operation: str) -> ExactEntry:
        key = (f"{workload}/{operation}", self._drivers.get(workload, ""))
        if key not in self.entries:
            self.entries[key] = ExactEntry(self, *key, use_response_times_cache=True)
        return self.entries[key]

    def _note(self, gain: HistogramDelta, at_s: float) -> None:
        """A line of Locust's table of failures."""
        name, method = f"{gain.tag.workload}/{gain.tag.operation}", self._drivers.get(gain.tag.workload, "")
        text = MEANINGS.get(gain.tag.outcome, gain.tag.outcome)
        error = self.errors.setdefault(
            StatsError.create_key(method, name, text), StatsError(method, name, text, 0, at_s)
        )
        error.occurrences += gain.total
        error.last_seen = at_s
