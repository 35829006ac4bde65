"""The further round trips of an operation: the next statement, the ROLLBACK after an error, the retry, the
request again after a log-in."""

import numpy as np
from numpy.typing import NDArray

from bench.core.jit import inner, int64
from bench.engine.wire.lanes import keep_unsent, on_unsent, part_with_lane
from bench.engine.wire.lateness import unread_by_stall
from bench.engine.wire.layout import (
    BYTES_SENT,
    CLOSED_AFTER_ANSWER,
    COUNT,
    FAILED,
    FD,
    HEAD,
    HTTP,
    LANES,
    LAST_SENT,
    LOGS_IN,
    OPERATION_COUNT,
    PREPARING,
    PROTOCOL,
    REPLIES_LEFT,
    RETRIES_DONE,
    RETRYING,
    ROW,
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
    UNAUTHORIZED,
    UNDO,
    UNDOING,
    UNREAD,
    Tables,
)
from bench.engine.wire.recording import ERROR, TIMEOUT, end_step, name_of, record_end, record_error
from bench.engine.wire.render import render
from bench.engine.wire.syscalls import EAGAIN, EINTR, send_on
from bench.protocols import postgres
from bench.protocols.http import scanner as http
from bench.protocols.state import CODE, ENDS, TEXT

START, CLOSED, LOGGED_OUT = int64(0), int64(CLOSED_AFTER_ANSWER), int64(UNAUTHORIZED)
UNAUTHORIZED_STATUS = int64(401)
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
    """Send the step of each operation that waited for its lane's new connection."""
    for lane in range(t.settings[LANES]):
        row = t.lanes[lane]
        if row[FD] >= 0 and row[COUNT] > 0 and row[REPLIES_LEFT] == 0:
            if t.settings[PROTOCOL] == HTTP:
                row[RETRYING] = 0
            send_step(t, lane, row[STEP], t.flights[lane, row[HEAD]], now)


@inner
def must_log_in(t: Tables, lane: int) -> bool:
    """Whether a lane that logs in was refused because it is not."""
    is_refused = t.settings[PROTOCOL] == HTTP and t.scans[lane, CODE] == UNAUTHORIZED_STATUS
    return bool(is_refused and t.settings[LOGS_IN] == 1)


@inner
def renewed(t: Tables, lane: int, entry: NDArray[np.int64], now: int) -> bool:
    """Close a lane whose log-in was refused, if it is the first time in this arrival, and say so: it logs in
    with its next connection, on which the step is sent once more.
    """
    row = t.lanes[lane]
    if row[TRIES] > 0 or not must_log_in(t, lane):
        return False
    unread = unread_by_stall(t.state, row[STEP_SENT])
    entry[UNREAD] += unread
    end_step(t, lane, entry, ERROR, now, unread)
    row[TRIES] += 1
    row[RETRYING] = 1
    row[REPLIES_LEFT] = 0
    part_with_lane(t, lane, LOGGED_OUT)
    return True


@inner
def end_unanswered(t: Tables, lane: int, entry: NDArray[np.int64], now: int) -> None:
    """End a request at its deadline; of one that waits to be sent again, the answer is known."""
    if t.settings[PROTOCOL] == HTTP and t.lanes[lane, RETRYING] == 1:
        operation = entry[ROW] % t.settings[OPERATION_COUNT]
        record_error(t, name_of(t, lane, operation), lane, t.scans[lane, TEXT], t.scans[lane, http.KEPT])
        record_end(t, entry, ERROR, now, lane)
    else:
        record_end(t, entry, TIMEOUT, now, lane)


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
