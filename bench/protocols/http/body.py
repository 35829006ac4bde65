"""The body of an HTTP/1.x response: the lines around its chunks, and the search for a text in it.

The search is Knuth, Morris and Pratt's (SIAM Journal on Computing 6, 1977): it never goes back, so
all it must remember from one piece to the next is how much of the needle the last bytes agree with.

Specification: RFC 9112, section 7.1.
"""

import numpy as np
from numpy.typing import NDArray

from bench.core.jit import inner
from bench.protocols.http.state import (
    AT_CHUNK_CR,
    AT_CHUNK_LF,
    AT_LAST_LF,
    AT_SIZE_LF,
    AT_TRAILER,
    DIGITS,
    FOUND,
    IN_CHUNK,
    IN_EXTENSION,
    IN_SIZE,
    IN_TRAILER,
    KEPT,
    LEFT,
    LINE_BYTES,
    MAX_SIZE_DIGITS,
    NEEDLE_AT,
    NUMBER,
    STEP,
    behind_line_feed,
    lower,
)
from bench.protocols.state import (
    CHUNK_END_MISSING,
    CHUNK_SIZE_INVALID,
    COMPLETE,
    MORE,
    RESULT,
    TEXT_BYTES,
    break_off,
)

_TAB, _LF, _CR, _SPACE, _SEMICOLON = b"\t\n\r ;"
_ZERO, _NINE, _LETTER_A, _LETTER_F = b"09af"


def links_of(needle: bytes) -> NDArray[np.int64]:
    """Return for each place of the needle how many bytes before and with it are also the needle's first.

    int64, as long as the needle. Where the next byte disagrees, the search goes on from there.
    """
    links = np.zeros(len(needle), dtype=np.int64)
    agreeing = 0
    for place in range(1, len(needle)):
        while agreeing > 0 and needle[place] != needle[agreeing]:
            agreeing = int(links[agreeing - 1])
        if needle[place] == needle[agreeing]:
            agreeing += 1
        links[place] = agreeing
    return links


@inner
def _search(
    state: NDArray[np.int64],
    data: NDArray[np.uint8],
    at: int,
    stop: int,
    needle: NDArray[np.uint8],
    links: NDArray[np.int64],
) -> None:
    agreeing = state[NEEDLE_AT]
    for place in range(at, stop):
        byte = data[place]
        while agreeing > 0 and needle[agreeing] != byte:
            agreeing = links[agreeing - 1]
        if needle[agreeing] == byte:
            agreeing += 1
            if agreeing == needle.size:
                state[FOUND] = 1
                agreeing = 0
                break
    state[NEEDLE_AT] = agreeing


@inner
def read_content(
    state: NDArray[np.int64],
    data: NDArray[np.uint8],
    at: int,
    end: int,
    text: NDArray[np.uint8],
    needle: NDArray[np.uint8],
    links: NDArray[np.int64],
) -> int:
    """Skip what there is of a body or of a chunk, searched if it must be; return the position behind it.

    Of the beginning as much is kept as there is room in `text` for it.
    """
    size = min(state[LEFT], end - at)
    kept = TEXT_BYTES + state[KEPT]
    if kept < text.size:
        more = min(size, text.size - kept)
        for place in range(more):
            text[kept + place] = data[at + place]
        state[KEPT] += more
    if needle.size > 0 and state[FOUND] == 0:
        _search(state, data, at, at + size, needle, links)
    state[LEFT] -= size
    if state[LEFT] == 0:
        if state[STEP] == IN_CHUNK:
            state[STEP] = AT_CHUNK_CR
        else:
            state[RESULT] = COMPLETE
    return at + size


@inner
def _on_size(state: NDArray[np.int64]) -> None:
    """A chunk's size line ended; the last chunk has size 0 and only trailers behind it."""
    state[LEFT] = state[NUMBER]
    state[STEP] = IN_CHUNK if state[NUMBER] > 0 else AT_TRAILER
    state[NUMBER] = 0
    state[DIGITS] = 0
    state[LINE_BYTES] = 0


@inner
def _on_size_byte(state: NDArray[np.int64], byte: np.int64) -> None:
    small = lower(byte)
    if _ZERO <= byte <= _NINE or _LETTER_A <= small <= _LETTER_F:
        digit = byte - _ZERO if byte <= _NINE else small - _LETTER_A + 10
        state[NUMBER] = state[NUMBER] * 16 + digit
        state[DIGITS] += 1
        if state[DIGITS] > MAX_SIZE_DIGITS:
            break_off(state, CHUNK_SIZE_INVALID)
    elif state[DIGITS] == 0:
        break_off(state, CHUNK_SIZE_INVALID)
    elif byte == _CR:
        state[STEP] = AT_SIZE_LF
    elif byte == _LF:
        _on_size(state)
    elif byte in (_SEMICOLON, _SPACE, _TAB):
        state[STEP] = IN_EXTENSION
    else:
        break_off(state, CHUNK_SIZE_INVALID)


@inner
def _on_line_end(state: NDArray[np.int64], byte: np.int64) -> None:
    """A byte that must be the CR or LF of the present step."""
    step = state[STEP]
    if byte != (_CR if step == AT_CHUNK_CR else _LF):
        break_off(state, CHUNK_END_MISSING if step in (AT_CHUNK_CR, AT_CHUNK_LF) else CHUNK_SIZE_INVALID)
    elif step == AT_CHUNK_CR:
        state[STEP] = AT_CHUNK_LF
    elif step == AT_CHUNK_LF:
        state[STEP] = IN_SIZE
        state[LINE_BYTES] = 0
    elif step == AT_SIZE_LF:
        _on_size(state)
    else:
        state[RESULT] = COMPLETE


@inner
def _on_trailer(state: NDArray[np.int64], byte: np.int64) -> None:
    """The first byte of a line after the last chunk."""
    if byte == _LF:
        state[RESULT] = COMPLETE
    else:
        state[STEP] = AT_LAST_LF if byte == _CR else IN_TRAILER


@inner
def read_chunk_line(state: NDArray[np.int64], data: NDArray[np.uint8], at: int, stop: int) -> int:
    """Read of the lines between and after chunks; return the position after the last byte used."""
    while at < stop and state[STEP] < IN_CHUNK and state[RESULT] == MORE:
        step = state[STEP]
        if step in (IN_EXTENSION, IN_TRAILER):
            behind = behind_line_feed(data, at, stop)
            state[LINE_BYTES] += min(behind, stop) - at
            if behind > stop:
                return stop
            at = behind
            if step == IN_EXTENSION:
                _on_size(state)
            else:
                state[STEP] = AT_TRAILER
            continue
        byte = np.int64(data[at])
        at += 1
        state[LINE_BYTES] += 1
        if step == IN_SIZE:
            _on_size_byte(state, byte)
        elif step == AT_TRAILER:
            _on_trailer(state, byte)
        else:
            _on_line_end(state, byte)
    return at
