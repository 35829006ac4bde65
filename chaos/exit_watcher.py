"""The moment of a process's death, by the kernel's word, while somebody else is busy killing it."""

from __future__ import annotations

import threading

from bench.core.clock import monotonic_ns
from bench.stack.supervisor.process_identity import ProcessIdentity

DEADLINE_S = 30.0
SEEN_S = 1.0
"""How long after the act's return its death may still be on its way."""


class ExitWatcher:
    """Waits for a process's end from now on, in a thread of its own."""

    def __init__(self, process: ProcessIdentity) -> None:
        self._process = process
        self._died_ns: int | None = None
        self._is_waiting = threading.Event()
        self._thread = threading.Thread(target=self._wait, name="death watch", daemon=True)
        self._thread.start()
        self._is_waiting.wait()

    def moment(self) -> int | None:
        """When it ended, ns on CLOCK_MONOTONIC; None if it has not."""
        self._thread.join(SEEN_S)
        return self._died_ns

    def _wait(self) -> None:
        self._is_waiting.set()
        if self._process.wait(DEADLINE_S):
            self._died_ns = monotonic_ns()
