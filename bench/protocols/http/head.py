"""The head of an HTTP/1.x response: its status line and the headers that say where it ends.

All other headers are skipped by their first letter. Names and tokens are compared byte by byte with
the words of the state, so a line may be of any length and be cut anywhere. The value of a header ends
only where the next line begins: a line that begins with a blank goes on with it (obs-fold). The values
are lists. Content-Length is one number, which may be repeated; of Transfer-Encoding and
Content-Encoding only the last coding counts; of Connection `close` and `keep-alive`. Blanks may stand
around an element, not inside it.

Specification: RFC 9110, sections 5.6.1, 7.6.1 and 8.6; RFC 9112, sections 2 to 6.
"""

import numpy as np
from numpy.typing import NDArray

from bench.core.jit import inner
from bench.protocols.http.state import (
    AT_HEAD_LF,
    AT_LINE,
    AT_STATUS_END,
    BEFORE,
    BEHIND,
    BEHIND_NAME,
    CHUNKED,
    CHUNKED_CODING,
    CLOSE,
    CLOSING,
    CODING,
    CONNECTION,
    CONTENT_ENCODING,
    CONTENT_LENGTH,
    ENCODED,
    ENCODING_BYTES,
    HEAD_ENDED,
    HEADER,
    IN_LINE,
    IN_NAME,
    IN_REASON,
    IN_STATUS,
    IN_VALUE,
    INSIDE,
    KEEP_ALIVE,
    KEEPING,
    LENGTH,
    MATCHED,
    MAX_CONTENT_LENGTH,
    MINOR,
    NO_WORD,
    NUMBER,
    OTHER_CODING,
    OTHER_WORD,
    PHASE,
    STEP,
    TRANSFER_ENCODING,
    WORD,
    WORD_BYTES,
    WORDS,
    behind_line_feed,
    lower,
)
from bench.protocols.state import (
    CODE,
    CONTENT_LENGTH_INVALID,
    CONTENT_LENGTHS_DIFFER,
    HEAD_LINE_END,
    MORE,
    NO_STATUS_LINE,
    RESULT,
    TEXT,
    TEXT_BYTES,
    break_off,
)

_TAB, _LF, _CR, _SPACE, _COMMA, _COLON = b"\t\n\r ,:"
_BLANKS = (_SPACE, _TAB, _CR)
_ZERO, _ONE, _NINE = b"019"
_LETTER_C, _LETTER_E, _LETTER_K, _LETTER_N, _LETTER_T = b"ceknt"


@inner
def _end_number(state: NDArray[np.int64]) -> None:
    """An element of Content-Length ended: it must be a number, and the same one each time."""
    length = state[NUMBER] + 1
    if state[PHASE] == BEFORE:
        break_off(state, CONTENT_LENGTH_INVALID)
    elif state[LENGTH] not in (0, length):
        break_off(state, CONTENT_LENGTHS_DIFFER)
    state[LENGTH] = length
    state[NUMBER] = 0
    state[PHASE] = BEFORE


@inner
def _end_token(state: NDArray[np.int64]) -> None:
    """An element of Transfer-Encoding or Connection ended; empty ones do not count."""
    if state[PHASE] != BEFORE:
        word = state[WORD]
        if word != OTHER_WORD and state[MATCHED] != WORD_BYTES[word]:
            word = OTHER_WORD
        if state[HEADER] == TRANSFER_ENCODING:
            state[CODING] = CHUNKED_CODING if word == CHUNKED else OTHER_CODING
        elif word == CLOSE:
            state[CLOSING] = 1
        elif word == KEEP_ALIVE:
            state[KEEPING] = 1
    state[PHASE] = BEFORE


@inner
def end_element(state: NDArray[np.int64]) -> None:
    """An element of the list ended."""
    if state[HEADER] == CONTENT_LENGTH:
        _end_number(state)
    else:
        _end_token(state)


