"""The port that clients connect to. It can be shut and opened again without ever giving the port away."""

from __future__ import annotations

import contextlib
import errno
import select
import socket
from collections.abc import Callable

from chaos.proxy.loop import Loop, Timer, now_ns

BACKLOG = 4_096
ACCEPTS_PER_TURN = 32
"""Each costs some 50 us: the live connections must not wait for thousands of new ones."""
_NO_DESCRIPTOR = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_PAUSE_NS = 20_000_000


class Listener:
    """Hands every accepted socket on. Shut: ECONNREFUSED, and a reset for those in the kernel's queue."""

    def __init__(self, loop: Loop, host: str, port: int, accepted: Callable[[socket.socket], None]) -> None:
        self._loop, self._accepted = loop, accepted
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind((host, port))
        self._socket.setblocking(False)
        self._resume = Timer(loop, self._watch)
        self.address: tuple[str, int] = self._socket.getsockname()
        self.is_open = False
        self.set_open(True)

    def set_open(self, is_open: bool) -> None:
        """Listen or not; again is harmless."""
        if is_open == self.is_open:
            return
        self.is_open = is_open
        if is_open:
            self._socket.listen(BACKLOG)
            self._watch()
        else:
            self._unwatch()
            # Linux: the socket no longer listens and stays bound, so the port is still ours.
            self._socket.shutdown(socket.SHUT_RD)

    def refuses(self) -> bool:
        """Try it out: whether a client of ours is refused."""
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            # Loopback answers at once; without an answer it would be open.
            probe.setblocking(False)
            code = probe.connect_ex(self.address)
            if code == errno.EINPROGRESS:
                code = probe.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            return code == errno.ECONNREFUSED

    def close(self) -> None:
        """Give the port back."""
        self._resume.drop()
        if self.is_open:
            self._unwatch()
        self._socket.close()

    def _watch(self) -> None:
        if self.is_open:
            self._loop.register(self._socket.fileno(), select.EPOLLIN, self._on_clients)

    def _unwatch(self) -> None:
        self._resume.cancel()
        with contextlib.suppress(KeyError, FileNotFoundError):  # it was pausing
            self._loop.unregister(self._socket.fileno())

    def _on_clients(self, _mask: int) -> None:
        for _ in range(ACCEPTS_PER_TURN):
            try:
                client, _address = self._socket.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _NO_DESCRIPTOR:
                    # They wait in the kernel until a connection has ended.
                    self._unwatch()
                    self._resume.set(now_ns() + _PAUSE_NS)
                    return
                continue  # that client has gone again
            self._accepted(client)
            if not self.is_open:
                return
