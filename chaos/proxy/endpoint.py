"""One end of a connection through the proxy: its socket and what epoll watches it for."""

import contextlib
import select
import socket
import struct
from collections.abc import Callable
from typing import Protocol

from chaos.proxy.loop import Loop

IN, OUT = select.EPOLLIN, select.EPOLLOUT
DRAIN_BYTES = 65_536
HUNG_UP = select.EPOLLHUP | select.EPOLLERR
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


def prepare(stream: socket.socket) -> None:
    """Neither blocking nor waiting to fill a segment: a delay shall be the toxics' alone."""
    stream.setblocking(False)
    with contextlib.suppress(OSError):  # it was reset already, which reading will show
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def reset(stream: socket.socket) -> None:
    """Close with a TCP reset; what waits to be sent is thrown away."""
    with contextlib.suppress(OSError):
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    stream.close()


class Stream(Protocol):
    """One direction of a connection, as an endpoint knows it (`chaos.proxy.flow.Flow`)."""

    has_ended: bool

    @property
    def has_unsent(self) -> bool:
        """Whether its sink is waited for."""

    def on_readable(self) -> None:
        """Its source has bytes, or their end."""

    def on_writable(self) -> None:
        """Its sink takes bytes again."""

    def on_source_reset(self) -> None:
        """Its source's peer has broken the connection."""

    def on_sink_gone(self) -> None:
        """Its sink's peer has broken the connection."""


class Endpoint:
    """A socket that is the source of one flow and the sink of the other."""

    __slots__ = (
        "_is_traffic",
        "_is_watched",
        "_loop",
        "_mask",
        "fd",
        "incoming",
        "outgoing",
        "socket",
        "was_reset",
    )

    def __init__(self, loop: Loop, stream: socket.socket) -> None:
        self.socket = stream
        self.fd = stream.fileno()
        self.was_reset = False
        """Its peer has reset it, which the kernel reports only once."""
        self.outgoing: Stream
        """The flow of what it sends to us."""
        self.incoming: Stream
        """The flow of what we send to it."""
        self._loop = loop
        self._mask = 0
        self._is_watched = False
        self._is_traffic = False

    def watch(self, outgoing: Stream, incoming: Stream, *, is_traffic: bool) -> None:
        """Begin: its bytes are `outgoing`'s from now on. is_traffic: in the loop's epoll for them."""
        self.outgoing, self.incoming = outgoing, incoming
        self._mask = IN
        self._is_watched = True
        self._is_traffic = is_traffic
        self._loop.register(self.fd, IN, self._on_event, is_traffic=is_traffic)

    def watch_in(self, *, is_traffic: bool) -> None:
        """Watch it for the same in that epoll; unwatched, when it is watched again."""
        if is_traffic != self._is_traffic:
            self._is_traffic = is_traffic
            if self._is_watched:
                self._loop.move(self.fd, self._mask, to_traffic=is_traffic)

    @property
    def is_watched_plainly(self) -> bool:
        """For bytes that come, and nothing else."""
        return self._is_watched and self._mask == IN

    def take_back(self) -> None:
        """The relay has taken it out of the epoll for traffic; what is to be waited for, the flows say."""
        self._mask = self._mask_of_flows()
        self._is_traffic = False
        self._loop.move(self.fd, self._mask, to_traffic=False, is_there=False)

    def note_mask(self) -> None:
        """The relay has left it watched for what the flows say."""
        self._mask = self._mask_of_flows()

    def _mask_of_flows(self) -> int:
        return (0 if self.outgoing.has_unsent else IN) | (OUT if self.incoming.has_unsent else 0)

    def want(self, bit: int, wanted: bool) -> None:
        """Watch for IN or OUT, or no longer."""
        mask = self._mask | bit if wanted else self._mask & ~bit
        if mask == self._mask:
            return
        self._mask = mask
        if self._is_watched:
            self._loop.modify(self.fd, mask)
        elif mask:
            self._is_watched = True
            self._loop.register(self.fd, mask, self._on_event, is_traffic=self._is_traffic)

    def unwatch(self) -> None:
        """Stop: epoll would report a hang-up that is not to be handled yet again and again."""
        if self._is_watched:
            self._is_watched = False
            self._loop.unregister(self.fd)

    def drain(self, ended: Callable[[], None]) -> None:
        """Read and throw away up to the end, then say so."""
        self.unwatch()

        def read(_mask: int) -> None:
            try:
                if self.socket.recv(DRAIN_BYTES):
                    return
            except BlockingIOError:
                return
            except OSError:
                pass
            self.unwatch()
            ended()

        self._is_watched = True
        self._loop.register(self.fd, IN, read, is_traffic=self._is_traffic)

    def shut_down(self) -> None:
        """Pass an orderly end on."""
        with contextlib.suppress(OSError):  # it has gone, which its own flow will see
            self.socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Close in order; what the kernel still has to send is sent."""
        self.unwatch()
        self.socket.close()

    def reset(self) -> None:
        """Close with a TCP reset."""
        self.unwatch()
        reset(self.socket)

    def take_error(self) -> bool:
        """Whether the peer has reset the connection."""
        if self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self.was_reset = True
        return self.was_reset

    def _on_event(self, mask: int) -> None:
        if mask & IN:
            self.outgoing.on_readable()
        if mask & OUT and self._is_watched:
            self.incoming.on_writable()
        if mask & HUNG_UP and not mask & IN and self._is_watched:
            self._on_hang_up()

    def _on_hang_up(self) -> None:
        # Nothing is read from it now. Either its bytes have ended, or they have to wait, and their
        # end with them: watched again, it is reported again.
        self._mask = 0
        self.unwatch()
        if self.take_error():
            self.incoming.on_sink_gone()
            if self.outgoing.has_ended:
                self.outgoing.on_source_reset()
