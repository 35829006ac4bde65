"""What all connections share, and which of them the compiled relay has: how they change hands.

    no toxic in force:  the relay waits on `loop.traffic` and passes bytes on; ends and resets come back
    a toxic:            the relay stands still, and the loop itself waits on `loop.traffic`

So a toxic that comes finds all connections in one call, however many they are. What the relay cannot
have (an end is under way, something still waits) is watched in the loop's own epoll meanwhile.
"""

from __future__ import annotations

import contextlib
import os
import select
from typing import TYPE_CHECKING, Protocol

from chaos.proxy.toxic import DOWN, UP
from chaos.proxy.toxics import Path

if TYPE_CHECKING:
    import socket
    from collections.abc import Collection, Iterable

    from chaos.proxy.loop import Loop
    from chaos.proxy.relay import Relay
    from chaos.proxy.toxic import Toxic


LOADING, RUNNING, STANDING = "loading", "running", "standing still"


class Lendable(Protocol):
    """A connection that the relay can have (`chaos.proxy.connection.Connection`)."""

    is_closed: bool

    @property
    def descriptors(self) -> tuple[int, int]:
        """Of both sides."""

    @property
    def sockets(self) -> tuple[socket.socket, socket.socket]:
        """Of both sides."""

    @property
    def is_plain(self) -> bool:
        """Whether nothing is under way on it but bytes that are to come."""

    def watch_in(self, *, is_traffic: bool) -> None:
        """Have both sides watched there."""

    def take_unsent(self, relay: Relay) -> None:
        """The relay stands still: what it has not sent is for the flows to send."""

    def take_back(self, relay: Relay, fd: int, reason: int) -> None:
        """The relay has let go of it, because of what it saw at a descriptor."""

    def add_passed(self, fd: int, count: int) -> None:
        """The relay, which has passed so much on from a descriptor, has it no more."""


class Lending:
    """Used by the loop's thread alone."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._lent: dict[int, Lendable] = {}
        self._relay: Relay | None = None
        self.is_running = False
        """Whether the relay passes bytes on."""
        self.failure: str | None = None
        """Why there is no relay and will be none."""
        self.wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.released = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        loop.register(self.wake, select.EPOLLIN, self._on_wake, is_traffic=True)
        loop.register(self.released, select.EPOLLIN, self._on_released)

    @property
    def state(self) -> str:
        """In words."""
        if self._relay is None:
            return self.failure or LOADING
        return RUNNING if self.is_running else STANDING

    def begin(self, relay: Relay) -> None:
        """It has been loaded, and stands still."""
        self._relay = relay

    def halt(self) -> None:
        """From now on every connection is the loop's."""
        if self._relay is None or not self.is_running:
            return
        self.is_running = False
        is_well = self._relay.park()
        self._relay.let_go(self._returned)
        for fd in self._relay.blocked():
            self._lent[fd].take_unsent(self._relay)
        self._loop.take_traffic()
        if not is_well:
            self._give_up()

    def go_on(self, connections: Iterable[Lendable]) -> None:
        """No toxic is in force: the relay has every connection from which nothing is under way."""
        if self._relay is None or self.is_running:
            return
        for connection in connections:
            if connection.is_plain:
                self._lend(connection)
            else:
                self._withdraw(connection)
        self._loop.leave_traffic()
        self.is_running = True
        self._relay.go_on()

    def is_for_traffic(self, connection: Lendable) -> bool:
        """Whether a new one is to be watched in `loop.traffic`."""
        return not self.is_running or self._may_own(connection)

    def connected(self, connection: Lendable) -> None:
        """A new one is watched."""
        if self.is_running and self._may_own(connection):
            self._own(connection)

    def offer(self, connection: Lendable) -> None:
        """Nothing is under way from it any more. Not while its events are being looked at."""
        if self.is_running and connection.is_plain and not connection.is_closed:
            self._lend(connection)

    def ended(self, connection: Lendable) -> None:
        """It is about to be closed."""
        for fd in connection.descriptors:
            self._lent.pop(fd, None)
            if self._relay is not None:
                self._relay.disown(fd)

    def passed_bytes(self, fd: int) -> int:
        """What the relay has passed on from a descriptor."""
        return 0 if self._relay is None or fd not in self._lent else self._relay.passed_bytes(fd)

    def unsent_bytes(self, fd: int) -> int:
        """What the relay holds of it."""
        return 0 if self._relay is None or fd not in self._lent else self._relay.unsent_bytes(fd)

    def close(self) -> None:
        """The loop has ended."""
        if self._relay is not None:
            self._relay.close()

    def _may_own(self, connection: Lendable) -> bool:
        return self._relay is not None and self._relay.may_own(*connection.descriptors)

    def _own(self, connection: Lendable) -> None:
        assert self._relay is not None
        for fd in connection.descriptors:
            self._lent[fd] = connection
        self._relay.own(*connection.sockets)

    def _lend(self, connection: Lendable) -> None:
        may_own = self._may_own(connection)
        # Watched first: of one that it does not own yet the relay leaves the events alone, and they stay.
        connection.watch_in(is_traffic=may_own)
        if may_own and connection.descriptors[0] not in self._lent:
            self._own(connection)

    def _withdraw(self, connection: Lendable) -> None:
        assert self._relay is not None
        self._relay.disown(*connection.descriptors)
        for fd in connection.descriptors:
            if self._lent.pop(fd, None) is not None:
                connection.add_passed(fd, self._relay.take_passed(fd))
        connection.watch_in(is_traffic=False)

    def _returned(self, fd: int, reason: int) -> None:
        connection = self._lent.get(fd)
        if connection is None or self._relay is None:
            return
        self._relay.disown(*connection.descriptors)
        for each in connection.descriptors:
            del self._lent[each]
            connection.add_passed(each, self._relay.take_passed(each))
        connection.take_back(self._relay, fd, reason)

    def _on_released(self, _mask: int) -> None:
        try:
            os.eventfd_read(self.released)
        except BlockingIOError:
            return
        if self._relay is None:
            return
        self._relay.let_go(self._returned)
        if self._relay.failure is not None:
            self.halt()

    def _on_wake(self, _mask: int) -> None:
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self.wake)

    def _give_up(self) -> None:
        assert self._relay is not None
        self.failure = f"{type(self._relay.failure).__name__}: {self._relay.failure}"
        for fd, connection in self._lent.items():
            connection.add_passed(fd, self._relay.take_passed(fd))
        self._lent.clear()
        self._relay = None


