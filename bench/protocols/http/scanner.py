"""HTTP/1.0 and HTTP/1.1 responses as a streaming scanner over uint8 arrays.

Of a response nothing is copied but its status and reason (bench.protocols.state). A body is skipped, or
searched for one text; it ends by its length, by its last chunk or with the connection, as RFC 9112
section 6.3 orders. Interim responses (1xx) are read over; a switch of protocols is BROKEN, since
nobody here asks for one.

Like most clients it is lenient where nothing hangs on it: a line may end by LF alone, a header may
be folded, and what is in headers that do not matter is not looked at.
"""

import numpy as np
from numpy.typing import NDArray

from bench.core.jit import compiled, inner
from bench.protocols.http.body import links_of, read_chunk_line, read_content
from bench.protocols.http.head import read_head
from bench.protocols.http.state import (
    CHUNKED_CODING,
    CLOSING,
    CODING,
    CONTENT,
    ENCODED,
    ENDLESS,
    FOUND,
    HEAD_ENDED,
    IN_BODY,
    IN_CHUNK,
    IN_SIZE,
    IN_STATUS,
    KEEPING,
    KEPT,
    LEFT,
    LENGTH,
    LINE_BYTES,
    MATCHED,
    MAX_HEAD_BYTES,
    MINOR,
    NO_CODING,
    STEP,
    UNTIL_CLOSE,
)
from bench.protocols.state import (
    CODE,
    COMPLETE,
    ENDS,
    HEAD_TOO_LONG,
    MORE,
    PROTOCOL_SWITCHED,
    RESULT,
    TEXT,
    break_off,
)
from bench.protocols.wants.search import begin_search, look_in_body, look_in_head
from bench.protocols.wants.state import Search

__all__ = [
    "CONTENT",
    "ENCODED",
    "FOUND",
    "KEPT",
    "MAX_HEAD_BYTES",
    "UNTIL_CLOSE",
    "at_eof",
    "is_in_head",
    "links_of",
    "scan",
    "scan_content",
    "scan_wanted",
]

_NO_NEEDLE, _NO_LINKS = np.zeros(0, dtype=np.uint8), np.zeros(0, dtype=np.int64)
_SWITCHING_PROTOCOLS, _OK, _NO_CONTENT, _NOT_MODIFIED = 101, 200, 204, 304


@compiled
def at_eof(state: NDArray[np.int64]) -> bool:
    """Whether the connection's end, found now, completes the reply; otherwise it cuts one off."""
    return state[UNTIL_CLOSE] == 1


@inner
def _on_interim_head(state: NDArray[np.int64]) -> None:
    """Nothing of an interim response holds for the final one, which comes next."""
    if state[CODE] == _SWITCHING_PROTOCOLS:
        break_off(state, PROTOCOL_SWITCHED)
        return
    for column in (CODE, TEXT, MATCHED, LENGTH, CODING, CLOSING, KEEPING, ENCODED):
        state[column] = 0
    state[STEP] = IN_STATUS


@inner
def _on_head(state: NDArray[np.int64], is_head: bool) -> None:
    """A head ended: what follows, and will the server close behind it?"""
    status = state[CODE]
    if status < _OK:
        _on_interim_head(state)
        return
    coding = state[CODING]
    # HTTP/1.0 knows no transfer codings: one that has them may have its end wrong (RFC 9112, 6.1).
    if state[CLOSING] == 1 or (state[MINOR] == 0 and (state[KEEPING] == 0 or coding != NO_CODING)):
        state[ENDS] = 1
    state[STEP] = IN_BODY
    if is_head or status in (_NO_CONTENT, _NOT_MODIFIED) or (coding == NO_CODING and state[LENGTH] == 1):
        state[RESULT] = COMPLETE
    elif coding == CHUNKED_CODING:
        state[STEP] = IN_SIZE
        state[LINE_BYTES] = 0
    elif coding == NO_CODING and state[LENGTH] > 0:
        state[LEFT] = state[LENGTH] - 1
    else:
        state[LEFT] = ENDLESS
        state[UNTIL_CLOSE] = 1
        state[ENDS] = 1


