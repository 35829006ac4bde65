"""What a run shows about a metric, or why it shows nothing.

An observation can carry more than its value: one value for each fault (`Repeat`), where one may never
have come or the watch may have ended too early, and for a closed loop how long its lanes were in
operations (`LaneTime`). What most metrics are made of is how many arrivals were planned, and how each of
them ended (`Tally`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from bench.core import units
from bench.core.histogram import Counts
from bench.core.outcome import OUTCOMES
from bench.core.units import spaced
from bench.scenario.rules.grammar import Metric

if TYPE_CHECKING:
    from bench.results.reader import Run


MOST_LISTED = 12
"""What a sentence lists of many alike, at most."""


@dataclass(frozen=True)
class Tally:
    """Planned arrivals and their ends, by outcome label; every label is present."""

    planned: int
    outcomes: dict[str, int]

    @property
    def ok(self) -> int:
        """Arrivals that were answered without an error."""
        return self.outcomes["ok"]

    @property
    def lost(self) -> str:
        """The ends other than OK, as in "10 timeout, 2 reset"; empty when there are none."""
        ends = [(count, label) for label, count in self.outcomes.items() if label != "ok" and count]
        return ", ".join(f"{spaced(count)} {label}" for count, label in sorted(ends, reverse=True))


def tally_of(run: Run, scope: Sequence[str] = (), measured: bool | None = True) -> Tally:
    """The tally of a workload, an operation or (empty scope) the run; `measured` None takes every phase.

    A workload's deliveries are no arrivals: they count only when asked for by name.
    """
    workload, operation = (*scope, None, None)[:2]
    planned = 0
    outcomes = {outcome.label: 0 for outcome in OUTCOMES}
    for entry in run.workloads_of(workload):
        for count in entry.counts:
            wanted = count.operation == operation if operation else run.arrives(entry.name, count.operation)
            if wanted and measured in (None, count.measured):
                planned += count.planned
                for label, ended in count.outcomes.items():
                    outcomes[label] += ended
    return Tally(planned, outcomes)


def listed(texts: Sequence[str], most: int = MOST_LISTED) -> str:
    """The texts with commas; of more than `most` the first ones, and how many there are beside them.

    A sentence is read; all of them are in run.json.
    """
    if len(texts) <= most:
        return ", ".join(texts)
    shown = most - 1
    return f"{', '.join(texts[:shown])} and {spaced(len(texts) - shown)} more"


HALVINGS = 50
"""Of the interval in which a percentile is looked for."""


@dataclass(frozen=True)
class LaneTime:
    """The time that lanes spent in operations, by how long each took."""

    took_ns: np.ndarray[Any, np.dtype[np.float64]]
    """Distinct lengths of operations that were answered."""
    times: np.ndarray[Any, np.dtype[np.float64]]
    """How often each of them came."""
    lost_ns: float
    """Time in operations that were lost: an arrival in it would have been charged `charge_ns`."""
    charge_ns: float
    total_ns: float

    def share_beyond(self, limit_ns: float) -> float:
        """The share of the time in which an arrival would have waited for longer than the limit."""
        beyond = float(np.dot(np.clip(self.took_ns - limit_ns, 0, None), self.times))
        return (beyond + (self.lost_ns if limit_ns < self.charge_ns else 0.0)) / self.total_ns

    def statistic_ns(self, percent: float | None) -> float:
        """The percentile, or without one the mean, of the waits of arrivals at any moment."""
        if percent is None:
            halves = float(np.dot(self.took_ns**2, self.times)) / 2
            return (halves + self.lost_ns * self.charge_ns) / self.total_ns
        low, high = 0.0, max(float(self.took_ns.max(initial=0.0)), self.charge_ns)
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            if self.share_beyond(middle) > 1 - percent / 100:
                low = middle
            else:
                high = middle
        return high


One = TypeVar("One")
KNOWN, CUT_SHORT, NEVER = "known", "cut_short", "never"
SLOW = "slow"
"""It answers again, but was not as fast as before when the watch ended."""


@dataclass(frozen=True)
class Repeat:
    """What one fault gave. `value` is in ns; of one cut short or that never happened it is a lower bound."""

    fault: str
    """As in "fault 2 (kill redis)"."""
    value: float
    kind: str = KNOWN

    @property
    def shown(self) -> str:
        """For a list: "4.21 s", "> 2.00 s" where more was to come, "never" where it did not come."""
        if self.kind == NEVER:
            return "never"
        value = units.format_duration_ns(self.value)
        return value if self.kind == KNOWN else f"> {value}"


def worse(one: Repeat, other: Repeat) -> Repeat:
    """Of the same fault seen by two workloads the one that counts: never, then slow, else the longer one.

    What was cut short somewhere is not known to be over anywhere.
    """
    for kind in (NEVER, SLOW):
        if kind in (one.kind, other.kind):
            return one if one.kind == kind else other
    longer = max(one, other, key=lambda repeat: repeat.value)
    kind = CUT_SHORT if CUT_SHORT in (one.kind, other.kind) else KNOWN
    return Repeat(longer.fault, longer.value, kind)


def nearest_rank(ordered: Sequence[One], percent: float) -> One:
    """The percentile of sorted values: the one that at least `percent` of them do not exceed."""
    return ordered[max(1, math.ceil(len(ordered) * percent / 100 - 1e-9)) - 1]


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
    net: float | None = None
    """The value without the generator's own lateness; None where that is not recorded."""
    at_ns: int | None = None
    """When it was reached, of a value that one moment decides."""
    span: tuple[int, int] | None = None
    """Begin and end of the stretch of a sustained rule, in ns from run zero: value and samples are its."""
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
