"""Where a target may be at this moment: asked before each connection, in the order to try.

A name is looked up and Sentinels are asked each time. Of a Postgres with several hosts the order is libpq's
(PostgreSQL, "Specifying Multiple Hosts"), and so is what a session must be (target_session_attrs). Beyond
that, places where a server took no writes come last: a name that leads to the old and the new primary would
else lead back to the old one for ever.
"""

import asyncio
import random
import socket
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from bench.stack.sentinel import Endpoint, PrimaryLocator
from bench.stack.target import ANY_SESSION, Target, address_of, socket_file_of
from bench.stack.target_url import BALANCE

LOCATE_S = 1.0
"""How long the Sentinels of a target have to say where it is."""
SILENCE_S = 0.5
"""How long a place has to accept a connection where another can be tried."""
ATTEMPT_S = 1.0
"""How long a dial has before another starts beside it, and the least that it has in all."""
TIMES_THE_START = 3
"""A log-in may take so many times as long as the slowest one before the run."""
ANSWERS = 4
"""Logging in takes about so many answers, and each may take the deadline of an operation."""
ONLY_ONE = ("read-write", "primary")
"""What at most one server is: it is asked first where it was found last."""
STANDBY, PREFER_STANDBY = "standby", "prefer-standby"


@dataclass(frozen=True)
class Place:
    """One address of a target."""

    host: str
    """As it is named: certificates have that name."""
    port: int
    address: str
    """Numeric, or the path of a socket file."""
    family: int
    attribute: str = ANY_SESSION
    """What target_session_attrs asks of its sessions."""

    @property
    def is_file(self) -> bool:
        """Whether it is a socket file."""
        return self.family == socket.AF_UNIX

    @property
    def destination(self) -> tuple[str, int] | str:
        """What a socket is connected to."""
        return self.address if self.is_file else (self.address, self.port)

    def __str__(self) -> str:
        """As reports name it."""
        return self.address if self.is_file else address_of(self.address, self.port)


def attempts(target: Target) -> list[tuple[Endpoint, str]]:
    """Each place that the URL names with what its sessions must be, in libpq's order."""
    wanted, places = target.session_attribute, list(target.endpoints)
    if dict(target.options).get(BALANCE) == "random":
        random.shuffle(places)
    rounds = (STANDBY, ANY_SESSION) if wanted == PREFER_STANDBY else (wanted,)
    return [(place, attribute) for attribute in rounds for place in places]


class Places:
    """Those of one target; used in one event loop."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._locator = PrimaryLocator(target.sentinels) if target.sentinels else None
        self._fixed = {} if self._locator else _written(target.endpoints)
        self._lookup: asyncio.Future[dict[Endpoint, list[Place]]] | None = None
        self._last_good = ""
        self.latest: list[Place] = []
        """Those of the latest moment."""
        self._left: dict[str, int] = {}
        """Places to be tried last, by when they were left."""

    async def now(self) -> list[Place]:
        """The places of this moment, at least one. Raises OSError where there is none."""
        found = self._fixed or await self._looked_up()
        if self._locator is not None:
            places = [place for each in found.values() for place in each]
        else:
            places = [
                replace(place, attribute=attribute)
                for endpoint, attribute in attempts(self._target)
                for place in sorted(found[endpoint], key=self._is_other)
            ]
        if not places:
            raise OSError("the host has no address")
        if self._target.session_attribute in ONLY_ONE:
            places.sort(key=self._is_other)
        places.sort(key=lambda place: self._left.get(str(place), 0))
        self.latest = places
        return places

    def _is_other(self, place: Place) -> bool:
        return str(place) != self._last_good

    def took(self, place: Place) -> None:
        """A connection was opened there."""
        self._last_good = str(place)

    def left(self, place: str) -> None:
        """A server there takes no writes, or does not answer: the others are tried before it from now on."""
        self._left[place] = max(self._left.values(), default=0) + 1

    def close(self) -> None:
        """End the connection to a Sentinel. Idempotent."""
        if self._locator is not None:
            self._locator.close()

    async def _looked_up(self) -> dict[Endpoint, list[Place]]:
        if self._lookup is None:  # dials of one moment share one look-up
            self._lookup = asyncio.ensure_future(self._look_up())
            self._lookup.add_done_callback(self._on_looked_up)
        return await asyncio.shield(self._lookup)

    async def _look_up(self) -> dict[Endpoint, list[Place]]:
        endpoints = self._target.endpoints
        if self._locator is not None:
            endpoints = (await self._locator.located(LOCATE_S),)
        return await looked_up(endpoints)

    def _on_looked_up(self, lookup: asyncio.Future[dict[Endpoint, list[Place]]]) -> None:
        self._lookup = None
        if not lookup.cancelled():
            lookup.exception()  # what waited has it; where nothing waits any more, it is not needed


async def looked_up(endpoints: Iterable[Endpoint]) -> dict[Endpoint, list[Place]]:
    """The addresses of this moment; raises OSError where none of the names has one."""
    loop = asyncio.get_running_loop()
    found: dict[Endpoint, list[Place]] = {}
    failure: OSError | None = None
    for endpoint in endpoints:
        found[endpoint] = places_of(endpoint, [])
        if found[endpoint]:
            continue
        try:
            look_up = partial(socket.getaddrinfo, *endpoint, type=socket.SOCK_STREAM)
            entries = await loop.run_in_executor(None, look_up)
        except OSError as error:
            failure = error
        else:
            found[endpoint] = places_of(endpoint, entries)
    if failure is not None and not any(found.values()):
        raise failure
    return found


def _written(endpoints: Iterable[Endpoint]) -> dict[Endpoint, list[Place]]:
    """Those that are written as addresses; none where one is a name, which must be looked up."""
    found = {endpoint: places_written(endpoint) for endpoint in endpoints}
    return found if all(found.values()) else {}


def places_written(endpoint: Endpoint) -> list[Place]:
    """The place of a host that is written as an address or stands for a socket file; none of a name, which
    must be looked up.
    """
    if found := places_of(endpoint, []):
        return found
    try:
        entries = socket.getaddrinfo(*endpoint, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except (OSError, UnicodeError):
        return []
    return places_of(endpoint, entries)


def places_of(endpoint: Endpoint, entries: Iterable[Any]) -> list[Place]:
    """The places of a host, from what getaddrinfo gave for it; of a socket file without that."""
    host, port = endpoint
    if (file := socket_file_of(host, port)) is not None:
        return [Place(host, port, file, socket.AF_UNIX)]
    return [Place(host, port, str(address[0]), int(family)) for family, _, _, _, address in entries]


def patience_s(slowest_at_start_s: float, deadline_s: float) -> float:
    """How long one dial may take, logging in included."""
    return max(ATTEMPT_S, TIMES_THE_START * slowest_at_start_s, ANSWERS * deadline_s)
