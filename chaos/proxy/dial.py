"""A connection to upstream, made without waiting for it, and given up after a time."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable

from chaos.proxy.endpoint import OUT, prepare, reset
from chaos.proxy.loop import Loop, Timer, now_ns

REFUSED = "refused"
TIMED_OUT = "timed out"
BROKEN = "broken"
"""Upstream accepted it and has reset it already."""
FAILED = "failed"
"""On our side: no descriptor, no port."""
_OUR_OWN = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL, errno.EAGAIN)


class Dial:
    """Calls `done` once, never from within the constructor, with the socket or with why there is none."""

    def __init__(
        self,
        loop: Loop,
        address: tuple[str, int],
        deadline_ns: int,
        done: Callable[[socket.socket | None, str], None],
    ) -> None:
        self._loop, self._done = loop, done
        self._socket: socket.socket | None = None
        self._timer = Timer(loop, self._on_deadline)
        self._failure = TIMED_OUT
        self._is_watched = False
        try:
            family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
            self._socket = socket.socket(family, socket.SOCK_STREAM)
            prepare(self._socket)
            code = self._socket.connect_ex(address)
        except OSError as error:
            code = error.errno or errno.EAGAIN
        if code in (0, errno.EINPROGRESS) and self._socket is not None:
            self._timer.set(now_ns() + deadline_ns)
            self._is_watched = True
            loop.register(self._socket.fileno(), OUT, self._on_ready)
        else:
            self._failure = _failure(code)
            self._timer.set(now_ns())

    def cancel(self) -> None:
        """Nobody wants it any more; upstream may have accepted it and gets a reset."""
        stream = self._end()
        if stream is not None:
            reset(stream)

    def _on_ready(self, _mask: int) -> None:
        stream = self._end()
        assert stream is not None
        code = stream.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            stream.close()
            self._done(None, _failure(code))
        else:
            self._done(stream, "")

    def _on_deadline(self) -> None:
        stream = self._end()
        if stream is not None:
            stream.close()
        self._done(None, self._failure)

    def _end(self) -> socket.socket | None:
        self._timer.drop()
        stream, self._socket = self._socket, None
        if stream is not None and self._is_watched:
            self._loop.unregister(stream.fileno())
        return stream


def _failure(code: int) -> str:
    if code in _OUR_OWN:
        return FAILED
    if code in (errno.ECONNRESET, errno.EPIPE):
        return BROKEN
    return TIMED_OUT if code == errno.ETIMEDOUT else REFUSED
