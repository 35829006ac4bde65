"""A Redis Cluster: arrivals go to the lanes of the group (a primary and its replicas) that serves their key.

An open plan is dealt out when it is due: each arrival waits, with its own deadline, for a lane of its group,
so that a dead primary holds back nothing of the others. In a closed loop a lane takes the next number of the
plan whose key its group serves. What a node answers with MOVED or ASK is put before all others of the group
that was named, and keeps its planned time; the table of slots is the control plane's to correct.
"""

import numpy as np
from numpy.typing import NDArray

from bench.core.jit import inner, int64
from bench.engine.wire.arrivals import describe, may_take, next_turn, note_taken, take_head
from bench.engine.wire.lateness import note_answered, owed_unsent
from bench.engine.wire.layout import (
    ARRIVAL,
    CLOSED,
    DEADLINE_NS,
    FD,
    FLIGHT_COLUMNS,
    G_CONNECTED,
    G_CURSOR,
    G_PARKED_COUNT,
    G_PARKED_HEAD,
    G_RING_COUNT,
    G_RING_HEAD,
    GROUP,
    GROUPS,
    HOPS,
    IDEAL,
    LANES,
    LEAVING,
    LEFT_MOVED,
    NOTIFY_FD,
    OPERATION,
    OPERATION_COUNT,
    PARKED,
    PIPELINE,
    PLANNED,
    QUEUED,
    REDIRECTS,
    ROW,
    SENT,
    SLOTS_SEEN,
    SLOTS_VERSION,
    STEP_FIRST,
    T_REPLIES,
    UNREAD,
    WAITING,
    WAITING_COLUMNS,
    Tables,
)
from bench.engine.wire.recording import DROPPED, REFUSED, TIMEOUT, record_end, record_unsent
from bench.engine.wire.render import render
from bench.engine.wire.syscalls import signal_eventfd
from bench.protocols.slots import (
    ASK_ONCE,
    MOVED_FOR_GOOD,
    NOT_MOVED,
    command_slot,
    named_node,
    redirection_in,
)
from bench.protocols.state import TEXT

START, NOTHING_OWED, NO_LANE, NO_GROUP = int64(0), int64(0), int64(-1), int64(-1)
ALL_COLUMNS, SENT_COLUMNS = int64(WAITING_COLUMNS), int64(FLIGHT_COLUMNS)
TRIES = 64
"""Numbers of a closed plan that are looked at for a group at a time: it may serve few keys, or none."""
MOST_HOPS = 5
ASKING = tuple(int64(byte) for byte in b"*1\r\n$6\r\nASKING\r\n")


@inner
def group_of(t: Tables, entry: NDArray[np.int64]) -> int:
    """The group that serves the key of an arrival (a row of `waiting`); without a key, each in turn."""
    step = t.operations[entry[OPERATION], STEP_FIRST]
    word = t.key_words[step]
    if word >= 0:
        end = render(t, step, entry, START, START)
        slot = command_slot(t.rendered[:end], word)
        if slot >= 0:
            return int(t.slots[slot])
    return int(entry[ARRIVAL] % t.settings[GROUPS])


@inner
def queue_in_group(t: Tables, lane: int) -> None:
    """Put a lane with a free slot at the end of its group's ring, once."""
    row = t.lanes[lane]
    if row[QUEUED] == 1:
        return
    group = t.groups[row[GROUP]]
    ring = t.group_ring[row[GROUP]]
    ring[(group[G_RING_HEAD] + group[G_RING_COUNT]) % ring.size] = lane
    group[G_RING_COUNT] += 1
    row[QUEUED] = 1


@inner
def next_lane_in(t: Tables, number: int) -> int:
    """Remove and return the lane of a group that has been free longest, or -1."""
    group, ring = t.groups[number], t.group_ring[number]
    while group[G_RING_COUNT] > 0:
        lane = ring[group[G_RING_HEAD]]
        group[G_RING_HEAD] = (group[G_RING_HEAD] + 1) % ring.size
        group[G_RING_COUNT] -= 1
        t.lanes[lane, QUEUED] = 0
        if t.lanes[lane, FD] >= 0:
            return int(lane)
    return int(NO_LANE)


