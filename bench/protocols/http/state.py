"""The state row of the HTTP scanner: its columns, its steps, the words that it knows, and how its lines
are read.

All of it is constant in compiled code, so this file is part of the digest that the cache of compiled
code goes by (bench.core.jit). A body that was sent encoded is not decoded: what a client does with a
body is no part of a request's time, and the engines would differ by it. No text is found in such a
body, and the error says why.
"""

import numpy as np
from numpy.typing import NDArray

from bench.core.jit import inner, int64
from bench.protocols.state import FIRST_OWN_COLUMN

# Columns of the state row (int64) after the common ones.
# UNTIL_CLOSE: 1 when the body ends with the connection. FOUND: 1 once the needle was seen.
# LINE_BYTES: bytes of the present head, chunk line or trailer. MINOR: of the HTTP version.
# WORD: the word of WORDS that the present name or token may be; MATCHED: bytes of it that agree.
# HEADER: the word that names the present header, 0 when it is none that matters.
# PHASE: place in a list element (BEFORE, INSIDE, BEHIND). NUMBER, DIGITS: the number being read.
# LENGTH: Content-Length + 1, 0 without one. CODING: the last transfer coding.
# CLOSING, KEEPING: 1 when Connection says close, keep-alive. LEFT: bytes to come of body or chunk.
# NEEDLE_AT: bytes of the needle that the body's last bytes agree with. CONTENT: bytes of the body that the
# last scan copied, where it was asked to. ENCODED: the last Content-Encoding, its letters in base 256.
# KEPT: bytes of the body's beginning that stand in the text, behind its TEXT_BYTES.
(
    STEP,
    UNTIL_CLOSE,
    FOUND,
    LINE_BYTES,
    MINOR,
    WORD,
    MATCHED,
    HEADER,
    PHASE,
    NUMBER,
    DIGITS,
    LENGTH,
    CODING,
    CLOSING,
    KEEPING,
    LEFT,
    NEEDLE_AT,
    CONTENT,
    ENCODED,
    KEPT,
) = range(FIRST_OWN_COLUMN, FIRST_OWN_COLUMN + 20)

BODY_BYTES = 160
"""How much of the beginning of a body is kept, for an error that it explains."""

# STEP: of the head, then of the lines around chunks, then of what is body.
IN_STATUS, AT_STATUS_END, IN_REASON, AT_LINE, IN_LINE, IN_NAME, BEHIND_NAME, IN_VALUE, AT_HEAD_LF = range(9)
HEAD_ENDED = 9
IN_SIZE, AT_SIZE_LF, IN_EXTENSION, AT_TRAILER, IN_TRAILER, AT_LAST_LF = range(10, 16)
AT_CHUNK_CR, AT_CHUNK_LF, IN_CHUNK, IN_BODY = range(16, 20)

BEFORE, INSIDE, BEHIND = range(3)
NO_CODING, OTHER_CODING, CHUNKED_CODING = range(3)

# WORD; OTHER_WORD is a token that cannot become any of them.
NO_WORD, CONTENT_LENGTH, TRANSFER_ENCODING, CONNECTION, CHUNKED, CLOSE, KEEP_ALIVE, CONTENT_ENCODING = range(
    8
)
OTHER_WORD = 8
_SPELLED = [
    *(b"", b"content-length", b"transfer-encoding", b"connection"),
    *(b"chunked", b"close", b"keep-alive", b"content-encoding"),
]
_LONGEST = max(map(len, _SPELLED))
_NO_BYTE = -1

WORDS = np.array(
    [[*word, *[_NO_BYTE] * (_LONGEST + 1 - len(word))] for word in _SPELLED],
    dtype=np.int64,
)
"""The words in lower case, one a row; with what stands behind a word no byte agrees."""
WORD_BYTES = np.array([len(word) for word in _SPELLED], dtype=np.int64)

ENCODING_BYTES = 8
"""How many letters of a Content-Encoding are kept."""

MAX_HEAD_BYTES = 1 << 20
"""Of a head with the interim ones before it, and of each chunk line and trailer."""
MAX_CONTENT_LENGTH = 1 << 40
MAX_SIZE_DIGITS = 15
ENDLESS = 1 << 62
"""LEFT of a body that ends with the connection."""


_LF, _CAPITAL_A, _CAPITAL_Z = b"\nAZ"


@inner
def lower(byte: np.int64) -> np.int64:
    """Return a byte, a capital letter as a small one."""
    return byte + 32 if _CAPITAL_A <= byte <= _CAPITAL_Z else byte


@inner
def behind_line_feed(data: NDArray[np.uint8], at: int, stop: int) -> int:
    """Return the position after the first LF of data[at:stop], or `stop` plus one without any."""
    while at < stop and data[at] != _LF:
        at += 1
    return at + 1


MISSING = "the body lacks the expected text"
ENCODED_BODY = " is the encoding of the body, and expect looks at it as it was sent"
"""Behind the name of the encoding."""


def pack_encoding(name: str) -> int:
    """The last coding of a Content-Encoding as the number that state[ENCODED] holds."""
    last = name.rpartition(",")[2].strip().lower()
    return int.from_bytes(last.encode("ascii", "replace")[:ENCODING_BYTES], "big")


IDENTITY = int64(pack_encoding("identity"))


def missing_text(encoding: str | None) -> str:
    """Why the text was not found in a body with such a Content-Encoding."""
    packed = pack_encoding(encoding or "")
    if packed in (0, IDENTITY):
        return MISSING
    return packed.to_bytes(ENCODING_BYTES, "big").lstrip(b"\0").decode() + ENCODED_BODY
