"""RESP2 and RESP3 as a streaming scanner over uint8 arrays.

Of a reply nothing is copied but the first bytes of an error and, for a subscriber, the head of a
message (bench.protocols.state).

Nesting needs no stack: an aggregate of n elements is n more values to come, so a counter of pending
values reaches zero exactly at the end of the outermost one. Attributes (`|`) come before the value
they describe and leave it pending. Push messages (`>`) answer no request; the scanner says so and
the engine does not count them as a reply.

Specification: redis.io "Redis serialization protocol specification" (RESP2 and RESP3). Streamed
aggregates (`*?`, `$?`) are not sent by any server and are a protocol error here.
"""

import numpy as np
from numpy.typing import NDArray

from bench.core.jit import compiled
from bench.protocols.state import (
    BULK_END_MISSING,
    CLASS,
    COMPLETE,
    ERROR_REPLY,
    FIRST_OWN_COLUMN,
    HITS,
    LENGTH_INVALID,
    LINE_END_MISSING,
    MISSES,
    MORE,
    NULL_REPLY,
    PUSH_REPLY,
    RESP_TYPE_UNKNOWN,
    RESULT,
    TEXT,
    TEXT_BYTES,
    break_off,
)

# Columns of the state row (int64) after the common ones.
# OUTER: 1 while at the reply itself, 0 inside it. KEPT: 1 inside the error whose text is kept.
STEP, PENDING, TYPE, NUMBER, SIGN, SKIP, ELEMENT, DIGITS, TOP, OUTER, KEPT = range(
    FIRST_OWN_COLUMN, FIRST_OWN_COLUMN + 11
)

# STEP
AT_TYPE, IN_NUMBER, IN_LINE, IN_BULK, AT_LINE_FEED, AT_BULK_CR, AT_BULK_LF = range(7)

# An aggregate larger than this is no answer to anything a benchmark asks; it keeps PENDING far from overflow.
MAX_ELEMENTS = 1 << 32
MAX_DIGITS = 18

_CR, _LF, _MINUS, _PLUS = 13, 10, 45, 43
_SIMPLE, _ERROR, _INTEGER, _BULK, _ARRAY = 43, 45, 58, 36, 42
_NULL, _DOUBLE, _BOOLEAN, _BIG_NUMBER, _BULK_ERROR, _VERBATIM = 95, 44, 35, 40, 33, 61
_MAP, _SET, _ATTRIBUTE, _PUSH = 37, 126, 124, 62


@compiled
def _end_value(state: NDArray[np.int64]) -> None:
    """One value ended: the reply is complete when none is pending."""
    state[PENDING] -= 1
    state[ELEMENT] += 1
    state[STEP] = AT_TYPE
    if state[PENDING] == 0:
        state[RESULT] = COMPLETE
    elif state[PENDING] == 1 and state[TOP] == _ATTRIBUTE:
        state[TOP] = 0  # the attributes ended; what they describe comes next and is the reply
        state[ELEMENT] = 0
        state[HITS] = 0
        state[MISSES] = 0


@compiled
def _on_type(state: NDArray[np.int64], byte: int) -> None:
    """The first byte of a value."""
    state[TYPE] = byte
    state[OUTER] = state[TOP] == 0
    if state[OUTER] == 1:
        state[TOP] = byte
        state[PENDING] = 1
        if byte == _NULL:
            state[CLASS] = NULL_REPLY
        elif byte == _PUSH:
            state[CLASS] = PUSH_REPLY
    # An error anywhere in the reply is an error: EXEC answers with an array in which one may stand.
    state[KEPT] = 0
    if byte in (_ERROR, _BULK_ERROR) and state[CLASS] != PUSH_REPLY:
        # Of several errors the first one's text is kept: it names the cause.
        state[KEPT] = state[CLASS] != ERROR_REPLY
        state[CLASS] = ERROR_REPLY
    state[NUMBER] = 0
    state[SIGN] = 1
    state[DIGITS] = 0
    if byte in (_BULK, _ARRAY, _BULK_ERROR, _VERBATIM, _MAP, _SET, _ATTRIBUTE, _PUSH):
        state[STEP] = IN_NUMBER
    elif byte in (_SIMPLE, _ERROR, _INTEGER, _NULL, _DOUBLE, _BOOLEAN, _BIG_NUMBER):
        state[STEP] = IN_LINE
    else:
        break_off(state, RESP_TYPE_UNKNOWN)


