"""What a run says about its load: response times, throughput and errors, each with its uncertainty."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from bench.compare.estimate import ERRORS, PERCENTILES, THROUGHPUT, Estimate, Kind, Reading, Unknown
from bench.compare.resampling import drawn_windows, percentile_spreads, sum_spread
from bench.compare.run_windows import FAILED, RunWindows
from bench.judge.floors import floor_ns
from bench.judge.guards import SAMPLES_ABOVE, SAMPLES_AT_LEAST
from bench.judge.measures import percent_of, statistic_ns
from bench.judge.outcome_counts import tally_of
from bench.results.reader import DELIVERY
from bench.scenario.rules.sample_needs import RULE_OF_THREE

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from bench.results.histogram_log import Tag
    from bench.results.reader import Run

PUBLISH = "publish"
"""Its lateness is in every delivery."""
HALF = 0.5
"""Added to counts before a logarithm is taken: a count of 0 has one then."""

Figures = dict[str, tuple[Kind, Reading]]


def load_figures(run: Run) -> Figures:
    """By metric, as rules name it. Raises ResultError for a damaged run."""
    windows = RunWindows(run)
    drawn = drawn_windows(windows.phase_of)
    found: Figures = {}
    for entry in run.workloads:
        name, operations = entry["name"], list(entry.get("operations", []))
        arriving = [operation for operation in operations if run.arrives(name, operation)]
        found |= _responses(run, windows, drawn, name, None)
        found |= _rates(run, windows, drawn, name)
        for operation in arriving if len(arriving) > 1 else []:
            found |= _responses(run, windows, drawn, name, operation)
        if DELIVERY in operations and not run.arrives(name, DELIVERY):
            found |= _responses(run, windows, drawn, name, DELIVERY)
    return found


def _responses(
    run: Run, windows: RunWindows, drawn: NDArray[np.float64], workload: str, operation: str | None
) -> Figures:
    counts, edges = windows.histograms(_wanted(run, workload, operation))
    sender = PUBLISH if operation == DELIVERY and not run.arrives(workload, DELIVERY) else operation
    late = run.histogram("late", workload, sender)
    is_delivery = sender != operation
    where = workload if is_delivery or operation is None else f"{workload}.{operation}"
    what = "end_to_end" if is_delivery else "response"
    cumulated = np.cumsum(counts.sum(axis=0))
    total = int(cumulated[-1]) if len(cumulated) else 0
    spreads = (
        percentile_spreads(counts, edges, drawn, [percent_of(stat) for stat in PERCENTILES])
        if total
        else [None for _ in PERCENTILES]
    )
    found: Figures = {}
    for (stat, kind), spread in zip(PERCENTILES.items(), spreads, strict=True):
        needed = samples_needed(percent_of(stat))
        if total < needed:
            reading: Reading = Unknown(f"needs {needed} samples, had {total}")
        elif spread is None:
            reading = Unknown(f"needs more windows than {windows.count} to tell how it varies")
        else:
            rank = max(1, math.ceil(total * percent_of(stat) / 100 - 1e-9))
            value = float(edges[np.searchsorted(cumulated, rank)])
            lateness = statistic_ns(late, stat) if late.any() else 0.0
            floor = floor_ns(run, "response", stat) or 0.0
            reading = Estimate(value, math.log(value), spread, max(lateness, floor), total)
        found[f"{where}.{what}.{stat}"] = (kind, reading)
    return found


def _rates(run: Run, windows: RunWindows, drawn: NDArray[np.float64], workload: str) -> Figures:
    wanted = _wanted(run, workload, None)
    ok = windows.ended(lambda tag: wanted(tag) and tag.outcome == "ok") * windows.is_inside
    failed = windows.ended(lambda tag: wanted(tag) and tag.measured and tag.outcome in FAILED)
    tally = tally_of(run, (workload,))
    throughput: Reading = Unknown("nothing was planned")
    errors: Reading = Unknown("nothing was planned")
    ok_spread, failed_spread = sum_spread(ok, drawn), sum_spread(failed, drawn)
    if tally.planned >= SAMPLES_AT_LEAST and run.measured_s > 0:
        if ok_spread is None or failed_spread is None:
            errors = throughput = Unknown(f"needs more windows than {windows.count} to tell how it varies")
        else:
            total = int(ok.sum())
            per_s = total / run.measured_s
            place = math.log((total + HALF) / run.measured_s)
            throughput = Estimate(per_s, place, ok_spread, 0.0, tally.planned)
            lost = tally.planned - tally.ok
            place = math.log((lost + HALF) / (tally.planned + 2 * HALF))
            # A count is spread at least as chance spreads it.
            spread = max(failed_spread, 1 / math.sqrt(lost + HALF))
            resolution = RULE_OF_THREE / tally.planned
            errors = Estimate(lost / tally.planned, place, spread, resolution, tally.planned)
    return {
        f"{workload}.throughput": (THROUGHPUT, throughput),
        f"{workload}.errors": (ERRORS, errors),
    }


def samples_needed(percent: float) -> int:
    """So many that ten lie above the percentile, as for a rule."""
    return max(SAMPLES_AT_LEAST, math.ceil(SAMPLES_ABOVE / (1 - percent / 100) - 1e-6))


def _wanted(run: Run, workload: str, operation: str | None) -> Callable[[Tag], bool]:
    def wanted(tag: Tag) -> bool:
        if tag.workload != workload:
            return False
        return tag.operation == operation if operation else run.arrives(workload, tag.operation)

    return wanted
