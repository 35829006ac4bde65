"""A run by the time of its plan: an arrival counts in the window in which it was planned, not where it ended.

Time in which nothing ended is time. The operation log has when each arrival was planned. A run without one
keeps when it ended and how long it took, from which that follows to within a window.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bench.core.histogram import middles_ns
from bench.core.intervals import window_ends
from bench.core.outcome import OUTCOMES

if TYPE_CHECKING:
    from bench.results.logs import Tag
    from bench.results.reader import Run

CHARGED_AT_ONCE = ("error", "reset")
"""Ends that come immediately and are charged the deadline: their response time is not how long they took."""
Places = NDArray[np.int64]


def grid_of(run: Run) -> tuple[Places, Places]:
    """Starts and ends of the windows of all measured phases, whether or not anything ended in them."""
    starts: list[int] = []
    ends: list[int] = []
    for phase in run.record.phases:
        if phase.measured:
            found = window_ends(phase.start_ns, phase.end_ns, measured=True)
            starts += [phase.start_ns, *found[:-1]]
            ends += found
    return np.array(starts, dtype=np.int64), np.array(ends, dtype=np.int64)


def ends_by_plan(run: Run, scope: Sequence[str], planned: int) -> NDArray[np.int64]:
    """How the arrivals of each window ended: a row for each outcome, a column for each window of the grid.

    `planned`: how many arrivals there are, by which a log that is not whole is known.
    """
    found = _told_by_the_log(run, scope, planned)
    return _told_by_histograms(run, scope) if found is None else found


def _told_by_the_log(run: Run, scope: Sequence[str], planned: int) -> NDArray[np.int64] | None:
    """None without a whole operation log."""
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
    if int(wanted.sum()) != planned:
        return None
    starts, _ = grid_of(run)
    window, outcome = _place(log["planned_ns"][wanted], starts), log["outcome"][wanted]
    rows = [np.bincount(window[outcome == one], minlength=len(starts)) for one in OUTCOMES]
    return np.array(rows, dtype=np.int64)


def _told_by_histograms(run: Run, scope: Sequence[str]) -> NDArray[np.int64]:
    """What failed immediately is charged its deadline: there the service time says how long it took, and
    where that was not kept either, it counts where it ended.
    """
    starts, _ = grid_of(run)
    found = np.zeros((len(OUTCOMES), len(starts)), dtype=np.int64)
    workload, operation = (*scope, None, None)[:2]
    sent = {(tag.workload, tag.operation, tag.outcome) for tag in run.tags() if tag.kind == "service"}
    kinds = ("response", "service") if any(tag[2] in CHARGED_AT_ONCE for tag in sent) else ("response",)
    for kind in kinds:
        for outcome in OUTCOMES:

            def wanted(tag: Tag, kind: str = kind, label: str = outcome.label) -> bool:
                if tag.outcome != label or not run.is_of(tag, workload, operation):
                    return False
                by_service = label in CHARGED_AT_ONCE and (tag.workload, tag.operation, label) in sent
                return kind == ("service" if by_service else "response")

            window, _, counts = samples_by_plan(run, kind, wanted)
            np.add.at(found[outcome], window, counts)
    return found


def samples_by_plan(
    run: Run, kind: str, wanted: Callable[[Tag], bool]
) -> tuple[Places, NDArray[np.int64], NDArray[np.int64]]:
    """Measured samples of a kind of histogram: window of the grid, bucket, and how many there are.

    Of a kind that does not begin with the plan it is the window in which what it measures began.
    """
    starts, _ = grid_of(run)
    samples = run.samples(kind)
    number, bucket, count = samples.entries(samples.of_tags(lambda tag: tag.measured and wanted(tag)))
    at_once = samples.of_tags(lambda tag: kind != "service" and tag.outcome in CHARGED_AT_ONCE)
    took_ns = np.where(at_once[number], 0.0, middles_ns(bucket))
    middle_ns = (samples.start_ns[number] + samples.end_ns[number]) / 2
    return _place(middle_ns - took_ns, starts), bucket, count


def _place(at_ns: NDArray[np.float64] | NDArray[np.int64], starts: Places) -> Places:
    """The window of the grid that has each moment; the nearest for one outside."""
    return np.clip(np.searchsorted(starts, at_ns, "right") - 1, 0, len(starts) - 1)
