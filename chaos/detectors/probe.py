"""The harness's own probe: it asks each target in its protocol, at a stated interval."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.core.clock import monotonic_ns
from bench.stack.probes.health import probe
from chaos.detectors.observation import Observation
from chaos.detectors.polling_detector import PollingDetector

if TYPE_CHECKING:
    from bench.stack.target import Target

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
