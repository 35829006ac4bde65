"""What a lane receives: bytes through the protocol's scanner, answers to the arrivals they end."""

import numpy as np
from numpy.typing import NDArray

from bench.core.answers import FOUND, MISSED
from bench.core.jit import inner, int64
from bench.engine.wire.groups import kind_of_redirection, redirect, replies_of
from bench.engine.wire.lanes import fill_lane, lose_lane, note_uncertain, part_with_lane, why_of
from bench.engine.wire.lateness import note_answered, note_gap, unread_by_stall
from bench.engine.wire.layout import (
    ARRIVAL,
    BROKEN_REPLIES,
    BYTES_RECEIVED,
    CLOSED_AFTER_ANSWER,
    COUNT,
    DEADLOCKS,
    FAILED,
    FD,
    GROUPS,
    HEAD,
    HIGHEST_STATUS,
    HOPS,
    HTTP,
    IN_FLIGHT,
    LANES,
    LEAVING,
    LEFT_READ_ONLY,
    LOOKUP_EACH,
    MOVED,
    NO_LOOKUP,
    NULL_REPLIES,
    OPERATION_COUNT,
    PIPELINE,
    POSTGRES,
    PREPARING,
    PROTOCOL,
    REPLIES_LEFT,
    RESP,
    RETRIES,
    RETRYING,
    ROW,
    ROWS_RECEIVED,
    SENT,
    SERIALIZATION_FAILURES,
    SESSION,
    STALE,
    START_NS,
    STEP,
    STEP_FIRST,
    STEP_SENT,
    STRAY_REPLIES,
    T_HEAD_ONLY,
    T_LOOKUP,
    T_NEEDLE_END,
    T_NEEDLE_START,
    T_PREPARE,
    T_REPLIES,
    T_WANT_END,
    T_WANT_FIRST,
    TRIES,
    UNDOING,
    UNREAD,
    Tables,
)
from bench.engine.wire.recording import ERROR, OK, end_step, name_of, record_end, record_error
from bench.engine.wire.steps import IDLE, LOGGED_OUT, go_on, must_log_in, must_reconnect, renewed
from bench.engine.wire.subscriber import PAYLOAD_ELEMENT, on_message
from bench.engine.wire.syscalls import EAGAIN, EINTR, now_ns, receive_on
from bench.protocols import postgres, resp
from bench.protocols.http import scanner as http
from bench.protocols.http.state import ENCODED_BODY, ENCODING_BYTES, IDENTITY, MISSING
from bench.protocols.slots import ASK_ONCE, NOT_MOVED
from bench.protocols.state import (
    BROKEN,
    CLASS,
    CLOSED_EARLY,
    CODE,
    COMPLETE,
    ENDS,
    ERROR_REPLY,
    HITS,
    MISSES,
    NULL_REPLY,
    PUSH_REPLY,
    RESULT,
    ROWS,
    SIZES,
    SPELLED,
    TEXT,
    TEXT_BYTES,
    WHY,
    reset,
)
from bench.protocols.wants.search import settle, write_unmet
from bench.protocols.wants.state import HEADER, KIND, Search

START, NO_ELEMENT = int64(0), int64(-1)
CLOSED = int64(CLOSED_AFTER_ANSWER)
MOVED_TEXT = tuple(int64(byte) for byte in b"MOVED")
SERIALIZATION_FAILURE = int64(postgres.pack_sqlstate("40001"))
DEADLOCK_DETECTED = int64(postgres.pack_sqlstate("40P01"))
READ_ONLY_TRANSACTION = int64(postgres.pack_sqlstate("25006"))
READ_ONLY_TEXT = tuple(int64(byte) for byte in b"READONLY ")
HTTP_TEXT = tuple(int64(byte) for byte in b"HTTP ")
BODY_TEXT = tuple(int64(byte) for byte in MISSING.encode())
ENCODED_TEXT = tuple(int64(byte) for byte in ENCODED_BODY.encode())


