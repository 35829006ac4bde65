"""The processes of a target: which they are, in what state the kernel has them, and when one ended."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from bench.core.clock import monotonic_ns
from bench.stack.supervisor.processes import ProcessIdentity, stat_of

STOPPED_STATES = "Tt"
POLL_S = 0.0005
HEALED_POLL_S = 0.02
"""Between two looks whether it is healed, which ask the target's protocol, in Python: what they take of the
interpreter, the lanes that come back just then lack. The recovery is seen by arrivals, not by these."""


def family(pid: int) -> list[ProcessIdentity]:
    """A process and all its descendants, itself first; those that end meanwhile are left out."""
    found: list[ProcessIdentity] = []
    waiting = [pid]
    while waiting:
        one = waiting.pop(0)
        identity = ProcessIdentity.of(one)
        if identity is not None:
            found.append(identity)
            waiting += _children(one)
    return found


def state_of(identity: ProcessIdentity) -> str | None:
    """The kernel's letter for its state: R, S, D, T ...; None when it is gone."""
    if not identity.is_alive():
        return None
    try:
        return stat_of(identity.pid)[0]
    except OSError:
        return None


def send_all(processes: Iterable[ProcessIdentity], number: signal.Signals) -> None:
    """Send each of them a signal."""
    for process in processes:
        process.send(number)


def wait_until(condition: Callable[[], bool], deadline_s: float, poll_s: float = POLL_S) -> bool:
    """Look again and again until it is so; False when the deadline came first."""
    deadline = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(poll_s)
    return True


def are_stopped(processes: Iterable[ProcessIdentity]) -> bool:
    """Whether every one of them that still lives is stopped by a signal."""
    return all(state_of(process) in (None, *STOPPED_STATES) for process in processes)


def are_gone(processes: Iterable[ProcessIdentity]) -> bool:
    """Whether none of them lives."""
    return not any(process.is_alive() for process in processes)


def _children(pid: int) -> list[int]:
    found: list[int] = []
    try:
        for thread in Path(f"/proc/{pid}/task").iterdir():
            text = (thread / "children").read_text()
            found += [int(child) for child in text.split()]
    except OSError:
        pass  # it ended meanwhile
    return found


DEADLINE_S = 30.0
SEEN_S = 1.0
"""How long after the act's return its death may still be on its way."""


class ExitWatcher:
    """Waits for a process's end from now on, in a separate thread."""

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
