"""Connections of asyncpg to the first of a target's places that takes one.

The arrivals that wait for a pool are nearly late when their turn comes. If each took its dial with it when it
gives up, none would have the time to log in, and a server that is back for long would stay away until the
load ends. asyncpg's own pools have a floor that they hold up in the background; here a dial that was let in
goes on without its arrival, and the next arrival that needs one takes it over.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from functools import lru_cache
from typing import Any, Generic, TypeVar

import asyncpg
import psutil
from asyncpg.exceptions import TargetServerAttributeNotMatched

from bench.stack.addresses import SILENCE_S, Place, Places, patience_s
from bench.stack.target import Target

FRESH_S = 0.05
"""How old what a look finds may be."""
LOOK_S = 0.1
"""Between two looks at what a place has not accepted."""


Connection = TypeVar("Connection", bound=asyncpg.Connection)


class Dials(Generic[Connection]):
    """Dials for the connections of one pool, at most one for each."""

    def __init__(
        self,
        dial: Callable[[], Coroutine[Any, Any, tuple[Connection, Place]]],
        places: Places,
        deadline_s: float,
    ) -> None:
        self._dial = dial
        self._places = places
        self._deadline_s = deadline_s
        self._slowest_at_start_s = 0.0
        self._unclaimed: list[asyncio.Task[tuple[Connection, Place]]] = []
        """Those whose arrivals gave up, the oldest first."""
        self.is_starting = True
        """Whether what dials take tells how long they may take."""

    async def connection(self) -> tuple[Connection, Place]:
        """A connection and where it leads. Raises what the dial raises, TimeoutError if it took too long."""
        dial = self._taken_over() or asyncio.create_task(self._timed())
        try:
            return await asyncio.shield(dial)
        except asyncio.CancelledError:
            if dial.done() or not any(_unaccepted(place) for place in self._places.latest):
                self._unclaimed.append(dial)
            else:  # silence: what is asked again later may find somebody sooner
                _give_up(dial)
            raise

    def _taken_over(self) -> asyncio.Task[tuple[Connection, Place]] | None:
        while self._unclaimed:
            dial = self._unclaimed.pop(0)
            if not dial.done():
                return dial
            if not dial.cancelled() and dial.exception() is None and not dial.result()[0].is_closed():
                return dial
        return None

    async def _timed(self) -> tuple[Connection, Place]:
        limit_s = None if self.is_starting else patience_s(self._slowest_at_start_s, self._deadline_s)
        began_s = time.monotonic()
        async with asyncio.timeout(limit_s):
            found = await self._dial()
        if self.is_starting:
            self._slowest_at_start_s = max(self._slowest_at_start_s, time.monotonic() - began_s)
        return found

    async def close(self) -> None:
        """End those that nobody waits for."""
        given_up, self._unclaimed = self._unclaimed, []
        for dial in given_up:
            _give_up(dial)
        if given_up:
            await asyncio.wait(given_up)


def _give_up(dial: asyncio.Task[Any]) -> None:
    """End it, and the connection if it was let in at this very moment."""
    dial.add_done_callback(_close_found)
    dial.cancel()


def _close_found(dial: asyncio.Task[Any]) -> None:
    if not dial.cancelled() and dial.exception() is None:
        dial.result()[0].terminate()


async def dialled(target: Target, places: Places, **options: Any) -> tuple[asyncpg.Connection, Place]:
    """A connection with these options to the first of a target's places that takes it, as libpq has it.

    Raises what asyncpg raises.
    """
    found = await places.now()
    failure: Exception = OSError("the host has no address")
    for number, place in enumerate(found, start=1):
        where = {
            "host": place.host if place.is_file else place.address,
            "port": place.port,
            "ssl": target.at(place.host, place.port).named_tls_context() or False,
            "target_session_attrs": place.attribute,
        }
        try:
            connecting = asyncpg.connect(**(options | where))
            connection = await (_accepted(connecting, place) if number < len(found) else connecting)
        except TimeoutError as silence:
            places.left(str(place))
            failure = silence
        except (OSError, asyncpg.CannotConnectNowError, TargetServerAttributeNotMatched) as refused:
            failure = refused
        else:
            places.took(place)
            return connection, place
    raise failure


async def _accepted(connecting: Awaitable[asyncpg.Connection], place: Place) -> asyncpg.Connection:
    """What is being opened there. Raises TimeoutError where the place does not accept it within SILENCE_S;
    a server that accepts and then takes its time, as a pooler does, has more.
    """
    task, is_taken = asyncio.ensure_future(connecting), False
    try:
        await asyncio.wait({task}, timeout=SILENCE_S - LOOK_S)
        if not task.done():
            silent = _unaccepted(place)
            await asyncio.wait({task}, timeout=LOOK_S)
            # Another one may have been begun just now: only what was under way before tells.
            if not task.done() and silent & _unaccepted(place):
                raise TimeoutError
        connection = await task
        is_taken = True
        return connection
    finally:
        if not is_taken:
            # It may have been let in at this very moment, and then nobody else knows of it.
            task.add_done_callback(_close_unwanted)
            if task.cancel():
                await asyncio.wait({task})


def _close_unwanted(dial: asyncio.Future[asyncpg.Connection]) -> None:
    if not dial.cancelled() and dial.exception() is None:
        dial.result().terminate()


def _unaccepted(place: Place) -> set[int]:
    """The local ports of connections of ours that the place has not accepted yet."""
    if place.is_file:
        return set()
    there = (place.address, place.port)
    return {port for port, remote in _being_opened(int(time.monotonic() / FRESH_S)) if remote == there}


@lru_cache(maxsize=1)
def _being_opened(moment: int) -> list[tuple[int, tuple[str, int]]]:  # noqa: ARG001 - asked once in each
    """Local port and remote address of connections of ours that are not accepted yet. To ask costs some
    milliseconds of the loop, which all dials that wait share.
    """
    ours = psutil.Process().net_connections("tcp")
    waiting = (one for one in ours if one.status == psutil.CONN_SYN_SENT)
    return [(one.laddr.port, (one.raddr.ip, one.raddr.port)) for one in waiting]
