"""Detectors that poll on a fixed clock: the harness's own probe, and the API's circuit breakers."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from array import array
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bench.core.clock import monotonic_ns
from bench.core.threads import Work
from bench.stack.probes.connection import ProbeError
from bench.stack.probes.health import probe
from bench.stack.probes.http import http_get
from chaos.detectors.detection import Observation

if TYPE_CHECKING:
    from bench.stack.target import Target


class Detector(ABC):
    """Looks on in a thread of its own, and notes what it sees of targets."""

    detector: str
    """Its name in the record."""

    def __init__(self, name: str) -> None:
        self.observations: list[Observation] = []
        self._end = threading.Event()
        self._thread = Work(f"detector-{name}", self._watch)

    @property
    def failure(self) -> BaseException | None:
        """What ended the looking that should not have: a detector that went blind is reported."""
        return self._thread.failure

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more; waits for a look under way."""
        self._end.set()
        if self._thread.is_alive():
            self._thread.join()

    @abstractmethod
    def _watch(self) -> None:
        """Look until `_end` is set."""


class PollingDetector(Detector):
    """Looks every `every_ns`; a look that takes longer leaves out the turns that it missed.

    A clock at a fixed rate, not a pause after each look: a slow answer would stretch the interval just
    when it matters.
    """

    needed: int = 1
    """So many looks in a row make an alarm."""

    def __init__(self, name: str, every_ns: int) -> None:
        super().__init__(name)
        self._begins, self._ends = array("q"), array("q")
        self._every_ns = every_ns

    @property
    def looks_ns(self) -> list[tuple[int, int]]:
        """Begin and end of each look that is over, ns on CLOCK_MONOTONIC."""
        return list(zip(self._begins, self._ends, strict=False))

    @abstractmethod
    def look(self) -> None:
        """Look once; must return within its own deadline."""

    def _watch(self) -> None:
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


PROBE = "probe"
LONGEST_S = 1.0


class Probe(PollingDetector):
    """PING, SELECT 1 or /health of one target; `failures` in a row are a detection."""

    detector = PROBE

    def __init__(self, target: Target, every_ns: int, failures: int) -> None:
        super().__init__(f"{PROBE}-{target.name}", every_ns)
        self._target = target
        self._failures = self.needed = failures
        self._in_a_row = 0
        self._deadline_s = min(every_ns / 1e9 * failures, LONGEST_S)

    def look(self) -> None:
        """Ask once. The stamp is when the answer, or its deadline, was there."""
        found = probe(self._target, self._deadline_s)
        at_ns = monotonic_ns()
        if found.state == "down":
            self._in_a_row += 1
            if self._in_a_row == self._failures:
                self._note(
                    at_ns, is_down=True, detail=f"{self._failures} probes in a row failed: {found.detail}"
                )
            return
        if self._in_a_row >= self._failures:
            self._note(at_ns, is_down=False, detail="a probe was answered")
        self._in_a_row = 0

    def _note(self, at_ns: int, *, is_down: bool, detail: str) -> None:
        self.observations.append(Observation(PROBE, self._target.name, at_ns, is_down, detail))


BREAKER = "breaker"
EVERY_NS = 100_000_000
DEADLINE_S = 1.5
CLOSED, OPEN = "closed", "open"


class Breaker(PollingDetector):
    """Reads /health; a breaker that opens is a detection of what is behind it."""

    detector = BREAKER

    def __init__(self, api: Target, paths: Mapping[str, str] | None = None) -> None:
        """paths: component of the API -> the path to it, as the name of what an alarm is about."""
        super().__init__(BREAKER, EVERY_NS)
        self._api = api
        self._paths = paths or {}
        self._states: dict[str, str] = {}

    def look(self) -> None:
        """Note every breaker that is open now and was not, or is closed again. Half open is still open."""
        components = self._components()
        at_ns = monotonic_ns()
        for name, component in components.items():
            state = component.get("breaker") if isinstance(component, dict) else None
            if state in (OPEN, CLOSED) and state != self._states.get(name, CLOSED):
                self._states[name] = state
                detail = f"the API's breaker for {name} is {state}"
                path = self._paths.get(name, name)
                self.observations.append(Observation(BREAKER, path, at_ns, state == OPEN, detail))

    def _components(self) -> Mapping[str, Any]:
        try:
            found = http_get(self._api, f"{self._api.path}/health", DEADLINE_S).json().get("components")
        except ProbeError:
            return {}  # the API itself is unreachable: that is for other detectors to report
        return found if isinstance(found, dict) else {}


def open_time_ns(observations: list[Observation], end_ns: int) -> int:
    """How long breakers were open in all."""
    total, since = 0, {}
    for one in observations:
        if one.is_down:
            since[one.target] = one.at_ns
        elif one.target in since:
            total += one.at_ns - since.pop(one.target)
    return total + sum(end_ns - at_ns for at_ns in since.values())
