"""The further round trips of an operation: the next statement, the ROLLBACK after an error, the retry."""

import numpy as np
from numpy.typing import NDArray

from bench.core.jit import inner, int64
from bench.engine.wire.lanes import keep_unsent, on_unsent, part_with_lane
from bench.engine.wire.layout import (
    BYTES_SENT,
    CLOSED_AFTER_ANSWER,
    COUNT,
    FAILED,
    FD,
    HEAD,
    LANES,
    LAST_SENT,
    PREPARING,
    REPLIES_LEFT,
    RETRIES_DONE,
    RETRYING,
    SESSION,
    STALE,
    STEP,
    STEP_END,
    STEP_FIRST,
    STEP_SENT,
    STEPS_SENT,
    T_PREPARE,
    T_REPLIES,
    TRIES,
    UNDO,
    UNDOING,
    Tables,
)
from bench.engine.wire.render import render
from bench.engine.wire.syscalls import EAGAIN, EINTR, send_on
from bench.protocols import postgres
from bench.protocols.state import ENDS

START, CLOSED = int64(0), int64(CLOSED_AFTER_ANSWER)
IDLE = int64(ord("I"))
"""Transaction status of a Postgres connection outside a transaction."""


@inner
def send_step(t: Tables, lane: int, number: int, entry: NDArray[np.int64], now: int) -> None:
    """Send one round trip of an operation under way; of a broken lane the end is read next."""
    row = t.lanes[lane]
    end = render(t, number, entry, lane, START)
    row[REPLIES_LEFT] = t.steps[number, T_REPLIES]
    result = send_on(row[FD], row[SESSION], t.rendered, START, end)
    if result < 0 and result not in (-EAGAIN, -EINTR):
        on_unsent(t, lane, result, now)
        return
    row[STEP_SENT] = now
    accepted = max(result, 0)
    t.gauges[BYTES_SENT] += accepted
    t.gauges[STEPS_SENT] += 1
    t.state[LAST_SENT] = now
    if accepted < end:
        keep_unsent(t, lane, accepted, end)


@inner
def resume_lanes(t: Tables, now: int) -> None:
    """Send the next step of each operation that waited for its lane's new connection."""
    for lane in range(t.settings[LANES]):
        row = t.lanes[lane]
        if row[FD] >= 0 and row[COUNT] > 0 and row[REPLIES_LEFT] == 0:
            send_step(t, lane, row[STEP], t.flights[lane, row[HEAD]], now)


@inner
def must_reconnect(t: Tables, lane: int, operation: int) -> bool:
    """Whether a further step is to be sent and the server closes the connection behind its last answer.

    Then the lane is closed, and the step waits for its next connection.
    """
    row = t.lanes[lane]
    if t.scans[lane, ENDS] == 0 or row[FAILED] == 1 or row[STEP] + 1 >= t.operations[operation, STEP_END]:
        return False
    row[STEP] += 1
    part_with_lane(t, lane, CLOSED)
    return True


@inner
def start_again(t: Tables, lane: int, operation: int, entry: NDArray[np.int64], now: int) -> None:
    """Begin the operation anew: the same arrival with the same numbers, and its clock goes on."""
    row = t.lanes[lane]
    row[FAILED] = 0
    row[RETRYING] = 0
    row[TRIES] += 1
    row[STEP] = t.operations[operation, STEP_FIRST]
    t.gauges[RETRIES_DONE] += 1
    send_step(t, lane, row[STEP], entry, now)


@inner
def may_undo(t: Tables, lane: int, operation: int) -> bool:
    """Whether a transaction is open that must be ended."""
    return bool(t.operations[operation, UNDO] >= 0 and t.scans[lane, postgres.TRANSACTION] != IDLE)


@inner
def go_on(t: Tables, lane: int, operation: int, entry: NDArray[np.int64], now: int) -> bool:
    """After the answer of a round trip: send the next one where there is one, and say so.

    An operation that failed inside a transaction first ends that; one that is to be retried starts
    again. A statement that is out of date is prepared again. False: the operation has ended.
    """
    row = t.lanes[lane]
    if row[PREPARING] == 1:
        row[PREPARING] = 0
        if row[FAILED] == 0:  # outside of a transaction, and it could be prepared: ask again
            send_step(t, lane, row[STEP], entry, now)
            return True
    elif row[UNDOING] == 1:
        row[UNDOING] = 0
    elif row[FAILED] == 0 and row[STALE] == 0:
        if row[STEP] + 1 >= t.operations[operation, STEP_END]:
            return False
        row[STEP] += 1
        send_step(t, lane, row[STEP], entry, now)
        return True
    elif row[FAILED] == 1 and may_undo(t, lane, operation):
        row[UNDOING] = 1
        send_step(t, lane, t.operations[operation, UNDO], entry, now)
        return True
    if row[STALE] > 0:
        preparation = t.steps[row[STALE] - 1, T_PREPARE]
        row[STALE] = 0
        row[PREPARING] = 1
        send_step(t, lane, preparation, entry, now)
        return True
    if row[RETRYING] == 0:
        return False
    start_again(t, lane, operation, entry, now)
    return True
