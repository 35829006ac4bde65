"""The values of the headers that say where an HTTP/1.x response ends.

All are lists. Content-Length is one number, which may be repeated; of Transfer-Encoding and
Content-Encoding only the last coding counts; of Connection `close` and `keep-alive`. Blanks may stand
around an element, not inside it.

Specification: RFC 9110, sections 5.6.1, 7.6.1 and 8.6; RFC 9112, sections 6.1 to 6.3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bench.core.jit import inner
from bench.protocols.http.lines import lower
from bench.protocols.http.state import (
    AT_LINE,
    BEFORE,
    BEHIND,
    CHUNKED,
    CHUNKED_CODING,
    CLOSE,
    CLOSING,
    CODING,
    CONTENT_ENCODING,
    CONTENT_LENGTH,
    ENCODED,
    ENCODING_BYTES,
    HEADER,
    INSIDE,
    KEEP_ALIVE,
    KEEPING,
    LENGTH,
    MATCHED,
    MAX_CONTENT_LENGTH,
    NUMBER,
    OTHER_CODING,
    OTHER_WORD,
    PHASE,
    STEP,
    TRANSFER_ENCODING,
    WORD,
    WORD_BYTES,
    WORDS,
)
from bench.protocols.state import MORE, RESULT
from bench.protocols.unreadable import CONTENT_LENGTH_INVALID, CONTENT_LENGTHS_DIFFER, break_off

if TYPE_CHECKING:
    from numpy.typing import NDArray

_TAB, _LF, _CR, _SPACE, _COMMA = b"\t\n\r ,"
_BLANKS = (_SPACE, _TAB, _CR)
_ZERO, _NINE = b"09"
_LETTER_C, _LETTER_K = b"ck"


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
