"""Lanes: taking over a connection, filling it with due arrivals, losing it."""

import numpy as np
from numpy.typing import NDArray

from bench.core.jit import inner, int64
from bench.engine.wire.arrivals import may_take, take_head
from bench.engine.wire.groups import (
    collect,
    give_back,
    queue_in_group,
    replies_of,
    write_asking,
)
from bench.engine.wire.lateness import free_from, note_sent, unread_by_stall
from bench.engine.wire.layout import (
    ADOPTED,
    ARRIVAL,
    BYTES_SENT,
    CONNECTED,
    COUNT,
    DEADLINE_NS,
    EPOLL,
    FAILED,
    FD,
    FLIGHT_COLUMNS,
    G_CONNECTED,
    GROUP,
    GROUPS,
    HEAD,
    HOPS,
    IDEAL,
    IDEAL_FREE,
    IN_FLIGHT,
    LANES,
    LAST_SENT,
    LEAVING,
    LOST,
    LOST_CONNECTIONS,
    LOST_SUBSCRIBERS,
    MOVED,
    NEXT_SWEEP,
    NOTIFY_FD,
    OFFERED,
    OFFERED_SESSION,
    OPERATION,
    OUT_END,
    OUT_START,
    PIPELINE,
    POLITE,
    PREPARING,
    QUEUED,
    READY,
    REPLIES_LEFT,
    REQUEST_LANES,
    RETRYING,
    RING_COUNT,
    RING_HEAD,
    SENT,
    SESSION,
    STALE,
    START_NS,
    STEP,
    STEP_FIRST,
    STEP_SENT,
    STEPS_SENT,
    TRIES,
    UNCERTAIN_FULL,
    UNCERTAIN_LENGTH,
    UNDOING,
    WAITING,
    Tables,
)
from bench.engine.wire.recording import RESET, drop_waiting, end_overdue, end_step, record_end
from bench.engine.wire.render import channel_of, render
from bench.engine.wire.syscalls import (
    ALERT,
    EAGAIN,
    ECONNRESET,
    EINTR,
    EPIPE,
    EPOLL_CTL_ADD,
    EPOLL_CTL_DEL,
    EPOLL_CTL_MOD,
    EPOLLIN,
    EPOLLOUT,
    EPROTO,
    close_fd,
    copy_bytes,
    end_session,
    epoll_change,
    now_ns,
    send_on,
    signal_eventfd,
)
from bench.protocols.state import CONNECTION_RESET, TLS_UNREADABLE, WHY_OF_ALERT, reset

NO_FLAGS = int64(0)
START = int64(0)
LONG_AGO = int64(0)


@inner
def queue_lane(t: Tables, lane: int) -> None:
    """Put a lane with a free slot at the end of the ring, once."""
    if t.settings[GROUPS] > 0:
        queue_in_group(t, lane)
        return
    if t.lanes[lane, QUEUED] == 1:
        return
    size = t.ring.size
    t.ring[(t.state[RING_HEAD] + t.state[RING_COUNT]) % size] = lane
    t.state[RING_COUNT] += 1
    t.lanes[lane, QUEUED] = 1


@inner
def next_free_lane(t: Tables) -> int:
    """Remove and return the lane that has been free longest, or -1."""
    state = t.state
    while state[RING_COUNT] > 0:
        lane = t.ring[state[RING_HEAD]]
        state[RING_HEAD] = (state[RING_HEAD] + 1) % t.ring.size
        state[RING_COUNT] -= 1
        t.lanes[lane, QUEUED] = 0
        if t.lanes[lane, FD] >= 0:
            return int(lane)
    return -1


@inner
def adopt_lanes(t: Tables, now: int) -> None:
    """Take over every connection that the control plane offers and that is not ours yet."""
    for lane in range(t.lanes.shape[0]):
        row = t.lanes[lane]
        offer = t.offers[lane, OFFERED]
        if row[FD] >= 0 or offer >> 32 == row[ADOPTED]:
            continue
        row[ADOPTED] = offer >> 32
        row[FD] = offer & 0xFFFFFFFF
        row[SESSION] = t.offers[lane, OFFERED_SESSION]
        if row[COUNT] == 0:
            row[HEAD] = 0
        row[OUT_START] = 0
        row[OUT_END] = 0
        row[REPLIES_LEFT] = 0
        row[FAILED] = 0
        row[READY] = 0
        row[LEAVING] = 0
        reset(t.scans[lane])
        epoll_change(t.settings[EPOLL], EPOLL_CTL_ADD, row[FD], EPOLLIN, lane, t.words)
        t.gauges[CONNECTED] += 1
        if lane < t.settings[LANES]:
            t.gauges[REQUEST_LANES] += 1
            if t.settings[GROUPS] > 0:
                t.groups[row[GROUP], G_CONNECTED] += 1
            if row[COUNT] > 0:
                continue  # an operation whose next step waits for this connection (steps.resume_lanes)
            # Offered while the generator stood still, it may have lain there as an answer may.
            free_from(t, lane, now - unread_by_stall(t.state, LONG_AGO))
            queue_lane(t, lane)


