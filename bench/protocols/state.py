"""What the scanners have in common: the first columns of their state row, what they answer, and why there
is no answer.

Every scanner keeps its whole state in one row of int64, so bytes can be cut anywhere, a reply may be
larger than any buffer, and nothing is copied but the head of a text. A row of zeros is the start of a
reply. The engine reads the first columns only; each scanner has its own after them.

A scanner that meets what its protocol does not have breaks off with a reason: a number for compiled
code, a text for people, the same in every engine. The reasons behind them are no scanner's: the
connection ended, over TLS perhaps by an alert.
"""

import ssl

import numpy as np
from numpy.typing import NDArray

from bench.core.jit import compiled, inner, int64
from bench.protocols.tls_alerts import ALERTS, alert_in

# RESULT of the last scan, CLASS of a complete reply, TEXT: bytes kept of its text. ENDS: 1 when the
# server closes the connection after this reply. CODE: the protocol's own number for what happened
# (an HTTP status, a packed SQLSTATE). ROWS: rows that the reply brought. HITS: values
# of it that are not null, statements that touched a row. MISSES: nulls, statements that touched none.
# WHY: of a BROKEN one, a number of bench.protocols.state.
RESULT, CLASS, TEXT, ENDS, CODE, ROWS, HITS, MISSES, WHY = range(9)
FIRST_OWN_COLUMN = 9
STATE_COLUMNS = 32

# RESULT: bytes ran out, one reply ended, or the bytes are none of the protocol.
MORE, COMPLETE, BROKEN = 0, 1, 2

# CLASS
PLAIN_REPLY, ERROR_REPLY, NULL_REPLY, PUSH_REPLY = 0, 1, 2, 3

TEXT_BYTES = 96
"""How much of an error's text or of a message's head is kept."""


@compiled
def reset(state: NDArray[np.int64]) -> None:
    """Make the state ready for the next reply."""
    for column in range(STATE_COLUMNS):
        state[column] = 0


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

CLOSED_EARLY, CONNECTION_RESET, TLS_UNREADABLE = (int64(len(_REASONS) + number) for number in range(3))
_FIRST_ALERT = len(_REASONS) + 3
TEXTS = (
    *(PREFIX + reason for reason in _REASONS),
    "the server closed the connection before its answer was complete",
    "the server reset the connection",
    "the server sent what is no TLS",
    *(f"the server ended the connection with the TLS alert '{name}'" for name in ALERTS.values()),
    "the server ended the connection with a TLS alert of an unknown number",
)
"""TEXTS[state[WHY]] of a state whose result is BROKEN."""
WHY_OF_ALERT = np.full(256, len(TEXTS) - 1, dtype=np.int64)
"""The reason, by the number of the alert."""
for _place, _number in enumerate(ALERTS):
    WHY_OF_ALERT[_number] = _FIRST_ALERT + _place
SPELLED = np.array([list(text.encode().ljust(TEXT_BYTES, b"\0")) for text in TEXTS], dtype=np.uint8)
"""The same for compiled code, one a row, padded with NUL."""
SIZES = np.array([len(text) for text in TEXTS], dtype=np.int64)


@inner
def break_off(state: NDArray[np.int64], why: int) -> None:
    """The bytes are none of the protocol."""
    state[RESULT] = BROKEN
    state[WHY] = why


def why_lost(error: BaseException | None) -> str:
    """The text for a connection that ended before an answer, in the words of the compiled loop.

    None: the server closed it.
    """
    if error is None:
        return TEXTS[CLOSED_EARLY]
    if not isinstance(error, ssl.SSLError):
        return TEXTS[CONNECTION_RESET]
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return TEXTS[CLOSED_EARLY]
    reason = error.reason or ""
    number = alert_in(reason)
    if number is None:
        is_alert = "_ALERT_" in reason
        return TEXTS[-1 if is_alert else TLS_UNREADABLE]
    return TEXTS[WHY_OF_ALERT[number]]
