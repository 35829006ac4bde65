"""Numbers for the connections of an application's pool: a new one takes the number of one that is gone."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from bench.engine.client.pool_monitor import PoolMonitor

Connection = TypeVar("Connection")


class ConnectionNumbers(Generic[Connection]):
    """Which connection has which number, told to a PoolMonitor. Connections are compared by identity."""

    def __init__(self, watch: PoolMonitor, is_open: Callable[[Connection], bool]) -> None:
        self._watch = watch
        self._is_open = is_open
        self._held: dict[int, Connection] = {}
        self._numbers: dict[int, int] = {}
        """id of a held connection -> its number."""
        self._free: set[int] = set()

    def take(self) -> int:
        """The number of a connection that is about to be opened."""
        if not self._free:
            # Those that broke while nobody used them; nobody told us.
            for number, connection in list(self._held.items()):
                if not self._is_open(connection):
                    self.lost(number, connection)
        return self._free.pop() if self._free else self._watch.on_created()

    def opened(self, number: int, connection: Connection) -> None:
        """It is open."""
        self._held[number] = connection
        self._numbers[id(connection)] = number
        self._watch.on_opened(number)

    def unopened(self, number: int) -> None:
        """It could not be opened."""
        self._watch.on_lost(number)
        self._free.add(number)

    def number_of(self, connection: Connection) -> int:
        """The number of an open connection."""
        return self._numbers[id(connection)]

    def connection(self, number: int) -> Connection | None:
        """The connection of that number, where one is held."""
        return self._held.get(number)

    def lost(self, number: int, connection: Connection | None) -> None:
        """It is broken. Harmless when that is known already."""
        if connection is not None and self._held.get(number) is connection:
            self._let_go(number, connection)
            self._watch.on_lost(number)

    def parted(self, number: int, connection: Connection) -> None:
        """It was closed after an answer, as the server had said or as it is used to."""
        if self._held.get(number) is connection:
            self._let_go(number, connection)
            self._watch.on_parted(number)

    def _let_go(self, number: int, connection: Connection) -> None:
        del self._held[number]
        del self._numbers[id(connection)]
        self._free.add(number)
