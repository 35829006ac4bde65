"""A workload's arrivals, which of them a fault harmed, and how they were before the first fault. Pure.

The band of full performance is P99 x 1.25 + 1 ms: a quarter for chance, and a millisecond because on
times of microseconds the machine's own hiccups are larger than any quarter. The stall threshold is far
above what is usual (four times P99, at least 100 ms): what no user would call an answer in time.

Some arrivals may fail without any fault. What came back is as before when it fails no more than that:
the share, and what chance adds to it. Above CLEAN_RATIO it is unknown what the fault did.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from bench.core.clock import NS_PER_S
from bench.core.outcome import Outcome
from bench.scenario.rules.metric_facts import CLEAN_RATIO

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


UNANSWERED = (Outcome.TIMEOUT, Outcome.REFUSED, Outcome.DROPPED)
"""There was no answer in time: the harm began when the arrival was planned, not when it was given up."""


@dataclass(frozen=True)
class Arrivals:
    """int64 columns of equal length, in the order of planned times; ns from run zero."""

    planned_ns: NDArray[np.int64]
    sent_ns: NDArray[np.int64]
    """-1 for one never sent."""
    done_ns: NDArray[np.int64]
    outcome: NDArray[np.int64]
    closed: bool = False
    """Of a closed loop, whose arrivals are planned when a lane is free: in an outage it asks for nothing."""

    @classmethod
    def of(cls, operations: NDArray[Any], closed: bool = False) -> Self:
        """The arrivals of an operation log (`bench.results.logs.OPERATION`) in any order."""
        names = ("planned_ns", "sent_ns", "done_ns", "outcome")
        planned, sent, done, outcome = (operations[name].astype(np.int64) for name in names)
        order = np.lexsort((outcome, sent, done, planned))
        return cls(planned[order], sent[order], done[order], outcome[order], closed)

    def __len__(self) -> int:
        return len(self.planned_ns)

    def where(self, chosen: NDArray[np.bool_]) -> Arrivals:
        """Those that are chosen."""
        return Arrivals(
            self.planned_ns[chosen],
            self.sent_ns[chosen],
            self.done_ns[chosen],
            self.outcome[chosen],
            self.closed,
        )

    @property
    def response_ns(self) -> NDArray[np.int64]:
        """Planned to done."""
        return self.done_ns - self.planned_ns

    @property
    def is_ok(self) -> NDArray[np.bool_]:
        """Answered without an error."""
        found: NDArray[np.bool_] = self.outcome == Outcome.OK
        return found


@dataclass(frozen=True)
class Seen:
    """What can be said of a fault: the arrivals that lived between it and the next one (or the end)."""

    from_ns: int
    """The earliest time at which the fault can have acted: when it was asked for."""
    until_ns: int
    arrivals: Arrivals
    failed: NDArray[np.bool_]
    """Ended not OK, or still hung when the next fault came."""
    harmed: NDArray[np.bool_]
    """Failed, or answered OK after more than the stall threshold."""
    harm_ns: NDArray[np.int64]
    """When the harm began; meaningless where not harmed."""


def seen_of(arrivals: Arrivals, from_ns: int, until_ns: int, stall_ns: int) -> Seen:
    """Which arrivals a fault harmed that can have acted from `from_ns` on, and when the harm of each began.

    An arrival that hung longer than `stall_ns`, or was never answered, is a probe that found no one
    when it was planned: its harm begins then, or at `from_ns` where that is later. One that was reset
    earlier than that got no answer since it was sent, or since the last OK answer that anybody got
    before it broke; one that was answered with an error is harmed by the answer. What had hung longer
    than `stall_ns` when the fault came belongs to what was before. An arrival that the next fault
    interrupts counts when it had hung that long by then; otherwise it is unknown, and left out.
    """
    crosses = arrivals.done_ns >= until_ns
    hung = until_ns - arrivals.planned_ns > stall_ns
    lived = (arrivals.planned_ns < until_ns) & (arrivals.done_ns >= from_ns)
    lived &= arrivals.planned_ns >= from_ns - stall_ns
    chosen = lived & (~crosses | hung)
    found = arrivals.where(chosen)
    cut = crosses[chosen]
    failed = ~found.is_ok | cut
    waited = (found.response_ns > stall_ns) | cut | np.isin(found.outcome, UNANSWERED)
    harmed = failed | (found.response_ns > stall_ns)
    began = np.where(found.outcome == Outcome.RESET, _unanswered_since(found, from_ns), found.done_ns)
    began = np.where(waited, np.maximum(found.planned_ns, from_ns), began)
    return Seen(from_ns, until_ns, found, failed, harmed, began)


def _unanswered_since(arrivals: Arrivals, from_ns: int) -> NDArray[np.int64]:
    """Since when each arrival had no answer, as far as its own send and the answers to others show."""
    answers = np.concatenate([[from_ns], np.sort(arrivals.done_ns[arrivals.is_ok])])
    # The last answer before its end; from_ns stands first for those that have none.
    last = answers[np.searchsorted(answers[1:], arrivals.done_ns)]
    since: NDArray[np.int64] = np.maximum(np.maximum(arrivals.sent_ns, last), from_ns)
    return np.minimum(since, arrivals.done_ns)


BAND_RATIO, BAND_FLOOR_NS = 1.25, 1_000_000
STALL_RATIO, LEAST_STALL_NS = 4, 100_000_000
LEAST_ARRIVALS = 100
"""With fewer OK arrivals before the fault there is no P99 to come back to."""


@dataclass(frozen=True)
class Baseline:
    """The time before the first fault; ns."""

    from_ns: int
    until_ns: int
    samples: int
    """Arrivals that were planned and ended in it."""
    p99_ns: int | None
    """Response of the OK ones; None with fewer than 100 of them."""
    band_ns: int | None
    """A response up to this is as good as before."""
    stall_ns: int
    """An OK answer after more than this counts as a failure."""
    ok_per_s: float
    harmed_ratio: float
    """Share of arrivals that failed or stalled without any fault."""
    planned_per_s: float

    @property
    def is_clean(self) -> bool:
        """Whether so little was harmed without any fault that the effect of a fault stands out."""
        return self.harmed_ratio <= CLEAN_RATIO

    @property
    def harmed_at_most(self) -> float:
        """The share of harm as one more harmed arrival would have made it; 0 where nothing was harmed."""
        if not self.harmed_ratio:
            return 0.0
        return min(1.0, (self.harmed_ratio * self.samples + 1) / (self.samples + 1))

    def usual_harms(self, count: NDArray[np.int64], deviations: float) -> NDArray[np.float64]:
        """So many of `count` arrivals may be harmed by chance when all is as it was before the fault.

        The spread is that of both shares: this one, and the baseline's, which is of so many samples only.
        Small counts are lopsided, which the last term corrects (Cornish and Fisher).
        """
        share = self.harmed_ratio
        if not share:
            return np.zeros(len(count))
        both = 1 + count / max(self.samples, 1)
        spread = np.sqrt(share * (1 - share) * count * both)
        found: NDArray[np.float64] = share * count + deviations * spread + (deviations**2 - 1) / 6 * both
        return found

    @property
    def resolution_ns(self) -> int | None:
        """Time between two arrivals: edges of an outage are not known better."""
        return round(NS_PER_S / self.planned_per_s) if self.planned_per_s else None


def baseline_of(arrivals: Arrivals, measured: Sequence[tuple[int, int]], first_fault_ns: int) -> Baseline:
    """The baseline from the measured phases before the first fault, or from all before it if those are short.

    `measured` are (start, end) of the measured phases in ns.
    """
    spans = [(start, min(end, first_fault_ns)) for start, end in measured if start < first_fault_ns]
    found = _within(arrivals, spans)
    if len(found) < LEAST_ARRIVALS:
        spans = [(0, max(first_fault_ns, 0))]
        found = _within(arrivals, spans)
    length_s = sum(end - start for start, end in spans) / NS_PER_S
    responses = np.sort(found.response_ns[found.is_ok])
    known = len(responses) >= LEAST_ARRIVALS
    p99 = int(responses[math.ceil(len(responses) * 0.99) - 1]) if known else None
    stall_ns = max(LEAST_STALL_NS, STALL_RATIO * (p99 or 0))
    harmed = ~found.is_ok | (found.response_ns > stall_ns)
    return Baseline(
        from_ns=spans[0][0],
        until_ns=spans[-1][1],
        samples=len(found),
        p99_ns=p99,
        band_ns=None if p99 is None else round(p99 * BAND_RATIO) + BAND_FLOOR_NS,
        stall_ns=stall_ns,
        ok_per_s=len(responses) / length_s if length_s else 0.0,
        harmed_ratio=float(harmed.mean()) if len(found) else 0.0,
        planned_per_s=len(found) / length_s if length_s else 0.0,
    )


def _within(arrivals: Arrivals, spans: Sequence[tuple[int, int]]) -> Arrivals:
    """Those planned in one of the spans and ended before its end: what the fault interrupts is left out."""
    chosen = np.zeros(len(arrivals), dtype=np.bool_)
    for start, end in spans:
        chosen |= (arrivals.planned_ns >= start) & (arrivals.done_ns < end)
    return arrivals.where(chosen)
