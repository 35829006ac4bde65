"""aiohttp's connection pool as an application has it, watched; its answers are read by the wire engine's
scanner.

So both engines agree on what an answer is, to the byte, and neither keeps more of one than it needs.
aiohttp's session gets what it gets from its own parser: a message with all headers, and a body as a
stream that stops reading while nothing takes from it. aiohttp's own parser refuses what RFC 9112 lets a
client read (a long header, a Content-Length that stands there twice), and calls it status 400.

Only public methods are extended, except for what makes a connection's receiving side. aiohttp's
tracing reports when a request has been given a place in the pool and when its head is sent; `connect`
is where the connection is known, and a connection's own callback where it comes back.
"""

import asyncio
import contextlib
import os
import re
import ssl
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import numpy as np
from aiohttp import (
    ClientError,
    ClientRequest,
    ClientTimeout,
    StreamReader,
    TCPConnector,
    ThreadedResolver,
    TraceConfig,
)
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.http import HttpVersion10, HttpVersion11, RawResponseMessage
from aiohttp.streams import EMPTY_PAYLOAD
from aiohttp.tracing import Trace
from multidict import CIMultiDict, CIMultiDictProxy

from bench.engine.client.pool import (
    CONNECTING,
    CURRENT,
    NEVER,
    SENT,
    ConnectionNumbers,
    PendingRequest,
    PoolMonitor,
    RunClock,
)
from bench.protocols.http import scanner as http
from bench.protocols.http.state import CHUNKED_CODING, CODING, MINOR
from bench.protocols.state import (
    BROKEN,
    CLOSED_EARLY,
    CODE,
    COMPLETE,
    ENDS,
    RESULT,
    STATE_COLUMNS,
    TEXT,
    TEXT_BYTES,
    TEXTS,
    WHY,
    reset,
    why_lost,
)

BODY_BUFFER_BYTES = 1 << 16
"""Of a body that is not taken, twice as much is held before the connection is no longer read."""

LAST_WORDS_BYTES = 1 << 16
_HEADS_END = re.compile(rb"\r?\n\r?\n")


class NoAnswer(ClientError):  # noqa: N818 - it says what happened
    """There is no answer, or none that can be read; the text says why."""


class _NoParser:
    """Stands where aiohttp's own parser would, which learns when a body is not taken and when all ends."""

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
        """Close the connection; what waits for an answer gets the reason."""
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

    def close(self) -> None:
        """Close the connection. Over TLS that would wait for the server's farewell, which one
        that hangs never says; the run ends before.
        """
        transport = self.transport
        super().close()
        if transport is not None and transport.get_extra_info("sslcontext") is not None:
            transport.abort()

    def connection_lost(self, exc: BaseException | None) -> None:
        """The connection's end may be that of an answer, or lie behind an answer that was not read."""
        if exc is not None and self._is_asked:
            self.data_received(self._last_words())
        if self._is_asked and not self._is_over:
            if exc is None and http.at_eof(self._state):
                self._state[ENDS] = 1
                self._on_answer()
            else:
                self._fail(why_lost(exc))
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


NEVER_IDLE_S = 1e7
"""A connection is kept until the server closes it, so that every loss is the server's doing."""


class Opened(Exception):  # noqa: N818 - no error: how a request ends that was only to open a connection
    """The connections are open; nothing was sent."""


@dataclass(frozen=True)
class Passage:
    """A request on its way: its ticket, and the limit of time that begins when it is sent, if one does."""

    ticket: PendingRequest
    limit: asyncio.Timeout | None


