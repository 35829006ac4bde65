"""The connection by which upstream was found to be back, kept for the first client that comes."""

from __future__ import annotations

import select
import socket

from chaos.proxy.loop import Loop, Timer, now_ns

KEPT_NS = 200_000_000


class Spare:
    """At most one, for 0.2 s at most, and only as long as upstream keeps it."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._socket: socket.socket | None = None
        self._timer = Timer(loop, self._drop)

    def keep(self, stream: socket.socket) -> None:
        """For the next client."""
        self._drop()
        self._socket = stream
        # Not its bytes: a server may speak first, and its greeting is the client's to read.
        self._loop.register(stream.fileno(), select.EPOLLRDHUP, lambda _mask: self._drop())
        self._timer.set(now_ns() + KEPT_NS)

    def take(self) -> socket.socket | None:
        """It, if there is one."""
        stream, self._socket = self._socket, None
        if stream is not None:
            self._timer.cancel()
            self._loop.unregister(stream.fileno())
        return stream

    def _drop(self) -> None:
        stream = self.take()
        if stream is not None:
            stream.close()