@inner
def write_status(text: NDArray[np.uint8], status: int) -> int:
    """Write "HTTP 503"; return its length."""
    for offset in range(len(HTTP_TEXT)):
        text[offset] = HTTP_TEXT[offset]
    size = len(HTTP_TEXT)
    text[size] = 48 + status // 100
    text[size + 1] = 48 + status // 10 % 10
    text[size + 2] = 48 + status % 10
    return size + 3


@inner
def write_missing(text: NDArray[np.uint8], encoding: int) -> int:
    """Write that the body lacks what was expected, or that it is encoded; return the length."""
    if encoding in (0, IDENTITY):
        for offset in range(len(BODY_TEXT)):
            text[offset] = BODY_TEXT[offset]
        return len(BODY_TEXT)
    size = START
    for letter in range(ENCODING_BYTES):
        byte = encoding >> 8 * (ENCODING_BYTES - 1 - letter) & 0xFF
        if byte != 0:
            text[size] = byte
            size += 1
    for offset in range(len(ENCODED_TEXT)):
        text[size + offset] = ENCODED_TEXT[offset]
    return size + len(ENCODED_TEXT)


@inner
def search_of(t: Tables, lane: int) -> Search:
    """What is wanted of the answer that a lane waits for."""
    step = t.steps[t.lanes[lane, STEP]]
    return Search(
        t.wants[step[T_WANT_FIRST] : step[T_WANT_END]],
        t.want_parts,
        t.want_texts,
        t.want_links,
        t.progress[lane],
        t.captured[lane],
        t.captured_facts[lane],
    )


@inner
def is_unmet(t: Tables, lane: int) -> bool:
    """Whether a complete answer lacks what is wanted of it; then the reason stands in texts[lane]."""
    search = search_of(t, lane)
    number = settle(search)
    if number < 0:
        return False
    scan = t.scans[lane]
    if search.wants[number, KIND] != HEADER and scan[http.ENCODED] not in (0, IDENTITY):
        scan[TEXT] = write_missing(t.texts[lane], scan[http.ENCODED])
    else:
        scan[TEXT] = write_unmet(search, number, t.texts[lane])
    return True


@inner
def is_failure(t: Tables, lane: int) -> bool:
    """Whether a complete reply is an error; then its text stands in texts[lane], scan[TEXT] bytes of it."""
    scan, text = t.scans[lane], t.texts[lane]
    if t.settings[PROTOCOL] == HTTP:
        step = t.lanes[lane, STEP]
        if scan[CODE] >= HIGHEST_STATUS or t.expected[step, scan[CODE]] == 0:
            scan[TEXT] = write_status(text, scan[CODE])
            return True
        row = t.steps[step]
        if row[T_NEEDLE_END] > row[T_NEEDLE_START] and scan[http.FOUND] == 0:
            scan[TEXT] = write_missing(text, scan[http.ENCODED])
            return True
        return bool(row[T_WANT_END] > row[T_WANT_FIRST] and is_unmet(t, lane))
    return bool(scan[CLASS] == ERROR_REPLY)


@inner
def is_read_only(t: Tables, lane: int) -> bool:
    """Whether the server refuses because it takes no writes: a primary that has become a replica."""
    scan = t.scans[lane]
    if t.settings[PROTOCOL] == POSTGRES:
        return bool(scan[CODE] == READ_ONLY_TRANSACTION)
    if t.settings[PROTOCOL] != RESP or scan[TEXT] < len(READ_ONLY_TEXT):
        return False
    same = START
    for offset in range(len(READ_ONLY_TEXT)):
        same += t.texts[lane, offset] == READ_ONLY_TEXT[offset]
    return bool(same == len(READ_ONLY_TEXT))


@inner
def is_outdated(t: Tables, lane: int) -> bool:
    """Whether the server refuses a statement whose result has other columns than when it was prepared."""
    row = t.lanes[lane]
    is_plain = row[PREPARING] == 0 and row[UNDOING] == 0 and t.steps[row[STEP], T_PREPARE] >= 0
    return bool(is_plain and t.scans[lane, postgres.OUTDATED] == 1)


