"""The event loop: one compiled function per engine thread, without the GIL, from first arrival to last end.

A turn: obey the control plane; send what is due on free lanes; end what has waited too long; ask the
kernel what is ready; read it. The loop sleeps until shortly before the next planned arrival and then
polls, because a sleep ends tens of microseconds late and a poll does not.

Nothing here allocates, raises or touches a Python object. What should not happen is counted.
"""

import numpy as np

from bench.core.jit import entry, inner, int64
from bench.engine.wire.arrivals import is_left_to_another, may_take, publish, rest_end, start_plan, take_head
from bench.engine.wire.groups import (
    deal_one,
    end_all_parked,
    end_overdue_parked,
    first_due_ns,
    next_lane_in,
)
from bench.engine.wire.lanes import (
    adopt_lanes,
    close_lane,
    fill_lane,
    flush_lane,
    lose_lane,
    next_free_lane,
    note_uncertain,
)
from bench.engine.wire.lateness import LEAST_STALL_NS, end_stall, note_gap, note_wait, run_delay_ns
from bench.engine.wire.layout import (
    ARRIVAL,
    CHANNELS,
    CLOSED,
    COUNT,
    DEADLINE_NS,
    DRAIN_UNTIL,
    DURATION_NS,
    ELAPSED_NS,
    EPOLL,
    FD,
    FINISHED,
    G_PARKED_COUNT,
    GROUPS,
    HEAD,
    HEARTBEAT,
    IDEAL,
    IDLE_NS,
    IN_FLIGHT,
    LANES,
    LAST_SENT,
    NEXT_PLANNED,
    NEXT_SWEEP,
    NOTHING,
    NOW_STRETCH,
    PARKED,
    PIPELINE,
    PLAN_ENDED,
    PLANNED,
    PROTOCOL,
    REPLIES_LEFT,
    RING_COUNT,
    RUN_DELAY,
    SCHEDSTAT,
    SENT,
    SPIN_NS,
    START_NS,
    STOP,
    STOP_AT_ONCE,
    TURNS,
    UNREAD,
    WAITING,
    WAKE_FD,
    Tables,
)
from bench.engine.wire.recording import (
    OK,
    TIMEOUT,
    drop_waiting,
    end_overdue,
    end_plan,
    end_step,
    is_overdue,
    record_end,
)
from bench.engine.wire.replies import on_readable
from bench.engine.wire.steps import end_unanswered, resume_lanes
from bench.engine.wire.syscalls import (
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
    sharpen_timers,
)
from bench.plan.pacing import P_DURATION_NS, P_NUMBER, P_REST, P_START_NS

CLOCK_ONLY_NS = 1_000
ONE, START, NO_GROUP = int64(1), int64(0), int64(-1)
LONGEST_SLEEP_NS = 10_000_000
"""So that the heartbeat beats and a stop is obeyed even where no wake-up comes."""


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
        if row[REPLIES_LEFT] > 0:
            end_step(t, lane, t.flights[lane, row[HEAD]], TIMEOUT, now, START)
        while row[COUNT] > 0 and now - t.flights[lane, row[HEAD], SENT] >= deadline:
            entry = t.flights[lane, row[HEAD]]
            end_unanswered(t, lane, entry, now)
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
    if settings[GROUPS] > 0:
        wake = first_due_ns(t, wake)
    if state[WAITING] > 0:
        wake = min(wake, t.waiting[0, PLANNED] + settings[DEADLINE_NS])
    if settings[CLOSED] == 1:
        if now < 0:
            wake = min(wake, 0)  # run zero, when every lane sends
        elif state[PLAN_ENDED] == 0:
            opens = rest_end(t.pacing, state, now)
            if opens > now:
                wake = min(wake, opens)
    elif state[PLAN_ENDED] == 0:
        if state[NEXT_PLANNED] > now or (state[RING_COUNT] > 0 and is_left_to_another(t, now)):
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
    if state[PLAN_ENDED] == 0 or state[WAITING] + state[PARKED] > 0 or t.gauges[IN_FLIGHT] > 0:
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
            now = now_ns(t.scratch) - t.control[START_NS]
            adopt_lanes(t, now)
            resume_lanes(t, now)
            continue
        if events & EPOLLOUT and t.lanes[lane, FD] >= 0:
            flush_lane(t, lane, now_ns(t.scratch) - t.control[START_NS])
        if events & (EPOLLIN | EPOLLHUP | EPOLLERR) and t.lanes[lane, FD] >= 0:
            looked = on_readable(t, lane, looked)


@inner
def note_idle(t: Tables, since: int, now: int) -> None:
    """Count time with nothing to do, for the run and, outside of rests, for the phase of the loop."""
    pacing = t.pacing
    stretch = t.state[NOW_STRETCH]
    while stretch < pacing.shape[0] and now >= pacing[stretch, P_START_NS] + pacing[stretch, P_DURATION_NS]:
        stretch += 1
    t.state[NOW_STRETCH] = stretch
    if since >= 0:
        t.gauges[IDLE_NS] += now - since
        if stretch < pacing.shape[0] and pacing[stretch, P_REST] == 0.0:
            begun = max(since, int(pacing[stretch, P_START_NS]))  # a sleep may have begun in the rest before
            t.phase_idle_ns[int(pacing[stretch, P_NUMBER])] += now - begun


