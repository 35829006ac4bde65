"""Response times before, during and after the faults of a run, from its operation log.

An arrival belongs to the time in which it was planned:

    before     the baseline: measured time before the first fault
    fault      from the first failure (or from the fault) to the first success
    recovery   from there until it was as fast as before; where that is unknown, until it was stable
    after      from there to the next fault, or to the end

Where a fault had no visible effect, all of its time is `after`; where it only slowed, the slow time is
`recovery`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bench.core import histogram
from bench.core.outcome import Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from bench.core.histogram import Counts
    from bench.results.reader import Run

PHASES = ("before", "fault", "recovery", "after")
Spans = dict[str, list[tuple[int, int]]]


def fault_phases(run: Run) -> dict[str, dict[str, Counts]]:
    """Workload -> phase -> response times; empty for a run without faults or without an operation log.

    A lost arrival is charged no less than its deadline, as in windows.hlog. Raises ResultError.
    """
    recoveries = run.record.get("recoveries") or []
    operations = run.operations() if recoveries else None
    if operations is None:
        return {}
    found = {}
    for number, workload in enumerate(run.workloads):
        own = [one for one in recoveries if one["workload"] == workload["name"]]
        if not own:
            continue
        log = operations[operations["workload"] == number]
        response_ns = log["done_ns"] - log["planned_ns"]
        lost = log["outcome"] != Outcome.OK
        response_ns[lost] = np.maximum(response_ns[lost], workload.get("deadline_ns") or 0)
        found[workload["name"]] = {
            phase: counts_of(response_ns[_within(log["planned_ns"], spans)])
            for phase, spans in spans_of(own).items()
        }
    return found


def spans_of(recoveries: Sequence[Mapping[str, Any]]) -> Spans:
    """The spans of each phase, ns from run zero, of the recoveries of one workload."""
    baseline = recoveries[0]["baseline"]
    spans: Spans = {phase: [] for phase in PHASES}
    spans["before"].append((baseline["from_ns"], baseline["until_ns"]))
    for one in recoveries:
        until = one["until_ns"]
        start = _known(one["first_failure_ns"], one["slow_from_ns"], one["effective_ns"])
        if one["first_failure_ns"] is None:
            back, whole = start, one["full_ns"] if one["slow_from_ns"] is not None else start
        else:
            back, whole = one["first_success_ns"], _known(one["full_ns"], one["stable_ns"], until)
        back = _known(back, until)
        whole = max(back, _known(whole, until))
        spans["fault"].append((start, back))
        spans["recovery"].append((back, whole))
        spans["after"].append((whole, until))
    return spans


def counts_of(values_ns: NDArray[np.int64]) -> Counts:
    """The values as a histogram; one beyond the range is counted at its end."""
    values = np.clip(values_ns, 0, histogram.HIGHEST_NS)
    # The exponent of a float is the bit length of a whole number below 2^53 (bench.core.histogram.bucket_of).
    power = np.frexp((values >> 11).astype(np.float64))[1].astype(np.int64)
    buckets = (power << histogram.HALF_BITS) + (values >> power)
    return np.bincount(buckets, minlength=histogram.BUCKET_COUNT).astype(np.int64)


def _within(planned_ns: NDArray[np.int64], spans: Sequence[tuple[int, int]]) -> NDArray[np.bool_]:
    inside = np.zeros(len(planned_ns), dtype=np.bool_)
    for start, end in spans:
        inside |= (planned_ns >= start) & (planned_ns < end)
    return inside


def _known(*stamps_ns: int | None) -> int:
    return next(one for one in stamps_ns if one is not None)
