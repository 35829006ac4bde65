"""One queue for the threads of a workload, so that many threads wait as long as one would.

Lanes cut into groups, each with a queue of its own, keep arrivals waiting that another group's free lane
could send: 80/s for 3 lanes that take 10 ms each become an overload where one lane is given half of them.
So the threads share the head of the plan. Each walks over the plan by itself; the number of the first
arrival that none has taken is the only thing between them, and changes by compare-and-swap: no lock, so
that a thread which was preempted never keeps another waiting.

Whose lane's turn it is (`arrivals.is_mine`) takes an arrival on time; while it has a free lane the others
leave it to that thread, for PATIENCE_NS. A closed loop has no queue, and what has one thread or no lanes
needs none: there all of this is skipped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench.core.jit import PLAIN, inner, int64
from bench.engine.wire.arrivals import is_due, next_arrival, take, thread_of
from bench.engine.wire.layout import (
    CONNECTED_LANES,
    FREE_LANES,
    LOG_LENGTH,
    NEXT_INDEX,
    NEXT_PLANNED,
    PLAN_ENDED,
    QUEUE_HEAD,
    QUEUE_LOGGED,
    REQUEST_LANES,
    RING_COUNT,
    SHARED,
    THREAD,
    THREADS,
    Tables,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

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
    from numba import types
    from numba.extending import intrinsic

    @intrinsic  # type: ignore[untyped-decorator]  # numba is Any to us
    def _swap(typing: Any, queue: Any, column: Any, expected: Any, new: Any) -> Any:  # noqa: ARG001 - numba's signature
        """Put `new` into queue[0, column] if `expected` is there; whether it was, as one step."""

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
