"""From an accepted client to a connection: upstream is dialled, and its refusal becomes ours."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

from chaos.proxy.dial import BROKEN, REFUSED, TIMED_OUT, Dial
from chaos.proxy.endpoint import prepare, reset
from chaos.proxy.loop import Timer, now_ns
from chaos.proxy.spare import Spare

if TYPE_CHECKING:
    from chaos.proxy.traffic import Traffic

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
        """Nobody is connected for now; see `release`."""
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
        """Dial for nobody from now on; a dial that is under way may have arrived already."""
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
            return  # nobody can know; it is dialled again afterwards
        accounts = self._traffic.accounts
        if failure == REFUSED:
            accounts.upstream_refused += 1
            # First, so that a client that comes again at once is refused by the kernel.
            self._begin_refusing()
        elif failure == TIMED_OUT:
            accounts.dials_timed_out += 1
        elif failure == BROKEN:
            accounts.resets_passed_on += 1
        else:
            accounts.dials_failed += 1
        self.drop(waiting)

    def _join(self, waiting: Client, counterpart: socket.socket) -> None:
        del self._clients[waiting]
        self._traffic.accounts.connected += 1
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
