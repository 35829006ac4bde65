"""Replies of the PostgreSQL frontend/backend protocol 3 as a streaming scanner over uint8 arrays.

A reply is everything up to and including ReadyForQuery, which answers the Sync (or the simple query)
that ended the request. Of a reply nothing is copied but its first error: the SQLSTATE, a space and
the head of the message (bench.protocols.state).

Notices, changed parameters and notifications are sent whenever the server likes, also between two
replies. They complete nothing; `is_fresh` tells a state that has read nothing else.

COPY, authentication and a negotiation of the version need answers that a lane does not give: they
are BROKEN here, as is every type and length that the protocol does not have.

Specification: PostgreSQL documentation, "Frontend/Backend Protocol", message formats and error and
notice message fields (versions 3.0 and 3.2 differ only in the length of BackendKeyData).
"""

import numpy as np
from numpy.typing import NDArray

from bench.core.jit import compiled, inner
from bench.protocols.state import (
    CLASS,
    CODE,
    COMPLETE,
    COPY_STARTED,
    ERROR_REPLY,
    ERROR_UNENDED,
    FIRST_OWN_COLUMN,
    HITS,
    MESSAGE_LENGTH_INVALID,
    MESSAGE_UNKNOWN,
    MISSES,
    MORE,
    RESULT,
    ROWS,
    STATUS_UNKNOWN,
    TEXT,
    TEXT_BYTES,
    break_off,
)

# Columns of the state row (int64) after the common ones.
# TRANSACTION: status byte of ReadyForQuery (I idle, T in a transaction, E in a failed one).
# SOLICITED: 1 once a message was met that the server sends only as an answer.
# HEADER: bytes read of the present header. LEFT: bytes to come of the present body.
# FIELD: type of the error field being read, 0 between fields. KEPT: 1 inside the error that is kept.
# CODE_BYTES, MESSAGE_BYTES: how much of it is in the text already.
# ROUTINE: bytes of the error's routine that agree with the one which finds a statement out of date, -1 when
# one does not. OUTDATED: 1 where the kept error is that one.
# WORD_NUMBER: 1 + the number that the present word of a command's tag is so far, 0 when it is none.
(
    TRANSACTION,
    SOLICITED,
    TYPE,
    HEADER,
    LENGTH,
    LEFT,
    FIELD,
    KEPT,
    CODE_BYTES,
    MESSAGE_BYTES,
    WORD_NUMBER,
    ROUTINE,
    OUTDATED,
) = range(FIRST_OWN_COLUMN, FIRST_OWN_COLUMN + 13)

HEADER_BYTES = 5
SQLSTATE_BYTES = 5
MESSAGE_AT = SQLSTATE_BYTES + 1
"""Where the message begins in the text."""

MAX_LENGTH = 1 << 30
"""No message of a server is longer; more means that the bytes are none of the protocol."""

# Bytes of the protocol, written as the letters that its specification gives them.
IDLE, IN_TRANSACTION, FAILED_TRANSACTION = b"ITE"
_DATA_ROW, _ERROR, _READY, _COMMAND_COMPLETE = b"DEZC"
_SQLSTATE_FIELD, _MESSAGE_FIELD, _ROUTINE_FIELD, _OTHER_FIELD = b"CMR?"
_OUTDATED_ROUTINE = np.array(list(b"RevalidateCachedQuery"), dtype=np.int64)
"""Where the server raises "cached plan must not change result type": the text may be in any language."""
_SPACE, _UNKNOWN, _ZERO, _NINE = b" ?09"
_MOST_ROWS = 1 << 56
_ASYNCHRONOUS = tuple(b"NSA")  # notice, parameter status, notification
_WITHOUT_BODY = tuple(b"123Ins")  # parse, bind, close complete; empty query, no data, portal suspended
_COPY = tuple(b"GHW")  # copy in, out, both
_WITH_BODY = tuple(b"DCTtEZK")  # row, command complete, descriptions, error, ready, key data


def pack_sqlstate(text: str) -> int:
    """Return a SQLSTATE as the number that state[CODE] holds: its characters in base 256."""
    return int.from_bytes(text.encode("latin-1"), "big")


_NOT_SUPPORTED = pack_sqlstate("0A000")


@compiled
def is_fresh(state: NDArray[np.int64]) -> bool:
    """Whether nothing but asynchronous messages was read since the last reset."""
    return state[SOLICITED] == 0


@inner
def _on_type(state: NDArray[np.int64], kind: np.int64) -> None:
    """The first byte of a message."""
    state[TYPE] = kind
    if kind in _ASYNCHRONOUS:
        return
    state[SOLICITED] = 1
    if kind in _COPY:
        break_off(state, COPY_STARTED)
    elif kind not in _WITHOUT_BODY and kind not in _WITH_BODY:
        break_off(state, MESSAGE_UNKNOWN)


