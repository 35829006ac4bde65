"""The generator's own lateness: when it stood still, and what it owes each arrival for that.

The loop knows the latest time at which it should look again. If it looks later, the time between is a
stall. What its clock cannot show is a late wake-up: an answer ended its sleep, and then its thread
waited in the run queue. The kernel counts that wait (schedstat), and after a long sleep the loop asks.

An answer that is read in the turn which ended a stall may have lain unread for as long as the stall;
one that comes later was not held up, however many stalls there were before it.

Beside the time at which a lane really became free stands an ideal one: when it would have been free
had the generator never been late (Lindley's recursion). An arrival would have been sent when it was
planned, or when its lane would have been free, whichever is later; it would have been answered a
service time after that, without the time that its answer lay unread. So an overloaded target keeps all
of its own delay, and a stall is taken off once, from those that it delayed, until a lane would have
rested.

An arrival that was never sent would have taken a lane's time, too, had there been more of it. What the
lanes are owed shrinks by it, else the debt of a long overload would grow until it explained
everything.
"""

import numpy as np
from numpy.typing import NDArray

from bench.core.jit import compiled, inner, int64
from bench.engine.wire.layout import (
    COUNT,
    CREDIT,
    DEADLINE_NS,
    FD,
    G_NEXT_LANE,
    GROUPS,
    HEAD,
    IDEAL,
    IDEAL_FREE,
    LANES,
    LAST_SERVICE,
    LONGEST_STALL_NS,
    NEXT_LANE,
    PIPELINE,
    RING_COUNT,
    RING_HEAD,
    RUN_DELAY,
    SCHEDSTAT,
    SENT,
    STALL_FROM,
    STALL_TO,
    UNREAD,
    Tables,
)
from bench.engine.wire.syscalls import read_at_start

LEAST_STALL_NS = 500_000
"""Shorter gaps are the price of work: reading a large reply, filling many lanes."""
NOT_KNOWN = int64(-1)
_DIGIT_0, _DIGIT_9, _SPACE = 48, 57, 32


@compiled
def note_gap(state: NDArray[np.int64], gauges: NDArray[np.int64], expected: int, now: int) -> None:
    """The loop looked again at `now` and should have at `expected` at the latest."""
    gap = now - expected
    if gap < LEAST_STALL_NS or expected < 0:
        return
    if state[STALL_TO] == 0:
        state[STALL_FROM] = expected
    else:
        state[STALL_FROM] = min(state[STALL_FROM], expected)
    state[STALL_TO] = now
    gauges[LONGEST_STALL_NS] = max(gauges[LONGEST_STALL_NS], gap)


@compiled
def run_delay_ns(fd: int, text: NDArray[np.uint8]) -> int:
    """The second number of a thread's schedstat: ns that it was ready to run and did not; -1 if unknown."""
    size = read_at_start(fd, text)
    at = 0
    while at < size and text[at] != _SPACE:
        at += 1
    at += 1
    if at >= size:
        return NOT_KNOWN
    number = 0
    while at < size and _DIGIT_0 <= text[at] <= _DIGIT_9:
        number = number * 10 + (int(text[at]) - _DIGIT_0)
        at += 1
    return number


@compiled
def note_wait(
    settings: NDArray[np.int64],
    state: NDArray[np.int64],
    gauges: NDArray[np.int64],
    text: NDArray[np.uint8],
    now: int,
) -> int:
    """After a sleep that ended at `now`: for how much of it the thread waited for its processor."""
    waited = run_delay_ns(settings[SCHEDSTAT], text) if settings[SCHEDSTAT] >= 0 else NOT_KNOWN
    if waited < 0:
        return 0
    gained = waited - state[RUN_DELAY]
    state[RUN_DELAY] = waited
    note_gap(state, gauges, now - gained, now)
    return int(gained)


@compiled
def end_stall(state: NDArray[np.int64], looked: int) -> None:
    """All that the kernel had at `looked` has been read: a stall that was over by then delays no more."""
    if state[STALL_TO] <= looked:
        state[STALL_FROM] = 0
        state[STALL_TO] = 0


@compiled
def unread_by_stall(state: NDArray[np.int64], sent: int) -> int:
    """How long what is read now, the answer to a request sent at `sent`, may have lain unread."""
    return max(0, state[STALL_TO] - max(sent, state[STALL_FROM]))


@inner
def note_sent(t: Tables, slot: NDArray[np.int64], planned: int, sent: int) -> None:
    """The slot's request went out at `sent`: when it would have, had the generator not been late.

    planned: when it could have been sent at the earliest.

    Where another lane has been free for longer, the request is counted as that one's.
    """
    if slot[IDEAL_FREE] > planned and t.state[RING_COUNT] > 0:
        lane = t.ring[t.state[RING_HEAD]]
        row = t.lanes[lane]
        other = t.flights[lane, (row[HEAD] + row[COUNT]) % t.settings[PIPELINE]]
        if row[FD] >= 0 and other[IDEAL_FREE] < slot[IDEAL_FREE]:
            slot[IDEAL_FREE], other[IDEAL_FREE] = other[IDEAL_FREE], slot[IDEAL_FREE]
    ideal = min(max(planned, slot[IDEAL_FREE]), sent)
    slot[IDEAL] = slot[SENT] - (sent - ideal)  # of one that was redirected SENT is its first send
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
def next_lane(t: Tables, group: int) -> int:
    """This thread's lanes in turn, of a cluster those of a group; -1 where it has none, or the one whose turn
    it is has no connection.
    """
    if t.settings[LANES] == 0:
        return -1
    if t.settings[GROUPS] > 0:
        lane = t.groups[group, G_NEXT_LANE] * t.settings[GROUPS] + group
        if lane >= t.settings[LANES]:
            lane = group
        t.groups[group, G_NEXT_LANE] = lane // t.settings[GROUPS] + 1
        return int(lane) if t.lanes[lane, FD] >= 0 else -1
    lane = t.state[NEXT_LANE]
    t.state[NEXT_LANE] = (lane + 1) % t.settings[LANES]
    return int(lane) if t.lanes[lane, FD] >= 0 else -1


@inner
def owed_unsent(t: Tables, planned: int, now: int, group: int) -> int:
    """What an arrival that was dropped at `now` is owed: the time by which a lane would have had it earlier.

    Where it would have been sent within its deadline, the rest of its charge is what the lane's last
    answer took.
    """
    lane = next_lane(t, group)
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
