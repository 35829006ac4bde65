"""Connections to a target, opened where its host's name leads at that moment, with TLS if it wants that.

A log-in talks on one; then the loop gets the descriptor and the session of OpenSSL as they are, with nothing
under way on them.

A dial that is lost on the way (a packet dropped, a server that was killed while we logged in) never ends
by itself, so a new one must start soon. But a target whose answers take a second logs no one in within
that second, and to start over then is never to come back. So both: the next dial starts after
ATTEMPT_S, the earlier ones go on for as long as the target may reasonably take, the first to be let
in is the lane's connection, and the others are closed.
"""

import asyncio
import ctypes
import errno
import os
import socket
import ssl
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Protocol

from bench.core.errors import TargetError
from bench.engine.wire import openssl
from bench.engine.wire.openssl import TlsClient
from bench.stack.addresses import SILENCE_S, Place, Places
from bench.stack.target import Target

RECEIVE_BYTES = 65_536
NOBODY_LISTENS = (errno.ECONNREFUSED, errno.ENOENT)
"""Nobody listens at the port, or there is no socket file; the answer comes at once."""


class Stream:
    """Bytes there and back, for a log-in. Raises OSError, of which ssl.SSLError is one."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._session = 0
        self._name = ""
        self.place: Place | None = None
        """Where it leads."""

    async def secure(self, client: TlsClient, host: str) -> None:
        """Agree on TLS; the server must have the name of `host`, or the one that the target declares."""
        self._session = client.session(self._socket.fileno(), host)
        self._name = client.name_of(host)
        if await self._do(openssl.LIBRARY.SSL_do_handshake) == 0:
            raise ConnectionResetError(errno.ECONNRESET, "the server closed the connection in the handshake")

    async def send(self, data: bytes) -> None:
        """Send all of it."""
        if self._session == 0:
            await asyncio.get_running_loop().sock_sendall(self._socket, data)
            return
        while data:
            sent = await self._do(openssl.LIBRARY.SSL_write, data, len(data))
            if sent == 0:
                raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))
            data = data[sent:]

    async def receive(self) -> bytes:
        """What has come, once something has; nothing at the end of the stream."""
        if self._session == 0:
            return await asyncio.get_running_loop().sock_recv(self._socket, RECEIVE_BYTES)
        buffer = ctypes.create_string_buffer(RECEIVE_BYTES)
        size = await self._do(openssl.LIBRARY.SSL_read, buffer, RECEIVE_BYTES)
        return bytes(memoryview(buffer)[:size])

    async def _do(self, call: Callable[..., int], *arguments: Any) -> int:
        """Call a function of OpenSSL until it succeeds; 0 where the server has ended the stream."""
        fd = self._socket.fileno()
        while True:
            openssl.LIBRARY.ERR_clear_error()
            result = call(self._session, *arguments)
            if result > 0:
                return result
            why = openssl.failure_of(self._session, result, self._name)
            if why is None:
                return 0
            if isinstance(why, OSError):
                raise why if isinstance(why, ssl.SSLError) else self._last_word() or why
            await until_ready(fd, writable=why == openssl.WANT_WRITE)

    def _last_word(self) -> ssl.SSLError | None:
        """Why a server closed the connection, where it said so before what we were about to send."""
        openssl.LIBRARY.ERR_clear_error()
        result = openssl.LIBRARY.SSL_read(self._session, ctypes.create_string_buffer(1), 1)
        why = openssl.failure_of(self._session, result, self._name) if result <= 0 else None
        return why if isinstance(why, ssl.SSLError) else None

    def detach(self) -> tuple[int, int]:
        """The non-blocking descriptor and the session (0: none), which are the caller's from now on."""
        session, self._session = self._session, 0
        return self._socket.detach(), session

    def close(self) -> None:
        """Close it. Idempotent."""
        if self._session:
            openssl.free(self._session)
            self._session = 0
        self._socket.close()


Attempt = Callable[[Place, float | None], Awaitable[Stream]]
"""Opens a connection to a place, which has so many seconds to accept it, if not as long as it takes."""


class PlacesNow(Protocol):
    """Where something may be at this moment, as `bench.stack.addresses.Places` has it."""

    async def now(self) -> list[Place]:
        """The places of this moment, at least one. Raises OSError where there is none."""

    def took(self, place: Place) -> None:
        """A connection was opened there."""

    def left(self, place: str) -> None:
        """A server there takes no writes, or does not answer."""

    def close(self) -> None:
        """Let go of what it asks with. Idempotent."""


