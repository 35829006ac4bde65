"""Walking a workload's plan without running it: arrivals in plan order, a chunk at a time, or the first
ones, for `bench plan` and for the digest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bench.core.jit import entry
from bench.engine.wire import layout
from bench.engine.wire.arrivals import next_arrival, next_turn, operation_of, start_plan
from bench.plan.draws import draw
from bench.plan.pacing import P_NUMBER

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bench.plan.plan import WorkloadPlan


COLUMNS = 5


@dataclass(frozen=True)
class Arrivals:
    """Arrivals in plan order; times in ns from run zero, -1 in a closed loop, where none is planned."""

    planned_ns: NDArray[np.int64]
    phase: NDArray[np.int64]
    operation: NDArray[np.int64]
    key: NDArray[np.int64]
    """-1 where the workload has no keys."""
    index: NDArray[np.int64]
    """The arrival's number in the whole plan, all shards counted."""

    def __len__(self) -> int:
        return int(self.index.size)

    def rows(self) -> list[tuple[int, int, int, int, int]]:
        """One tuple per arrival: planned_ns, phase, operation, key, index."""
        columns = (self.planned_ns, self.phase, self.operation, self.key, self.index)
        return list(zip(*(column.tolist() for column in columns), strict=True))


@entry
def _walk(
    settings: NDArray[np.int64],
    pacing: NDArray[np.float64],
    shares: NDArray[np.float64],
    variables: NDArray[np.float64],
    state: NDArray[np.int64],
    places: NDArray[np.float64],
    out: NDArray[np.int64],
) -> int:
    """Fill out[n] = planned, phase, operation, key, index from the head on; return how many there were."""
    number = 0
    while number < out.shape[0] and state[layout.PLAN_ENDED] == 0:
        index = state[layout.NEXT_INDEX]
        row = out[number]
        row[0] = state[layout.NEXT_PLANNED]
        row[1] = int(pacing[state[layout.NEXT_STRETCH], P_NUMBER])
        row[2] = operation_of(settings, shares, index)
        row[3] = -1
        row[4] = index
        variable = max(settings[layout.KEY_VARIABLE], settings[layout.CHANNEL_VARIABLE])
        if variable >= 0:
            row[3] = draw(variables[variable], settings[layout.SEED], index)
        number += 1
        if settings[layout.CLOSED] == 1:
            row[0] = -1
            state[layout.NEXT_INDEX] = next_turn(settings, index)
        else:
            next_arrival(settings, pacing, state, places)
    return number


class PlanWalk:
    """The arrivals of one shard of a workload's plan; memory does not grow with the plan.

    `lanes` are those of all shards, which share them out as segments do; one each unless told.

    The same generators as the wire engine's loop, so both send the same for the same seed. A closed
    plan has no end.
    """

    def __init__(
        self, plan: WorkloadPlan, seed: int, shard: int = 0, shards: int = 1, lanes: int | None = None
    ) -> None:
        settings = np.zeros(layout.SETTING_COLUMNS, dtype=np.int64)
        settings[layout.SEED], settings[layout.SEGMENT], settings[layout.SEGMENTS] = seed, shard, shards
        settings[layout.LANES_IN_ALL], settings[layout.THREADS] = lanes or shards, 1
        settings[layout.POISSON] = plan.workload.arrivals == "poisson"
        settings[layout.CLOSED] = plan.is_closed
        settings[layout.OPERATION_COUNT] = len(plan.program.names)
        settings[layout.KEY_VARIABLE] = plan.program.key_variable
        settings[layout.CHANNEL_VARIABLE] = plan.program.channel_variable
        self._settings = settings
        self._pacing = plan.pacing
        self._program = plan.program
        self._state = np.zeros(layout.STATE_COLUMNS, dtype=np.int64)
        self._places = np.zeros(2)
        with np.errstate(over="ignore"):
            start_plan(settings, self._pacing, self._state, self._places)

    def next_chunk(self, count: int) -> Arrivals:
        """The next `count` arrivals; fewer, and in the end none, where the plan ends."""
        out = np.zeros((count, COLUMNS), dtype=np.int64)
        program = self._program
        with np.errstate(over="ignore"):
            found = _walk(
                self._settings,
                self._pacing,
                program.shares,
                program.variables,
                self._state,
                self._places,
                out,
            )
        kept = out[:found]
        return Arrivals(kept[:, 0], kept[:, 1], kept[:, 2], kept[:, 3], kept[:, 4])


__all__ = ["Arrivals", "first_arrivals"]


def first_arrivals(
    plan: WorkloadPlan, seed: int, count: int, *, shard: int = 0, shards: int = 1, lanes: int | None = None
) -> Arrivals:
    """The first `count` arrivals of one shard of a workload's plan; all of them where there are fewer."""
    return PlanWalk(plan, seed, shard, shards, lanes).next_chunk(count)
