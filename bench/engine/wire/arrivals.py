"""Walking the plan: which arrival is next, when it is planned, what it does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.core.jit import compiled, inner
from bench.engine.wire.layout import (
    ARRIVAL,
    CLOSED,
    DURATION_NS,
    KEY,
    KEY_VARIABLE,
    LANES_IN_ALL,
    NEXT_INDEX,
    NEXT_PLANNED,
    NEXT_STRETCH,
    OPERATION,
    OPERATION_COUNT,
    PLAN_ENDED,
    PLANNED,
    POISSON,
    ROW,
    SEED,
    SEGMENT,
    SEGMENTS,
    SHARED,
    TAKEN,
    THREAD,
    THREADS,
    WAITING,
    Tables,
)
from bench.plan.draws import STREAM_GAPS, STREAM_OPERATION, choose, draw, stream_key, unit
from bench.plan.pacing import (
    P_DURATION_NS,
    P_NUMBER,
    P_REST,
    P_START_NS,
    place,
    planned_ns,
    stretch_at,
    stretch_of,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@compiled
def thread_of(settings: NDArray[np.int64], index: int) -> int:
    """The thread, of the segment that arrival `index` belongs to, whose lane's turn it is."""
    return int(index % settings[LANES_IN_ALL] // settings[SEGMENTS] % settings[THREADS])


@compiled
def is_mine(settings: NDArray[np.int64], index: int) -> bool:
    """Whether this shard may take arrival `index`.

    Arrival i is the turn of lane i % lanes. Lanes are dealt out to the segments one after the other, and
    those of a segment to its threads; so whoever has more lanes is given more arrivals. Threads that
    share a queue may take all of their segment's.
    """
    segments = settings[SEGMENTS]
    if segments > 1 and index % settings[LANES_IN_ALL] % segments != settings[SEGMENT]:
        return False
    if settings[THREADS] == 1 or settings[SHARED] == 1:
        return True
    return bool(thread_of(settings, index) == settings[THREAD])


@compiled
def next_arrival(
    settings: NDArray[np.int64],
    pacing: NDArray[np.float64],
    state: NDArray[np.int64],
    places: NDArray[np.float64],
) -> None:
    """Move the head of an open plan to this shard's next arrival.

    A shard walks over all arrivals and keeps its own: places on the Poisson axis are sums, and 20 ns
    an arrival is cheaper than any message between shards.
    """
    key = stream_key(settings[SEED], STREAM_GAPS)
    index = state[NEXT_INDEX]
    while True:
        index += 1
        places[0] = place(settings[POISSON] == 1, key, index, places[0])
        if is_mine(settings, index):
            break
    state[NEXT_INDEX] = index
    stretch = stretch_of(pacing, state[NEXT_STRETCH], places[0])
    if stretch >= pacing.shape[0]:
        state[PLAN_ENDED] = 1
        return
    state[NEXT_STRETCH] = stretch
    state[NEXT_PLANNED] = planned_ns(pacing[stretch], places[0])


@compiled
def next_turn(settings: NDArray[np.int64], index: int) -> int:
    """The number of this shard's next arrival after `index` in a closed loop, which has no times."""
    index += 1
    while not is_mine(settings, index):
        index += 1
    return index


@compiled
def start_plan(
    settings: NDArray[np.int64],
    pacing: NDArray[np.float64],
    state: NDArray[np.int64],
    places: NDArray[np.float64],
) -> None:
    """Set the head to this shard's first arrival."""
    state[PLAN_ENDED] = 0
    state[NEXT_STRETCH] = 0
    places[0] = 0.0
    if settings[CLOSED] == 1:
        state[NEXT_INDEX] = next_turn(settings, -1)
        state[NEXT_PLANNED] = 0
    else:
        state[NEXT_INDEX] = -1
        next_arrival(settings, pacing, state, places)


@compiled
def rest_end(pacing: NDArray[np.float64], state: NDArray[np.int64], now: int) -> int:
    """When the rest ends in which a closed loop is at `now`; `now` itself outside of rests."""
    stretch = stretch_at(pacing, state[NEXT_STRETCH], now)
    state[NEXT_STRETCH] = stretch
    if pacing[stretch, P_REST] == 0.0:
        return now
    return max(now, int(pacing[stretch, P_START_NS] + pacing[stretch, P_DURATION_NS]))


@compiled
def is_due(
    settings: NDArray[np.int64], pacing: NDArray[np.float64], state: NDArray[np.int64], now: int
) -> bool:
    """Whether the head arrival may be taken at `now`; in a closed loop, whenever there is load."""
    if state[PLAN_ENDED] == 1:
        return False
    if settings[CLOSED] == 1:
        return bool(0 <= now < settings[DURATION_NS] and rest_end(pacing, state, now) <= now)
    return bool(state[NEXT_PLANNED] <= now)


@compiled
def operation_of(settings: NDArray[np.int64], shares: NDArray[np.float64], index: int) -> int:
    """The operation of arrival `index`."""
    if settings[OPERATION_COUNT] == 1:
        return 0
    return choose(shares, unit(stream_key(settings[SEED], STREAM_OPERATION), index))


@inner
def take(t: Tables, now: int) -> None:
    """Append the head arrival to `waiting` and move on.

    In a closed loop an arrival is planned when it is taken: `now` is when its lane became free.
    """
    settings, state = t.settings, t.state
    index = state[NEXT_INDEX]
    if settings[CLOSED] == 1:
        planned = now
        state[NEXT_STRETCH] = stretch_at(t.pacing, state[NEXT_STRETCH], now)
    else:
        planned = state[NEXT_PLANNED]
    phase = int(t.pacing[state[NEXT_STRETCH], P_NUMBER])
    operation = operation_of(settings, t.shares, index)
    row = phase * settings[OPERATION_COUNT] + operation
    slot = t.waiting[state[WAITING]]
    slot[PLANNED] = planned
    slot[ARRIVAL] = index
    slot[OPERATION] = operation
    slot[ROW] = row
    slot[KEY] = -1
    if settings[KEY_VARIABLE] >= 0:
        slot[KEY] = draw(t.variables[settings[KEY_VARIABLE]], settings[SEED], index)
    state[WAITING] += 1
    t.taken[row] += 1
    t.gauges[TAKEN] += 1
    if settings[CLOSED] == 1:
        state[NEXT_INDEX] = next_turn(settings, index)
    else:
        next_arrival(settings, t.pacing, state, t.places)
