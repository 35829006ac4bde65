"""Logging in over TLS that is ours: libpq talks to us in plain text, and we to the server.

libpq connects. Before it says anything, its descriptor is made one end of a pair; the connection itself is
ours, we ask on it for TLS, and carry what libpq and the server say to each other until they agree.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from typing import TYPE_CHECKING

from bench.stack.probes.connection import SSL_REQUEST

if TYPE_CHECKING:
    from psycopg.pq.abc import PGconn

    from bench.engine.wire.dialler import Dialler, Stream
    from bench.stack.target import Target

CARRIED_BYTES = 65_536
LENGTH_END = 5
"""Of a message: its kind and its length stand before."""
SASL = (10).to_bytes(4)
BOUND_SCRAM = b"SCRAM-SHA-256-PLUS\0"


class Passage:
    """What carries libpq's words over our TLS, both ways."""

    def __init__(self, stream: Stream, near: socket.socket) -> None:
        self._stream = stream
        self._near = near
        self._carriers = [asyncio.ensure_future(self._outward()), asyncio.ensure_future(self._inward())]

    @classmethod
    async def begin(cls, dial: Dialler, target: Target, client: PGconn, host: str) -> Passage:
        """Take libpq's connection from it and agree on TLS."""
        original = client.socket
        ours = socket.socket(fileno=os.dup(original))
        ours.setblocking(False)
        ours.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        near, far = socket.socketpair()
        with far:
            os.dup2(far.fileno(), original)
        near.setblocking(False)
        try:
            await _ask_for_tls(ours, target)
            return cls(await dial.secured(ours, host), near)
        except BaseException:
            ours.close()
            near.close()
            raise

    async def _outward(self) -> None:
        while said := await asyncio.get_running_loop().sock_recv(self._near, CARRIED_BYTES):
            await self._stream.send(said)

    async def _inward(self) -> None:
        loop, said = asyncio.get_running_loop(), b""
        try:
            while not _is_message(said) and (more := await self._stream.receive()):
                said += more
            said = without_channel_binding(said)
            while said:
                await loop.sock_sendall(self._near, said)
                said = await self._stream.receive()
        finally:
            with contextlib.suppress(OSError):
                self._near.shutdown(socket.SHUT_WR)  # libpq learns of the end, whatever it was

    async def _stop(self) -> None:
        """End both directions, even if we are cancelled meanwhile: what is closed must be read by nobody."""
        for carrier in self._carriers:
            carrier.cancel()
        while not all(carrier.done() for carrier in self._carriers):
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait(self._carriers)
        for carrier in self._carriers:
            _ = carrier.cancelled() or carrier.exception()  # seen, so that nobody reports it as lost
        self._near.close()

    async def end(self) -> Stream:
        """They have agreed: the connection, which nobody else reads any more."""
        await self._stop()
        return self._stream

    async def close(self) -> None:
        """They will not agree any more."""
        await self._stop()
        self._stream.close()

    def raise_failure(self) -> None:
        """Raise what ended the connection, where TLS knows more of it than libpq."""
        for carrier in self._carriers:
            if carrier.done():
                carrier.result()


def _is_message(said: bytes) -> bool:
    return len(said) > LENGTH_END and len(said) > int.from_bytes(said[1:LENGTH_END])


def without_channel_binding(said: bytes) -> bytes:
    """What a server says first; where it offers SCRAM, without the kind that is bound to the channel: libpq
    breaks off when it is offered that on what it takes for a plain connection.
    """
    size = 1 + int.from_bytes(said[1:LENGTH_END])
    if not said.startswith(b"R") or said[LENGTH_END : LENGTH_END + 4] != SASL:
        return said
    body = said[LENGTH_END:size].replace(BOUND_SCRAM, b"")
    return b"R" + (len(body) + 4).to_bytes(4) + body + said[size:]


async def _ask_for_tls(connection: socket.socket, target: Target) -> None:
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(connection, SSL_REQUEST)
    answer = await loop.sock_recv(connection, 1)
    if not answer:
        raise ConnectionResetError("the server closed the connection when it was asked for TLS")
    if answer != b"S":
        raise target.error(
            "TLS, as sslmode asks",
            "a server without TLS",
            "leave sslmode out, or switch ssl on in the server",
        )
