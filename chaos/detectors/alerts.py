"""The alerts of the user's own Prometheus as detectors: did our alert fire, and when."""

from __future__ import annotations

from bench.core.clock import monotonic_ns
from bench.stack.probes.prometheus import Prometheus, QueryError
from chaos.detectors.detection import Observation, WhyBlind, Window
from chaos.detectors.polling import PollingDetector

EVERY_NS = 250_000_000
PREFIX = "alert_"


class AlertWatch(PollingDetector):
    """Asks whether an alert fires. Stamped is the evaluation by which it began to, not the question."""

    def __init__(self, name: str, alert: str, about: str, url: str) -> None:
        """about: the target that a firing alert says is down."""
        super().__init__(f"{PREFIX}{name}", EVERY_NS)
        self.detector = f"{PREFIX}{name}"
        self._alert, self._about = alert, about
        self._prometheus = Prometheus(url)
        self._fires = False
        self._calm_ns = 0
        """When it was last known not to fire."""
        self._unanswered: list[tuple[int, str]] = []

    def look(self) -> None:
        """Ask once; note a change."""
        begin_ns = monotonic_ns()
        try:
            fires = self._prometheus.fires(self._alert)
            if fires and not self._fires:
                # Nothing is known of the time before the first look.
                since_ns = self._prometheus.fired_ns(self._alert, self._calm_ns or begin_ns)
                self._note(since_ns, is_down=True, detail=f"the alert {self._alert} fires")
        except QueryError as error:
            self._unanswered.append((begin_ns, str(error)))
            return
        if not fires:
            if self._fires:
                self._note(begin_ns, is_down=False, detail=f"the alert {self._alert} is resolved")
            self._calm_ns = begin_ns
        self._fires = fires

    def _note(self, at_ns: int, *, is_down: bool, detail: str) -> None:
        self.observations.append(Observation(self.detector, self._about, at_ns, is_down, detail))

    def blind(self) -> WhyBlind:
        """It saw nothing of a fault during which Prometheus did not answer."""

        def why(window: Window) -> str | None:
            inside = [said for at_ns, said in self._unanswered if window.from_ns <= at_ns <= window.calm_ns]
            if not inside:
                return None
            return f"Prometheus did not answer {len(inside)} questions meanwhile: {inside[-1]}"

        return why
