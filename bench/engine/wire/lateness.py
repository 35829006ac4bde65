"""What the generator owes an arrival: its own lateness, charged by the lane and by the answer it delayed.

Beside the time at which a lane really became free stands an ideal one: when it would have been free had
the generator never been late (Lindley's recursion). An arrival would have been sent when it was planned,
or when its lane would have been free, whichever is later; it would have been answered a service time
after that, without the time that its answer lay unread. An overloaded target so keeps all its own
delay, and a stall is taken off once, from those that it delayed, until a lane would have rested.

An arrival that was never sent would have had a lane's time, too, had there been more of it. What the
lanes are owed shrinks by it, else the debt of a long overload would grow until it explained everything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.core.jit import inner
from bench.engine.wire.layout import (
    COUNT,
    CREDIT,
    DEADLINE_NS,
    FD,
    HEAD,
    IDEAL,
    IDEAL_FREE,
    LANES,
    LAST_SERVICE,
    NEXT_LANE,
    PIPELINE,
    RING_COUNT,
    RING_HEAD,
    SENT,
    UNREAD,
    Tables,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@inner
def note_sent(t: Tables, slot: NDArray[np.int64], planned: int, sent: int) -> None:
    """The slot's request went out at `sent`: when it would have, had the generator not been late.

    Where another lane has been free for longer, the request is counted as that one's.
    """
    if slot[IDEAL_FREE] > planned and t.state[RING_COUNT] > 0:
        lane = t.ring[t.state[RING_HEAD]]
        row = t.lanes[lane]
        other = t.flights[lane, (row[HEAD] + row[COUNT]) % t.settings[PIPELINE]]
        if row[FD] >= 0 and other[IDEAL_FREE] < slot[IDEAL_FREE]:
            slot[IDEAL_FREE], other[IDEAL_FREE] = other[IDEAL_FREE], slot[IDEAL_FREE]
    slot[IDEAL] = min(max(planned, slot[IDEAL_FREE]), sent)
    slot[UNREAD] = 0


@inner
def note_answered(t: Tables, lane: int, slot: NDArray[np.int64], done: int) -> None:
    """The slot's request was answered: when it would have been free for the next one."""
    row = t.lanes[lane]
    service = done - slot[SENT] - slot[UNREAD]
    row[LAST_SERVICE] = service
    slot[IDEAL_FREE] = min(slot[IDEAL] + service + row[CREDIT], done)
    row[CREDIT] = 0


@inner
def free_from(t: Tables, lane: int, at: int) -> None:
    """All slots of a lane are free since `at`, and not by any doing of the generator."""
    for slot in range(t.settings[PIPELINE]):
        t.flights[lane, slot, IDEAL_FREE] = at
    t.lanes[lane, CREDIT] = 0


@inner
def next_lane(t: Tables) -> int:
    """This thread's lanes in turn; -1 where it has none, or the one whose turn it is has no connection."""
    if t.settings[LANES] == 0:
        return -1
    lane = t.state[NEXT_LANE]
    t.state[NEXT_LANE] = (lane + 1) % t.settings[LANES]
    return int(lane) if t.lanes[lane, FD] >= 0 else -1


@inner
def owed_unsent(t: Tables, planned: int, now: int) -> int:
    """What an arrival that was dropped at `now` is owed: the time by which a lane would have had it earlier.

    Where it would have been sent within its deadline, the rest of its charge is what the lane's last
    answer took.
    """
    lane = next_lane(t)
    if lane < 0:
        return 0
    row, depth = t.lanes[lane], t.settings[PIPELINE]
    if row[COUNT] < depth:
        slot = t.flights[lane, (row[HEAD] + row[COUNT]) % depth]
        ideal = max(planned, slot[IDEAL_FREE])
    else:
        slot = t.flights[lane, row[HEAD]]
        ideal = max(planned, now - (slot[SENT] - slot[IDEAL] - row[CREDIT]))
    deadline = t.settings[DEADLINE_NS]
    if ideal - planned >= deadline or ideal >= now:
        return 0
    if row[COUNT] < depth:
        slot[IDEAL_FREE] = ideal + row[LAST_SERVICE]
    else:
        row[CREDIT] += row[LAST_SERVICE]
    return max(max(now - planned, deadline) - (ideal - planned) - row[LAST_SERVICE], 0)
