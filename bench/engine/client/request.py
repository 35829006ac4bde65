"""One arrival on its way through the client engine, and the run's clock."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from time import monotonic_ns  # CLOCK_MONOTONIC on Linux, as bench.core.clock, at half the price of a call

from bench.core.clock import NS_PER_S

WAITING, CONNECTING, SENT, RETURNING = range(4)
"""Stages of a ticket: no connection yet; one given, perhaps being opened; command written; answered."""

NEVER = -1
FAR_AHEAD_NS = 1 << 60
TIMER_STEP_S = 0.001
"""How much too early a timer of the event loop may ring."""


def limit_s(left_ns: int) -> float:
    """Seconds to give a client library as a limit, so that it ends nothing before its time. Never 0,
    which some take for none.
    """
    return max(left_ns, 0) / NS_PER_S + TIMER_STEP_S


class RunClock:
    """Nanoseconds from run zero; negative before it."""

    def __init__(self) -> None:
        self.start_ns = monotonic_ns() + FAR_AHEAD_NS
        self.run_label = 0
        """What `{run}` stands for."""

    def now_ns(self) -> int:
        """Time from run zero."""
        return monotonic_ns() - self.start_ns


class PendingRequest:
    """One arrival, from the moment it is taken from the plan; times in ns from run zero."""

    __slots__ = (
        "answers",
        "arrival",
        "began_ns",
        "done_ns",
        "has_asked",
        "key",
        "lane",
        "operation",
        "planned_ns",
        "row",
        "sent_ns",
        "stage",
        "task",
    )

    def __init__(self, planned_ns: int, row: int, operation: int, key: int, arrival: int) -> None:
        self.planned_ns = planned_ns
        self.row = row
        self.operation = operation
        self.key = key
        self.arrival = arrival
        self.began_ns = NEVER
        self.has_asked = False
        self.sent_ns = NEVER
        self.done_ns = NEVER
        self.lane = NEVER
        self.stage = WAITING
        self.answers: tuple[int, ...] = ()
        """What its answers brought: columns of a table of answers."""
        self.task: asyncio.Task[None] | None = None


CURRENT: ContextVar[PendingRequest | None] = ContextVar("CURRENT", default=None)
"""The arrival that the running task works on: a connection pool is called from inside the client
library, which has no place to hand it through."""