class Dialler:
    """Dials one target."""

    def __init__(self, target: Target, places: PlacesNow | None = None) -> None:
        """places: where it may be, if that is not what the target says itself."""
        self._target = target
        self._places = places if places is not None else Places(target)
        self._client: TlsClient | None = None
        self._refused: Place | None = None
        """The only place of the target, if it refused the last connection."""
        self._opened: socket.socket | None = None
        """A connection to that place which no dial has taken yet."""

    async def __call__(self) -> Stream:
        """A connection, over TLS where the target has it."""
        return await self.first(self._connected)

    async def first(self, attempt: Attempt) -> Stream:
        """Connect to the first place of the target that takes us: `localhost` may be two addresses, of
        which the server listens on one.
        """
        places = await self._places.now()
        failure: Exception = OSError("the host has no address")
        for number, place in enumerate(places, start=1):
            try:
                stream = await attempt(place, SILENCE_S if number < len(places) else None)
            except ssl.SSLError:
                raise
            except TimeoutError as silence:
                self._places.left(str(place))
                failure = silence
            except OSError as refused:
                failure = refused
                if refused.errno in NOBODY_LISTENS and len(places) == 1:
                    self._refused = place
            except TargetError as refusal:
                if refusal.passes is None:
                    raise
                failure = refusal  # it lets nobody in for a while
            else:
                self._places.took(place)
                stream.place = place
                return stream
        raise failure

    def left(self, place: Place) -> None:
        """A server there takes no writes."""
        self._places.left(str(place))

    def is_refused(self) -> bool:
        """Whether the place that refused the last connection refuses one more, which takes a twentieth of
        the time of a dial; a connection that is let in is the next dial's.
        """
        if (place := self._refused) is None:
            return False
        self._let_go()
        connection = _socket_to(place)
        found = connection.connect_ex(place.destination)
        if found == errno.EINPROGRESS:
            found = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if found == 0:
            self._opened = connection
        else:
            connection.close()
        return found in NOBODY_LISTENS

    def _let_go(self) -> None:
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    async def _connected(self, place: Place, limit_s: float | None) -> Stream:
        opened, self._opened = self._opened, None
        refused, self._refused = self._refused, None
        if opened is not None and place != refused:
            opened.close()
            opened = None
        connection = opened or _socket_to(place)
        try:
            if not _is_connected(connection):
                async with asyncio.timeout(limit_s):
                    await asyncio.get_running_loop().sock_connect(connection, place.destination)
        except BaseException:
            connection.close()
            raise
        return await self.secured(connection, place.host)

    async def secured(self, connection: socket.socket, host: str) -> Stream:
        """The same on a connection that was opened elsewhere, to that host; it is closed where that fails."""
        stream = Stream(connection)
        if self._target.tls is None:
            return stream
        try:
            if self._client is None:
                self._client = TlsClient(self._target)
            await stream.secure(self._client, host)
        except BaseException:
            stream.close()
            raise
        return stream

    def close(self) -> None:
        """Let go of what connections have in common. Idempotent."""
        self._let_go()
        if self._client is not None:
            self._client.close()
            self._client = None
        self._places.close()


def _socket_to(place: Place) -> socket.socket:
    """Not connected, and waiting for nothing."""
    connection = socket.socket(place.family, socket.SOCK_STREAM)
    connection.setblocking(False)
    if not place.is_file:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def _is_connected(connection: socket.socket) -> bool:
    try:
        connection.getpeername()
    except OSError:
        return False
    return True


async def until_ready(fd: int, *, writable: bool) -> None:
    """Wait until a descriptor can be read from or, if so wanted, written to."""
    loop = asyncio.get_running_loop()
    add, remove = (loop.add_writer, loop.remove_writer) if writable else (loop.add_reader, loop.remove_reader)
    ready: asyncio.Future[None] = loop.create_future()
    add(fd, _settle, ready)
    try:
        await ready
    finally:
        remove(fd)


def _settle(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


MOST = 4
"""Dials of one lane at a time. The oldest stays, the second oldest makes room."""


class PendingDials:
    """Dials of one lane. `hand_over` is called with the connection of the first that is let in, at once: to
    go round the event loop first would let the log-ins of all other lanes before it.
    """

    def __init__(self, hand_over: Callable[[Stream], None]) -> None:
        self._dials: list[asyncio.Task[None]] = []
        self._hand_over = hand_over
        self._is_over = False
        """Whether a connection was handed over or none is wanted any more; later ones are closed."""

    def is_over(self) -> bool:
        """Whether a connection was handed over."""
        return self._is_over

    def start(self, dial: Callable[[], Coroutine[None, None, Stream]]) -> None:
        """Begin one more."""
        if len(self._dials) >= MOST:
            self._dials.pop(1).cancel()
        self._dials.append(asyncio.ensure_future(self._follow(dial)))

    async def first(
        self, timeout_s: float | None, besides: asyncio.Event | None = None
    ) -> list[BaseException]:
        """Wait until a dial has ended or `besides` is set, at most `timeout_s`; how the ended ones failed."""
        signal = None if besides is None else asyncio.ensure_future(besides.wait())
        awaited: list[asyncio.Future[Any]] = [*self._dials, *([signal] if signal else [])]
        try:
            await asyncio.wait(awaited, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if signal is not None:
                signal.cancel()
        ended = [dial for dial in self._dials if dial.done()]
        self._dials = [dial for dial in self._dials if not dial.done()]
        return [error for dial in ended if not dial.cancelled() and (error := dial.exception())]

    def close(self) -> None:
        """Give up what is still under way."""
        self._is_over = True
        while self._dials:
            self._dials.pop().cancel()

    async def _follow(self, dial: Callable[[], Coroutine[None, None, Stream]]) -> None:
        stream = await dial()
        if self._is_over:
            stream.close()
            return
        self._is_over = True
        self._hand_over(stream)