class WatchedConnector(TCPConnector):
    """A pool of fixed size, which tells a PoolMonitor what happens to its connections."""

    def __init__(self, watch: PoolMonitor, tls: ssl.SSLContext | None) -> None:
        super().__init__(
            limit=watch.size,
            keepalive_timeout=NEVER_IDLE_S,
            ssl=tls or True,
            # A name is looked up whenever a connection is opened, as the other engines do: it may lead
            # elsewhere after a failover.
            use_dns_cache=False,
            resolver=ThreadedResolver(),
        )
        self._factory = cast(
            "partial[ResponseHandler]", partial(AnswerProtocol, asyncio.get_running_loop(), watch)
        )
        self._watch = watch
        self._pool_numbers = ConnectionNumbers[ResponseHandler](watch, ResponseHandler.is_connected)
        self._gate: asyncio.Barrier | None = None
        self.closed_after_answer = 0

    def hold_back(self, count: int) -> None:
        """The next `count` requests open a connection each, wait for one another, and send nothing."""
        self._gate = asyncio.Barrier(count)

    def let_go(self) -> None:
        """Requests are sent from now on."""
        self._gate = None

    async def connect(self, req: ClientRequest, traces: list[Trace], timeout: ClientTimeout) -> Connection:
        """A connection for a request, from the pool or new."""
        ticket = CURRENT.get()
        assert ticket is not None
        try:
            connection = await super().connect(req, traces, timeout)
        except BaseException:
            if ticket.stage == CONNECTING:
                self._watch.on_returned()
                if ticket.lane != NEVER:
                    self._pool_numbers.unopened(ticket.lane)
            raise
        protocol = connection.protocol
        assert protocol is not None
        if ticket.lane == NEVER:
            ticket.lane = self._pool_numbers.number_of(protocol)
        else:
            self._watch.on_address(protocol.transport)
            self._pool_numbers.opened(ticket.lane, protocol)
        connection.add_callback(self._watch.on_returned)
        if self._gate is not None:
            try:
                await self._gate.wait()
            finally:
                connection.release()
            raise Opened
        return connection

    def on_place(self, ticket: PendingRequest, *, is_new: bool) -> None:
        """A request was given a place in the pool; the connection in it is to be opened, or open."""
        ticket.stage = CONNECTING
        if is_new:
            ticket.lane = self._pool_numbers.take()
        self._watch.on_acquired()

    def on_answered(self, ticket: PendingRequest) -> None:
        """Its answer was read to the end. A connection that was closed for it is no loss."""
        protocol = self._pool_numbers.connection(ticket.lane)
        if protocol is None or protocol.is_connected():
            return
        if isinstance(protocol, AnswerProtocol) and protocol.has_strayed:
            self._pool_numbers.lost(ticket.lane, protocol)
        else:
            self._pool_numbers.parted(ticket.lane, protocol)
            self.closed_after_answer += 1

    def on_failed(self, ticket: PendingRequest) -> None:
        """It broke off: so did its connection."""
        protocol = self._pool_numbers.connection(ticket.lane)
        if protocol is not None and not protocol.is_connected():
            self._pool_numbers.lost(ticket.lane, protocol)


def tracing(connector: WatchedConnector, clock: RunClock, deadline_s: float) -> TraceConfig:
    """What aiohttp calls on each request's way; requests carry their Passage as `trace_request_ctx`."""

    async def on_new(session: Any, context: Any, facts: Any) -> None:  # noqa: ARG001 - aiohttp's form
        connector.on_place(context.trace_request_ctx.ticket, is_new=True)

    async def on_reused(session: Any, context: Any, facts: Any) -> None:  # noqa: ARG001 - aiohttp's form
        connector.on_place(context.trace_request_ctx.ticket, is_new=False)

    async def on_sent(session: Any, context: Any, facts: Any) -> None:  # noqa: ARG001 - aiohttp's form
        passage: Passage = context.trace_request_ctx
        if passage.limit is not None:
            passage.limit.reschedule(asyncio.get_running_loop().time() + deadline_s)
        passage.ticket.sent_ns = clock.now_ns()
        passage.ticket.stage = SENT

    found = TraceConfig()
    found.on_connection_create_start.append(on_new)
    found.on_connection_reuseconn.append(on_reused)
    found.on_request_headers_sent.append(on_sent)
    return found