@compiled
def _on_length(state: NDArray[np.int64]) -> None:
    """The length line of a bulk or aggregate is complete."""
    length = state[NUMBER] * state[SIGN]
    kind = state[TYPE]
    if state[DIGITS] == 0 or length < -1:
        break_off(state, LENGTH_INVALID)
    elif kind in (_BULK, _BULK_ERROR, _VERBATIM):
        if length == -1:
            if state[OUTER] == 1:
                state[CLASS] = NULL_REPLY
            state[MISSES] += 1
            _end_value(state)
        else:
            state[SKIP] = length
            state[STEP] = IN_BULK if length > 0 else AT_BULK_CR
    elif length == -1:
        if state[OUTER] == 1:
            state[CLASS] = NULL_REPLY
        state[MISSES] += 1
        _end_value(state)
    else:
        if kind in (_MAP, _ATTRIBUTE):
            length *= 2
        if length > MAX_ELEMENTS or state[PENDING] > MAX_ELEMENTS:
            break_off(state, LENGTH_INVALID)
        elif kind == _ATTRIBUTE:
            # The value that it describes is still to come, and may itself be the error or the null.
            state[PENDING] += length
            state[STEP] = AT_TYPE
            if state[TOP] == _ATTRIBUTE and length == 0 and state[PENDING] == 1:
                state[TOP] = 0
        elif length == 0:
            _end_value(state)
        else:
            state[PENDING] += length - 1
            state[STEP] = AT_TYPE


@compiled
def scan(
    state: NDArray[np.int64],
    data: NDArray[np.uint8],
    start: int,
    end: int,
    text: NDArray[np.uint8],
    text_element: int,
) -> int:
    """Read data[start:end] until one reply ends; return the position after the last byte used.

    state[RESULT] says MORE, COMPLETE or BROKEN; after COMPLETE state[CLASS] says of what class the
    reply is, and the caller resets the state. state[HITS] values of it, at any depth, are not null,
    state[MISSES] are; an empty aggregate has neither. Up to TEXT_BYTES of an error line, or of the bulk that
    is value number `text_element` of the reply (-1: none), are kept in `text`, their count in
    state[TEXT].
    """
    at = start
    while at < end:
        step = state[STEP]
        if step == IN_BULK:
            size = min(state[SKIP], end - at)
            if state[ELEMENT] == text_element or state[KEPT] == 1:
                kept = min(size, TEXT_BYTES - state[TEXT])
                for offset in range(kept):
                    text[state[TEXT] + offset] = data[at + offset]
                state[TEXT] += max(kept, 0)
            state[SKIP] -= size
            at += size
            if state[SKIP] == 0:
                state[STEP] = AT_BULK_CR
            continue
        byte = data[at]
        at += 1
        if step == AT_TYPE:
            _on_type(state, byte)
        elif step == IN_NUMBER:
            if 48 <= byte <= 57:
                state[NUMBER] = state[NUMBER] * 10 + (byte - 48)
                state[DIGITS] += 1
                if state[DIGITS] > MAX_DIGITS:
                    break_off(state, LENGTH_INVALID)
            elif byte == _CR:
                state[STEP] = AT_LINE_FEED
            elif byte == _MINUS and state[DIGITS] == 0 and state[SIGN] == 1:
                state[SIGN] = -1
            else:
                break_off(state, LENGTH_INVALID)
        elif step == IN_LINE:
            if byte == _CR:
                state[STEP] = AT_LINE_FEED
            elif byte == _LF:
                break_off(state, LINE_END_MISSING)
            elif state[KEPT] == 1 and state[TEXT] < TEXT_BYTES:
                text[state[TEXT]] = byte
                state[TEXT] += 1
        elif step == AT_LINE_FEED:
            if byte != _LF:
                break_off(state, LINE_END_MISSING)
            elif state[TYPE] in (_SIMPLE, _ERROR, _INTEGER, _NULL, _DOUBLE, _BOOLEAN, _BIG_NUMBER):
                state[MISSES if state[TYPE] == _NULL else HITS] += 1
                _end_value(state)
            else:
                _on_length(state)
        elif step == AT_BULK_CR:
            if byte == _CR:
                state[STEP] = AT_BULK_LF
            else:
                break_off(state, BULK_END_MISSING)
        elif byte == _LF:
            state[HITS] += 1
            _end_value(state)
        else:
            break_off(state, BULK_END_MISSING)
        if state[RESULT] != MORE:
            break
    return at
