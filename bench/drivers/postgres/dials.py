"""Connections of asyncpg to the first of a target's places that takes one."""

import asyncio
import time
from collections.abc import Awaitable
from functools import lru_cache
from typing import Any

import asyncpg
import psutil
from asyncpg.exceptions import TargetServerAttributeNotMatched

from bench.stack.addresses import SILENCE_S, Place, Places
from bench.stack.target import Target

FRESH_S = 0.05
"""How old what a look finds may be."""
LOOK_S = 0.1
"""Between two looks at what a place has not accepted."""


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
