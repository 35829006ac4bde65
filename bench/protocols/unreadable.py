"""Why there is no answer: a number for compiled code, a text for people, the same in every engine.

A scanner that meets what its protocol does not have breaks off with one of these. The last two are no
scanner's: the connection ended.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bench.core.jit import inner, int64
from bench.protocols.state import BROKEN, RESULT, TEXT_BYTES, WHY

if TYPE_CHECKING:
    from numpy.typing import NDArray

PREFIX = "the answer cannot be read: "
_REASONS = (
    "the server sent what is none of its protocol",
    "no status line of HTTP/1.0 or 1.1",
    "a line of its head ends wrongly",
    "a head or the lines of a chunk over 1 MiB",
    "an invalid Content-Length",
    "Content-Lengths that differ",
    "a switch of protocols that nobody asked for",
    "an invalid size of a chunk",
    "a chunk that does not end with its size",
    "a type that RESP does not have",
    "an invalid length",
    "a line that does not end with CR LF",
    "a bulk that does not end with its length",
    "a message that an answer does not have",
    "COPY, which needs a client that takes part",
    "an invalid length of a message",
    "an error message without an end",
    "an unknown status of the transaction",
)
(
    FOREIGN,
    NO_STATUS_LINE,
    HEAD_LINE_END,
    HEAD_TOO_LONG,
    CONTENT_LENGTH_INVALID,
    CONTENT_LENGTHS_DIFFER,
    PROTOCOL_SWITCHED,
    CHUNK_SIZE_INVALID,
    CHUNK_END_MISSING,
    RESP_TYPE_UNKNOWN,
    LENGTH_INVALID,
    LINE_END_MISSING,
    BULK_END_MISSING,
    MESSAGE_UNKNOWN,
    COPY_STARTED,
    MESSAGE_LENGTH_INVALID,
    ERROR_UNENDED,
    STATUS_UNKNOWN,
) = (int64(number) for number in range(len(_REASONS)))

CLOSED_EARLY, CONNECTION_RESET = int64(len(_REASONS)), int64(len(_REASONS) + 1)
TEXTS = (
    *(PREFIX + reason for reason in _REASONS),
    "the server closed the connection before its answer was complete",
    "the server reset the connection",
)
"""TEXTS[state[WHY]] of a state whose result is BROKEN."""
SPELLED = np.array([list(text.encode().ljust(TEXT_BYTES, b"\0")) for text in TEXTS], dtype=np.uint8)
"""The same for compiled code, one a row, padded with NUL."""
SIZES = np.array([len(text) for text in TEXTS], dtype=np.int64)


@inner
def break_off(state: NDArray[np.int64], why: int) -> None:
    """The bytes are none of the protocol."""
    state[RESULT] = BROKEN
    state[WHY] = why
