"""The end of an arrival, sent or never sent: one outcome, its times into the histograms, at most one log
record.
"""

import numpy as np
from numpy.typing import NDArray

from bench.core import histogram
from bench.core.histogram import HIGHEST_NS
from bench.core.jit import compiled, inner, int64
from bench.core.outcome import Outcome
from bench.engine.wire.arrivals import any_lane_connected, catch_up, next_record, take_head
from bench.engine.wire.lateness import owed_unsent
from bench.engine.wire.layout import (
    ARRIVAL,
    BUSY_NS,
    CLOSED,
    DEADLINE_NS,
    DURATION_NS,
    FIRST_LANE,
    IDEAL,
    KEY,
    LAG,
    LATENESS,
    LOG_FULL,
    LOG_LENGTH,
    LOG_WORDS,
    LOGGING,
    NET,
    NEXT_PLANNED,
    OPERATION_COUNT,
    PLAN_ENDED,
    PLANNED,
    RESPONSE,
    ROW,
    SATURATED,
    SENT,
    SERVICE,
    SERVICE_NET,
    STEP,
    STEP_SENT,
    T_NAME,
    UNREAD,
    WAITING,
    Tables,
)
from bench.protocols.wants.state import CLASS, SIZE, TEXT

_ZERO, _NINE, _UPPER_A, _UPPER_Z, _LOWER_A, _LOWER_Z, _SPACE, _VALUE = b"09AZaz #"
_DOT, _COLON, _HYPHEN, _ASTERISK = b".:-*"
LEAST_HIDDEN = 6
"""A shorter value is no secret, and its letters may stand anywhere."""
_HTTP = np.array(list(b"HTTP "), dtype=np.uint8)
CODE_BYTES = 5
"""Length of a SQLSTATE, as of the words MOVED and ERROR: kept where a blank follows."""


@inner
def _is_digit(byte: int) -> bool:
    return _ZERO <= byte <= _NINE


@inner
def _is_of_run(byte: int) -> bool:
    is_letter = _UPPER_A <= byte <= _UPPER_Z or _LOWER_A <= byte <= _LOWER_Z
    return is_letter or _ZERO <= byte <= _NINE


@inner
def _code_size(text: NDArray[np.uint8], size: int) -> int:
    """How much of the beginning is a code, which is no value."""
    if size <= CODE_BYTES:
        return 0
    is_http = True
    for place in range(CODE_BYTES):
        is_http = is_http and text[place] == _HTTP[place]
    if is_http:
        return size
    for place in range(CODE_BYTES):
        byte = text[place]
        if not (_is_digit(byte) or _UPPER_A <= byte <= _UPPER_Z):
            return 0
    return CODE_BYTES + 1 if text[CODE_BYTES] == _SPACE else 0


@compiled
def write_kind(text: NDArray[np.uint8], size: int, kind: NDArray[np.uint8]) -> int:
    """Write the kind of text[:size] to `kind`, which is at least as long; return its length."""
    at = _code_size(text, size)
    end = 0
    while end < at:
        kind[end] = text[end]
        end += 1
    while at < size:
        begin, has_digit = at, False
        while at < size:
            byte = text[at]
            is_joint = byte in (_DOT, _COLON, _HYPHEN) and at > begin
            if is_joint:
                is_joint = at + 1 < size and _is_of_run(text[at + 1])
            if not is_joint and not _is_of_run(byte):
                break
            has_digit = has_digit or _is_digit(byte)
            at += 1
        if has_digit:
            kind[end] = _VALUE
            end += 1
        else:
            for place in range(begin, at):
                kind[end] = text[place]
                end += 1
        if at == begin:
            kind[end] = text[at]
            end += 1
            at += 1
    return end


bucket_of = compiled(histogram.bucket_of)

OK, ERROR, TIMEOUT, RESET, REFUSED, DROPPED = (int64(outcome) for outcome in Outcome)
"""The values of Outcome for compiled code."""

NEVER = int64(-1)
"""Stands for the time of a send that did not happen, and for its lane."""


@inner
def add_value(t: Tables, row: int, kind: int, outcome: int, value_ns: int) -> None:
    """Count one value; one beyond the range is counted at its end, and the fact counted too."""
    if value_ns > HIGHEST_NS:
        value_ns = HIGHEST_NS
        t.gauges[SATURATED] += 1
    t.counts[row, kind, outcome, bucket_of(max(value_ns, 0))] += 1


@inner
def add_pair(
    t: Tables, row: int, kind: int, other_kind: int, outcome: int, value_ns: int, other_ns: int
) -> None:
    """Count a value of each of two kinds that are mostly equal: then its bucket is looked up once."""
    if value_ns != other_ns or value_ns > HIGHEST_NS:
        add_value(t, row, kind, outcome, value_ns)
        add_value(t, row, other_kind, outcome, other_ns)
        return
    bucket = bucket_of(max(value_ns, 0))
    t.counts[row, kind, outcome, bucket] += 1
    t.counts[row, other_kind, outcome, bucket] += 1


