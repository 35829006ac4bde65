"""A server's end of TLS whose records reach the client in pieces, cut at odd places."""

from __future__ import annotations

import contextlib
import itertools
import socket
import ssl
import threading
from collections.abc import Callable
from typing import Any

PIECES = (1, 5, 17, 1400)


class SplitTls:
    """As much of a socket as the raw servers use."""

    def __init__(self, plain: socket.socket, context: ssl.SSLContext) -> None:
        self._plain = plain
        self._received, self._unsent = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._session = context.wrap_bio(self._received, self._unsent, server_side=True)
        self._lock = threading.Lock()
        self._sizes = itertools.cycle(PIECES)
        self._is_over = False
        self._do(self._session.do_handshake)

    def _do(self, call: Callable[..., Any], *arguments: object) -> Any:
        while True:
            with self._lock:
                try:
                    return call(*arguments)
                except ssl.SSLWantReadError:
                    pass
                finally:
                    self._flush()
            self._received.write(data) if (data := self._plain.recv(1 << 16)) else self._received.write_eof()

    def _flush(self) -> None:
        data = self._unsent.read()
        while data:
            size = next(self._sizes)
            self._plain.sendall(data[:size])
            data = data[size:]

    def sendall(self, data: bytes) -> None:
        """All of it, in one record where it fits."""
        while data:
            data = data[self._do(self._session.write, data) :]

    def recv(self, size: int) -> bytes:
        """Some of what the client says; nothing at its end."""
        if self._is_over:
            return self._plain.recv(size)
        with contextlib.suppress(ssl.SSLEOFError, ssl.SSLZeroReturnError):
            return bytes(self._do(self._session.read, size))
        return b""

    def shutdown(self, how: int) -> None:
        """Say goodbye, and nothing more."""
        self._is_over = True
        with self._lock, contextlib.suppress(ssl.SSLError, OSError):
            self._session.unwrap()
        self._flush()
        self._plain.shutdown(how)

    def setsockopt(self, *option: Any) -> None:
        """Of the connection below."""
        self._plain.setsockopt(*option)

    def close(self) -> None:
        """Without a goodbye."""
        self._plain.close()