@inner
def send_due(t: Tables, now: int, stop: int) -> int:
    """Send what is due on free lanes; return the time. A stop is heard in here too, because a generator
    behind its plan finds an arrival due for ever.
    """
    settings, state = t.settings, t.state
    if settings[GROUPS] > 0:
        return send_to_groups(t, now, stop)
    while now >= 0 and t.control[STOP] == stop and (state[WAITING] > 0 or may_take(t, now)):
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
    return now


@inner
def send_to_groups(t: Tables, now: int, stop: int) -> int:
    """The same to the nodes of a cluster: deal out what is due, send what a lane of its group can take."""
    settings, groups = t.settings, t.groups
    while now >= 0 and t.control[STOP] == stop:
        dealt = deal_one(t, now) if settings[CLOSED] == 0 else NO_GROUP
        is_done = dealt < 0
        first = dealt if dealt >= 0 else START
        last = dealt + 1 if dealt >= 0 else settings[GROUPS]
        for number in range(first, last):
            while groups[number, G_PARKED_COUNT] > 0 or (settings[CLOSED] == 1 and may_take(t, now)):
                lane = next_lane_in(t, number)
                if lane < 0 or fill_lane(t, lane, now) == 0:
                    break
        before = now
        now = now_ns(t.scratch) - t.control[START_NS]
        note_gap(t.state, t.gauges, before, now)
        t.gauges[ELAPSED_NS] = now
        if is_done:
            break
    return now


@inner
def end_nothing(t: Tables, now: int) -> None:
    """The noop driver: an arrival is sent and done at once; only plan, clock and recording are left."""
    take_head(t, now)
    entry = t.waiting[0]
    entry[SENT] = now
    entry[IDEAL] = entry[PLANNED]
    entry[UNREAD] = 0
    record_end(t, entry, OK, now_ns(t.scratch) - t.control[START_NS], START)
    drop_waiting(t, ONE)


@entry
def run_loop(t: Tables) -> int:
    """Run one shard of the plan to its end; return the number of turns.

    Reads settings, control, offers and the plan's tables; writes all others. Times are ns from run
    zero (control[START_NS]), so they are negative until the run begins.
    """
    settings, state, gauges = t.settings, t.state, t.gauges
    sharpen_timers()
    start_plan(settings, t.pacing, state, t.places)
    state[NEXT_SWEEP] = settings[DEADLINE_NS]
    if settings[SCHEDSTAT] >= 0:
        state[RUN_DELAY] = run_delay_ns(settings[SCHEDSTAT], t.received)
    closed = settings[CLOSED] == 1
    capacity = t.events.size // EVENT_WORDS
    now = now_ns(t.scratch) - t.control[START_NS]
    adopt_lanes(t, now)
    while True:
        stop = t.control[STOP]
        if stop != 0:
            end_plan(t, now)
            if settings[GROUPS] > 0:
                end_all_parked(t, now)
            if stop == STOP_AT_ONCE:
                for lane in range(t.lanes.shape[0]):
                    lose_lane(t, lane, now)
        if now >= state[NEXT_SWEEP] or is_overdue(t, now) or first_due_ns(t, now + ONE) <= now:
            # Look once more before anything is given up: the loop may have been held up itself, and
            # the answers may lie there.
            ready = epoll_poll(settings[EPOLL], t.events)
            looked = now
            if ready > 0:
                on_events(t, ready, now)
                now = now_ns(t.scratch) - t.control[START_NS]
            if ready < capacity:
                end_stall(state, looked)
            if now >= state[NEXT_SWEEP]:
                sweep(t, now)
            end_overdue(t, now)
            if settings[GROUPS] > 0:
                end_overdue_parked(t, now)
        now = send_due(t, now, stop)
        publish(t)
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
        waited = START
        if until > LEAST_STALL_NS and now - before > LEAST_STALL_NS:
            waited = note_wait(settings, state, gauges, t.received, now)
        looked = now
        if until > 0 or ready <= 0:
            note_idle(t, before, max(before, min(now - waited, before + max(until, CLOCK_ONLY_NS))))
        if ready > 0:
            on_events(t, ready, now)
            publish(t)
            now = now_ns(t.scratch) - t.control[START_NS]
        elif not closed:
            # The last stretch on the clock alone: a system call in between would make the send late.
            before = now
            while 0 < state[NEXT_PLANNED] - now < CLOCK_ONLY_NS and state[PLAN_ENDED] == 0:
                now = now_ns(t.scratch) - t.control[START_NS]
            note_idle(t, before, now)
        if ready < capacity:
            end_stall(state, looked)
    for lane in range(t.lanes.shape[0]):
        close_lane(t, lane)
    gauges[FINISHED] = 1
    return gauges[TURNS]