@inner
def note_failure(t: Tables, lane: int, operation: int) -> None:
    """Remember that the operation failed: for a retry where that may help, else with its text."""
    row, scan = t.lanes[lane], t.scans[lane]
    if t.settings[PROTOCOL] == POSTGRES and is_outdated(t, lane):
        row[STALE] = row[STEP] + 1
        if scan[postgres.TRANSACTION] == IDLE:
            return  # prepared again, and then asked again
    row[FAILED] = 1
    if t.settings[PROTOCOL] == POSTGRES:
        is_serialization = scan[CODE] == SERIALIZATION_FAILURE
        is_deadlock = scan[CODE] == DEADLOCK_DETECTED
        t.gauges[SERIALIZATION_FAILURES] += is_serialization
        t.gauges[DEADLOCKS] += is_deadlock
        if (is_serialization or is_deadlock) and row[TRIES] < t.settings[RETRIES]:
            row[RETRYING] = 1
            return
    kept = scan[http.KEPT] if t.settings[PROTOCOL] == HTTP else START
    record_error(t, name_of(t, lane, operation), lane, scan[TEXT], kept)


@inner
def count_answer(t: Tables, lane: int, row: int) -> None:
    """Count what a reply without an error brought: its lookups in Redis, its statements in Postgres."""
    scan = t.scans[lane]
    if t.settings[PROTOCOL] == POSTGRES:
        t.answers[row, FOUND] += scan[HITS]
        t.answers[row, MISSED] += scan[MISSES]
        return
    step = t.steps[t.lanes[lane, STEP]]
    kind = t.lookups[step[T_LOOKUP] + step[T_REPLIES] - t.lanes[lane, REPLIES_LEFT]]
    if kind == LOOKUP_EACH:
        t.answers[row, FOUND] += scan[HITS]
        t.answers[row, MISSED] += scan[MISSES]
    elif kind != NO_LOOKUP:
        t.answers[row, FOUND if scan[HITS] > 0 else MISSED] += 1


@inner
def to_next_flight(t: Tables, lane: int) -> None:
    """The request at the head is over; the one behind it, if there is one, is the head."""
    row = t.lanes[lane]
    row[HEAD] = (row[HEAD] + 1) % t.settings[PIPELINE]
    row[COUNT] -= 1
    t.gauges[IN_FLIGHT] -= 1
    row[FAILED] = 0
    row[MOVED] = 0
    if row[COUNT] > 0:
        entry = t.flights[lane, row[HEAD]]
        row[STEP_SENT] = entry[SENT]
        row[STEP] = t.operations[entry[ROW] % t.settings[OPERATION_COUNT], STEP_FIRST]
        row[REPLIES_LEFT] = replies_of(t, row[STEP], entry)


@inner
def is_redirected(t: Tables, lane: int, entry: NDArray[np.int64], has_erred: bool, now: int) -> bool:
    """Whether a reply of a cluster names another node, and that is all: the request is sent again once all of
    its replies have said so. Where only some have, part of it was carried out: it has failed.
    """
    row, scan = t.lanes[lane], t.scans[lane]
    kind = kind_of_redirection(t, lane, entry, now) if has_erred else NOT_MOVED
    replies = t.steps[row[STEP], T_REPLIES]
    answered = replies - row[REPLIES_LEFT]
    if kind == NOT_MOVED or answered != row[MOVED] or (kind == ASK_ONCE and replies > 1):
        if row[MOVED] > 0 and row[FAILED] == 0:
            row[FAILED] = 1
            if not has_erred:
                for offset in range(len(MOVED_TEXT)):
                    t.texts[lane, offset] = MOVED_TEXT[offset]
                record_error(t, entry[ROW] % t.settings[OPERATION_COUNT], lane, len(MOVED_TEXT), START)
        return False
    row[MOVED] += 1
    row[REPLIES_LEFT] -= 1
    if row[REPLIES_LEFT] > 0:
        return True
    entry[UNREAD] += unread_by_stall(t.state, row[STEP_SENT])
    redirect(t, lane, entry, kind, now)
    to_next_flight(t, lane)
    if scan[ENDS] == 1:
        part_with_lane(t, lane, CLOSED)
    elif row[LEAVING] != 0 and row[COUNT] == 0:
        part_with_lane(t, lane, row[LEAVING])
    return True