@inner
def _on_length(state: NDArray[np.int64], length: np.int64, text: NDArray[np.uint8]) -> None:
    """A header is complete; the length counts itself but not the type."""
    kind = state[TYPE]
    state[LEFT] = length - 4
    if kind == _DATA_ROW:
        is_possible = 6 <= length <= MAX_LENGTH
        state[ROWS] += 1
    elif kind in _WITHOUT_BODY:
        is_possible = length == 4
    elif kind == _READY:
        is_possible = length == 5
    else:
        is_possible = 5 <= length <= MAX_LENGTH
    if not is_possible:
        break_off(state, MESSAGE_LENGTH_INVALID)
    elif kind == _ERROR:
        state[FIELD] = 0
        # Of several errors the first one's text is kept: it names the cause.
        state[KEPT] = state[CLASS] != ERROR_REPLY
        state[CLASS] = ERROR_REPLY
        if state[KEPT] == 1:
            for place in range(SQLSTATE_BYTES):
                text[place] = _UNKNOWN
            text[SQLSTATE_BYTES] = _SPACE


@inner
def _read_header(
    state: NDArray[np.int64], data: NDArray[np.uint8], at: int, end: int, text: NDArray[np.uint8]
) -> int:
    """Read what there is of a type and a length; return the position behind it."""
    if state[HEADER] == 0:
        _on_type(state, np.int64(data[at]))
        at += 1
        if state[RESULT] != MORE:
            return at
        if end - at >= 4:
            length = np.int64(data[at]) << 24
            length |= np.int64(data[at + 1]) << 16
            length |= np.int64(data[at + 2]) << 8
            length |= np.int64(data[at + 3])
            _on_length(state, length, text)
            return at + 4
        state[HEADER] = 1
        state[LENGTH] = 0
    while at < end and state[HEADER] < HEADER_BYTES:
        state[LENGTH] = state[LENGTH] << 8 | np.int64(data[at])
        state[HEADER] += 1
        at += 1
    if state[HEADER] == HEADER_BYTES:
        state[HEADER] = 0
        _on_length(state, state[LENGTH], text)
    return at


@inner
def _on_error_byte(state: NDArray[np.int64], byte: np.int64, text: NDArray[np.uint8]) -> None:
    """One byte of an ErrorResponse: fields of a type and a text, each ended by 0, and a 0 after the last."""
    if state[FIELD] == 0:
        if byte == 0:
            if state[LEFT] > 0:
                break_off(state, ERROR_UNENDED)
            elif state[KEPT] == 1:
                message = state[MESSAGE_BYTES]
                state[TEXT] = MESSAGE_AT + message if message > 0 else SQLSTATE_BYTES
            return
        state[FIELD] = _OTHER_FIELD
        # A field that comes twice counts once.
        if (byte == _SQLSTATE_FIELD and state[CODE_BYTES] == 0) or (
            byte == _MESSAGE_FIELD and state[MESSAGE_BYTES] == 0
        ):
            state[FIELD] = byte
        elif byte == _ROUTINE_FIELD:
            state[FIELD] = byte
            state[ROUTINE] = 0
    elif byte == 0:
        if state[FIELD] == _ROUTINE_FIELD and state[KEPT] == 1:
            state[OUTDATED] = state[CODE] == _NOT_SUPPORTED and state[ROUTINE] == _OUTDATED_ROUTINE.size
        state[FIELD] = 0
    elif state[KEPT] == 1:
        if state[FIELD] == _SQLSTATE_FIELD and state[CODE_BYTES] < SQLSTATE_BYTES:
            text[state[CODE_BYTES]] = byte
            state[CODE] = state[CODE] << 8 | byte
            state[CODE_BYTES] += 1
        elif state[FIELD] == _MESSAGE_FIELD and state[MESSAGE_BYTES] < TEXT_BYTES - MESSAGE_AT:
            text[MESSAGE_AT + state[MESSAGE_BYTES]] = byte
            state[MESSAGE_BYTES] += 1
        elif state[FIELD] == _ROUTINE_FIELD and state[ROUTINE] >= 0:
            place = state[ROUTINE]
            agrees = place < _OUTDATED_ROUTINE.size and _OUTDATED_ROUTINE[place] == byte
            state[ROUTINE] = place + 1 if agrees else -1
    if state[LEFT] == 0:
        break_off(state, ERROR_UNENDED)  # the body ended inside a field or without its last 0


