"""The arrivals of one workload as columns, and which of them a fault harmed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from bench.core.outcome import Outcome

if TYPE_CHECKING:
    from numpy.typing import NDArray

UNANSWERED = (Outcome.TIMEOUT, Outcome.REFUSED, Outcome.DROPPED)
"""Nobody answered in time: the harm began when the arrival was planned, not when it was given up."""


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
        """The arrivals of an operation log (`bench.results.operations.OPERATION`) in any order."""
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

    An arrival that hung longer than `stall_ns`, or that nobody answered, is a probe that found nobody
    when it was planned: its harm begins then, or at `from_ns` where that is later. One that was reset
    earlier than that got no answer since it was sent, or since the last OK answer that anybody got
    before it broke; one that was answered with an error is harmed by the answer. What had hung longer
    than `stall_ns` when the fault came belongs to what was before. An arrival that the next fault
    interrupts counts when it had hung that long by then; otherwise nobody knows, and it is left out.
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
    """Of each arrival: since when nobody answered it, as well as its own send and others' answers tell."""
    answers = np.concatenate([[from_ns], np.sort(arrivals.done_ns[arrivals.is_ok])])
    # The last answer before its end; from_ns stands first for those that have none.
    last = answers[np.searchsorted(answers[1:], arrivals.done_ns)]
    since: NDArray[np.int64] = np.maximum(np.maximum(arrivals.sent_ns, last), from_ns)
    return np.minimum(since, arrivals.done_ns)