READ_BYTES = 65_536
"""At most so much of one connection in one turn."""


class Counters:
    """Counts since the start, of what the toxics did not do."""

    def __init__(self) -> None:
        self.accepted = 0
        self.connected = 0
        """Of these, so many were given a connection to upstream."""
        self.upstream_refused = 0
        """Clients that were reset because upstream refused."""
        self.dials_timed_out = 0
        """Clients that were reset because upstream did not answer."""
        self.dials_failed = 0
        """Clients that were reset because we had no descriptor or port left."""
        self.resets_passed_on = 0
        self.up_bytes = 0
        self.down_bytes = 0
        """Sent on by connections that are over."""


class Traffic:
    """One writer: the loop's thread."""

    def __init__(self, loop: Loop) -> None:
        self.loop = loop
        self.buffer = bytearray(READ_BYTES)
        self.view = memoryview(self.buffer)
        self.counters = Counters()
        self.generation = 0
        """Changes with the paths; what has another one asks for its path first."""
        self.paths = {direction: Path(0, direction, ()) for direction in (UP, DOWN)}
        """With all toxics."""
        self._toxics: tuple[Toxic, ...] = ()
        """Those in force, if one of them acts on some of the connections only."""
        self.lending = Lending(loop)

    def follow(self, toxics: Collection[Toxic]) -> None:
        """From now on every connection, live or new, goes by these."""
        self.generation += 1
        self.paths = {direction: Path(self.generation, direction, toxics) for direction in (UP, DOWN)}
        self._toxics = tuple(toxics) if any(toxic.is_partial for toxic in toxics) else ()

    def path(self, direction: str, connection: int) -> Path:
        """What the toxics in force make of one direction of one connection."""
        if not self._toxics:
            return self.paths[direction]
        return Path(self.generation, direction, [toxic for toxic in self._toxics if toxic.hits(connection)])

    @property
    def is_plain(self) -> bool:
        """Whether bytes of all connections go in both directions as they come."""
        return all(path.is_plain for path in self.paths.values())
