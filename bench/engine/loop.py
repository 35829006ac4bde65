"""The event loop: one compiled function per engine thread, without the GIL, from first arrival to last end.

A turn: obey the control plane; send what is due on free lanes; end what has waited too long; ask the
kernel what is ready; read it. The loop sleeps until shortly before the next planned arrival and then
polls, because a sleep ends tens of microseconds late and a poll does not.

Nothing here allocates, raises or touches a Python object. What should not happen is counted.
"""

from __future__ import annotations

import numpy as np

from bench.engine.arrivals import is_due, start_plan, take
from bench.engine.lanes import (
    adopt_lanes,
    close_lane,
    fill_lane,
    flush_lane,
    lose_lane,
    next_free_lane,
    note_uncertain,
)
from bench.engine.layout import (
    ARRIVAL,
    BROKEN_REPLIES,
    BYTES_RECEIVED,
    CHANNELS,
    CLOSED,
    COUNT,
    DEADLINE_NS,
    DRAIN_UNTIL,
    DURATION_NS,
    ELAPSED_NS,
    EPOLL,
    FAILED,
    FD,
    FINISHED,
    FREE_AT,
    HEAD,
    HEARTBEAT,
    IDLE_NS,
    IN_FLIGHT,
    LANES,
    LAST_SENT,
    LATE,
    NEXT_PLANNED,
    NEXT_SWEEP,
    NOTHING,
    NOW_PHASE,
    NULL_REPLIES,
    OPERATION_COUNT,
    PIPELINE,
    PLAN_ENDED,
    PLANNED,
    PROTOCOL,
    REPLIES_LEFT,
    ROW,
    SENT,
    SPIN_NS,
    STALL_DEBT,
    START_NS,
    STOP,
    STOP_AT_ONCE,
    STRAY_REPLIES,
    T_REPLIES,
    TURNS,
    WAITING,
    WAKE_FD,
    Tables,
)
from bench.engine.overdue import drop_waiting, end_overdue, end_plan, is_overdue
from bench.engine.recording import (
    ERROR,
    OK,
    TIMEOUT,
    record_end,
    record_error,
)
from bench.engine.stalls import note_gap, unread_by_stall
from bench.engine.subscriber import PAYLOAD_ELEMENT, on_message
from bench.engine.syscalls import (
    EAGAIN,
    EINTR,
    EPOLLERR,
    EPOLLHUP,
    EPOLLIN,
    EPOLLOUT,
    EVENT_DATA,
    EVENT_WORDS,
    drain_eventfd,
    epoll_poll,
    epoll_sleep,
    now_ns,
    receive_bytes,
    sharpen_timers,
)
from bench.jit import compiled, inner, int64
from bench.plan.pacing import P_DURATION_NS, P_START_NS
from bench.wire import resp

CLOCK_ONLY_NS = 1_000
ONE, START, NO_ELEMENT = (int64(n) for n in (1, 0, -1))
LONGEST_SLEEP_NS = 10_000_000
"""So that the heartbeat beats and a stop is obeyed even where no wake-up comes."""


@inner
def on_reply(t: Tables, lane: int, now: int) -> None:
    """One reply of a request lane is complete; its state tells of what class."""
    row, scan = t.lanes[lane], t.scans[lane]
    if scan[resp.CLASS] == resp.PUSH_REPLY:
        return
    if row[COUNT] == 0:
        # Whatever it answers, the next answer on this lane could no longer be told apart from it.
        t.gauges[STRAY_REPLIES] += 1
        lose_lane(t, lane, now)
        return
    entry = t.flights[lane, row[HEAD]]
    if scan[resp.CLASS] == resp.ERROR_REPLY:
        row[FAILED] = 1
        record_error(t, entry[ROW] % t.settings[OPERATION_COUNT], lane, scan[resp.TEXT])
    elif scan[resp.CLASS] == resp.NULL_REPLY:
        t.gauges[NULL_REPLIES] += 1
    row[REPLIES_LEFT] -= 1
    if row[REPLIES_LEFT] > 0:
        return
    entry[LATE] += unread_by_stall(t.state, entry[SENT], now)
    if row[FAILED] == 1:
        note_uncertain(t, lane, entry[ARRIVAL])
    record_end(t, entry, ERROR if row[FAILED] == 1 else OK, now, lane)
    depth = t.settings[PIPELINE]
    row[HEAD] = (row[HEAD] + 1) % depth
    row[COUNT] -= 1
    t.gauges[IN_FLIGHT] -= 1
    row[FAILED] = 0
    if row[COUNT] > 0:
        following = t.flights[lane, row[HEAD], ROW] % t.settings[OPERATION_COUNT]
        row[REPLIES_LEFT] = t.operations[following, T_REPLIES]