@inner
def _read_line(
    state: NDArray[np.int64],
    data: NDArray[np.uint8],
    at: int,
    end: int,
    text: NDArray[np.uint8],
    is_head: bool,
) -> int:
    """Read of a head or of the lines of chunks, whose size has a limit; return the position behind it."""
    begin = at
    stop = min(end, at + MAX_HEAD_BYTES - state[LINE_BYTES])
    if state[STEP] < HEAD_ENDED:
        at = read_head(state, data, at, stop, text)
        state[LINE_BYTES] += at - begin
    else:
        at = read_chunk_line(state, data, at, stop)
    if state[RESULT] == MORE:
        if state[STEP] == HEAD_ENDED:
            _on_head(state, is_head)
        elif state[LINE_BYTES] == MAX_HEAD_BYTES:
            break_off(state, HEAD_TOO_LONG)
    return at


@compiled
def scan(
    state: NDArray[np.int64],
    data: NDArray[np.uint8],
    start: int,
    end: int,
    text: NDArray[np.uint8],
    needle: NDArray[np.uint8],
    needle_links: NDArray[np.int64],
    is_head: bool,
) -> int:
    """Read data[start:end] until one response ends; return the position after the last byte used.

    state[RESULT] says MORE, COMPLETE or BROKEN; after COMPLETE the caller resets the state.
    state[CODE] is the status, state[TEXT] the bytes of `text` (at least TEXT_BYTES long) that hold
    status and reason, state[ENDS] 1 when the server closes after this response. While
    state[UNTIL_CLOSE] is 1 only the connection's end completes it (at_eof).

    Of a body state[KEPT] bytes of the beginning are kept behind these TEXT_BYTES, where `text` is longer.

    `needle` is a text to find in the body without its chunk lines, `needle_links` are its links_of;
    state[FOUND] is 1 once it was seen. An empty needle is never searched. `is_head` is true for the
    answer to a HEAD request, which has no body whatever its headers say.
    """
    at = start
    while at < end and state[RESULT] == MORE:
        if state[STEP] < IN_CHUNK:
            at = _read_line(state, data, at, end, text, is_head)
        else:
            at = read_content(state, data, at, end, text, needle, needle_links)
    return at


@inner
def scan_wanted(
    state: NDArray[np.int64],
    data: NDArray[np.uint8],
    start: int,
    end: int,
    text: NDArray[np.uint8],
    needle: NDArray[np.uint8],
    needle_links: NDArray[np.int64],
    is_head: bool,
    search: Search,
) -> int:
    """As `scan`, for an answer of which more is wanted."""
    at = start
    if state[STEP] == IN_STATUS and state[LINE_BYTES] == 0:
        begin_search(search)
    while at < end and state[RESULT] == MORE:
        step, before = state[STEP], at
        if step < IN_CHUNK:
            at = _read_line(state, data, at, end, text, is_head)
            if step < HEAD_ENDED:
                look_in_head(search, data, before, at)
                if state[STEP] == IN_STATUS and state[CODE] == 0 and state[RESULT] == MORE:
                    begin_search(search)  # behind an interim answer
        else:
            at = read_content(state, data, at, end, text, needle, needle_links)
            look_in_body(search, data, before, at)
    return at


def is_in_head(state: NDArray[np.int64]) -> bool:
    """Whether what comes next belongs to a head, interim ones included."""
    return bool(state[STEP] < HEAD_ENDED)


@compiled
def scan_content(
    state: NDArray[np.int64],
    data: NDArray[np.uint8],
    start: int,
    end: int,
    text: NDArray[np.uint8],
    is_head: bool,
    content: NDArray[np.uint8],
) -> int:
    """As `scan`, for one who wants head and body: it returns behind the final head too, and copies what is
    body to the start of `content` (as long as data), state[CONTENT] bytes.
    """
    at = start
    kept = 0
    while at < end and state[RESULT] == MORE:
        step = state[STEP]
        if step < IN_CHUNK:
            at = _read_line(state, data, at, end, text, is_head)
            if step < HEAD_ENDED < state[STEP]:
                break
        else:
            begin = at
            at = read_content(state, data, at, end, text, _NO_NEEDLE, _NO_LINKS)
            for place in range(begin, at):
                content[kept] = data[place]
                kept += 1
    state[CONTENT] = kept
    return at
