"""The receiving side of an aiohttp connection: answers are read by the wire engine's scanner.

So that both engines agree on what an answer is, to the byte, and neither keeps more of one than it needs.
What aiohttp's session gets is what it gets from its own parser: a message with all headers, and a body as
a stream that stops reading while nobody takes from it. aiohttp's own parser refuses what RFC 9112 lets a
client read (a long header, a Content-Length that stands there twice), and calls it status 400.
"""

from __future__ import annotations

import contextlib
import os
import re
from typing import TYPE_CHECKING, Any

import numpy as np
from aiohttp import ClientError, StreamReader
from aiohttp.client_proto import ResponseHandler
from aiohttp.http import HttpVersion10, HttpVersion11, RawResponseMessage
from aiohttp.streams import EMPTY_PAYLOAD
from multidict import CIMultiDict, CIMultiDictProxy

from bench.protocols.http import scanner as http
from bench.protocols.http.state import CHUNKED_CODING, CODING, MINOR
from bench.protocols.state import (
    BROKEN,
    CODE,
    COMPLETE,
    ENDS,
    RESULT,
    STATE_COLUMNS,
    TEXT,
    TEXT_BYTES,
    WHY,
    reset,
)
from bench.protocols.unreadable import CLOSED_EARLY, CONNECTION_RESET, TEXTS

if TYPE_CHECKING:
    import asyncio

    from bench.engine.client.pool_monitor import PoolMonitor

BODY_BUFFER_BYTES = 1 << 16
"""Of a body that nobody takes, twice as much is held before the connection is no longer read."""

LAST_WORDS_BYTES = 1 << 16
_HEADS_END = re.compile(rb"\r?\n\r?\n")


class NoAnswer(ClientError):  # noqa: N818 - it says what happened
    """There is no answer, or none that can be read; the text says why."""


class _NoParser:
    """Stands where aiohttp's own parser would, which is told when a body is not taken and when all ends."""

    def pause_reading(self) -> None:
        """Nothing is kept back in here."""

    def feed_eof(self) -> None:
        """The end is read elsewhere."""


