"""What to send to which kind of server: one module per driver, found by name.

A driver turns a workload into a `Program`, connects and greets one lane, and prepares the target's
data. It is imported when a scenario names it. `bench/scenario/drivers.py` says what each allows in a
scenario file.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import socket

    from bench.plan.program import Program
    from bench.scenario.model import Workload
    from bench.stack.target import Target


class WireDriver(Protocol):
    """What the wire engine needs of a driver; modules fulfil it with functions."""

    def program(self, workload: Workload, seed: int) -> Program:
        """The requests of the workload as templates. Pure."""

    async def greet(
        self, connection: socket.socket, target: Target, workload: Workload, *, subscriber: bool
    ) -> None:
        """Log in on a fresh non-blocking connection and leave it without unread bytes.

        Raises OSError or TargetError.
        """

    def prepare(self, target: Target, workload: Workload, seed: int) -> None:
        """Put the data in place that the operations expect. Raises TargetError."""


_MODULES = {
    "redis": "bench.drivers.redis",
    "redis_pubsub": "bench.drivers.redis_pubsub",
    "noop": "bench.drivers.noop",
}


def driver_named(name: str) -> WireDriver:
    """The driver of that name; a scenario that was validated names no other."""
    return importlib.import_module(_MODULES[name])
