"""Where the primary of a Redis is: asked of the Sentinels that watch over it, before every connection.

A client's part of it (Redis, "Guidelines for Redis clients with support for Redis Sentinel"): one Sentinel
after the other is asked for the address; the first that knows it counts, and is asked first from then on.
"""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import urlsplit

Endpoint = tuple[str, int]
"""A host and a port."""

PORT = 26379
LONGEST_ANSWER_BYTES = 4096
READ_BYTES = 65_536


@dataclass(frozen=True)
class Sentinels:
    """The Sentinels of a primary, and how to log in at them."""

    addresses: tuple[Endpoint, ...]
    primary: str
    """Its name there."""
    username: str | None = None
    password: str | None = field(default=None, repr=False)

    def __str__(self) -> str:
        places = ", ".join(f"{host}:{port}" for host, port in self.addresses)
        return f"{self.primary} of the Sentinels at {places}"


def endpoint_of(text: str) -> Endpoint | None:
    """ "host:port" or "host"; an IPv6 address stands in brackets. None for anything else."""
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    is_whole = host is not None and parts.netloc == text and "@" not in text
    return (host, PORT if port is None else port) if is_whole and host and port != 0 else None


class NotLocated(ConnectionError):  # noqa: N818 - the state of the system, as a refused connection is
    """No Sentinel says where the primary is; the text has what each of them said instead."""


class PrimaryLocator:
    """Asks, over one connection that is kept. Safe to use from several threads."""

    def __init__(self, sentinels: Sentinels) -> None:
        self._sentinels = sentinels
        self._order = list(sentinels.addresses)
        self._connection: socket.socket | None = None
        self._lock = threading.Lock()

    def locate(self, timeout_s: float) -> Endpoint:
        """Where the primary is now. Raises NotLocated."""
        until = time.monotonic() + timeout_s
        failures = []
        with self._lock:
            for number, address in enumerate(self._order):
                # What is left is for all that were not asked yet: one that is silent must not use it up.
                left_s = max(until - time.monotonic(), 0.001) / (len(self._order) - number)
                try:
                    found = self._ask(address, left_s)
                except OSError as error:
                    self.close()
                    failures.append(f"{address[0]}:{address[1]}: {words_of(error)}")
                    continue
                self._order.insert(0, self._order.pop(number))
                return found
        raise NotLocated(f"no Sentinel that knows where {self._sentinels.primary} is ({'; '.join(failures)})")

    async def located(self, timeout_s: float) -> Endpoint:
        """The same without holding up an event loop."""
        return await asyncio.to_thread(self.locate, timeout_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the connection; the next question opens another. Idempotent."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(OSError):
                connection.close()

    def _ask(self, address: Endpoint, timeout_s: float) -> Endpoint:
        sentinels = self._sentinels
        commands: list[tuple[str, ...]] = [("SENTINEL", "GET-MASTER-ADDR-BY-NAME", sentinels.primary)]
        if self._connection is None:
            self._connection = socket.create_connection(address, timeout_s)
            if sentinels.password:
                user = (sentinels.username,) if sentinels.username else ()
                commands.insert(0, ("AUTH", *user, sentinels.password))
        self._connection.settimeout(timeout_s)
        reply = answers(self._connection, commands, LONGEST_ANSWER_BYTES)[-1]
        match reply:
            case [bytes(host), bytes(port)] if port.isdigit():
                return host.decode(errors="replace"), int(port)
            case None:
                raise ConnectionError("it does not know that name")
        raise ConnectionError("an answer that no Sentinel gives")


def answers(
    connection: socket.socket, commands: Sequence[tuple[str, ...]], longest_bytes: int
) -> list[object]:
    """Send commands and read what comes back. Raises OSError, ConnectionError for an error among it."""
    import hiredis

    request = [hiredis.pack_command(words) for words in commands]  # type: ignore[arg-type]  # its stub allows one word only
    connection.sendall(b"".join(request))
    reader, found, received = hiredis.Reader(), list[object](), 0
    try:
        while len(found) < len(commands):
            if (reply := reader.gets()) is not False:
                if isinstance(reply, hiredis.ReplyError):
                    raise ConnectionError(f"the answer '{reply}'")
                found.append(reply)
                continue
            more = connection.recv(READ_BYTES)
            received += len(more)
            if not more or received > longest_bytes:
                raise ConnectionError("a connection that ended without an answer")
            reader.feed(more)
    except hiredis.ProtocolError:
        raise ConnectionError("bytes that are no answer of a Redis") from None
    return found


def words_of(error: OSError) -> str:
    """Why nobody answered, in a few words."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return (error.strerror or str(error)).lower() if error.errno else str(error)
