"""What to send to which kind of server: one module per driver, found by name.

A driver turns a workload into a `Program`, connects and greets one lane, and prepares the target's
data. It is imported when a scenario names it. `bench/scenario/drivers.py` says what each allows in a
scenario file.
"""

from __future__ import annotations

import importlib
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import socket

    from bench.plan.program import Program
    from bench.scenario.model import Workload
    from bench.stack.target import Target


class WireDriver(Protocol):
    """What the wire engine needs of a driver; modules fulfil it with functions."""

    def program(self, workload: Workload, seed: int, target: Target | None = None) -> Program:
        """The requests of the workload as templates. Pure. Without a target, as a plan is printed,
        what only the target knows (the host of an HTTP request) is left open.
        """

    async def connect(
        self,
        dial: Callable[[], Awaitable[socket.socket]],
        target: Target,
        workload: Workload,
        *,
        subscriber: bool,
    ) -> int:
        """A connection that is logged in and has no unread bytes, as a non-blocking descriptor that the
        caller owns. `dial` opens a plain one to the target.

        Raises OSError or TargetError.
        """

    def prepare(self, target: Target, workload: Workload, seed: int) -> None:
        """Put the keys in place that the operations expect, and have the target look at what it will be
        asked. Raises TargetError, StatementRefused.
        """


_MODULES = {
    "redis": "bench.drivers.redis.wire",
    "redis_pubsub": "bench.drivers.redis.pubsub",
    "postgres": "bench.drivers.postgres.wire",
    "http": "bench.drivers.http.wire",
    "locust": "bench.drivers.locust",
    "noop": "bench.drivers.noop",
}


def driver_named(name: str) -> WireDriver:
    """The driver of that name; a scenario that was validated names no other."""
    return importlib.import_module(_MODULES[name])
