"""Connections to a target, opened where its host's name leads at that moment."""

import asyncio
import socket
from typing import Any

from bench.stack.sentinel import PrimaryLocator
from bench.stack.target import Target

Address = tuple[int, tuple[str, int]]

LOCATE_S = 1.0
"""How long the Sentinels of a target have to say where it is."""


class Dialler:
    """Dials one target."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._last_good: Address | None = None
        self._locator = PrimaryLocator(target.sentinels) if target.sentinels else None
        self._numeric = [] if self._locator else _numeric_addresses(target.host, target.port)
        self._lookup: asyncio.Future[list[Address]] | None = None

    async def __call__(self) -> socket.socket:
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

    def close(self) -> None:
        """End what asks where the target is. Idempotent."""
        if self._locator is not None:
            self._locator.close()

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
