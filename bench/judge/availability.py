"""Successful of planned arrivals, over the window that the rule declares.

99.9 % of 60 s allows 60 ms of outage, 99.9 % of 30 days allows 43 minutes: without its window the
figure means nothing. A window no longer than the run is judged at its worst place, a longer one
cannot be judged.

Time is the plan's: an arrival counts where it was planned, not where it ended, and time in which nothing
ended is time. The operation log has both. A run without one keeps when an arrival ended and how long it
took, from which the time it was planned follows to within a window (see `_told_by_histograms`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bench.core import units
from bench.core.clock import NS_PER_S
from bench.core.histogram import buckets_in_use, middles_ns
from bench.core.intervals import window_ends
from bench.core.outcome import Outcome
from bench.judge.observation import Tally

if TYPE_CHECKING:
    from bench.results.reader import Run


class WindowTooLong(Exception):  # noqa: N818 - a fact about the run, no error of anyone's
    """The declared window is longer than what was measured."""

    def __init__(self, because: str, advice: str) -> None:
        self.advice = advice
        super().__init__(because)


CHARGED_AT_ONCE = ("error", "reset")
"""Ends that come immediately and are charged the deadline: their response time is not how long they took."""


def observed(run: Run, scope: Sequence[str], tally: Tally, arguments: Mapping[str, float]) -> float:
    """The availability as a ratio. Raises WindowTooLong."""
    window_ns = arguments["window"]
    if not tally.planned:
        return 0
    if run.measured_s * NS_PER_S < window_ns:
        raise WindowTooLong(
            f"the window is {units.format_duration_ns(window_ns)}, "
            f"the run measured {units.format_duration_ns(run.measured_s * NS_PER_S)}",
            "measure at least as long as the window",
        )
    starts, ends = _grid(run)
    counts = _told_by_the_log(run, scope, tally, starts)
    planned, ok = counts if counts is not None else _told_by_histograms(run, scope, starts)
    return min(tally.ok / tally.planned, _worst_span(ends - starts, planned, ok, window_ns))


def _grid(run: Run) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Starts and ends of the windows of all measured phases, whether or not anything ended in them."""
    starts: list[int] = []
    ends: list[int] = []
    for phase in run.record.phases:
        if phase.measured:
            found = window_ends(phase.start_ns, phase.end_ns, measured=True)
            starts += [phase.start_ns, *found[:-1]]
            ends += found
    return np.array(starts, dtype=np.int64), np.array(ends, dtype=np.int64)


def _told_by_the_log(
    run: Run, scope: Sequence[str], tally: Tally, starts: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]] | None:
    """Arrivals planned in each window, and how many of them ended OK; None without a whole operation log."""
    log = run.operations()
    if log is None:
        return None
    wanted = np.ones(len(log), dtype=bool)
    if scope:
        number = [entry.name for entry in run.workloads].index(scope[0])
        wanted &= log["workload"] == number
        if scope[1:]:
            wanted &= log["operation"] == run.workloads[number].operations.index(scope[1])
    wanted &= np.array([phase.measured for phase in run.record.phases])[log["phase"]]
    if int(wanted.sum()) != tally.planned:
        return None
    planned_ns = log["planned_ns"][wanted]
    window = np.clip(np.searchsorted(starts, planned_ns, "right") - 1, 0, len(starts) - 1)
    planned = np.bincount(window, minlength=len(starts))
    ok = np.bincount(window[log["outcome"][wanted] == Outcome.OK], minlength=len(starts))
    return planned, ok


def _told_by_histograms(
    run: Run, scope: Sequence[str], starts: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The same from when arrivals ended and how long they took, which says it to within a window.

    What failed immediately is charged its deadline: there the service time says how long it took, and where
    that was not kept either, it counts where it ended.
    """
    planned, ok = (np.zeros(len(starts), dtype=np.int64) for _ in range(2))
    workload, operation = (*scope, None, None)[:2]
    sent = {(tag.workload, tag.operation, tag.outcome) for tag in run.tags() if tag.kind == "service"}
    kinds = ("response", "service") if any(tag[2] in CHARGED_AT_ONCE for tag in sent) else ("response",)
    for window in chain.from_iterable(run.windows(kind, measured=True) for kind in kinds):
        tag = window.tag
        if not run.is_of(tag, workload, operation):
            continue
        by_service = tag.outcome in CHARGED_AT_ONCE and (tag.workload, tag.operation, tag.outcome) in sent
        if tag.kind != ("service" if by_service else "response"):
            continue
        buckets = buckets_in_use(window.counts)
        took_ns = middles_ns(buckets)
        if tag.outcome in CHARGED_AT_ONCE and not by_service:
            took_ns = np.zeros(len(buckets))
        at = (window.start_ns + window.end_ns) / 2 - took_ns
        place = np.clip(np.searchsorted(starts, at, "right") - 1, 0, len(starts) - 1)
        np.add.at(planned, place, window.counts[buckets])
        if tag.outcome == "ok":
            np.add.at(ok, place, window.counts[buckets])
    return planned, ok


def _worst_span(
    lengths_ns: NDArray[np.int64], planned: NDArray[np.int64], ok: NDArray[np.int64], window_ns: float
) -> float:
    """The lowest OK share of any row of neighbouring windows that lasts at least `window_ns`."""
    edges, all_planned, all_ok = (
        np.concatenate([[0], np.cumsum(values)]) for values in (lengths_ns, planned, ok)
    )
    worst = 1.0
    for first in range(len(lengths_ns)):
        last = int(np.searchsorted(edges, edges[first] + window_ns, "left"))
        if last == len(edges):
            break
        count = int(all_planned[last] - all_planned[first])
        if count:
            worst = min(worst, int(all_ok[last] - all_ok[first]) / count)
    return worst
