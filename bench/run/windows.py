"""The windows of a run, one after the other as they end: of a session, and of a worker's engine."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.core.clock import monotonic_ns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from bench.engine.api import Engine
    from bench.plan.plan import Plan
    from bench.run.stop_request import StopRequest

DRAIN_STEP_NS = 100_000_000
"""Length of the windows after the last phase, until everything under way has ended."""
POLL_S = 0.02


@dataclass(frozen=True)
class WindowEnd:
    """A window that is to be closed now; times in ns from run zero."""

    number: int
    due_ns: int
    """When it was to end by the plan: later than now where every engine has ended before."""
    now_ns: int
    is_last: bool
    """Whether every engine had ended when it was looked at: what it counted is complete."""


def windows(
    plan: Plan,
    engines: Sequence[Engine],
    stop: StopRequest,
    start_ns: int,
    on_stop: Callable[[int, int], None] = lambda *_: None,
) -> Iterator[WindowEnd]:
    """Wait for the end of each window of the plan, then in steps until every engine has ended.

    A stop is passed on to the engines, and reported to `on_stop`: when, and how often it was asked for.
    """
    ends = iter(plan.window_ends())
    due, number, asked = 0, 0, 0
    is_running = True
    while is_running:
        due = next(ends, due + DRAIN_STEP_NS)
        while (left := due - (monotonic_ns() - start_ns)) > 0 and _are_running(engines):
            if stop.count > asked:
                asked = stop.count
                on_stop(monotonic_ns() - start_ns, asked)
                for engine in engines:
                    engine.stop(at_once=asked > 1)
            if asked:
                time.sleep(min(left / 1e9, POLL_S))
            else:
                stop.wait(min(left / 1e9, POLL_S * 5))
        is_running = _are_running(engines)  # before the counts are read: what comes after is still to be read
        yield WindowEnd(number, due, monotonic_ns() - start_ns, not is_running)
        number += 1


def _are_running(engines: Sequence[Engine]) -> bool:
    return any(engine.is_running() for engine in engines)
