"""HTTP responses: recorded ones, random ones with what is to be found in them, and a plain reader."""

import http.client
import io
import itertools
from typing import NamedTuple

from hypothesis import strategies as st

from bench.protocols.state import COMPLETE, PLAIN_REPLY, TEXT_BYTES
from tests.protocols.scanning import http_feed


class Reply(NamedTuple):
    """As scanning.http_feed collects it."""

    text: str
    kind: int
    code: int
    ends: int
    until_close: int
    found: int
    result: int


def reply(text: str, ends: int = 0, until_close: int = 0, found: int = 0) -> Reply:
    return Reply(text, PLAIN_REPLY, int(text[:3]), ends, until_close, found, COMPLETE)


OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


def with_headers(*lines: bytes, body: bytes = b"") -> bytes:
    return OK + b"".join(line + b"\r\n" for line in lines) + b"\r\n" + body


def replies_of(
    data: bytes, cuts: list[int] | None = None, needle: bytes = b"", is_head: bool = False
) -> list[Reply]:
    """Scan whole responses, each of which must end."""
    feed = http_feed(needle, is_head).feed_all(data, cuts or [])
    assert not feed.is_broken
    assert feed.used == len(data)
    assert feed.present[1:-1] == (0, 0, 0, 0, 0), "the last response did not end"
    return [Reply(*found) for found in feed.replies]


_DATE = b"Date: Sun, 22 Nov 2026 17:45:40 GMT\r\n"
_SIMPLE = b"Server: SimpleHTTP/0.6 Python/3.11.7\r\n" + _DATE
_UVICORN = _DATE.replace(b"D", b"d", 1) + b"server: uvicorn\r\n"
_NOT_FOUND = (
    b'<!DOCTYPE HTML>\n<html lang="en">\n    <head>\n        <meta charset="utf-8">\n'
    b"        <title>Error response</title>\n    </head>\n    <body>\n        <h1>Error response</h1>\n"
    b"        <p>Error code: 404</p>\n        <p>Message: File not found.</p>\n"
    b"        <p>Error code explanation: 404 - Nothing matches the given URI.</p>\n    </body>\n</html>\n"
)
_CHUNKS = b"7\r\nHello, \r\n3\r\nwor\r\n2\r\nld\r\n0\r\n\r\n"

# What http.server of Python 3.11 and uvicorn 0.54 (over h11 and over httptools) sent, and what it is.
RECORDED = {
    "file over 1.0": (
        b"HTTP/1.0 200 OK\r\n" + _SIMPLE + b"Content-type: text/plain\r\nContent-Length: 13\r\n"
        b"Last-Modified: Sun, 22 Nov 2026 17:45:40 GMT\r\n\r\nHello, world\n",
        reply("200 OK", ends=1, found=1),
    ),
    "file over 1.1": (
        b"HTTP/1.1 200 OK\r\n" + _SIMPLE + b"Content-type: text/plain\r\nContent-Length: 13\r\n"
        b"Last-Modified: Sun, 22 Nov 2026 17:45:40 GMT\r\n\r\nHello, world\n",
        reply("200 OK", found=1),
    ),
    "not found": (
        b"HTTP/1.1 404 File not found\r\n" + _SIMPLE + b"Connection: close\r\n"
        b"Content-Type: text/html;charset=utf-8\r\nContent-Length: 335\r\n\r\n" + _NOT_FOUND,
        reply("404 File not found", ends=1),
    ),
    "json": (
        b"HTTP/1.1 200 OK\r\n" + _UVICORN + b"content-type: application/json\r\n"
        b'content-length: 15\r\n\r\n{"status":"ok"}',
        reply("200 OK"),
    ),
    "chunks of h11": (
        b"HTTP/1.1 200 OK\r\n" + _UVICORN + b"content-type: text/plain\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n" + _CHUNKS,
        reply("200 OK", found=1),
    ),
    "chunks of httptools to an old client": (
        b"HTTP/1.1 200 OK\r\n" + _UVICORN + b"content-type: text/plain\r\nconnection: close\r\n"
        b"transfer-encoding: chunked\r\n\r\n" + _CHUNKS,
        reply("200 OK", ends=1, found=1),
    ),
    "no content": (b"HTTP/1.1 204 No Content\r\n" + _UVICORN + b"\r\n", reply("204 No Content")),
    "continue": (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 503 Service Unavailable\r\n" + _UVICORN + b""
        b"content-length: 0\r\n\r\n",
        reply("503 Service Unavailable"),
    ),
    "refused by httptools": (
        b"HTTP/1.1 400 Bad Request\r\n" + _UVICORN + b"content-type: text/plain; charset=utf-8\r\n"
        b"content-length: 30\r\nconnection: close\r\n\r\nInvalid HTTP request received.",
        reply("400 Bad Request", ends=1),
    ),
}
NEEDLE = b"world"
UNTIL_CLOSE = (
    b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n"
    b"Invalid HTTP request received."
)
"""How h11 ends: without a length, by closing."""


class Response(NamedTuple):
    """A random response and its parts as they were put in."""

    data: bytes
    body: bytes
    reply: Reply


