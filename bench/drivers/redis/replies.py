"""redis-py's parser of replies, with the wire engine's scanner in front of it.

So that both engines agree on what a reply is and what is an error in it, and neither keeps more of one than
it needs: hiredis gets whole replies of reasonable size, as it would; of a larger one only what the scanner
found is handed on.
"""

import ssl
from typing import Any

import hiredis
import numpy as np
from redis._parsers import _AsyncHiredisParser
from redis.exceptions import InvalidResponse, RedisError, ResponseError

from bench.core.answers import FOUND, MISSED
from bench.engine.wire.layout import LOOKUP_EACH
from bench.protocols import resp
from bench.protocols.state import (
    BROKEN,
    CLASS,
    CLOSED_EARLY,
    COMPLETE,
    ERROR_REPLY,
    HITS,
    MISSES,
    NULL_REPLY,
    PUSH_REPLY,
    RESULT,
    STATE_COLUMNS,
    TEXT,
    TEXT_BYTES,
    TEXTS,
    WHY,
    reset,
    why_lost,
)

KEPT_BYTES = 1 << 20
"""A reply larger than this is read and not kept."""

_NO_ELEMENT = -1
_NOTHING = object()
"""What hiredis says where it has no whole reply."""


class NoAnswer(RedisError):  # noqa: N818 - it says what happened
    """There is no reply, or none that can be read; the text says why."""


class UnkeptReply:
    """A reply of which only is known what the scanner counts."""

    def __init__(self, hits: int, misses: int) -> None:
        self._hits, self._misses = hits, misses

    def found(self, kind: int) -> tuple[int, ...]:
        """What it counts as for a lookup of that kind, in columns of a table of answers."""
        if kind == LOOKUP_EACH:
            return (FOUND,) * self._hits + (MISSED,) * self._misses
        return (FOUND if self._hits else MISSED,)


class ScannedReplies(_AsyncHiredisParser):
    """The replies on one connection."""

    _stream: Any  # redis-py's, which says too little of it

    def __init__(self, socket_read_size: int) -> None:
        super().__init__(socket_read_size=socket_read_size)
        self._state = np.zeros(STATE_COLUMNS, dtype=np.int64)
        self._text = np.zeros(TEXT_BYTES, dtype=np.uint8)
        self._unscanned = bytearray()
        self._reply = bytearray()
        self._is_kept = True
        self._objects = self._new_objects()
        self.is_read_only = False
        """Whether the server has refused because it takes no writes."""
        self.broken = 0
        """Times that bytes were no reply."""

    def on_connect(self, connection: Any) -> None:
        """A new connection begins with nothing read."""
        super().on_connect(connection)  # type: ignore[no-untyped-call]  # redis-py's
        self._objects = self._new_objects()
        self.is_read_only = False
        self._unscanned.clear()
        self._begin()

    def _new_objects(self) -> Any:
        return hiredis.Reader(
            protocolError=InvalidResponse, replyError=self.parse_error, notEnoughData=_NOTHING
        )

    def _begin(self) -> None:
        reset(self._state)
        self._reply.clear()
        self._is_kept = True

    @property
    def has_more(self) -> bool:
        """Whether more came than was asked for."""
        return bool(self._unscanned)

    async def can_read(self) -> bool:
        """Whether something was sent that was not read."""
        return self.has_more or bool(await super().can_read())

    async def can_read_destructive(self) -> bool:
        """The same, by its older name."""
        return await self.can_read()

    async def read_response(self, disable_decoding: bool = False, push_request: bool = False) -> Any:  # noqa: ARG002 - nothing is decoded
        """The next reply; an error is returned, or raised where redis-py takes the connection for broken."""
        while True:
            while not self._unscanned:
                self._unscanned += await self._more()
            self._scan()
            if self._state[RESULT] == BROKEN:
                self.broken += 1
                raise NoAnswer(TEXTS[self._state[WHY]])
            if self._state[RESULT] != COMPLETE:
                continue
            kind = self._state[CLASS]
            reply = self._parsed()
            self._begin()
            if kind != PUSH_REPLY:
                if isinstance(reply, Exception) and not isinstance(reply, ResponseError):
                    raise reply
                return reply
            if not isinstance(reply, list):
                continue
            reply = await self.handle_push_response(reply)  # type: ignore[no-untyped-call]  # redis-py's
            if push_request:
                return reply

    async def _more(self) -> bytes:
        try:
            data = await self._stream.read(self._read_size)
        except (ConnectionError, ssl.SSLError) as error:
            raise NoAnswer(why_lost(error)) from None
        if not data:
            raise NoAnswer(self._last_words() or TEXTS[CLOSED_EARLY])
        return bytes(data)

    def _last_words(self) -> str:
        """An error of which the connection's end has cut something off."""
        return self._said() if self._state[CLASS] == ERROR_REPLY else ""

    def _scan(self) -> None:
        data = np.frombuffer(bytes(self._unscanned), dtype=np.uint8).copy()
        used = resp.scan(self._state, data, 0, data.size, self._text, _NO_ELEMENT)
        if self._is_kept:
            self._reply += self._unscanned[:used]
            if len(self._reply) > KEPT_BYTES:
                self._is_kept = False
                self._reply.clear()
        del self._unscanned[:used]

    def _parsed(self) -> Any:
        """The reply that is complete, as hiredis has it; an error in it, at any depth, is the whole."""
        found: Any = UnkeptReply(int(self._state[HITS]), int(self._state[MISSES]))
        if self._state[CLASS] == NULL_REPLY:
            found = None
        if self._is_kept:
            try:
                self._objects.feed(bytes(self._reply))
                # Attributes come as an object of their own, before what they describe.
                while (one := self._objects.gets()) is not _NOTHING:
                    found = one
            except Exception:  # noqa: BLE001 - whatever hiredis does not know, the scanner does
                self._objects = self._new_objects()
        if self._state[CLASS] == ERROR_REPLY:
            if not isinstance(found, Exception):
                found = ResponseError(self._said())
            self.is_read_only |= self._said().startswith("READONLY ")
            found.said = self._said()  # redis-py's classes take away the word that says what it is
        return found

    def _said(self) -> str:
        return self._text[: self._state[TEXT]].tobytes().decode(errors="replace")


def compile_scanner() -> None:
    """Before the run: the first reply would wait for it."""
    state, text = np.zeros(STATE_COLUMNS, dtype=np.int64), np.zeros(TEXT_BYTES, dtype=np.uint8)
    resp.scan(state, np.zeros(1, dtype=np.uint8), 0, 1, text, _NO_ELEMENT)
    reset(state)
