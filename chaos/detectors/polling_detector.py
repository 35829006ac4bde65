"""A thread that looks at something again and again, on a fixed clock."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from array import array
from typing import ClassVar

from bench.core.clock import monotonic_ns
from chaos.detectors.observation import Observation


class PollingDetector(ABC):
    """Looks every `every_ns`; a look that takes longer leaves out the turns that it missed.

    A clock at a fixed rate, not a pause after each look: a slow answer would stretch the interval just
    when it matters.
    """

    detector: ClassVar[str]
    """Its name in the record."""
    needed: int = 1
    """So many looks in a row make an alarm."""

    def __init__(self, name: str, every_ns: int) -> None:
        self.observations: list[Observation] = []
        self._begins, self._ends = array("q"), array("q")
        self.failure: BaseException | None = None
        """What ended the looking that should not have ended it."""
        self._every_ns = every_ns
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"detector-{name}", daemon=True)

    @property
    def looks_ns(self) -> list[tuple[int, int]]:
        """Begin and end of each look that is over, ns on CLOCK_MONOTONIC."""
        return list(zip(self._begins, self._ends, strict=False))

    @abstractmethod
    def look(self) -> None:
        """Look once; must return within a deadline of its own."""

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more; waits for a look under way."""
        self._end.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        try:
            self._keep_looking()
        except BaseException as failure:  # noqa: BLE001 - a detector that went blind is told, not overlooked
            self.failure = failure

    def _keep_looking(self) -> None:
        due = monotonic_ns()
        while not self._end.is_set():
            self._begins.append(monotonic_ns())
            self.look()
            self._ends.append(monotonic_ns())
            due += self._every_ns
            now = monotonic_ns()
            if due < now:
                due += (now - due) // self._every_ns * self._every_ns
            self._end.wait(max(due - monotonic_ns(), 0) / 1e9)