@inner
def _on_tag_byte(state: NDArray[np.int64], byte: np.int64) -> None:
    """One byte of a command's tag, such as `INSERT 0 5`: its last word is how many rows it touched."""
    if byte == 0:
        if state[WORD_NUMBER] > 1:
            state[HITS] += 1
        elif state[WORD_NUMBER] == 1:
            state[MISSES] += 1
        state[WORD_NUMBER] = 0
    elif byte == _SPACE:
        state[WORD_NUMBER] = 1
    elif _ZERO <= byte <= _NINE and state[WORD_NUMBER] > 0:
        state[WORD_NUMBER] = min((state[WORD_NUMBER] - 1) * 10 + (byte - _ZERO), _MOST_ROWS) + 1
    else:
        state[WORD_NUMBER] = 0


@inner
def _on_ready(state: NDArray[np.int64], status: np.int64) -> None:
    """The server is ready for the next request: the reply ends here."""
    state[TRANSACTION] = status
    if status in (IDLE, IN_TRANSACTION, FAILED_TRANSACTION):
        state[RESULT] = COMPLETE
    else:
        break_off(state, STATUS_UNKNOWN)


@compiled
def scan(
    state: NDArray[np.int64], data: NDArray[np.uint8], start: int, end: int, text: NDArray[np.uint8]
) -> int:
    """Read data[start:end] until one reply ends; return the position after the last byte used.

    state[RESULT] says MORE, COMPLETE or BROKEN; after COMPLETE the caller resets the state. ROWS are
    counted, and the statements whose tag says that they touched rows (HITS) or none (MISSES). An error,
    wherever in the reply, makes state[CLASS] ERROR_REPLY, and at its own end, long before the reply's,
    state[CODE] is its SQLSTATE (pack_sqlstate) and state[TEXT] bytes of `text` (at least TEXT_BYTES long)
    say what it is: a server that gives up sends no more than that.
    """
    at = start
    while at < end and state[RESULT] == MORE:
        if state[LEFT] == 0:
            at = _read_header(state, data, at, end, text)
        elif state[TYPE] == _ERROR:
            state[LEFT] -= 1
            _on_error_byte(state, np.int64(data[at]), text)
            at += 1
        elif state[TYPE] == _COMMAND_COMPLETE:
            state[LEFT] -= 1
            _on_tag_byte(state, np.int64(data[at]))
            at += 1
        elif state[TYPE] == _READY:
            state[LEFT] = 0
            _on_ready(state, np.int64(data[at]))
            at += 1
        else:
            size = min(state[LEFT], end - at)
            state[LEFT] -= size
            at += size
    return at


# Columns of a frame: where `keep` is in a stream of messages.
FRAME_HEADER, FRAME_TYPE, FRAME_LENGTH, FRAME_LEFT, FRAME_KEPT, FRAME_DROPPED = range(6)
FRAME_COLUMNS = 6


@compiled
def keep(
    frame: NDArray[np.int64], data: NDArray[np.uint8], end: int, most: int, kept: NDArray[np.uint8]
) -> int:
    """Copy the messages of data[:end] to the start of `kept`, but rows only while frame[FRAME_KEPT] bytes are
    not more than `most`; return how many bytes that is.

    A header in pieces is copied with its last byte, so `kept` is HEADER_BYTES longer than the data.
    """
    at = size = 0
    while at < end:
        if frame[FRAME_LEFT] == 0:
            if frame[FRAME_HEADER] == 0:
                frame[FRAME_TYPE] = data[at]
                frame[FRAME_LENGTH] = 0
            else:
                frame[FRAME_LENGTH] = frame[FRAME_LENGTH] << 8 | np.int64(data[at])
            frame[FRAME_HEADER] += 1
            at += 1
            if frame[FRAME_HEADER] < HEADER_BYTES:
                continue
            frame[FRAME_HEADER] = 0
            frame[FRAME_LEFT] = frame[FRAME_LENGTH] - 4
            is_over = frame[FRAME_KEPT] + frame[FRAME_LENGTH] > most
            frame[FRAME_DROPPED] = frame[FRAME_TYPE] == _DATA_ROW and is_over
            if frame[FRAME_DROPPED] == 0:
                kept[size] = frame[FRAME_TYPE]
                for place in range(4):
                    kept[size + 1 + place] = frame[FRAME_LENGTH] >> (24 - 8 * place) & 0xFF
                size += HEADER_BYTES
                frame[FRAME_KEPT] += HEADER_BYTES
            continue
        more = min(frame[FRAME_LEFT], end - at)
        if frame[FRAME_DROPPED] == 0:
            for place in range(more):
                kept[size + place] = data[at + place]
            size += more
            frame[FRAME_KEPT] += more
        frame[FRAME_LEFT] -= more
        at += more
    return size
