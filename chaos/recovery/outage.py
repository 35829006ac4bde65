"""When an outage began and when it was over, each time from the arrivals alone. Pure.

A *stretch* is the time from a harm to the next success of a request that was sent after it. The first
that contains or follows the effect is the fault's. Where some arrivals were harmed without any fault,
a stretch has to be longer than chance makes one of such errors; and where it never is, because only a
share of the arrivals fails, so many of them in one window that chance does not explain it.

Every planned arrival is a probe, so an edge is known to the time between two arrivals. Times are ns
from run zero; None means that it did not happen while the fault was watched.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bench.core.clock import NS_PER_S

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from chaos.recovery.baseline import Baseline, Seen


DEVIATIONS = 3
"""How far above the usual share of harm a time may be by chance, in standard deviations ..."""
RISE = 5
"""... and where a time is looked for that is above it: thousands of windows are tried."""
LEAST_OK_RATIO = 0.95
SLOW_PERCENT = 95
LEAST_FOR_A_SHARE = 20
"""Of fewer arrivals than that, half may be harmed by chance where a twentieth is usual."""


@dataclass(frozen=True)
class Criteria:
    """When a workload counts as stable and as fully back. Both need the time and the arrivals."""

    quiet_ns: int = NS_PER_S
    """Stable: no harm for this long ..."""
    arrivals: int = 100
    """... and for so many arrivals, whichever is longer. Also the least in a window of full performance."""
    window_ns: int = NS_PER_S
    """Length of the sliding window of full performance."""


def first_success(seen: Seen, failure_ns: int) -> int | None:
    """t3: when the first request that was sent after t1 was answered OK."""
    found = successes(seen, failure_ns)
    return int(found[0]) if len(found) else None


def successes(seen: Seen, since_ns: int) -> NDArray[np.int64]:
    """Sorted completion times of the OK arrivals that were sent at `since_ns` or later."""
    arrivals = seen.arrivals
    chosen = arrivals.is_ok & (arrivals.sent_ns >= since_ns) & (arrivals.done_ns < seen.until_ns)
    return np.sort(arrivals.done_ns[chosen])


def stable(seen: Seen, failure_ns: int, baseline: Baseline, criteria: Criteria) -> int | None:
    """t4: the first success after t1 (`failure_ns`) that begins a quiet time as `criteria` has it.

    Quiet: without harm for the time and for the arrivals. Where some arrivals were harmed without any
    fault, with no more of them than the baseline's share and chance explain.
    """
    planned = seen.arrivals.planned_ns
    candidates = np.unique(successes(seen, failure_ns))
    ends, whole = window_ends(planned, candidates, criteria.quiet_ns, criteria.arrivals)
    harms = np.sort(seen.harm_ns[seen.harmed])
    harmed = np.searchsorted(harms, ends) - np.searchsorted(harms, candidates)
    counted = np.searchsorted(planned, ends) - np.searchsorted(planned, candidates)
    calm = whole & (harmed <= np.floor(baseline.usual_harms(counted, DEVIATIONS)))
    return int(candidates[calm.argmax()]) if calm.any() else None


def quiet_since(seen: Seen, failure_ns: int, baseline: Baseline) -> int | None:
    """The first success from which on no more was harmed than usual; None where harm goes on to the end."""
    candidates = np.unique(successes(seen, failure_ns))
    harms, planned = np.sort(seen.harm_ns[seen.harmed]), seen.arrivals.planned_ns
    harmed = len(harms) - np.searchsorted(harms, candidates)
    counted = len(planned) - np.searchsorted(planned, candidates)
    usual = (harmed <= np.floor(baseline.usual_harms(counted, DEVIATIONS))) & (counted >= LEAST_FOR_A_SHARE)
    calm = (harmed == 0) | usual
    return int(candidates[calm.argmax()]) if calm.any() else None


def slow_from(seen: Seen, baseline: Baseline, criteria: Criteria) -> int | None:
    """Where nothing failed: the start of the first window whose P95 is above the band.

    P95 and not P99 (`SLOW_PERCENT`): without any harm the tail alone is as likely the machine's doing.
    """
    starts = seen.arrivals.planned_ns[seen.arrivals.planned_ns >= seen.from_ns]
    in_band, whole = _in_band(seen, starts, baseline, criteria, SLOW_PERCENT, RISE)
    bad = whole & ~in_band
    return int(starts[bad.argmax()]) if bad.any() else None


def full(seen: Seen, since_ns: int, baseline: Baseline, criteria: Criteria, percent: int = 99) -> int | None:
    """t5: the start of the first window, at `since_ns` or later, that is as good as before the fault.

    As good: P99 of the arrivals planned in it is inside the band, failed ones counted as endless; and
    at least 95 % of them ended OK or, in a closed loop, as many per second as 95 % of those before.
    What the baseline itself lost, and chance on top of it, may be lost here too.
    """
    planned = seen.arrivals.planned_ns
    starts = np.unique(np.append(planned[planned > since_ns], since_ns))
    in_band, whole = _in_band(seen, starts, baseline, criteria, percent)
    good = whole & in_band
    return int(starts[good.argmax()]) if good.any() else None


def fits(seen: Seen, since_ns: int, length_ns: int, arrivals: int) -> bool:
    """Whether a window of that length and so many arrivals lies between `since_ns` and the end."""
    _, whole = window_ends(
        seen.arrivals.planned_ns, np.array([since_ns], dtype=np.int64), length_ns, arrivals
    )
    return bool(whole[0])


def window_ends(
    planned: NDArray[np.int64], starts: NDArray[np.int64], length_ns: int, arrivals: int
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """The (open) end of the window at each start, and whether arrivals were planned up to there."""
    if len(planned) < arrivals:
        return starts + length_ns, np.zeros(len(starts), dtype=np.bool_)
    lasts = np.searchsorted(planned, starts) + arrivals - 1
    enough = lasts < len(planned)
    ends = np.maximum(starts + length_ns, planned[np.minimum(lasts, len(planned) - 1)] + 1)
    # The arrivals are the evidence: after the last of them nothing is known.
    return ends, enough & (ends <= planned[-1] + 1)


def _in_band(
    seen: Seen,
    starts: NDArray[np.int64],
    baseline: Baseline,
    criteria: Criteria,
    percent: int,
    deviations: float = DEVIATIONS,
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which windows are as good as before the fault, and which of them are whole."""
    assert baseline.band_ns is not None
    arrivals = seen.arrivals
    ends, whole = window_ends(arrivals.planned_ns, starts, criteria.window_ns, criteria.arrivals)
    first, last = np.searchsorted(arrivals.planned_ns, starts), np.searchsorted(arrivals.planned_ns, ends)
    count = last - first
    out = seen.failed | (arrivals.response_ns > baseline.band_ns)
    outside = np.concatenate([[0], np.cumsum(out)])
    failures = np.concatenate([[0], np.cumsum(seen.failed)])
    usual = np.floor(baseline.usual_harms(count, deviations))
    # Nearest rank: P99 is inside the band when at least 99 % of the arrivals are.
    fast = outside[last] - outside[first] <= count - np.ceil(count * percent / 100 - 1e-9) + usual
    if arrivals.closed:
        done = np.sort(arrivals.done_ns[arrivals.is_ok])
        completed = np.searchsorted(done, ends) - np.searchsorted(done, starts)
        busy = completed >= LEAST_OK_RATIO * baseline.ok_per_s * (ends - starts) / NS_PER_S
    else:
        lost = failures[last] - failures[first]
        busy = lost <= np.maximum((1 - LEAST_OK_RATIO) * count + 1e-9, usual)
    return fast & busy, whole


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

    Harm that was over before the effect is left out, as a single error between the call and the
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
        return None  # every harm is a separate stretch
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
