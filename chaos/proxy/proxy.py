"""The proxy as a whole: its port, its toxics, applied to all connections at one instant, and its control.

The port can be shut and opened again without ever giving it away. The harness controls the proxy by the
lines of `chaos.proxy.messages`, in on stdin, out on stdout; the end of stdin is the end of the proxy.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from chaos.proxy import messages
from chaos.proxy.connection import Connection
from chaos.proxy.endpoint import reset
from chaos.proxy.front import Front
from chaos.proxy.loop import Loop, Timer, now_ns
from chaos.proxy.messages import Effects, ProxyStats
from chaos.proxy.toxic import DOWN, UP, Toxic, ToxicError
from chaos.proxy.toxics import BlackHole, Refuse, Reset, refuse_conflicts, toxic_of
from chaos.proxy.traffic import Traffic

if TYPE_CHECKING:
    from chaos.proxy.relay import Relay
    from chaos.proxy.traffic import Lending


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
            # Loopback answers immediately; without an answer it would be open.
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


class Proxy:
    """One listening port before one upstream."""

    def __init__(self, loop: Loop, specification: messages.Specification) -> None:
        self._traffic = Traffic(loop)
        self._connections: dict[int, Connection] = {}
        """Live ones by their number."""
        self._toxics: dict[int, Toxic] = {}
        self._gone: dict[int, Toxic] = {}
        """Toxics that were removed; what they did is still asked for."""
        self._numbered = 0
        self._front = Front(
            self._traffic,
            (specification.upstream_host, specification.upstream_port),
            specification.dial_deadline_ns,
            self._connect,
            self._open_or_shut,
        )
        self._listener = Listener(loop, specification.listen_host, specification.listen_port, self._on_client)
        self.address = self._listener.address

    def add(self, kind: object, settings: Mapping[str, Any], seed: int) -> messages.Changed:
        """Bring a toxic into force for all connections. Raises ToxicError."""
        toxic = toxic_of(kind, settings, self._numbered + 1, seed)
        refuse_conflicts(toxic, self._toxics.values())
        self._numbered += 1
        self._traffic.lending.halt()
        effective_ns = now_ns()
        # From this assignment on every connection, live or new, goes by it.
        self._toxics[toxic.number] = toxic
        self._apply()
        if isinstance(toxic, Reset) or (isinstance(toxic, Refuse) and toxic.settings["reset_live"]):
            count = self._reset_all(toxic)
            toxic.count += count if isinstance(toxic, Reset) else 0
        self._relay_if_plain()
        return self._changed(effective_ns, toxic.number)

    def remove(self, number: int) -> messages.Changed:
        """Take a toxic away from all connections; one that is not in force any more is no error."""
        return self._remove([self._toxics[number]] if number in self._toxics else [])

    def clear(self) -> messages.Changed:
        """Take all toxics away."""
        return self._remove(list(self._toxics.values()))

    def use_relay(self, relay: Relay) -> None:
        """It has been loaded: from now on it passes on what no toxic acts on."""
        self._traffic.lending.begin(relay)
        self._relay_if_plain()

    def without_relay(self, why: str) -> None:
        """It cannot be loaded."""
        self._traffic.lending.failure = why

    @property
    def lending(self) -> Lending:
        """For who loads the relay."""
        return self._traffic.lending

    def lead_to(self, host: str, port: int) -> messages.Done:
        """Connect those that come from now on to another upstream."""
        self._front.lead_to((host, port))
        return messages.Done()

    def effects(self, number: int) -> Effects:
        """What one toxic, in force or gone, has done so far."""
        toxic = self._toxics.get(number) or self._gone[number]
        if isinstance(toxic, Refuse) and number in self._toxics:
            toxic.count += self._listener.refuses()
        return Effects(toxic.count, toxic.bytes)

    def stats(self) -> ProxyStats:
        """What it has done so far, and what it holds now."""
        traffic, front = self._traffic, self._front
        held = dict.fromkeys((UP, DOWN), 0)
        unread = dict.fromkeys((UP, DOWN), 0)
        passed = {UP: traffic.counters.up_bytes, DOWN: traffic.counters.down_bytes}
        for connection in self._connections.values():
            for direction, flow in ((UP, connection.up), (DOWN, connection.down)):
                held[direction] += flow.all_held_bytes
                passed[direction] += flow.all_passed_bytes
                if flow.is_held:
                    unread[direction] += flow.unread_bytes()
        return ProxyStats(
            **{**vars(traffic.counters), "up_bytes": passed[UP], "down_bytes": passed[DOWN]},
            at_ns=now_ns(),
            connections=len(self._connections),
            waiting=front.waiting,
            held_up_bytes=held[UP],
            held_down_bytes=held[DOWN],
            unread_up_bytes=unread[UP],
            unread_down_bytes=unread[DOWN],
            is_listening=self._listener.is_open,
            upstream_refuses=front.upstream_refuses,
            refused_ns=front.refused_ns,
            back_ns=front.back_ns,
            relay=traffic.lending.state,
            in_force=tuple(self._toxics),
        )

    def close(self) -> None:
        """Break every connection and give the port back."""
        self._traffic.lending.halt()
        self._reset_all()
        self._traffic.lending.close()
        self._front.close()
        self._listener.close()

    def _remove(self, toxics: list[Toxic]) -> messages.Changed:
        self._traffic.lending.halt()
        effective_ns = now_ns()
        for toxic in toxics:
            self._gone[toxic.number] = self._toxics.pop(toxic.number)
        for toxic in toxics:
            if isinstance(toxic, BlackHole) and toxic.settings["reset_on_heal"]:
                self._reset_all(toxic)
        self._apply()
        self._relay_if_plain()
        return self._changed(effective_ns)

    def _relay_if_plain(self) -> None:
        if self._traffic.is_plain:
            self._traffic.lending.go_on(list(self._connections.values()))

    def _changed(self, effective_ns: int, toxic: int = 0) -> messages.Changed:
        return messages.Changed(toxic, effective_ns, applied_ns=now_ns(), connections=len(self._connections))

    def _apply(self) -> None:
        self._traffic.follow(self._toxics.values())
        self._open_or_shut()
        self._hold_or_release()
        # The others ask for their path when they have something to pass on.
        for connection in list(self._connections.values()):
            for flow in connection.flows:
                if flow.is_waiting and not connection.is_closed:
                    flow.adopt()

    def _open_or_shut(self) -> None:
        refused = any(isinstance(toxic, Refuse) for toxic in self._toxics.values())
        # In a black hole a client cannot learn that upstream refuses.
        known_down = self._front.upstream_refuses and not self._black_holes()
        self._listener.set_open(not refused and not known_down)

    def _hold_or_release(self) -> None:
        holes = self._black_holes()
        if holes and not self._front.is_held:
            self._front.hold()
            holes[0].count += self._front.waiting
        elif not holes and self._front.is_held:
            self._front.release()

    def _black_holes(self) -> list[Toxic]:
        """Those that swallow all connections, so that none needs to be made."""
        toxics = self._toxics.values()
        return [toxic for toxic in toxics if isinstance(toxic, BlackHole) and not toxic.is_partial]

    def _on_client(self, client: socket.socket) -> None:
        self._traffic.counters.accepted += 1
        for toxic in self._toxics.values():
            is_for_new = isinstance(toxic, Reset) and toxic.settings["new_connections"]
            if is_for_new and toxic.hits(self._traffic.counters.accepted):
                toxic.count += 1
                reset(client)
                return
        if self._front.is_held:
            self._black_holes()[0].count += 1
        self._front.receive(client)

    def _connect(self, client: socket.socket, server: socket.socket) -> None:
        number = self._traffic.counters.connected
        Connection(self._traffic, self._connections, number, client, server)

    def _reset_all(self, toxic: Toxic | None = None) -> int:
        """Of those that a toxic hits; how many there were."""
        live = [each for each in self._connections.values() if toxic is None or toxic.hits(each.number)]
        for connection in live:
            connection.reset()
        # Who waits for upstream has no number to be drawn by yet.
        return len(live) + (0 if toxic is not None and toxic.is_partial else self._front.reset_all())


READ_BYTES = 65_536


class Control:
    """Reads whatever has come, does the whole lines of it."""

    def __init__(self, loop: Loop, proxy: Proxy, fd: int, out_fd: int) -> None:
        self._loop, self._proxy = loop, proxy
        self._fd, self._out_fd = fd, out_fd
        self._partial = b""

    def on_readable(self, _mask: int) -> None:
        """For the loop."""
        data = os.read(self._fd, READ_BYTES)
        if not data:
            self._loop.end()
            return
        *lines, self._partial = (self._partial + data).split(b"\n")
        for line in lines:
            number, command = messages.read_command(line)
            try:
                answer = self._done(command)
            except ToxicError as refusal:
                answer = messages.Refused(*refusal.parts)
            self.say(number, answer)

    def say(self, number: int, answer: messages.Answer) -> None:
        """One line; the harness waits for it, so the pipe takes it."""
        data = messages.to_line(number, answer)
        try:
            while data:
                data = data[os.write(self._out_fd, data) :]
        except BrokenPipeError:
            self._loop.end()  # no process is left that could heal anything

    def _done(self, command: messages.Command) -> messages.Answer:
        match command:
            case messages.Add():
                return self._proxy.add(command.kind, command.settings, command.seed)
            case messages.Remove():
                return self._proxy.remove(command.toxic)
            case messages.Clear():
                return self._proxy.clear()
            case messages.AskEffects():
                return self._proxy.effects(command.toxic)
            case messages.AskStats():
                return self._proxy.stats()
            case messages.LeadTo():
                return self._proxy.lead_to(command.host, command.port)