@inner
def lose_lane(t: Tables, lane: int, now: int) -> None:
    """Close a lane's connection; what was in flight is RESET; ask the control plane for a new one."""
    row = t.lanes[lane]
    depth = t.settings[PIPELINE]
    if row[COUNT] > 0 and row[REPLIES_LEFT] > 0:
        end_step(t, lane, t.flights[lane, row[HEAD]], RESET, now, START)
    while row[COUNT] > 0:
        entry = t.flights[lane, row[HEAD]]
        record_end(t, entry, RESET, now, lane)
        note_uncertain(t, lane, entry[ARRIVAL])
        row[HEAD] = (row[HEAD] + 1) % depth
        row[COUNT] -= 1
        t.gauges[IN_FLIGHT] -= 1
    if row[FD] < 0:
        return
    close_lane(t, lane)
    row[POLITE] = 0
    row[LOST] += 1
    t.gauges[LOST_CONNECTIONS] += 1
    t.gauges[LOST_SUBSCRIBERS] += lane >= t.settings[LANES]
    signal_eventfd(t.settings[NOTIFY_FD], t.scratch[2:])


@inner
def why_of(failure: int) -> int:
    """The reason for which a lane is lost whose connection could not be read from."""
    if -failure >= ALERT:
        return int(WHY_OF_ALERT[-failure - ALERT])
    return int(TLS_UNREADABLE if failure == -EPROTO else CONNECTION_RESET)


@inner
def on_unsent(t: Tables, lane: int, error: int, now: int) -> None:
    """The kernel took nothing of a request. Where the server has gone, its last words may lie there unread:
    an early answer is an answer. The kernel reports the lane as readable at once, and the end is found
    behind those words.
    """
    if error in (-EPIPE, -ECONNRESET):
        t.lanes[lane, OUT_START] = t.lanes[lane, OUT_END]
        epoll_change(t.settings[EPOLL], EPOLL_CTL_MOD, t.lanes[lane, FD], EPOLLIN, lane, t.words)
    else:
        lose_lane(t, lane, now)


@inner
def part_with_lane(t: Tables, lane: int, gauge: int) -> None:
    """Close a lane behind an answer, and ask for a new one: its server has said that it closes it, or it must
    log in again. The gauge counts such lanes.
    """
    row = t.lanes[lane]
    close_lane(t, lane)
    row[POLITE] = gauge
    row[LOST] += 1
    t.gauges[gauge] += 1
    signal_eventfd(t.settings[NOTIFY_FD], t.scratch[2:])


@inner
def close_lane(t: Tables, lane: int) -> None:
    """Close a lane's connection, if it has one."""
    row = t.lanes[lane]
    if row[FD] < 0:
        return
    epoll_change(t.settings[EPOLL], EPOLL_CTL_DEL, row[FD], NO_FLAGS, NO_FLAGS, t.words)
    if row[SESSION] != 0:
        end_session(row[SESSION])
        row[SESSION] = 0
    close_fd(row[FD])
    row[FD] = -1
    t.gauges[CONNECTED] -= 1
    if lane < t.settings[LANES]:
        t.gauges[REQUEST_LANES] -= 1
        if t.settings[GROUPS] > 0:
            t.groups[row[GROUP], G_CONNECTED] -= 1


@inner
def note_uncertain(t: Tables, lane: int, arrival: int) -> None:
    """Remember a message whose publish was not acknowledged: it may be missing without being lost.

    At pipeline depth 1 the message in doubt is always the last one of its publisher and channel.
    """
    if t.sequences.size == 0:
        return
    length = t.gauges[UNCERTAIN_LENGTH]
    if length >= t.uncertain.shape[0]:
        t.gauges[UNCERTAIN_FULL] += 1
        return
    channel = channel_of(t, arrival)
    t.uncertain[length, 0] = lane
    t.uncertain[length, 1] = channel
    t.uncertain[length, 2] = t.sequences[lane, channel] - 1
    t.gauges[UNCERTAIN_LENGTH] = length + 1


@inner
def keep_unsent(t: Tables, lane: int, start: int, end: int) -> None:
    """Keep rendered[start:end] for when the socket can take more."""
    row = t.lanes[lane]
    size = end - start
    copy_bytes(t.drafts[lane], START, t.rendered, start, size)
    row[OUT_START] = 0
    row[OUT_END] = size
    epoll_change(t.settings[EPOLL], EPOLL_CTL_MOD, row[FD], EPOLLIN | EPOLLOUT, lane, t.words)


