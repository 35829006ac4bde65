"""The first arrivals of a workload, computed without running it: for `bench plan` and for the digest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bench.engine import layout
from bench.engine.arrivals import next_arrival, operation_of, start_plan
from bench.jit import compiled
from bench.plan.draws import draw

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bench.plan.plan import WorkloadPlan


@dataclass(frozen=True)
class Arrivals:
    """Arrivals in plan order; times in ns from run zero, -1 in a closed loop, where none is planned."""

    planned_ns: NDArray[np.int64]
    phase: NDArray[np.int64]
    operation: NDArray[np.int64]
    key: NDArray[np.int64]


@compiled
def _walk(
    settings: NDArray[np.int64],
    phases: NDArray[np.float64],
    shares: NDArray[np.float64],
    variables: NDArray[np.float64],
    state: NDArray[np.int64],
    places: NDArray[np.float64],
    out: NDArray[np.int64],
) -> int:
    """Fill out[n] = planned, phase, operation, key; return how many arrivals there were."""
    start_plan(settings, phases, state, places)
    number = 0
    while number < out.shape[0] and state[layout.PLAN_ENDED] == 0:
        index = state[layout.NEXT_INDEX]
        row = out[number]
        row[0] = state[layout.NEXT_PLANNED]
        row[1] = state[layout.NEXT_PHASE]
        row[2] = operation_of(settings, shares, index)
        row[3] = -1
        variable = max(settings[layout.KEY_VARIABLE], settings[layout.CHANNEL_VARIABLE])
        if variable >= 0:
            row[3] = draw(variables[variable], settings[layout.SEED], index)
        number += 1
        if settings[layout.CLOSED] == 1:
            row[0] = -1
            state[layout.NEXT_INDEX] = index + settings[layout.SHARDS]
        else:
            next_arrival(settings, phases, state, places)
    return number


def first_arrivals(plan: WorkloadPlan, seed: int, count: int, *, shard: int = 0, shards: int = 1) -> Arrivals:
    """The first `count` arrivals of one shard of a workload's plan; all of them where there are fewer."""
    settings = np.zeros(layout.SETTING_COLUMNS, dtype=np.int64)
    settings[layout.SEED], settings[layout.SHARD], settings[layout.SHARDS] = seed, shard, shards
    settings[layout.POISSON] = plan.workload.arrivals == "poisson"
    settings[layout.CLOSED] = plan.is_closed
    settings[layout.OPERATION_COUNT] = len(plan.program.names)
    settings[layout.KEY_VARIABLE] = plan.program.key_variable
    settings[layout.CHANNEL_VARIABLE] = plan.program.channel_variable
    out = np.zeros((count, 4), dtype=np.int64)
    program = plan.program
    state = np.zeros(layout.STATE_COLUMNS, dtype=np.int64)
    with np.errstate(over="ignore"):
        found = _walk(settings, plan.phases, program.shares, program.variables, state, np.zeros(2), out)
    kept = out[:found]
    return Arrivals(kept[:, 0], kept[:, 1], kept[:, 2], kept[:, 3])
