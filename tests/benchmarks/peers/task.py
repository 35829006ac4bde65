"""What every contestant of a subject does, as ours is told of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from bench.scenario.model import Scenario
    from bench.stack.target import Target


class Task(Protocol):
    """One kind of request over a number of connections, closed loop, at one server."""

    @property
    def target(self) -> Target:
        """The server."""

    @property
    def connections(self) -> int:
        """How many are open, each with one request under way."""

    def scenario(self, seconds: float) -> Scenario:
        """The task as a scenario of ours: one engine thread, one request in flight on each lane."""