@inner
def has_room(t: Tables) -> bool:
    """Whether every group can take one more arrival, and all that its lanes may have to give back."""
    kept = t.settings[PIPELINE] * (t.settings[LANES] + 1)
    for number in range(t.settings[GROUPS]):
        if t.groups[number, G_PARKED_COUNT] + kept >= t.parked.shape[1]:
            return False
    return True


@inner
def park_last(t: Tables, number: int, entry: NDArray[np.int64]) -> None:
    """Put an arrival behind all others of a group."""
    group = t.groups[number]
    slot = t.parked[number, (group[G_PARKED_HEAD] + group[G_PARKED_COUNT]) % t.parked.shape[1]]
    for column in range(WAITING_COLUMNS):
        slot[column] = entry[column]
    group[G_PARKED_COUNT] += 1
    t.state[PARKED] += 1


@inner
def park_first(t: Tables, number: int, entry: NDArray[np.int64], columns: int) -> None:
    """Put an arrival before all others of a group; the columns behind the first ones are the caller's."""
    group = t.groups[number]
    size = t.parked.shape[1]
    group[G_PARKED_HEAD] = (group[G_PARKED_HEAD] + size - 1) % size
    group[G_PARKED_COUNT] += 1
    t.state[PARKED] += 1
    for column in range(columns):
        t.parked[number, group[G_PARKED_HEAD], column] = entry[column]


@inner
def drop_parked(t: Tables, number: int) -> None:
    """Forget the first arrival of a group."""
    group = t.groups[number]
    group[G_PARKED_HEAD] = (group[G_PARKED_HEAD] + 1) % t.parked.shape[1]
    group[G_PARKED_COUNT] -= 1
    t.state[PARKED] -= 1


@inner
def due_ns(t: Tables, number: int) -> int:
    """The deadline of the first arrival of a group: from its plan, or from its first send."""
    entry = t.parked[number, t.groups[number, G_PARKED_HEAD]]
    since = entry[PLANNED] if entry[SENT] < 0 else entry[SENT]
    return int(since + t.settings[DEADLINE_NS])


@inner
def end_parked(t: Tables, number: int, now: int) -> None:
    """End the first arrival of a group: one that was redirected had an answer, but not in time the last."""
    entry = t.parked[number, t.groups[number, G_PARKED_HEAD]]
    if entry[SENT] >= 0:
        entry[IDEAL] = entry[SENT]
        entry[UNREAD] = 0
        record_end(t, entry, TIMEOUT, now, NO_LANE)
    elif t.groups[number, G_CONNECTED] > 0:
        record_unsent(t, entry, DROPPED, now, owed_unsent(t, entry[PLANNED], now, number))
    else:
        record_unsent(t, entry, REFUSED, now, NOTHING_OWED)
    drop_parked(t, number)


@inner
def first_due_ns(t: Tables, otherwise: int) -> int:
    """The earliest deadline of all groups' first arrivals."""
    due = otherwise
    if t.state[PARKED] > 0:
        for number in range(t.settings[GROUPS]):
            if t.groups[number, G_PARKED_COUNT] > 0:
                due = min(due, due_ns(t, number))
    return due


@inner
def end_overdue_parked(t: Tables, now: int) -> None:
    """End what waited for a lane of its group until its deadline."""
    for number in range(t.settings[GROUPS]):
        while t.groups[number, G_PARKED_COUNT] > 0 and now >= due_ns(t, number):
            end_parked(t, number, now)


@inner
def end_all_parked(t: Tables, now: int) -> None:
    """Obey a stop: what was never sent, or has to be sent again, ends here."""
    for number in range(t.settings[GROUPS]):
        while t.groups[number, G_PARKED_COUNT] > 0:
            end_parked(t, number, now)


@inner
def deal_one(t: Tables, now: int) -> int:
    """Give the head of an open plan to the group of its key; return that, or -1 where none is due."""
    if not has_room(t) or not may_take(t, now) or not take_head(t, now):
        return int(NO_GROUP)
    number = group_of(t, t.waiting[0])
    park_last(t, number, t.waiting[0])
    t.state[WAITING] = 0
    return number