@inner
def _on_digit(state: NDArray[np.int64], byte: np.int64) -> None:
    """A byte of a Content-Length."""
    if state[PHASE] == BEHIND or not _ZERO <= byte <= _NINE:
        break_off(state, CONTENT_LENGTH_INVALID)
        return
    state[PHASE] = INSIDE
    state[NUMBER] = state[NUMBER] * 10 + (byte - _ZERO)
    if state[NUMBER] > MAX_CONTENT_LENGTH:
        break_off(state, CONTENT_LENGTH_INVALID)


@inner
def _on_encoding_byte(state: NDArray[np.int64], small: np.int64) -> None:
    """A byte of a content coding; of several the last one's letters stay."""
    if state[PHASE] != INSIDE:
        state[PHASE] = INSIDE
        state[WORD] = OTHER_WORD
        state[ENCODED] = 0
    if state[ENCODED] < 1 << (8 * (ENCODING_BYTES - 1)):
        state[ENCODED] = state[ENCODED] << 8 | (small & 0x7F)


@inner
def _on_token_byte(state: NDArray[np.int64], byte: np.int64) -> None:
    """A byte of a coding or of a connection option."""
    small = lower(byte)
    if state[HEADER] == CONTENT_ENCODING:
        _on_encoding_byte(state, small)
        return
    if state[PHASE] == BEFORE:
        state[PHASE] = INSIDE
        state[MATCHED] = 0
        state[WORD] = OTHER_WORD
        if small == _LETTER_C:
            state[WORD] = CHUNKED if state[HEADER] == TRANSFER_ENCODING else CLOSE
        elif small == _LETTER_K:
            state[WORD] = KEEP_ALIVE  # no coding; _end_token does not take it for one
    word = state[WORD]
    if word == OTHER_WORD:
        return
    if state[PHASE] == BEHIND or WORDS[word, state[MATCHED]] != small:
        state[WORD] = OTHER_WORD
    else:
        state[MATCHED] += 1


@inner
def read_value(state: NDArray[np.int64], data: NDArray[np.uint8], at: int, stop: int) -> int:
    """Read of the value of a header that matters; return the position after what was read."""
    while at < stop and state[RESULT] == MORE:
        byte = np.int64(data[at])
        at += 1
        if byte == _LF:
            # A value that is folded may go on; what follows a blank is no part of the same element.
            if state[PHASE] == INSIDE:
                state[PHASE] = BEHIND
            state[STEP] = AT_LINE
            break
        if byte == _COMMA:
            end_element(state)
        elif byte in _BLANKS:
            if state[PHASE] == INSIDE:
                state[PHASE] = BEHIND
        elif state[HEADER] == CONTENT_LENGTH:
            _on_digit(state, byte)
        else:
            _on_token_byte(state, byte)
    return at


_VERSION = np.array(list(b"HTTP/1."), dtype=np.int64)
# Places in `HTTP/1.x nnn`.
_MINOR_AT, _CODE_AT, _STATUS_BYTES = 7, 9, 12
_CODE_BYTES = _STATUS_BYTES - _CODE_AT


@inner
def _on_status_byte(state: NDArray[np.int64], byte: np.int64, text: NDArray[np.uint8]) -> None:
    """A byte of `HTTP/1.x nnn`, whose places are fixed."""
    at = state[MATCHED]
    if at < _MINOR_AT:
        fits = byte == _VERSION[at]
    elif at == _MINOR_AT:
        fits = _ZERO <= byte <= _ONE
        state[MINOR] = byte - _ZERO
    elif at < _CODE_AT:
        fits = byte == _SPACE
    else:
        fits = (_ONE if at == _CODE_AT else _ZERO) <= byte <= _NINE
        state[CODE] = state[CODE] * 10 + (byte - _ZERO)
        text[at - _CODE_AT] = byte
    state[MATCHED] += 1
    if not fits:
        break_off(state, NO_STATUS_LINE)
    elif state[MATCHED] == _STATUS_BYTES:
        state[TEXT] = _CODE_BYTES
        state[STEP] = AT_STATUS_END