@inner
def on_reply(t: Tables, lane: int, now: int) -> None:
    """One reply of a request lane is complete; its state tells of what class."""
    row, scan = t.lanes[lane], t.scans[lane]
    if scan[CLASS] == PUSH_REPLY:
        return
    if row[COUNT] == 0 and scan[ENDS] == 1:
        part_with_lane(t, lane, CLOSED)  # a server that closes an idle connection may say so first (HTTP 408)
        return
    if row[COUNT] == 0:
        # Whatever it answers, the next answer on this lane could no longer be told apart from it.
        t.gauges[STRAY_REPLIES] += 1
        lose_lane(t, lane, now)
        return
    entry = t.flights[lane, row[HEAD]]
    operation = entry[ROW] % t.settings[OPERATION_COUNT]
    if t.settings[PROTOCOL] == HTTP:
        t.answers[entry[ROW] - operation + name_of(t, lane, operation), scan[CODE]] += 1
    if entry[HOPS] & 1 == 1 and row[REPLIES_LEFT] > t.steps[row[STEP], T_REPLIES]:
        row[REPLIES_LEFT] -= 1  # to ASKING; what it refuses, the request behind it is refused too
        return
    has_erred = is_failure(t, lane)
    if t.settings[GROUPS] > 0 and is_redirected(t, lane, entry, has_erred, now):
        return
    if has_erred and renewed(t, lane, entry, now):
        return
    if has_erred:
        note_failure(t, lane, operation)
        if is_read_only(t, lane):
            row[LEAVING] = LEFT_READ_ONLY
    elif t.settings[PROTOCOL] != HTTP:
        count_answer(t, lane, entry[ROW])
        t.gauges[NULL_REPLIES] += scan[CLASS] == NULL_REPLY
    t.gauges[ROWS_RECEIVED] += scan[ROWS]
    row[REPLIES_LEFT] -= 1
    if row[REPLIES_LEFT] > 0:
        return
    unread = unread_by_stall(t.state, row[STEP_SENT])
    entry[UNREAD] += unread
    end_step(t, lane, entry, ERROR if row[FAILED] == 1 else OK, now, unread)
    if must_reconnect(t, lane, operation):
        return
    if go_on(t, lane, operation, entry, now):
        return
    note_answered(t, lane, entry, now)
    if row[FAILED] == 1:
        note_uncertain(t, lane, entry[ARRIVAL])
    has_failed = row[FAILED] == 1
    record_end(t, entry, ERROR if has_failed else OK, now, lane)
    to_next_flight(t, lane)
    if scan[ENDS] == 1:
        part_with_lane(t, lane, CLOSED)
    elif has_failed and must_log_in(t, lane):
        part_with_lane(t, lane, LOGGED_OUT)
    elif row[LEAVING] != 0 and row[COUNT] == 0:
        part_with_lane(t, lane, row[LEAVING])