@inner
def take_turn(t: Tables, number: int, now: int) -> bool:
    """Append the next arrival of a closed plan that is a group's to `waiting`; False if none is near."""
    if t.state[SLOTS_SEEN] != t.control[SLOTS_VERSION]:
        # An arrival of slots that have moved must not be taken by both: what any group has passed is over.
        t.state[SLOTS_SEEN] = t.control[SLOTS_VERSION]
        furthest = t.groups[0, G_CURSOR]
        for other in range(t.settings[GROUPS]):
            furthest = max(furthest, t.groups[other, G_CURSOR])
        for other in range(t.settings[GROUPS]):
            t.groups[other, G_CURSOR] = furthest
    entry = t.waiting[t.state[WAITING]]
    for _ in range(TRIES):
        index = next_turn(t.settings, t.groups[number, G_CURSOR])
        t.groups[number, G_CURSOR] = index
        describe(t, entry, index, now, now)
        if group_of(t, entry) == number:
            t.state[WAITING] += 1
            note_taken(t, entry)
            return True
    return False


@inner
def collect(t: Tables, lane: int, room: int, now: int) -> None:
    """Bring up to `room` arrivals of a lane's group into `waiting`."""
    number = t.lanes[lane, GROUP]
    while t.state[WAITING] < room and t.groups[number, G_PARKED_COUNT] > 0:
        if now >= due_ns(t, number):
            end_parked(t, number, now)
            continue
        entry = t.parked[number, t.groups[number, G_PARKED_HEAD]]
        for column in range(WAITING_COLUMNS):
            t.waiting[t.state[WAITING], column] = entry[column]
        t.state[WAITING] += 1
        drop_parked(t, number)
    if t.settings[CLOSED] == 1:
        while t.state[WAITING] < room and may_take(t, now) and take_turn(t, number, now):
            pass


@inner
def give_back(t: Tables, lane: int) -> None:
    """Put what is in `waiting` before all others of the lane's group: nothing of it was sent."""
    while t.state[WAITING] > 0:
        t.state[WAITING] -= 1
        park_first(t, t.lanes[lane, GROUP], t.waiting[t.state[WAITING]], ALL_COLUMNS)


@inner
def write_asking(t: Tables, at: int) -> int:
    """Write the command by which a node answers for a slot that it is being given."""
    for offset in range(len(ASKING)):
        t.rendered[at + offset] = ASKING[offset]
    return at + len(ASKING)


@inner
def replies_of(t: Tables, step: int, entry: NDArray[np.int64]) -> int:
    """Replies to a request: with ASKING before it one more."""
    return int(t.steps[step, T_REPLIES] + (entry[HOPS] & 1))


@inner
def kind_of_redirection(t: Tables, lane: int, entry: NDArray[np.int64], now: int) -> int:
    """Whether an error names another node that may still be asked: a number of `bench.protocols.slots`."""
    kind = redirection_in(t.texts[lane], t.scans[lane, TEXT])
    if kind != NOT_MOVED and (entry[HOPS] >> 1 >= MOST_HOPS or now - entry[SENT] >= t.settings[DEADLINE_NS]):
        return int(NOT_MOVED)
    return kind


@inner
def redirect(t: Tables, lane: int, entry: NDArray[np.int64], kind: int, now: int) -> None:
    """Have a request that was answered with a redirection sent again, on a lane of the group that it names.

    An unknown node has become one of the lane's own group, or is new: the lane goes to look for it.
    """
    row = t.lanes[lane]
    member = named_node(t.texts[lane], t.scans[lane, TEXT], t.member_names)
    number = t.member_groups[member] if member >= 0 else NO_GROUP
    if number < 0 or number >= t.settings[GROUPS]:
        number = row[GROUP]
    if kind == MOVED_FOR_GOOD and number == row[GROUP]:
        row[LEAVING] = LEFT_MOVED
    note_answered(t, lane, entry, now)
    park_first(t, number, entry, SENT_COLUMNS)
    again = t.parked[number, t.groups[number, G_PARKED_HEAD]]
    again[OPERATION] = entry[ROW] % t.settings[OPERATION_COUNT]
    again[IDEAL] = now - (entry[SENT] - entry[IDEAL] + entry[UNREAD])
    again[UNREAD] = 0
    again[HOPS] = ((entry[HOPS] >> 1) + 1) << 1 | (1 if kind == ASK_ONCE else 0)
    t.gauges[REDIRECTS] += 1
    signal_eventfd(t.settings[NOTIFY_FD], t.scratch[2:])
