"""What a queue divided among workers cannot say: whether one queue would have kept arrivals waiting, too.

Workers on several machines cannot share one queue as the threads of a process do. Each gets as large a
share of the arrivals as of the lanes, but an arrival waits for a lane of its own worker while another
worker's may be free. So it waits longer than in one queue, never shorter: a rule that holds holds, and one
that breaks by waiting alone is not the target's to answer for, unless the lanes were full everywhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.core import histogram, units
from bench.core.clock import NS_PER_S
from bench.judge.measures import statistic_ns
from bench.judge.status import Doubt, Status

if TYPE_CHECKING:
    from bench.judge.observation import Observation
    from bench.results.reader import Run
    from bench.scenario.rules.grammar import Metric, Rule

FULL = 0.9
"""Of the time of all lanes: where they were busy for so much of it, one queue would have waited as well."""
SENT_IN_VAIN = ("error", "timeout", "reset", "refused")


def lanes_were_divided(run: Run, rule: Rule, seen: Observation, status: Status) -> Doubt | None:
    """INCONCLUSIVE for a rule that would hold without waiting for lanes, where workers divide them."""
    if status is not Status.FAIL or not (names := _divided(run, rule.metric)):
        return None
    value = _without_waiting(run, rule.metric, seen)
    if value is None or not rule.holds(value) or any(_were_full(run, name) for name in names):
        return None
    workers = max(_segments(run, name) for name in names)
    return Doubt(
        Status.INCONCLUSIVE,
        f"{rule.metric.stat or rule.metric.name} is {units.format_quantity(seen.value, seen.unit)}, and "
        f"{units.format_quantity(value, seen.unit)} without waiting for a lane: {workers} workers divide "
        "the lanes, so an arrival may have waited while another worker's lane was free",
        "run this workload on one worker, or with more lanes",
    )


def _segments(run: Run, name: str) -> int:
    """Into how many segments the workload was cut."""
    parts = [worker.get("workloads", {}).get(name) for worker in run.record.get("workers", [])]
    return max((part[1] for part in parts if part), default=1)


def _divided(run: Run, metric: Metric) -> list[str]:
    """The workloads in question whose queue was divided; a closed loop has none."""
    return [
        entry["name"]
        for entry in run.workloads
        if metric.scope[:1] in ((), (entry["name"],))
        and entry.get("arrivals") != "closed"
        and _segments(run, entry["name"]) > 1
    ]


def _without_waiting(run: Run, metric: Metric, seen: Observation) -> float | None:
    """The figure without lane waits, at best; None for one that has none in it."""
    workload, operation = (*metric.scope, None, None)[:2]
    if metric.name in ("response", "response_ok"):
        counts = run.histogram("service", workload, operation, ("ok",))
        if metric.name == "response":
            counts = counts + run.histogram("response", workload, operation, SENT_IN_VAIN)
        return statistic_ns(counts, metric.stat or "p95") if counts.any() else None
    if seen.tally is None or not seen.tally.planned:
        return None
    tally, dropped = seen.tally, seen.tally.outcomes["dropped"]
    match metric.name:
        case "errors":
            return (tally.planned - tally.ok - dropped) / tally.planned
        case "dropped":
            return tally.outcomes["refused"]
        case "throughput":
            return seen.value + dropped / run.measured_s
        case "availability" if tally.ok + dropped == tally.planned:
            return 1.0
        case _:
            return None


def _were_full(run: Run, name: str) -> bool:
    """Whether all lanes of a workload were busy for nearly all of the measured time."""
    (entry,) = [one for one in run.workloads if one["name"] == name]
    service = run.histogram("service", name)
    if not service.any() or not entry.get("lanes") or not run.measured_s:
        return False
    busy_ns = histogram.mean_ns(service) * int(service.sum())
    places = entry["lanes"] * (entry.get("pipeline") or 1)
    return bool(busy_ns >= FULL * places * run.measured_s * NS_PER_S)
