"""Work in another thread, whose failure is kept and raised where the work was asked for."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

Value = TypeVar("Value")


class StillRunning(Exception):  # noqa: N818 - states a fact about the work
    """The work was not over in time."""


class Work(threading.Thread, Generic[Value]):
    """A daemon thread with what its function returned, or raised."""

    def __init__(self, name: str, function: Callable[[], Value]) -> None:
        super().__init__(name=name, daemon=True)
        self._function = function
        self._results: list[Value] = []
        self.failure: BaseException | None = None
        """What the function raised."""

    def run(self) -> None:
        """Call the function."""
        try:
            self._results.append(self._function())
        except BaseException as failure:  # noqa: BLE001 - kept for the thread that asks
            self.failure = failure

    def result(self, seconds: float | None = None) -> Value:
        """What the function returned, when it is over. Raises StillRunning, and what the function raised."""
        self.join(seconds)
        if self.failure is not None:
            raise self.failure
        if not self._results:
            raise StillRunning
        return self._results[0]


def within(seconds: float, name: str, function: Callable[[], Value]) -> Value:
    """What the function returns, from a thread that is left behind when it takes longer.

    Raises StillRunning then, and what the function raises.
    """
    work = Work(name, function)
    work.start()
    return work.result(seconds)