@inner
def record_end(t: Tables, entry: NDArray[np.int64], outcome: int, done: int, lane: int) -> None:
    """Record the end of a sent arrival; a failed one is charged no less than the deadline.

    Net is what is left of a time without the generator's own lateness: sent too late, read too late.
    """
    planned, sent, row, unread = entry[PLANNED], entry[SENT], entry[ROW], entry[UNREAD]
    own = sent - entry[IDEAL] + unread
    response = done - planned
    net = response - own
    if outcome != OK:
        response = max(response, t.settings[DEADLINE_NS])
        net = max(net, t.settings[DEADLINE_NS])
    add_pair(t, row, RESPONSE, NET, outcome, response, net)
    add_pair(t, row, SERVICE, SERVICE_NET, outcome, done - sent, done - sent - unread)
    add_pair(t, row, LAG, LATENESS, outcome, sent - planned, own)
    t.tallies[row, outcome] += 1
    t.gauges[BUSY_NS] += max(min(done, t.settings[DURATION_NS]) - sent, 0)
    if t.settings[LOGGING] == 1:
        log_end(t, entry, sent, done, outcome, lane)


@inner
def name_of(t: Tables, lane: int, operation: int) -> int:
    """What a lane's present round trip is counted as: a name of the program."""
    name = t.steps[t.lanes[lane, STEP], T_NAME]
    return int(name) if name >= 0 else operation


@inner
def end_step(t: Tables, lane: int, entry: NDArray[np.int64], outcome: int, now: int, unread: int) -> None:
    """Record the end of a round trip that is counted by itself; `unread`: how long its answer lay there."""
    name = t.steps[t.lanes[lane, STEP], T_NAME]
    if name >= 0:
        row = entry[ROW] - entry[ROW] % t.settings[OPERATION_COUNT] + name
        service = now - t.lanes[lane, STEP_SENT]
        add_pair(t, row, SERVICE, SERVICE_NET, outcome, service, service - unread)
        t.tallies[row, outcome] += 1


@inner
def record_unsent(t: Tables, entry: NDArray[np.int64], outcome: int, now: int, own: int) -> None:
    """Record the end of an arrival that was never sent; charged no less than the deadline.

    `own` is what of that the generator owes it.
    """
    row = entry[ROW]
    response = max(now - entry[PLANNED], t.settings[DEADLINE_NS])
    add_value(t, row, RESPONSE, outcome, response)
    add_value(t, row, NET, outcome, response - own)
    if own > 0:
        add_value(t, row, LATENESS, outcome, own)
    t.tallies[row, outcome] += 1
    if t.settings[LOGGING] == 1:
        log_end(t, entry, NEVER, now, outcome, NEVER)


@inner
def log_end(t: Tables, entry: NDArray[np.int64], sent: int, done: int, outcome: int, lane: int) -> None:
    """Append one record of layout.LOG_RECORD to the operation log."""
    length = next_record(t)
    if length >= t.log.shape[0]:
        t.gauges[LOG_FULL] += 1
        return
    record = t.log[length]
    record[0] = entry[PLANNED]
    record[1] = sent
    record[2] = done
    record[3] = entry[ARRIVAL]
    record[4] = entry[KEY]
    operation = entry[ROW] % t.settings[OPERATION_COUNT]
    phase = entry[ROW] // t.settings[OPERATION_COUNT]
    if lane >= 0:
        lane += t.settings[FIRST_LANE]
    record[LOG_WORDS - 1] = operation | phase << 16 | (lane & 0xFFFF) << 32 | outcome << 48
    t.gauges[LOG_LENGTH] += 1


@inner
def is_text(row: NDArray[np.uint8], text: NDArray[np.uint8], size: int) -> bool:
    """Whether a NUL-padded row holds exactly text[:size]."""
    same = True
    for offset in range(row.size):
        same = same and row[offset] == (text[offset] if offset < size else 0)
    return same


@compiled
def hide(text: NDArray[np.uint8], size: int, value: NDArray[np.uint8], value_size: int) -> None:
    """Write asterisks over a captured value wherever it stands in text[:size], be it cut by the end."""
    for start in range(size - LEAST_HIDDEN + 1):
        common = min(value_size, size - start)
        is_there = common >= LEAST_HIDDEN
        for place in range(common):
            is_there = is_there and text[start + place] == value[place]
        if is_there:
            for place in range(common):
                text[start + place] = _ASTERISK


@inner
def record_error(t: Tables, operation: int, lane: int, size: int, body_size: int) -> None:
    """Count an error text under the slot of its kind, or a free one; the last takes the rest.

    Of an answer whose error is new, the first `body_size` bytes of its body stand behind the text.
    """
    slots, width = t.errors.shape
    text, size = t.texts[lane], min(size, width)
    kind_size = write_kind(text, size, t.kind_text)
    for slot in range(slots):
        if slot == slots - 1:
            break  # the last slot stands for all other texts
        if t.error_counts[slot].sum() == 0:
            for offset in range(size):
                t.examples[slot, offset] = text[offset]
            for offset in range(kind_size):
                t.errors[slot, offset] = t.kind_text[offset]
            for offset in range(body_size):
                t.bodies[slot, offset] = text[width + offset]
            for cell in range(t.captured.shape[1]):
                fact = t.captured_facts[lane, cell]
                if fact[CLASS] == TEXT:
                    hide(t.bodies[slot], body_size, t.captured[lane, cell], fact[SIZE])
            break
        if is_text(t.errors[slot], t.kind_text, kind_size):
            if not is_text(t.examples[slot], text, size):
                t.varied[slot] = 1
            break
    t.error_counts[slot, operation] += 1


ONE, NOTHING_OWED, NO_GROUP = int64(1), int64(0), int64(0)


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
        record_unsent(t, entry, DROPPED, now, owed_unsent(t, entry[PLANNED], now, NO_GROUP))
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
