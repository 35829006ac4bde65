"""What the client engine needs of a client library, and the modules that give it."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from bench.core.outcome import Outcome
    from bench.engine.client.pool_monitor import PoolMonitor
    from bench.engine.client.request import PendingRequest, RunClock
    from bench.plan.plan import WorkloadPlan
    from bench.stack.target import Target


class ClientDriver(Protocol):
    """An application's client with its pool; everything but `check` runs in the engine's event loop."""

    async def open(self) -> None:
        """Open every connection of the pool. Raises TargetError."""

    async def call(self, ticket: PendingRequest) -> None:
        """Do what the ticket asks for, as one call of the library; raises what went wrong.

        Moves the ticket's stage on, stamps `sent_ns` and sets `lane`, the connection's number.
        """

    def outcome_of(self, error: BaseException) -> Outcome:
        """How an arrival ended that had been sent: ERROR, TIMEOUT or RESET."""

    def is_expected(self, error: BaseException) -> bool:
        """Whether the client library or the network, and no bug of ours, can have raised this."""

    def text_of(self, error: BaseException) -> str:
        """The error in words, without secrets."""

    def counters(self) -> dict[str, int]:
        """What only this driver counts; asked when the loop has ended."""

    async def settle(self) -> None:
        """Every arrival has ended: wait until the connections that were given up are back in the pool, or
        closed. Ends within seconds, whatever the server does.
        """

    async def close(self) -> None:
        """Close every connection."""


class ClientModule(Protocol):
    """A driver's module."""

    def check(self, target: Target, plan: WorkloadPlan) -> None:
        """Whether the target is what it should be; then its data put in place. Raises TargetError."""

    def application(
        self, target: Target, plan: WorkloadPlan, watch: PoolMonitor, clock: RunClock
    ) -> ClientDriver:
        """The client, not yet open; called in the engine's event loop."""


_MODULES = {
    "redis": "bench.drivers.redis.client",
    "postgres": "bench.drivers.postgres.client",
    "http": "bench.drivers.http.client",
}


def client_module(driver: str) -> ClientModule:
    """The module for a driver that can be used through a client library."""
    return importlib.import_module(_MODULES[driver])
