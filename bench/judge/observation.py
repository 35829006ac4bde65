"""What a run says about a metric, or why it says nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.core.histogram import Counts
    from bench.judge.closed_loop import LaneTime
    from bench.judge.outcome_counts import Tally
    from bench.judge.repeats import Repeat


class Unmeasurable(Exception):  # noqa: N818 - a fact about the run, no error of anyone's
    """This run cannot say anything about the metric: the reason, and what to do."""

    def __init__(self, because: str, advice: str) -> None:
        self.because = because
        self.advice = advice
        super().__init__(because)


@dataclass(frozen=True)
class Observation:
    """A value in the base unit of its metric. Latencies carry their histograms for closer questions."""

    value: float
    unit: str
    samples: int
    counts: Counts | None = None
    late: Counts | None = None
    """The generator's own lateness in them, where times without it are not recorded."""
    net_ns: float | None = None
    """The value without the generator's own lateness; None where that is not recorded."""
    lane_time: LaneTime | None = None
    """Of a closed loop: the same by the time of its lanes."""
    tally: Tally | None = None
    basis: str | None = None
    """What a resource's figure was made of, as the end of a sentence."""
    interval: tuple[float, float] | None = None
    """The bounds between which the true value lies, where they are known."""
    goes_on: bool | None = None
    """Of a slope: whether it is as steep in the end as in the beginning."""
    repeats: tuple[Repeat, ...] | None = None
    """One value for each fault, where the metric has them."""
    never: bool = False
    """What was waited for did not come for one of the repeats: then there is no value to show."""
    missing: Unmeasurable | None = None
    """Why one of several sources could not be looked at."""
