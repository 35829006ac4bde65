"""Where the harm that is the fault's doing begins: t1, told apart from what was usual before it.

A *stretch* is the time from a harm to the next success of a request that was sent after it. The first
that contains or follows the effect is the fault's. Where some arrivals were harmed without any fault,
a stretch has to be longer than chance makes one of such errors; and where it never is, because only a
share of the arrivals fails, so many of them in one window that chance does not explain it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from chaos.recovery.stamps import RISE, window_ends

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from chaos.recovery.arrivals import Seen
    from chaos.recovery.baseline import Baseline
    from chaos.recovery.stamps import Criteria

BY_CHANCE = 0.001
"""How many stretches that look like an outage may be expected of a watch in which there is none."""
ENDLESS = np.iinfo(np.int64).max


@dataclass(frozen=True)
class Stretch:
    """From the first harm to the next success that was sent after it; ns from run zero."""

    from_ns: int
    until_ns: int
    """End of the watch where no success came."""
    harms: int


def onset(seen: Seen, baseline: Baseline, effective_ns: int, criteria: Criteria) -> int | None:
    """t1: when the first harm began that is the fault's doing; None where there is none.

    Harm that was over before the effect is none of it, as a single error between the call and the
    effect. Only where nothing else was harmed is it taken for the fault's: an effect that is over at
    once may be noticed late.
    """
    found = _significant(seen, baseline)
    stretch = next((one for one in found if one.until_ns > effective_ns), None)
    risen = _risen(seen, baseline, effective_ns, criteria, stretch)
    if risen is not None:
        return risen
    if stretch is None:
        stretch = next(iter(_significant(seen, baseline)), None)
    return None if stretch is None else stretch.from_ns


def stretches(seen: Seen) -> Iterator[Stretch]:
    """All of the watch, in the order of time."""
    harms = np.sort(seen.harm_ns[seen.harmed])
    ends = next_successes(seen, harms)
    following = np.searchsorted(harms, ends)
    place = 0
    while place < len(harms):
        after = int(following[place])
        yield Stretch(int(harms[place]), min(int(ends[place]), seen.until_ns), after - place)
        place = after


def next_successes(seen: Seen, since_ns: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each time when the first request that was sent then or later was answered OK; else ENDLESS."""
    arrivals = seen.arrivals
    good = arrivals.is_ok & (arrivals.sent_ns >= 0) & (arrivals.done_ns < seen.until_ns)
    order = np.argsort(arrivals.sent_ns[good], kind="stable")
    sent, done = arrivals.sent_ns[good][order], arrivals.done_ns[good][order]
    first_done = np.append(np.minimum.accumulate(done[::-1])[::-1], ENDLESS)
    found: NDArray[np.int64] = first_done[np.searchsorted(sent, since_ns)]
    return found


def _significant(seen: Seen, baseline: Baseline) -> Iterator[Stretch]:
    """Those that chance does not explain: so many harms without a success, or so long."""
    least = least_harms(baseline, len(seen.arrivals))
    longer_ns = baseline.stall_ns + least * (baseline.resolution_ns or 0)
    for one in stretches(seen):
        if one.harms >= least or one.until_ns - one.from_ns > longer_ns:
            yield one


def least_harms(baseline: Baseline, arrivals: int) -> int:
    """How many in a row are no chance any more, of so many arrivals of which the usual share is harmed."""
    share = baseline.harmed_at_most
    if share <= 0:
        return 1
    if share >= 1:
        return max(arrivals, 1)
    return max(1, math.ceil(math.log(BY_CHANCE / max(arrivals, 1)) / math.log(share)))


def _risen(
    seen: Seen, baseline: Baseline, effective_ns: int, criteria: Criteria, before: Stretch | None
) -> int | None:
    """The beginning of a raised share of harm between the effect and the first whole outage."""
    if not baseline.harmed_ratio:
        return None  # every harm is a stretch of its own
    until_ns = seen.until_ns if before is None else before.from_ns
    mine = (seen.arrivals.planned_ns >= effective_ns) & (seen.arrivals.planned_ns < until_ns)
    planned, harmed = seen.arrivals.planned_ns[mine], seen.harmed[mine]
    if not harmed.any():
        return None
    starts = planned[harmed]
    ends, whole = window_ends(planned, starts, criteria.quiet_ns, criteria.arrivals)
    first, last = np.searchsorted(planned, starts), np.searchsorted(planned, ends)
    sums = np.concatenate([[0], np.cumsum(harmed)])
    count, found = last - first, sums[last] - sums[first]
    bad = whole & (ends <= until_ns) & (found > baseline.usual_harms(count, RISE))
    if not bad.any():
        return None
    # The share changes somewhere in that window: where the sum of (harmed - level between the two) is least.
    place = int(bad.argmax())
    begin, end = int(first[place]), int(last[place])
    level = (baseline.harmed_ratio + found[place] / count[place]) / 2
    before_each = np.concatenate([[0.0], np.cumsum(harmed[begin:end] - level)[:-1]])
    change = begin + int(before_each.argmin())
    since = np.flatnonzero(harmed[change:end])
    return int(seen.harm_ns[mine][change + int(since[0])])
