"""Walking the plan: which arrival is next, when it is planned, what it does; one queue for all threads.

Lanes cut into groups, each with a queue of its own, keep arrivals waiting that another group's free
lane could send: 80/s for 3 lanes that take 10 ms each become an overload where one lane is given half
of them. So the threads of a workload share the head of the plan. Each walks over the plan by itself;
the number of the first arrival that none has taken is the only thing between them, and changes by
compare-and-swap: no lock, so that a preempted thread never keeps another waiting.

The thread whose lane's turn it is (`is_mine`) takes an arrival on time; while it has a free lane the
others leave it to that thread, for PATIENCE_NS. A closed loop has no queue, and a single thread or no
lanes need none: there all of this is skipped.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.core.jit import PLAIN, compiled, entry, generated, inner, int64
from bench.engine.wire.layout import (
    ARRIVAL,
    CLOSED,
    CONNECTED_LANES,
    DURATION_NS,
    FREE_LANES,
    HOPS,
    IDEAL,
    KEY,
    KEY_VARIABLE,
    LANES_IN_ALL,
    LOG_LENGTH,
    NEXT_INDEX,
    NEXT_PLANNED,
    NEXT_STRETCH,
    OPERATION,
    OPERATION_COUNT,
    PLAN_ENDED,
    PLANNED,
    POISSON,
    QUEUE_HEAD,
    QUEUE_LOGGED,
    REQUEST_LANES,
    RING_COUNT,
    ROW,
    SEED,
    SEGMENT,
    SEGMENTS,
    SENT,
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


@entry
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
def describe(t: Tables, slot: NDArray[np.int64], index: int, planned: int, now: int) -> None:
    """Write arrival `index` into a row of `waiting`; in a closed loop it is of the phase of `now`."""
    settings, state = t.settings, t.state
    if settings[CLOSED] == 1:
        state[NEXT_STRETCH] = stretch_at(t.pacing, state[NEXT_STRETCH], now)
    phase = int(t.pacing[state[NEXT_STRETCH], P_NUMBER])
    operation = operation_of(settings, t.shares, index)
    slot[PLANNED] = planned
    slot[IDEAL] = planned
    slot[SENT] = -1
    slot[HOPS] = 0
    slot[ARRIVAL] = index
    slot[OPERATION] = operation
    slot[ROW] = phase * settings[OPERATION_COUNT] + operation
    slot[KEY] = -1
    if settings[KEY_VARIABLE] >= 0:
        slot[KEY] = draw(t.variables[settings[KEY_VARIABLE]], settings[SEED], index)


@inner
def note_taken(t: Tables, slot: NDArray[np.int64]) -> None:
    """Count an arrival as taken from the plan."""
    t.taken[slot[ROW]] += 1
    t.gauges[TAKEN] += 1


@inner
def take(t: Tables, now: int) -> None:
    """Append the head arrival to `waiting` and move on.

    In a closed loop an arrival is planned when it is taken: `now` is when its lane became free.
    """
    settings, state = t.settings, t.state
    index = state[NEXT_INDEX]
    planned = now if settings[CLOSED] == 1 else state[NEXT_PLANNED]
    slot = t.waiting[state[WAITING]]
    describe(t, slot, index, planned, now)
    state[WAITING] += 1
    note_taken(t, slot)
    if settings[CLOSED] == 1:
        state[NEXT_INDEX] = next_turn(settings, index)
    else:
        next_arrival(settings, t.pacing, state, t.places)


PATIENCE_NS = 20_000
"""A thread with a free lane that has not taken its arrival after this is held up: another takes it."""

ONE = int64(1)
HEAD, LOGGED = int64(QUEUE_HEAD), int64(QUEUE_LOGGED)

if PLAIN:
    import threading

    _one_at_a_time = threading.Lock()

    def _swap(queue: NDArray[np.int64], column: int, expected: int, new: int) -> bool:
        with _one_at_a_time:
            if queue[0, column] != expected:
                return False
            queue[0, column] = new
            return True
else:

    @generated
    def _swap(typing: Any, queue: Any, column: Any, expected: Any, new: Any) -> Any:  # noqa: ARG001 - numba's signature
        """Put `new` into queue[0, column] if `expected` is there; whether it was, as one step."""
        from numba import types

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            view = context.make_array(signature.args[0])(context, builder, arguments[0])
            place = builder.gep(view.data, [arguments[1]])
            swapped = builder.cmpxchg(place, arguments[2], arguments[3], "acq_rel", "acquire")
            return builder.extract_value(swapped, 1)

        return types.boolean(queue, types.int64, types.int64, types.int64), generate


@inner
def catch_up(t: Tables) -> None:
    """Move this thread's head of the plan past what other threads have taken."""
    if t.settings[SHARED] == 0:
        return
    while t.state[PLAN_ENDED] == 0 and t.state[NEXT_INDEX] < t.queue[0, HEAD]:
        next_arrival(t.settings, t.pacing, t.state, t.places)


@inner
def is_left_to_another(t: Tables, now: int) -> bool:
    """Whether the head arrival is the turn of another thread's lane, and that thread can take it."""
    if t.settings[SHARED] == 0:
        return False
    owner = thread_of(t.settings, t.state[NEXT_INDEX])
    return bool(
        owner != t.settings[THREAD]
        and t.queue[ONE + owner, FREE_LANES] > 0
        and now - t.state[NEXT_PLANNED] < PATIENCE_NS
    )


@inner
def may_take(t: Tables, now: int) -> bool:
    """Whether the head arrival is due, and not left to another thread."""
    catch_up(t)
    return is_due(t.settings, t.pacing, t.state, now) and not is_left_to_another(t, now)


@inner
def take_head(t: Tables, now: int) -> bool:
    """Append the head arrival to `waiting`; False when another thread took it first."""
    if t.settings[SHARED] == 1:
        number, seen = t.state[NEXT_INDEX], t.queue[0, HEAD]
        if seen > number or not _swap(t.queue, HEAD, seen, number + 1):
            catch_up(t)
            return False
    take(t, now)
    return True


@inner
def publish(t: Tables) -> None:
    """Tell the other threads how many lanes are free here, and how many are connected."""
    if t.settings[SHARED] == 1:
        row = t.queue[ONE + t.settings[THREAD]]
        row[FREE_LANES] = min(t.state[RING_COUNT], t.gauges[REQUEST_LANES])
        row[CONNECTED_LANES] = t.gauges[REQUEST_LANES]


@inner
def any_lane_connected(t: Tables) -> bool:
    """Whether the queue's arrivals could be sent at all."""
    if t.gauges[REQUEST_LANES] > 0:
        return True
    if t.settings[SHARED] == 1:
        for thread in range(t.settings[THREADS]):
            if t.queue[ONE + thread, CONNECTED_LANES] > 0:
                return True
    return False


@inner
def next_record(t: Tables) -> int:
    """The number of the next record of the operation log; threads that share a queue share the log too."""
    if t.settings[SHARED] == 0:
        return int(t.gauges[LOG_LENGTH])
    while True:
        number = t.queue[0, LOGGED]
        if number >= t.log.shape[0] or _swap(t.queue, LOGGED, number, number + 1):
            return int(number)