def spelled(name: bytes) -> st.SearchStrategy[bytes]:
    """A name in any mixture of capital and small letters."""
    return st.lists(st.booleans(), min_size=len(name), max_size=len(name)).map(
        lambda big: b"".join(
            chr(letter).upper().encode() if is_big else bytes([letter])
            for letter, is_big in zip(name, big, strict=True)
        )
    )


_VALUES = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=30).map(str.encode)
_NAMES = st.sampled_from(
    b"Server Content-Type Content-Length-Hint Connections Cookie Trailer Date T C Con".split()
    + b"Transfer-Encodings X-Content-Length".split()
)
_OTHERS = st.tuples(_NAMES, _VALUES).map(b": ".join)
_SMALL_BODIES = st.text("ab", max_size=60).map(str.encode) | st.binary(max_size=300)
_TOKENS = st.sampled_from([b"", b"close", b"Close", b"keep-alive", b"Keep-Alive", b"upgrade", b"x-option"])


@st.composite
def chunked(draw: st.DrawFn, body: bytes) -> bytes:
    cuts = sorted({*draw(st.lists(st.integers(0, len(body)), max_size=6)), 0, len(body)})
    parts = [body[start:end] for start, end in itertools.pairwise(cuts)]
    lines = []
    for part in parts:
        size = draw(st.sampled_from([b"%x", b"%X", b"%04x"])) % len(part)
        extension = draw(st.sampled_from([b"", b"", b";name", b' ; name="a value"']))
        lines.append(size + extension + b"\r\n" + part + b"\r\n")
    trailers = [other + b"\r\n" for other in draw(st.lists(_OTHERS, max_size=2))]
    return b"".join(lines) + draw(st.sampled_from([b"0", b"000"])) + b"\r\n" + b"".join(trailers) + b"\r\n"


@st.composite
def responses(draw: st.DrawFn, *, needle: bytes = b"", may_end: bool = True) -> Response:
    """A whole response that any reader must understand; with `may_end` also those that end by closing."""
    minor = draw(st.sampled_from([1, 1, 0]))
    code = draw(st.sampled_from([200, 200, 201, 204, 301, 304, 404, 429, 500, 503]))
    reason = draw(st.sampled_from([b"OK", b"", b"Not Quite Found"]) | _VALUES.map(lambda v: v * 5))
    body = draw(_SMALL_BODIES)
    framing = draw(st.sampled_from(["length", "chunked", "close"] if may_end else ["length", "chunked"]))
    if minor == 0 and framing == "chunked":
        framing = "length"
    headers = draw(st.lists(_OTHERS, max_size=4))
    token = draw(_TOKENS)
    if token:
        headers.append(
            draw(spelled(b"connection")) + b":" + draw(st.sampled_from([b"", b" ", b"\t "])) + token
        )
    content = body
    if code in (204, 304):
        body = content = b""
        framing = "none"
    elif framing == "length":
        headers.append(draw(spelled(b"content-length")) + b": %d" % len(body))
    elif framing == "chunked":
        headers.append(draw(spelled(b"transfer-encoding")) + b": " + draw(spelled(b"chunked")))
        content = draw(chunked(body))
    headers = draw(st.permutations(headers))
    interim = draw(st.sampled_from([b"", b"", b"HTTP/1.1 100 Continue\r\nServer: x\r\n\r\n"]))
    line_end = draw(st.sampled_from([b"\r\n", b"\r\n", b"\n"]))
    lines = [b"HTTP/1.%d %d" % (minor, code) + (b" " + reason if reason else b""), *headers, b"", b""]
    text = f"{code} {reason.decode()}".strip()[:TEXT_BYTES]
    is_open = token.lower() == b"keep-alive" or (minor == 1 and token.lower() != b"close")
    is_until_close = framing == "close"
    found = bool(needle) and needle in body
    expected = reply(text, int(not is_open or is_until_close), int(is_until_close), int(found))
    return Response(interim + line_end.join(lines) + content, body, expected)


class _Given:
    """A socket for http.client that has received these bytes."""

    def __init__(self, data: bytes) -> None:
        self.file = io.BytesIO(data)

    def makefile(self, mode: str) -> io.BytesIO:
        return self.file


def read_response(data: bytes, method: str = "GET") -> tuple[int, str, bytes, bool, int]:
    """Status, reason, body, whether the server closes, and the bytes used, as http.client reads them."""
    given = _Given(data)
    response = http.client.HTTPResponse(given, method=method)  # type: ignore[arg-type]
    file = given.file
    # http.client closes its file at the end of the body; where it stood then is all we want of it.
    used = [0]
    file.close = lambda: used.__setitem__(0, file.tell())  # type: ignore[method-assign]
    response.begin()
    body = response.read()
    response.close()
    return response.status, response.reason, body, bool(response.will_close), used[0]


def everywhere(data: bytes, expected: list[Reply], needle: bytes = b"", is_head: bool = False) -> None:
    """In one piece, byte by byte and cut in two at every place."""
    assert replies_of(data, [], needle, is_head) == expected
    assert replies_of(data, list(range(len(data))), needle, is_head) == expected
    for cut in range(len(data)):
        assert replies_of(data, [cut], needle, is_head) == expected
