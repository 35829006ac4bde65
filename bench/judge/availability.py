"""Successful of planned arrivals, over the window that the rule declares.

99.9 % of 60 s allows 60 ms of outage, 99.9 % of 30 days allows 43 minutes: without its window the
figure means nothing. A window no longer than the run is judged at its worst place, a longer one
cannot be judged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench import units
from bench.clock import NS_PER_S

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bench.judge.tally import Tally
    from bench.run_folder.reader import Run


class WindowTooLong(Exception):  # noqa: N818 - a fact about the run, no error of anyone's
    """The declared window is longer than what was measured."""

    def __init__(self, because: str, advice: str) -> None:
        self.advice = advice
        super().__init__(because)


def observed(run: Run, scope: Sequence[str], tally: Tally, arguments: Mapping[str, float]) -> float:
    """The availability as a ratio. Raises WindowTooLong."""
    window_ns = arguments["window"]
    if not tally.planned:
        return 0
    if run.measured_s * NS_PER_S < window_ns:
        raise WindowTooLong(
            f"the window is {units.format_duration_ns(window_ns)}, "
            f"the run measured {units.format_duration_ns(run.measured_s * NS_PER_S)}",
            "measure at least as long as the window",
        )
    return _worst_span(_slices(run, scope), window_ns)


def _slices(run: Run, scope: Sequence[str]) -> list[tuple[int, int, int]]:
    """Length in ns, arrivals ended and OK of each window of the run, in order of time."""
    workload, operation = (*scope, None, None)[:2]
    slices: dict[tuple[int, int], list[int]] = {}
    for window in run.windows("response", measured=True):
        tag = window.tag
        if workload not in (None, tag.workload):
            continue
        if not (tag.operation == operation if operation else run.arrives(tag.workload, tag.operation)):
            continue
        ended = slices.setdefault((window.start_ns, window.end_ns), [0, 0])
        samples = int(window.counts.sum())
        ended[0] += samples
        ended[1] += samples if tag.outcome == "ok" else 0
    return [(end - start, ended, ok) for (start, end), (ended, ok) in sorted(slices.items())]


def _worst_span(slices: list[tuple[int, int, int]], window_ns: float) -> float:
    """The lowest OK share of any row of neighbouring slices that lasts at least `window_ns`."""
    worst = sum(ok for _, _, ok in slices) / max(1, sum(ended for _, ended, _ in slices))
    first, length_ns, total, total_ok = 0, 0, 0, 0
    for span_ns, ended, ok in slices:
        length_ns, total, total_ok = length_ns + span_ns, total + ended, total_ok + ok
        while length_ns - slices[first][0] >= window_ns:
            length_ns -= slices[first][0]
            total -= slices[first][1]
            total_ok -= slices[first][2]
            first += 1
        if length_ns >= window_ns and total:
            worst = min(worst, total_ok / total)
    return worst
