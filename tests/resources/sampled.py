"""A sampler run against a real stack, its rows kept in a list."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from bench.core.clock import monotonic_ns
from bench.plan.plan import PhasePlan, Plan
from bench.resources.sampler import Sampler
from bench.results.logs import ActivityRecord
from bench.stack.target import Target, TargetDescription
from tests.helpers.waiting import eventually

S = 1_000_000_000
LONGEST_S = 60.0


class Sampleable(Protocol):
    """What the sampler asks of a stack."""

    def targets(self) -> dict[str, Target]: ...

    def describe(self) -> list[TargetDescription]: ...


class Sampled:
    """What a sampler has written so far."""

    def __init__(self, stack: Sampleable, seconds: int = 8) -> None:
        self.rows: list[dict[str, Any]] = []
        self.noticed: list[ActivityRecord] = []
        self._stack = stack
        plan = Plan("sampled", 1, (PhasePlan("steady", True, 0, seconds * S),), (), "")
        self.sampler = Sampler(
            plan, stack.targets(), stack.describe(), self.rows.append, note=self.noticed.append
        )

    def of(self, source: str) -> list[dict[str, Any]]:
        return [row for row in list(self.rows) if row["source"] == source]

    def until(self, condition: Callable[[], object], what: str) -> None:
        """Wait for rows, telling the sampler what the stack says as the session does."""

        def holds() -> object:
            self.sampler.update(self._stack.describe())
            return condition()

        eventually(holds, what, LONGEST_S)


@contextmanager
def sampling(stack: Sampleable) -> Iterator[Sampled]:
    """A sampler that runs while the block does."""
    sampled = Sampled(stack)
    sampled.sampler.start(monotonic_ns())
    try:
        yield sampled
    finally:
        sampled.sampler.stop()


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """A process that does not run while the block does."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)