@inner
def _read_reason(
    state: NDArray[np.int64], data: NDArray[np.uint8], at: int, stop: int, text: NDArray[np.uint8]
) -> int:
    """Keep the head of the reason, which may be empty; return the position after what was read."""
    kept = state[TEXT]
    while at < stop:
        byte = data[at]
        at += 1
        if byte == _LF:
            state[STEP] = AT_LINE
            break
        if byte != _CR and kept < TEXT_BYTES:
            if kept == _CODE_BYTES:
                text[kept] = _SPACE
                kept += 1
            text[kept] = byte
            kept += 1
    state[TEXT] = kept
    return at


@inner
def _read_name(state: NDArray[np.int64], data: NDArray[np.uint8], at: int, stop: int) -> int:
    """Compare a header's name with the word that it may be; return the position after what was read."""
    word, matched = state[WORD], state[MATCHED]
    while at < stop:
        small = lower(np.int64(data[at]))
        if word == CONTENT_LENGTH and matched == 3 and small == _LETTER_N:
            word = np.int64(CONNECTION)
        elif word == CONTENT_LENGTH and matched == len("content-") and small == _LETTER_E:
            word = np.int64(CONTENT_ENCODING)
        if small != WORDS[word, matched]:
            state[STEP] = IN_LINE
            return at
        at += 1
        matched += 1
        if matched == WORD_BYTES[word]:
            state[STEP] = BEHIND_NAME
            break
    state[WORD] = word
    state[MATCHED] = matched
    return at


@inner
def _on_line(state: NDArray[np.int64], byte: np.int64) -> None:
    """The first byte of a line after the status line."""
    if byte in (_SPACE, _TAB):
        state[STEP] = IN_VALUE if state[HEADER] != NO_WORD else IN_LINE
        return
    if state[HEADER] != NO_WORD:
        end_element(state)
        state[HEADER] = NO_WORD
    small = lower(byte)
    state[MATCHED] = 1
    if small == _LETTER_C:
        state[WORD] = CONTENT_LENGTH
        state[STEP] = IN_NAME
    elif small == _LETTER_T:
        state[WORD] = TRANSFER_ENCODING
        state[STEP] = IN_NAME
    elif byte == _LF:
        state[STEP] = HEAD_ENDED
    elif byte == _CR:
        state[STEP] = AT_HEAD_LF
    else:
        state[STEP] = IN_LINE


@inner
def read_head(
    state: NDArray[np.int64], data: NDArray[np.uint8], at: int, stop: int, text: NDArray[np.uint8]
) -> int:
    """Read data[at:stop] up to the end of the head; return the position after the last byte used.

    state[STEP] is HEAD_ENDED when it ended. The status, a blank and the reason are kept in `text`.
    """
    while at < stop and state[STEP] < HEAD_ENDED and state[RESULT] == MORE:
        step = state[STEP]
        if step == IN_LINE:
            at = behind_line_feed(data, at, stop)
            if at > stop:
                return stop
            state[STEP] = AT_LINE
        elif step == IN_NAME:
            at = _read_name(state, data, at, stop)
        elif step == IN_VALUE:
            at = read_value(state, data, at, stop)
        elif step == IN_REASON:
            at = _read_reason(state, data, at, stop, text)
        else:
            byte = np.int64(data[at])
            at += 1
            if step == AT_LINE:
                _on_line(state, byte)
            elif step == IN_STATUS:
                _on_status_byte(state, byte, text)
            elif step == BEHIND_NAME:
                if byte == _COLON:
                    state[HEADER] = state[WORD]
                    state[PHASE] = BEFORE
                    state[STEP] = IN_VALUE
                elif byte not in (_SPACE, _TAB):
                    state[STEP] = AT_LINE if byte == _LF else IN_LINE  # a longer name, or no header
            elif step == AT_STATUS_END:
                if byte == _LF:
                    state[STEP] = AT_LINE
                elif byte in (_SPACE, _CR):
                    state[STEP] = IN_REASON
                else:
                    break_off(state, NO_STATUS_LINE)
            elif byte == _LF:
                state[STEP] = HEAD_ENDED
            else:
                break_off(state, HEAD_LINE_END)
    return at