@inner
def scan_some(t: Tables, lane: int, at: int, size: int) -> int:
    """Give received[at:size] to the protocol's scanner; return the position after what it used."""
    scan = t.scans[lane]
    protocol = t.settings[PROTOCOL]
    if protocol == POSTGRES:
        return postgres.scan(scan, t.received, at, size, t.texts[lane])
    if protocol == HTTP:
        facts = t.steps[t.lanes[lane, STEP]]
        start, end = facts[T_NEEDLE_START], facts[T_NEEDLE_END]
        needle, links = t.needles[start:end], t.needle_links[start:end]
        if facts[T_WANT_END] > facts[T_WANT_FIRST]:
            search = search_of(t, lane)
            return http.scan_wanted(
                scan, t.received, at, size, t.texts[lane], needle, links, facts[T_HEAD_ONLY], search
            )
        return http.scan(scan, t.received, at, size, t.texts[lane], needle, links, facts[T_HEAD_ONLY])
    element = PAYLOAD_ELEMENT if lane >= t.settings[LANES] else NO_ELEMENT
    return resp.scan(scan, t.received, at, size, t.texts[lane], element)


@inner
def say_why(t: Tables, lane: int, why: int) -> None:
    """Count the reason for which everything in flight on a lane is about to be RESET."""
    row, text = t.lanes[lane], t.texts[lane]
    if row[COUNT] == 0:
        return
    for offset in range(TEXT_BYTES):
        text[offset] = SPELLED[why, offset]
    for place in range(row[COUNT]):
        flight = t.flights[lane, (row[HEAD] + place) % t.settings[PIPELINE]]
        operation = flight[ROW] % t.settings[OPERATION_COUNT]
        # Behind the first of them none has begun.
        record_error(t, name_of(t, lane, operation) if place == 0 else operation, lane, SIZES[why], START)


@inner
def on_closed(t: Tables, lane: int, now: int) -> None:
    """The server closed the connection, which may be how it ends its answer, or comes after a last word."""
    scan = t.scans[lane]
    if t.lanes[lane, COUNT] > 0 and t.settings[PROTOCOL] == HTTP and http.at_eof(scan):
        scan[ENDS] = 1
        on_reply(t, lane, now)
    else:
        give_up_lane(t, lane, CLOSED_EARLY, now)


@inner
def give_up_lane(t: Tables, lane: int, why: int, now: int) -> None:
    """Lose a lane that the server ended; an error that it sent before is the reason."""
    row, scan = t.lanes[lane], t.scans[lane]
    if row[COUNT] > 0 and scan[CLASS] == ERROR_REPLY and scan[TEXT] > 0:
        operation = t.flights[lane, row[HEAD], ROW] % t.settings[OPERATION_COUNT]
        record_error(t, name_of(t, lane, operation), lane, scan[TEXT], START)
    else:
        say_why(t, lane, why)
    lose_lane(t, lane, now)


@inner
def on_readable(t: Tables, lane: int, looked: int) -> int:
    """Read once and scan all of it; return the time of the read, from run zero.

    `looked` is when the loop last read the clock.
    """
    row, scan = t.lanes[lane], t.scans[lane]
    size = receive_on(row[FD], row[SESSION], t.received)
    now = now_ns(t.scratch) - t.control[START_NS]
    note_gap(t.state, t.gauges, looked, now)
    if size <= 0:
        if size == 0:
            on_closed(t, lane, now)
        elif size not in (-EAGAIN, -EINTR):
            give_up_lane(t, lane, why_of(size), now)
        return now
    t.gauges[BYTES_RECEIVED] += size
    subscriber = lane >= t.settings[LANES]
    at = START
    while at < size:
        at = scan_some(t, lane, at, size)
        if scan[RESULT] == COMPLETE:
            if subscriber:
                on_message(t, lane, scan[TEXT], now)
            else:
                on_reply(t, lane, now)
                if row[FD] < 0:
                    return now
            reset(scan)
        elif scan[RESULT] == BROKEN:
            t.gauges[BROKEN_REPLIES] += 1
            say_why(t, lane, scan[WHY])
            lose_lane(t, lane, now)
            return now
    if row[COUNT] == 0 and t.settings[PROTOCOL] == POSTGRES and scan[CLASS] == ERROR_REPLY:
        lose_lane(t, lane, now)  # an error that nobody asked for is the last word of a server that goes
        return now
    if not subscriber and row[COUNT] < t.settings[PIPELINE]:
        fill_lane(t, lane, now)
    return now
