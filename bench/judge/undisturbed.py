"""What a run could have shown at best, had nobody else taken the processor: an upper bound, on the safe side.

A machine that is busy all the time would else excuse everything: a plan that was too small for its rule, a
server that said no or hung up, data that were lost. What waiting for a processor cannot explain is nobody's
excuse.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bench.core import histogram
from bench.core.clock import NS_PER_S
from bench.judge.outcome_counts import tally_of

if TYPE_CHECKING:
    from bench.core.histogram import Counts
    from bench.judge.observation import Observation
    from bench.resources.starvation import Starvation
    from bench.results.reader import Run
    from bench.scenario.rules.grammar import Metric, Rule

PARTIES = 2
"""Generator and target wait one after the other: who suffered most has at least half of all waits."""
MOST_LOST = 0.95
MANY = 100
SOONEST_NS = 1e9
"""No server ends a connection for its silence sooner: each such wait costs a lane what it had sent, once."""
NOT_BY_TIME = frozenset(
    {
        *("lost_writes", "unexpected_values", "duplicate_messages", "reordered_messages"),
        *("hits", "misses", "empty"),
    }
)
"""What a target kept or answered: being late changes none of it."""
STATUS = "status."


def waited_share(found: Starvation) -> float:
    """The share of the measured time that waiting for a processor can have cost, at most."""
    return min(PARTIES * found.share * found.held_up, 1.0)


def could_hold(run: Run, rule: Rule, seen: Observation, lost: float, broken_off: int = 0) -> bool:
    """Whether the rule could have held in the same run, had this machine not lost that share of its time.

    `broken_off`: requests in flight whose connections this machine itself ended.
    """
    name = rule.metric.name
    if name in NOT_BY_TIME or name.startswith(STATUS):
        return False
    left = 1 - min(lost, MOST_LOST)
    if seen.counts is not None:
        return seen.samples < MANY or rule.holds(_fastest_ns(run, rule.metric, seen.counts))
    if name == "throughput":
        return rule.holds(min(seen.value / left, _possible_per_s(run, rule.metric)))
    if seen.repeats is not None:
        # Projected from an outage: a shorter one leaves more.
        return rule.holds(1 - (1 - seen.value) * left if name == "availability" else seen.value * left)
    if seen.tally is not None and seen.tally.planned:
        refused = max(seen.tally.outcomes["refused"] - lost * seen.tally.planned, 0.0)
        broken = max(seen.tally.outcomes["reset"] - _broken_off(run, rule.metric, seen, lost) - broken_off, 0)
        said_no = seen.tally.outcomes["error"] + broken + refused
        if name == "availability":
            return rule.holds(1 - _worst_share(run, rule.metric, seen, said_no))
        best = {"errors": said_no / seen.tally.planned, "dropped": refused}
        return name not in best or rule.holds(best[name])
    return True


def _fastest_ns(run: Run, metric: Metric, counts: Counts) -> int:
    """What even the fastest of many took: nobody kept that one waiting.

    Where a backlog was there all the time every arrival has waited, so a response counts from its sending.
    """
    fastest_ns = histogram.lower_edge_ns(int(np.flatnonzero(counts)[0]))
    if metric.name not in ("response", "response_ok"):
        return fastest_ns
    workload, operation = (*metric.scope, None, None)[:2]
    sent = np.flatnonzero(run.histogram("service", workload, operation))
    return min(fastest_ns, histogram.lower_edge_ns(int(sent[0]))) if len(sent) else fastest_ns


def _worst_share(run: Run, metric: Metric, seen: Observation, said_no: float) -> float:
    """So many losses as a share of the whole run, or of its worst window with all others in it."""
    assert seen.tally is not None
    planned = seen.tally.planned
    in_window = planned * min(metric.arguments["window"] / (run.measured_s * NS_PER_S), 1.0)
    others = planned - seen.tally.ok - said_no
    at_least = min(max((1 - seen.value) * in_window - others, 0.0), said_no)
    return max(said_no / planned, at_least / in_window)


def _broken_off(run: Run, metric: Metric, seen: Observation, lost: float) -> int:
    """How many resets a deadline or a server's idle timeout explains, where that share of time was lost.

    A lane whose request timed out is given up, with what was sent behind it.
    """
    assert seen.tally is not None
    workloads = [entry for entry in run.workloads if metric.workload in (None, entry["name"])]
    behind = max(((entry.get("pipeline") or 1) - 1 for entry in workloads), default=0)
    in_flight = sum((entry.get("lanes") or 0) * (entry.get("pipeline") or 1) for entry in workloads)
    silences = int(min(lost, 1.0) * run.measured_s * NS_PER_S / SOONEST_NS)
    return int(seen.tally.outcomes["timeout"]) * behind + in_flight * silences


def _possible_per_s(run: Run, metric: Metric) -> float:
    """All that is planned but what the server would not do; a closed loop asks for what it can get."""
    workloads = [entry for entry in run.workloads if metric.workload in (None, entry["name"])]
    if any(entry.get("arrivals") == "closed" for entry in workloads) or not run.measured_s:
        return float("inf")
    tally = tally_of(run, metric.scope)
    return (tally.planned - tally.outcomes["error"]) / run.measured_s
