"""Connections to a target, opened where its host's name leads at that moment, over TLS where it wants that.

A log-in talks on one; then the loop gets the descriptor and the session of OpenSSL as they are, with nothing
under way on them.
"""

import asyncio
import ctypes
import errno
import os
import socket
import ssl
from collections.abc import Callable
from typing import Any

from bench.engine.wire import openssl
from bench.engine.wire.openssl import TlsClient
from bench.stack.sentinel import PrimaryLocator
from bench.stack.target import Target, address_of

RECEIVE_BYTES = 65_536

Address = tuple[int, tuple[str, int]]

LOCATE_S = 1.0
"""How long the Sentinels of a target have to say where it is."""


class Stream:
    """Bytes there and back, for a log-in. Raises OSError, of which ssl.SSLError is one."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._session = 0
        self._name = ""

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

    @property
    def address(self) -> str:
        """Where it leads; empty where it has ended already."""
        try:
            host, port, *_ = self._socket.getpeername()
        except (OSError, ValueError):
            return ""
        return address_of(host, port)

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


class Dialler:
    """Dials one target."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._last_good: Address | None = None
        self._locator = PrimaryLocator(target.sentinels) if target.sentinels else None
        self._numeric = [] if self._locator else _numeric_addresses(target.host, target.port)
        self._lookup: asyncio.Future[list[Address]] | None = None
        self._client: TlsClient | None = None

    async def __call__(self) -> Stream:
        """A connection, over TLS where the target has it."""
        return await self.secured(await self._connected(), self._target.host)

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
        if self._client is not None:
            self._client.close()
            self._client = None
        if self._locator is not None:
            self._locator.close()

    async def _connected(self) -> socket.socket:
        """Connect to the first address of the host that takes us: `localhost` may be two addresses, of
        which the server listens on one.
        """
        loop = asyncio.get_running_loop()
        failure = OSError("the host has no address")
        for family, address in await self._addresses():
            connection = socket.socket(family, socket.SOCK_STREAM)
            try:
                connection.setblocking(False)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                await loop.sock_connect(connection, address)
            except OSError as refused:
                connection.close()
                failure = refused
            except BaseException:
                connection.close()
                raise
            else:
                self._last_good = (family, address)
                return connection
        raise failure

    async def _addresses(self) -> list[Address]:
        """The host's addresses of this moment: a name may lead elsewhere after a failover. The one that
        took us last comes first while it is still among them.
        """
        if self._numeric:
            return self._numeric
        if self._lookup is None:  # dials of one moment share one look-up
            self._lookup = asyncio.ensure_future(self._look_up())
            self._lookup.add_done_callback(self._on_looked_up)
        found = await asyncio.shield(self._lookup)
        return sorted(found, key=lambda address: address != self._last_good)

    async def _look_up(self) -> list[Address]:
        host, port = self._target.host, self._target.port
        if self._locator is not None:
            host, port = await self._locator.located(LOCATE_S)
        loop = asyncio.get_running_loop()
        return _plain(await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM))

    def _on_looked_up(self, lookup: asyncio.Future[list[Address]]) -> None:
        self._lookup = None
        if not lookup.cancelled():
            lookup.exception()  # what waited has it; where nothing waits any more, it is not needed


def _numeric_addresses(host: str, port: int) -> list[Address]:
    """The address that a host is written as; empty for a name, which must be looked up."""
    try:
        return _plain(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST))
    except OSError:
        return []


def _plain(found: list[Any]) -> list[Address]:
    return [(int(family), (str(address[0]), int(address[1]))) for family, _, _, _, address in found]


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