@inner
def on_readable(t: Tables, lane: int) -> int:
    """Read once and scan all of it; return the time of the read, from run zero."""
    row, scan = t.lanes[lane], t.scans[lane]
    size = receive_bytes(row[FD], t.received)
    now = now_ns(t.scratch) - t.control[START_NS]
    if size <= 0:
        if size not in (-EAGAIN, -EINTR):
            lose_lane(t, lane, now)
        return now
    t.gauges[BYTES_RECEIVED] += size
    subscriber = lane >= t.settings[LANES]
    element = PAYLOAD_ELEMENT if subscriber else NO_ELEMENT
    was_full = not subscriber and row[COUNT] == t.settings[PIPELINE]
    at = START
    while at < size:
        at = resp.scan(scan, t.received, at, size, t.texts[lane], element)
        if scan[resp.RESULT] == resp.COMPLETE:
            if subscriber:
                on_message(t, lane, scan[resp.TEXT], now)
            else:
                on_reply(t, lane, now)
                if row[FD] < 0:
                    return now
            resp.reset(scan)
        elif scan[resp.RESULT] == resp.BROKEN:
            t.gauges[BROKEN_REPLIES] += 1
            lose_lane(t, lane, now)
            return now
    if not subscriber and row[COUNT] < t.settings[PIPELINE]:
        if was_full:
            row[FREE_AT] = now
        fill_lane(t, lane, now)
    return now


@inner
def sweep(t: Tables, now: int) -> None:
    """End every request that passed its deadline, and its lane: a late reply could be taken for another's."""
    deadline = t.settings[DEADLINE_NS]
    following = now + deadline
    depth = t.settings[PIPELINE]
    for lane in range(t.settings[LANES]):
        row = t.lanes[lane]
        if row[COUNT] == 0:
            continue
        due = t.flights[lane, row[HEAD], SENT] + deadline
        if now < due:
            following = min(following, due)
            continue
        while row[COUNT] > 0 and now - t.flights[lane, row[HEAD], SENT] >= deadline:
            entry = t.flights[lane, row[HEAD]]
            record_end(t, entry, TIMEOUT, now, lane)
            note_uncertain(t, lane, entry[ARRIVAL])
            row[HEAD] = (row[HEAD] + 1) % depth
            row[COUNT] -= 1
            t.gauges[IN_FLIGHT] -= 1
        lose_lane(t, lane, now)
    t.state[NEXT_SWEEP] = following


@inner
def next_wake(t: Tables, now: int) -> int:
    """When the loop must look again, if no descriptor becomes ready before."""
    state, settings = t.state, t.settings
    wake = now + LONGEST_SLEEP_NS
    if t.gauges[IN_FLIGHT] > 0:
        wake = min(wake, state[NEXT_SWEEP])
    if state[WAITING] > 0:
        wake = min(wake, t.waiting[0, PLANNED] + settings[DEADLINE_NS])
    if settings[CLOSED] == 1:
        if now < 0:
            wake = min(wake, 0)  # run zero, when every lane sends
    elif state[PLAN_ENDED] == 0:
        if state[NEXT_PLANNED] > now:
            wake = min(wake, state[NEXT_PLANNED] - settings[SPIN_NS])
        else:
            wake = min(wake, state[NEXT_PLANNED] + settings[DEADLINE_NS])
    return wake


@inner
def messages_pending(t: Tables) -> bool:
    """Whether a connected subscriber has not yet seen the last message of some publisher and channel."""
    lanes = t.settings[LANES]
    for lane in range(lanes, t.lanes.shape[0]):
        if t.lanes[lane, FD] < 0:
            continue
        for publisher in range(lanes):
            for channel in range(t.settings[CHANNELS]):
                if t.seen[lane - lanes, publisher, channel, 0] < t.sequences[publisher, channel]:
                    return True
    return False


@inner
def is_over(t: Tables, now: int) -> bool:
    """Whether every arrival has ended and, for pub/sub, every message has come or had its time to."""
    state = t.state
    if now < 0 and t.control[STOP] == 0:
        return False
    if t.settings[CLOSED] == 1 and now >= t.settings[DURATION_NS]:
        state[PLAN_ENDED] = 1
    if state[PLAN_ENDED] == 0 or state[WAITING] > 0 or t.gauges[IN_FLIGHT] > 0:
        return False
    if t.settings[CHANNELS] == 0:
        return True
    if state[DRAIN_UNTIL] == 0:
        state[DRAIN_UNTIL] = now + t.settings[DEADLINE_NS]
    return not messages_pending(t) or now >= state[DRAIN_UNTIL]


@inner
def on_events(t: Tables, ready: int, looked: int) -> None:
    """Read, write or lose every lane that the kernel reported; adopt connections after a wake-up.

    `looked` is when the loop last read the clock.
    """
    for number in range(ready):
        events = np.int64(t.events[number * EVENT_WORDS])
        lane: int = np.int64(t.events[number * EVENT_WORDS + EVENT_DATA])  # type: ignore[assignment]
        if lane < 0:
            drain_eventfd(t.settings[WAKE_FD], t.scratch[2:])
            adopt_lanes(t, now_ns(t.scratch) - t.control[START_NS])
            continue
        if events & EPOLLOUT and t.lanes[lane, FD] >= 0:
            flush_lane(t, lane, now_ns(t.scratch) - t.control[START_NS])
        if events & (EPOLLIN | EPOLLHUP | EPOLLERR) and t.lanes[lane, FD] >= 0:
            read = on_readable(t, lane)
            note_gap(t.state, t.gauges, looked, read)
            looked = read


