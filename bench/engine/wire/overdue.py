"""Arrivals that were never sent: what waits too long ends here, DROPPED or REFUSED."""

from __future__ import annotations

from bench.core.jit import inner, int64
from bench.engine.wire.lateness import owed_unsent
from bench.engine.wire.layout import CLOSED, DEADLINE_NS, NEXT_PLANNED, PLAN_ENDED, PLANNED, WAITING, Tables
from bench.engine.wire.recording import DROPPED, REFUSED, record_unsent
from bench.engine.wire.shared_queue import any_lane_connected, catch_up, take_head

ONE, NOTHING_OWED = int64(1), int64(0)


@inner
def drop_waiting(t: Tables, size: int) -> None:
    """Forget the first `size` waiting arrivals."""
    left = t.state[WAITING] - size
    for number in range(left):
        for column in range(t.waiting.shape[1]):
            t.waiting[number, column] = t.waiting[number + size, column]
    t.state[WAITING] = left


@inner
def end_unsent(t: Tables, now: int) -> None:
    """End the first waiting arrival without a send: REFUSED when no lane had a connection, else DROPPED."""
    entry = t.waiting[0]
    if any_lane_connected(t):
        record_unsent(t, entry, DROPPED, now, owed_unsent(t, entry[PLANNED], now))
    else:
        record_unsent(t, entry, REFUSED, now, NOTHING_OWED)
    drop_waiting(t, ONE)


@inner
def is_overdue(t: Tables, now: int) -> bool:
    """Whether the head of the plan has waited for its whole deadline."""
    deadline = t.settings[DEADLINE_NS]
    if t.state[WAITING] > 0:
        return bool(now - t.waiting[0, PLANNED] >= deadline)
    catch_up(t)
    if t.settings[CLOSED] == 1 or t.state[PLAN_ENDED] == 1:
        return False
    return bool(now - t.state[NEXT_PLANNED] >= deadline)


@inner
def end_overdue(t: Tables, now: int) -> None:
    """End every arrival that waited for a lane until its deadline."""
    while is_overdue(t, now):
        if t.state[WAITING] > 0 or take_head(t, now):
            end_unsent(t, now)


@inner
def end_plan(t: Tables, now: int) -> None:
    """Obey a stop: what was planned until now and never sent ends here, nothing further is planned."""
    if t.settings[CLOSED] == 0:
        catch_up(t)
        while t.state[PLAN_ENDED] == 0 and t.state[NEXT_PLANNED] <= now:
            if t.state[WAITING] == t.waiting.shape[0]:
                end_unsent(t, now)
            take_head(t, now)
    t.state[PLAN_ENDED] = 1
    while t.state[WAITING] > 0:
        end_unsent(t, now)
