"""A body that was sent encoded: no text is found in it, and the error says why.

It is not decoded: what a client does with a body is no part of a request's time, and the engines would
differ by it.
"""

from __future__ import annotations

from bench.core.jit import int64
from bench.protocols.http.state import ENCODING_BYTES

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