@inner
def note_idle(t: Tables, since: int, now: int) -> None:
    """Count time with nothing to do, for the run and for the phase in which the loop is."""
    phases = t.phases
    phase = t.state[NOW_PHASE]
    while phase < phases.shape[0] and now >= phases[phase, P_START_NS] + phases[phase, P_DURATION_NS]:
        phase += 1
    t.state[NOW_PHASE] = phase
    if since >= 0:
        t.gauges[IDLE_NS] += now - since
        if phase < phases.shape[0]:
            t.phase_idle_ns[phase] += now - since


@inner
def send_due(t: Tables, now: int, stop: int) -> int:
    """Send what is due on free lanes; return the time. A stop is heard in here too, because a generator
    behind its plan finds an arrival due for ever.
    """
    settings, state = t.settings, t.state
    while now >= 0 and t.control[STOP] == stop and (state[WAITING] > 0 or is_due(settings, state, now)):
        if settings[PROTOCOL] == NOTHING:
            end_nothing(t, now)
        else:
            lane = next_free_lane(t)
            if lane < 0:
                return now
            fill_lane(t, lane, now)
        before = now
        now = now_ns(t.scratch) - t.control[START_NS]
        note_gap(state, t.gauges, before, now)
        t.gauges[ELAPSED_NS] = now
    if now >= 0 and settings[CLOSED] == 0:
        state[STALL_DEBT] = 0  # the plan is caught up: what comes now is on time again
    return now


@inner
def end_nothing(t: Tables, now: int) -> None:
    """The noop driver: an arrival is sent and done at once; only plan, clock and recording are left."""
    take(t, now)
    entry = t.waiting[0]
    entry[SENT] = now
    entry[LATE] = now - entry[PLANNED]
    record_end(t, entry, OK, now_ns(t.scratch) - t.control[START_NS], START)
    drop_waiting(t, ONE)


@compiled
def run_loop(t: Tables) -> int:
    """Run one shard of the plan to its end; return the number of turns.

    Reads settings, control, offers and the plan's tables; writes all others. Times are ns from run
    zero (control[START_NS]), so they are negative until the run begins.
    """
    settings, state, gauges = t.settings, t.state, t.gauges
    sharpen_timers()
    start_plan(settings, t.phases, state, t.places)
    state[NEXT_SWEEP] = settings[DEADLINE_NS]
    closed = settings[CLOSED] == 1
    now = now_ns(t.scratch) - t.control[START_NS]
    adopt_lanes(t, now)
    while True:
        stop = t.control[STOP]
        if stop != 0:
            end_plan(t, now)
            if stop == STOP_AT_ONCE:
                for lane in range(t.lanes.shape[0]):
                    lose_lane(t, lane, now)
        if now >= state[NEXT_SWEEP] or is_overdue(t, now):
            # Look once more before anything is given up: the loop may have been held up itself, and
            # the answers may lie there.
            ready = epoll_poll(settings[EPOLL], t.events)
            if ready > 0:
                on_events(t, ready, now)
                now = now_ns(t.scratch) - t.control[START_NS]
            if now >= state[NEXT_SWEEP]:
                sweep(t, now)
            end_overdue(t, now)
        now = send_due(t, now, stop)
        gauges[HEARTBEAT] = now
        gauges[TURNS] += 1
        gauges[ELAPSED_NS] = max(now, 0)
        if is_over(t, now):
            break
        until = max(next_wake(t, now) - now, 0)
        if not closed and gauges[IN_FLIGHT] > 0 and now - state[LAST_SENT] < settings[SPIN_NS]:
            until = 0  # the answer of a fast server comes sooner than a sleep would end
        before = now
        if until > 0:
            ready = epoll_sleep(settings[EPOLL], t.events, until, t.scratch)
        else:
            ready = epoll_poll(settings[EPOLL], t.events)
        now = now_ns(t.scratch) - t.control[START_NS]
        note_gap(state, gauges, before + until, now)
        if until > 0 or ready <= 0:
            note_idle(t, before, min(now, before + max(until, CLOCK_ONLY_NS)))
        if ready > 0:
            before = now
            on_events(t, ready, now)
            now = now_ns(t.scratch) - t.control[START_NS]
        elif not closed:
            # The last stretch on the clock alone: a system call in between would make the send late.
            before = now
            while 0 < state[NEXT_PLANNED] - now < CLOCK_ONLY_NS and state[PLAN_ENDED] == 0:
                now = now_ns(t.scratch) - t.control[START_NS]
            note_idle(t, before, now)
    for lane in range(t.lanes.shape[0]):
        close_lane(t, lane)
    gauges[FINISHED] = 1
    return gauges[TURNS]
