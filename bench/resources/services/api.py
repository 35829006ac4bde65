"""What the reference API reports about itself: how long its collector of garbage stopped it."""

from bench.core.clock import monotonic_ns
from bench.resources.services.noticed import Noticed, Notices
from bench.results.logs import GC_PAUSE
from bench.stack.probes.connection import ProbeError
from bench.stack.probes.http import http_get
from bench.stack.target import Target

PATH = "/metrics"
PAUSES, PAUSED_S = "holdfast_api_gc_pauses_total", "holdfast_api_gc_pause_seconds_total"
DEADLINE_S = 1.0
LEAST_NS = 2_000_000
"""Shorter pauses, added up between two looks, are what every Python does."""


class ApiMetrics:
    """Asks for its counters, as Prometheus would."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._before: tuple[int, float, float] | None = None
        self.notices = Notices()

    def ask(self) -> dict[str, float]:
        """No columns; pauses go into the notices."""
        try:
            answer = http_get(self._target, PATH, DEADLINE_S)
        except ProbeError:
            return {}
        if answer.status != 200:
            self.notices.leave_out(PATH, answer)
            return {}
        self._look(monotonic_ns(), answer.body.decode(errors="replace"))
        return {}

    def _look(self, now_ns: int, text: str) -> None:
        pauses, paused_s = counter(text, PAUSES), counter(text, PAUSED_S)
        known, self._before = self._before, (now_ns, pauses, paused_s)
        if known is None:
            return
        before_ns, count, took_ns = known[0], int(pauses - known[1]), int((paused_s - known[2]) * 1e9)
        if count > 0 and took_ns >= LEAST_NS:
            share = took_ns / max(now_ns - before_ns, 1)
            text = "garbage collection"
            self.notices.add(Noticed(before_ns, now_ns, GC_PAUSE, text, count, took_ns, min(share, 1.0)))

    def abort(self) -> None:
        """Nothing to do: no question outlasts its deadline."""


def counter(text: str, name: str) -> float:
    """The sum of a counter over its labels, in the text format of Prometheus; 0 where there is none."""
    total = 0.0
    for line in text.splitlines():
        head, _, value = line.rpartition(" ")
        if head.partition("{")[0] == name:
            total += float(value)
    return total