class AnswerProtocol(ResponseHandler):
    """One connection."""

    def __init__(self, loop: asyncio.AbstractEventLoop, watch: PoolMonitor) -> None:
        super().__init__(loop)
        self._watch = watch
        self._parser: Any = _NoParser()
        self._state = np.zeros(STATE_COLUMNS, dtype=np.int64)
        self._text = np.zeros(TEXT_BYTES, dtype=np.uint8)
        self._head = bytearray()
        self._body: StreamReader | None = None
        self._is_asked = self._is_head = self._is_over = False
        self.has_strayed = False
        """Whether more came than an answer: we closed the connection, not the server."""
        self._body_timer: Any = None

    def set_response_params(self, *, timer: Any = None, skip_payload: bool = False, **_: Any) -> None:
        """A request is about to be sent."""
        self._is_asked, self._is_head, self._body_timer = True, skip_payload, timer
        if self.transport is None:
            self._fail(TEXTS[CLOSED_EARLY])

    def set_exception(self, exc: BaseException, *cause: Any) -> None:
        """Only what we find ourselves: aiohttp also tells of a request that could not be written to its end,
        when an early answer may still be unread.
        """
        self._should_close = True
        if isinstance(exc, NoAnswer) and self.exception() is None:
            super().set_exception(exc, *cause)

    def data_received(self, data: bytes) -> None:
        """Some bytes of an answer, or of more."""
        if self._is_over or not data:
            return
        piece = np.frombuffer(bytearray(data), dtype=np.uint8)
        content = np.empty_like(piece)
        at, end = 0, len(data)
        while at < end and not self._is_over:
            was_in_head = http.is_in_head(self._state)
            behind = http.scan_content(
                self._state, piece, at, end, self._text, self._is_head and self._is_asked, content
            )
            result = self._state[RESULT]
            if was_in_head and self._is_asked:
                self._head += data[at:behind]
                if result == COMPLETE or not http.is_in_head(self._state):
                    self._on_head()
            if (size := int(self._state[http.CONTENT])) and self._body is not None:
                self._body.feed_data(content[:size].tobytes())
            if result == BROKEN:
                self._watch.broken_replies += 1
                self._end(TEXTS[self._state[WHY]])
            elif result == COMPLETE:
                self._on_answer()
            at = behind

    def _on_head(self) -> None:
        """Hand the head on; its body follows unless it has none."""
        state = self._state
        if state[RESULT] == BROKEN:
            return
        self._body = None
        if state[RESULT] != COMPLETE:
            self._body = StreamReader(self, BODY_BUFFER_BYTES, timer=self._body_timer, loop=self._loop)
        payload = self._payload = EMPTY_PAYLOAD if self._body is None else self._body
        reason = self._text[: state[TEXT]].tobytes().decode(errors="replace")[4:]
        headers = headers_of(bytes(self._head))
        message = RawResponseMessage(
            HttpVersion11 if state[MINOR] else HttpVersion10,
            int(state[CODE]),
            reason,
            CIMultiDictProxy(CIMultiDict((_text(name), _text(value)) for name, value in headers)),
            tuple(headers),
            bool(state[ENDS]),
            None,
            False,
            bool(state[CODING] == CHUNKED_CODING),
        )
        self._head.clear()
        self.feed_data((message, payload), 0)

    def _on_answer(self) -> None:
        """One is complete; what comes behind it was not asked for."""
        was_asked, self._is_asked = self._is_asked, False
        ends = bool(self._state[ENDS])
        reset(self._state)
        if not was_asked:
            # As the wire engine has it: a farewell is polite, all else could be taken for the next answer.
            self.has_strayed = not ends
            self._watch.stray_replies += not ends
            self._end()
            return
        if ends:
            self._should_close = True
        if self._body is not None:
            self._body.feed_eof()
            self._body = None

    def _end(self, text: str | None = None) -> None:
        """Close the connection; whoever waits for an answer is told why there is none."""
        self._is_over = True
        if text is not None and self._is_asked:
            self._fail(text)
        self._should_close = True
        if self.transport is not None:
            self.transport.abort()

    def _fail(self, text: str) -> None:
        error = NoAnswer(text)
        self.set_exception(error)
        if self._body is not None:
            self._body.set_exception(error)

    def connection_lost(self, exc: BaseException | None) -> None:
        """The connection's end may be that of an answer, or lie behind an answer that nobody has read."""
        if exc is not None and self._is_asked:
            self.data_received(self._last_words())
        if self._is_asked and not self._is_over:
            if exc is None and http.at_eof(self._state):
                self._state[ENDS] = 1
                self._on_answer()
            else:
                self._fail(TEXTS[CLOSED_EARLY if exc is None else CONNECTION_RESET])
        self._is_over = True
        super().connection_lost(exc)

    def _last_words(self) -> bytes:
        """What the kernel still has: an event loop that cannot write any more does not read either."""
        transport = self.transport
        if transport is None or transport.get_extra_info("sslcontext") is not None:
            return b""
        plain = transport.get_extra_info("socket")
        words = b""
        with contextlib.suppress(OSError, ValueError):
            while len(words) < LAST_WORDS_BYTES and (more := os.read(plain.fileno(), LAST_WORDS_BYTES)):
                words += more
        return words


def compile_scanner() -> None:
    """Before the run: the first answer would wait for it."""
    piece = np.zeros(1, dtype=np.uint8)
    state, text = np.zeros(STATE_COLUMNS, dtype=np.int64), np.zeros(TEXT_BYTES, dtype=np.uint8)
    http.scan_content(state, piece, 0, 1, text, False, piece.copy())
    http.at_eof(state)
    reset(state)


def headers_of(heads: bytes) -> list[tuple[bytes, bytes]]:
    """Names and values of the last of some heads, the interim ones before it left out."""
    found: list[tuple[bytes, bytes]] = []
    last = _HEADS_END.split(heads.rstrip(b"\r\n"))[-1]
    for line in last.split(b"\n")[1:]:
        name, colon, value = line.partition(b":")
        if line[:1] in (b" ", b"\t") and found:
            found[-1] = (found[-1][0], found[-1][1] + b" " + line.strip())
        elif colon:
            found.append((name.strip(), value.strip()))
    return found


def _text(header: bytes) -> str:
    return header.decode("utf-8", "surrogateescape")