@inner
def note_published(t: Tables, lane: int, entry: NDArray[np.int64]) -> None:
    """Count a message, and remember for its deliveries when it went out and when it would have."""
    channel = channel_of(t, entry[ARRIVAL])
    number = t.sequences[lane, channel]
    remembered = t.published[lane, channel, number % t.published.shape[2]]
    remembered[0], remembered[1] = entry[IDEAL], entry[SENT]
    t.sequences[lane, channel] = number + 1


@inner
def fill_lane(t: Tables, lane: int, now: int) -> int:
    """Send what is due on one lane, in one write, up to its pipeline depth; return how many.

    What the kernel refuses whole stays in `waiting` for the next lane; the broken lane is lost.
    """
    settings, state, row = t.settings, t.state, t.lanes[lane]
    depth = settings[PIPELINE]
    if row[OUT_END] > row[OUT_START] or row[LEAVING] != 0:
        return 0
    room = depth - row[COUNT]
    if settings[GROUPS] > 0:
        collect(t, lane, room, now)
    else:
        end_overdue(t, now)
        while state[WAITING] < room and may_take(t, now):
            take_head(t, now)
    size = min(state[WAITING], room)
    if size == 0:
        if row[COUNT] < depth:
            queue_lane(t, lane)
        return 0
    end = START
    for number in range(size):
        slot = t.waiting[number]
        if slot[HOPS] & 1 == 1:
            end = write_asking(t, end)
        end = render(t, t.operations[slot[OPERATION], STEP_FIRST], slot, lane, end)
    sent = now_ns(t.scratch) - t.control[START_NS]
    state[LAST_SENT] = sent
    result = send_on(row[FD], row[SESSION], t.rendered, START, end)
    if result < 0 and result not in (-EAGAIN, -EINTR):
        if settings[GROUPS] > 0:
            give_back(t, lane)
        on_unsent(t, lane, result, now)
        return 0
    for number in range(size):
        slot = t.waiting[number]
        entry = t.flights[lane, (row[HEAD] + row[COUNT]) % depth]
        for column in range(FLIGHT_COLUMNS):
            entry[column] = slot[column]
        if slot[SENT] < 0:
            entry[SENT] = sent
        else:
            state[NEXT_SWEEP] = min(state[NEXT_SWEEP], slot[SENT] + settings[DEADLINE_NS])
        note_sent(t, entry, slot[IDEAL], sent)
        if row[COUNT] == 0:
            row[STEP_SENT] = sent
            row[STEP] = t.operations[slot[OPERATION], STEP_FIRST]
            row[REPLIES_LEFT] = replies_of(t, row[STEP], entry)
            row[MOVED] = 0
            row[FAILED] = 0
            row[UNDOING] = 0
            row[RETRYING] = 0
            row[TRIES] = 0
            row[STALE] = 0
            row[PREPARING] = 0
        row[COUNT] += 1
        if t.sequences.size > 0:
            note_published(t, lane, entry)
    t.gauges[IN_FLIGHT] += size
    t.gauges[STEPS_SENT] += size
    drop_waiting(t, size)
    accepted = max(result, 0)
    t.gauges[BYTES_SENT] += accepted
    if accepted < end:
        keep_unsent(t, lane, accepted, end)
    elif row[COUNT] < depth:
        queue_lane(t, lane)
    return size


@inner
def free_after(t: Tables, lane: int, now: int) -> None:
    """The target took until now to read what was sent: no slot of the lane was of use before."""
    for slot in range(t.settings[PIPELINE]):
        t.flights[lane, slot, IDEAL_FREE] = max(t.flights[lane, slot, IDEAL_FREE], now)


@inner
def flush_lane(t: Tables, lane: int, now: int) -> None:
    """Send more of what a lane could not take before."""
    row = t.lanes[lane]
    result = send_on(row[FD], row[SESSION], t.drafts[lane], row[OUT_START], row[OUT_END] - row[OUT_START])
    if result < 0:
        if result not in (-EAGAIN, -EINTR):
            on_unsent(t, lane, result, now)
        return
    row[OUT_START] += result
    t.gauges[BYTES_SENT] += result
    if row[OUT_START] == row[OUT_END]:
        epoll_change(t.settings[EPOLL], EPOLL_CTL_MOD, row[FD], EPOLLIN, lane, t.words)
        if row[COUNT] < t.settings[PIPELINE]:
            free_after(t, lane, now)
            queue_lane(t, lane)
