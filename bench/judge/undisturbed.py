"""What a run could have shown at best, had nobody else taken the processor: an upper bound, on the safe side.

A machine that is busy all the time would else excuse everything: a plan that was too small for its rule, a
server that said no, data that were lost. What waiting for a processor cannot explain is nobody's excuse.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bench import histogram
from bench.judge.tally import tally_of

if TYPE_CHECKING:
    from bench.judge.observation import Observation
    from bench.resources.starvation import Starvation
    from bench.rules.grammar import Metric, Rule
    from bench.run_folder.reader import Run

PARTIES = 2
"""Generator and target wait one after the other: who suffered most has at least half of all waits."""
MOST_LOST = 0.95
MANY = 100
NOT_BY_TIME = frozenset(
    {
        *("lost_writes", "unexpected_values", "duplicate_messages", "reordered_messages"),
        *("hits", "misses", "empty"),
    }
)
"""What a target kept or answered: being late changes none of it."""
STATUS = "status."


def could_hold(run: Run, rule: Rule, seen: Observation, found: Starvation) -> bool:
    """Whether the rule could have held in the same run on a machine that nobody else used."""
    name = rule.metric.name
    if name in NOT_BY_TIME or name.startswith(STATUS):
        return False
    left = 1 - min(PARTIES * found.share * found.held_up, MOST_LOST)
    if seen.counts is not None:
        # Even the fastest of many was no faster: nobody kept that one waiting.
        if seen.samples < MANY:
            return True
        return rule.holds(histogram.lower_edge_ns(int(np.flatnonzero(seen.counts)[0])))
    if name == "throughput":
        return rule.holds(min(seen.value / left, _planned_per_s(run, rule.metric)))
    if seen.repeats is not None:
        return rule.holds(seen.value * left)
    if seen.tally is not None and seen.tally.planned:
        said_no = seen.tally.outcomes["error"] / seen.tally.planned
        best = {"errors": said_no, "availability": 1 - said_no}
        return name not in best or rule.holds(best[name])
    return True


def _planned_per_s(run: Run, metric: Metric) -> float:
    """The most that the plan asks for; a closed loop asks for whatever it can get."""
    workloads = [entry for entry in run.workloads if metric.workload in (None, entry["name"])]
    if any(entry.get("arrivals") == "closed" for entry in workloads) or not run.measured_s:
        return float("inf")
    return tally_of(run, metric.scope).planned / run.measured_s
