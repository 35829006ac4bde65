"""What a run says about a metric, or why it says nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.judge.outcome_counts import listed
from bench.judge.repeats import NEVER, SLOW, Repeat, nearest_rank

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.core.histogram import Counts
    from bench.judge.lane_time import LaneTime
    from bench.judge.outcome_counts import Tally
    from bench.scenario.rules.grammar import Metric


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


def observed(repeats: Sequence[Repeat], metric: Metric, note: str = "") -> Observation:
    """The statistic that `metric` asks for over all repeats, with each of them in its basis."""
    values = sorted(repeat.value for repeat in repeats)
    if not values:
        return Observation(0, "ns", 0)
    never = any(repeat.kind in (NEVER, SLOW) for repeat in repeats)
    if len(values) == 1:
        return Observation(values[0], "ns", 1, basis=f"1 fault{note}", repeats=tuple(repeats), never=never)
    percent = metric.percent
    if percent is not None:
        value, name = nearest_rank(values, percent), f"{str(metric.stat).upper()} of"
    elif metric.stat == "mean":
        value, name = sum(values) / len(values), "the mean of"
    else:
        value, name = values[-1], "the longest of"
    ordered = sorted(repeats, key=lambda repeat: (repeat.kind in (NEVER, SLOW), repeat.value))
    median, longest = (nearest_rank(ordered, share).shown for share in (50, 100))
    each = listed([repeat.shown for repeat in repeats])
    basis = f"{name} {len(values)} faults, median {median}, longest {longest}; one by one {each}{note}"
    return Observation(value, "ns", len(values), basis=basis, repeats=tuple(repeats), never=never)
