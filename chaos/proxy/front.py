"""From an accepted client to a connection: upstream is dialled, and its refusal becomes ours."""

from __future__ import annotations

import errno
import select
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

from chaos.proxy.endpoint import OUT, prepare, reset
from chaos.proxy.loop import Loop, Timer, now_ns

if TYPE_CHECKING:
    from chaos.proxy.traffic import Traffic


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
        """It is not wanted any more; upstream may have accepted it and gets a reset."""
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


PROBE_EVERY_NS = 1_000_000
"""How often upstream is tried while it refuses: what recovery can look later through us."""


class Front:
    """Clients without a counterpart yet, and whether upstream refuses.

    connect: called with a client and its counterpart. changed: called when upstream begins or ends
    to refuse. Who listens to that shuts the port.
    """

    def __init__(
        self,
        traffic: Traffic,
        upstream: tuple[str, int],
        deadline_ns: int,
        connect: Callable[[socket.socket, socket.socket], None],
        changed: Callable[[], None],
    ) -> None:
        self._traffic, self.loop = traffic, traffic.loop
        self._upstream, self._deadline_ns = upstream, deadline_ns
        self._connect, self._changed = connect, changed
        self._clients: dict[Client, None] = {}
        self._probe: Dial | None = None
        self._probe_timer = Timer(self.loop, self._try_upstream)
        self._spare = Spare(self.loop)
        self.is_held = False
        """No connection is made for now; see `release`."""
        self.upstream_refuses = False
        self.refused_ns: int | None = None
        """When upstream was last found to refuse."""
        self.back_ns: int | None = None
        """When it was last found to be back."""

    @property
    def waiting(self) -> int:
        """Clients that have no counterpart yet."""
        return len(self._clients)

    def receive(self, client: socket.socket) -> None:
        """A client has been accepted."""
        prepare(client)
        waiting = Client(self, client)
        self._clients[waiting] = None
        if not self.is_held:
            self._reach(waiting)

    def lead_to(self, upstream: tuple[str, int]) -> None:
        """Dial another one from now on."""
        self._upstream = upstream
        spare = self._spare.take()
        if spare is not None:
            spare.close()

    def hold(self) -> None:
        """Dial for no client from now on; a dial that is under way may have arrived already."""
        self.is_held = True

    def release(self) -> None:
        """Go on with all that have waited."""
        self.is_held = False
        for waiting in list(self._clients):
            if waiting.dial is None:
                self._reach(waiting)

    def reset_all(self) -> int:
        """Reset every client that waits; how many there were."""
        waiting = list(self._clients)
        for each in waiting:
            self.drop(each)
        return len(waiting)

    def drop(self, waiting: Client) -> None:
        """Reset a client that waits."""
        del self._clients[waiting]
        reset(waiting.leave())

    def close(self) -> None:
        """Reset every client that waits, and look for upstream no longer."""
        self.reset_all()
        self._probe_timer.drop()
        if self._probe is not None:
            self._probe.cancel()
        spare = self._spare.take()
        if spare is not None:
            spare.close()

    def _reach(self, waiting: Client) -> None:
        counterpart = self._spare.take()
        if counterpart is not None:
            self._join(waiting, counterpart)
            return
        waiting.dial = Dial(
            self.loop,
            self._upstream,
            self._deadline_ns,
            lambda stream, failure: self._dialled(waiting, stream, failure),
        )

    def _dialled(self, waiting: Client, stream: socket.socket | None, failure: str) -> None:
        waiting.dial = None
        if stream is not None:
            self._join(waiting, stream)
            return
        if self.is_held:
            return  # the answer was held too; it is dialled again afterwards
        counters = self._traffic.counters
        if failure == REFUSED:
            counters.upstream_refused += 1
            # First, so that a client that comes again immediately is refused by the kernel.
            self._begin_refusing()
        elif failure == TIMED_OUT:
            counters.dials_timed_out += 1
        elif failure == BROKEN:
            counters.resets_passed_on += 1
        else:
            counters.dials_failed += 1
        self.drop(waiting)

    def _join(self, waiting: Client, counterpart: socket.socket) -> None:
        del self._clients[waiting]
        self._traffic.counters.connected += 1
        self._connect(waiting.leave(), counterpart)

    def _begin_refusing(self) -> None:
        if not self.upstream_refuses:
            self.upstream_refuses = True
            self.refused_ns = now_ns()
            self._changed()
            self._probe_timer.set(self.refused_ns + PROBE_EVERY_NS)

    def _try_upstream(self) -> None:
        self._probe = Dial(self.loop, self._upstream, self._deadline_ns, self._tried)

    def _tried(self, stream: socket.socket | None, _failure: str) -> None:
        self._probe = None
        if stream is None:
            self._probe_timer.set(now_ns() + PROBE_EVERY_NS)
            return
        self._spare.keep(stream)
        self.upstream_refuses = False
        self.back_ns = now_ns()
        self._changed()


class Client:
    """A client that waits for its counterpart. What it sends waits in the kernel."""

    def __init__(self, front: Front, stream: socket.socket) -> None:
        self._front, self._stream = front, stream
        self.dial: Dial | None = None
        # Watched for nothing: a hang-up is reported all the same.
        front.loop.register(stream.fileno(), 0, self._on_hang_up)

    def cancel_dial(self) -> None:
        """Not now."""
        if self.dial is not None:
            self.dial.cancel()
            self.dial = None

    def leave(self) -> socket.socket:
        """It waits no longer."""
        self.cancel_dial()
        self._front.loop.unregister(self._stream.fileno())
        return self._stream

    def _on_hang_up(self, _mask: int) -> None:
        self._front.drop(self)
