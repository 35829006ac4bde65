"""How each workload went down and came back after each fault, and what that cost, by the operation log.

t0 is when the fault took effect, t1 the first harm that a client saw, t3 the first success after it,
t4 stable, t5 full performance. What counts as harm and what "as before" means stands in
`chaos.recovery.baseline`, which harm is the fault's and all other times in `chaos.recovery.outage`.
Pure: no clock, no files.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.core.outcome import OUTCOMES, Outcome
from bench.results.fault_records import (
    BaselineRecord,
    BrownOutRecord,
    CriteriaRecord,
    ReconnectsRecord,
    RecoveryRecord,
)
from bench.scenario.fault_kinds import REMEDIES
from chaos.recovery.baseline import Arrivals, Baseline, Seen, baseline_of, seen_of
from chaos.recovery.outage import (
    SLOW_PERCENT,
    Criteria,
    first_success,
    fits,
    full,
    onset,
    quiet_since,
    slow_from,
    stable,
    successes,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from bench.results.fault_records import FaultRecord
    from bench.results.run_record import RunRecord


def downtime_ns(seen: Seen, failure_ns: int, end_ns: int, stall_ns: int) -> int:
    """Sum of the intervals between two successes, from t1 to `end_ns`, in which clients were failed.

    An interval counts when an arrival failed in it, or when it is longer than `stall_ns` and arrivals
    stalled in it: answers that come late but steadily are slow, and no downtime.
    """
    good = successes(seen, failure_ns)
    edges = np.unique(np.concatenate([[failure_ns], good[good < end_ns], [end_ns]]))
    failed = _count_between(seen.harm_ns[seen.failed], edges)
    harmed = _count_between(seen.harm_ns[seen.harmed], edges)
    lengths = np.diff(edges)
    down = (failed > 0) | ((harmed > 0) & (lengths > stall_ns))
    return int(lengths[down].sum())


def _count_between(times: Any, edges: Any) -> Any:
    """How many times lie in each [edge, next edge)."""
    return np.diff(np.searchsorted(np.sort(times), edges))


def lost_by_outcome(seen: Seen) -> dict[str, int]:
    """Arrivals that ended otherwise than OK, by label; labels without any are left out."""
    ends = np.bincount(seen.arrivals.outcome, minlength=len(OUTCOMES))
    return {
        outcome.label: int(ends[outcome]) for outcome in OUTCOMES if outcome != Outcome.OK and ends[outcome]
    }


def brown_out_ns(seen: Seen, from_ns: int, to_ns: int, band_ns: int | None) -> int:
    """How much longer than the band the OK arrivals planned in [from, to) took, added up; 0 without band."""
    if band_ns is None:
        return 0
    arrivals = seen.arrivals
    chosen = arrivals.is_ok & (arrivals.planned_ns >= from_ns) & (arrivals.planned_ns < to_ns)
    excess = arrivals.response_ns[chosen] - band_ns
    return int(excess[excess > 0].sum())


def drained(seen: Seen, failure_ns: int, success_ns: int, band_ns: int | None) -> int | None:
    """When an arrival planned after t1 was first answered within the band, once there was a success again."""
    if band_ns is None:
        return None
    arrivals = seen.arrivals
    chosen = arrivals.is_ok & (arrivals.planned_ns >= failure_ns) & (arrivals.response_ns <= band_ns)
    chosen &= (arrivals.done_ns >= success_ns) & (arrivals.done_ns < seen.until_ns)
    return int(arrivals.done_ns[chosen].min()) if chosen.any() else None


@dataclass(frozen=True)
class Reconnection:
    """A lane of a workload that came back; ns from run zero."""

    workload: str
    at_ns: int
    away_ns: int
    """How long it had no connection."""


def reconnects(
    reconnections: Iterable[Reconnection], workload: str, from_ns: int, until_ns: int
) -> ReconnectsRecord:
    """How many lanes came back between two times, and their time away: median (nearest rank) and longest."""
    away = sorted(
        lane.away_ns
        for lane in reconnections
        if lane.workload == workload and from_ns <= lane.at_ns < until_ns
    )
    if not away:
        return ReconnectsRecord(count=0, p50_ns=None, max_ns=None)
    return ReconnectsRecord(count=len(away), p50_ns=away[(len(away) + 1) // 2 - 1], max_ns=away[-1])


UNSEEN = "unseen"
"""Nothing was planned while the fault was watched: nothing can be said."""
UNAFFECTED = "unaffected"
"""No arrival was harmed."""
RECOVERED = "recovered"
CUT_SHORT = "cut_short"
"""Quiet when the watch ended, but not for long enough to be called stable."""
NEVER = "never"
"""Not back when the watch ended: no success at all, or harm to the end."""
NO_CLEAN_BASELINE = "no_clean_baseline"
"""So much failed before the first fault that stable and full mean nothing."""


def recovery_of(
    arrivals: Arrivals,
    baseline: Baseline,
    effective_ns: int,
    until_ns: int,
    criteria: Criteria | None = None,
    asked_ns: int | None = None,
    *,
    fault: int,
    workload: str,
    clean: bool,
    lanes: ReconnectsRecord,
) -> RecoveryRecord:
    """How the workload of `arrivals` came back after a fault that is watched until `until_ns`.

    The fault may have acted before its effective time was noticed, from `asked_ns` on: t1 may lie
    between the two. clean: whether the workload was back from the fault before it.
    """
    criteria = criteria or Criteria()
    from_ns = effective_ns if asked_ns is None else min(asked_ns, effective_ns)
    seen = seen_of(arrivals, from_ns, until_ns, baseline.stall_ns)
    t1 = onset(seen, baseline, effective_ns, criteria)
    t3 = None if t1 is None else first_success(seen, t1)
    t4, quiet, slow, t5, full_cut = None, None, None, None, False
    if baseline.is_clean:
        t4 = None if t1 is None else stable(seen, t1, baseline, criteria)
        quiet = None if t1 is None or t4 is not None else quiet_since(seen, t1, baseline)
        slow, t5, full_cut = _full(seen, t1, t4, baseline, criteria)
    end, back, to = _first(t4, quiet, until_ns), _first(t3, until_ns), _first(t5, until_ns)
    planned = seen.arrivals.planned_ns
    after_stable = seen.failed & (seen.harm_ns >= t4) if t4 is not None else None
    lost = lost_by_outcome(seen)
    brown = t1 is not None or slow is not None
    band_ns = baseline.band_ns if brown else None
    brown_before = brown_out_ns(seen, from_ns, to if t1 is None else t1, band_ns)
    brown_outage = 0 if t1 is None else brown_out_ns(seen, t1, min(back, to), band_ns)
    brown_after = 0 if t1 is None else brown_out_ns(seen, back, to, band_ns)
    return RecoveryRecord(
        fault=fault,
        workload=workload,
        clean=clean,
        waited_ns=until_ns - effective_ns,
        state=_state(seen, t1, t4, quiet, baseline.is_clean),
        effective_ns=effective_ns,
        until_ns=until_ns,
        first_failure_ns=t1,
        first_success_ns=t3,
        stable_ns=t4,
        full_ns=t5,
        quiet_since_ns=quiet,
        slow_from_ns=slow,
        full_cut_short=full_cut,
        downtime_ns=0 if t1 is None else downtime_ns(seen, t1, end, baseline.stall_ns),
        arrivals=int(seen.arrivals.outcome.size),
        failed=sum(lost.values()),
        outcomes=lost,
        stalled=int((seen.harmed & seen.arrivals.is_ok).sum()),
        failed_after_stable=0 if after_stable is None else int(after_stable.sum()),
        planned_in_outage=0 if t1 is None else int(((planned >= t1) & (planned < back)).sum()),
        brown_out_ns=brown_before + brown_outage + brown_after,
        brown_out=BrownOutRecord(before_ns=brown_before, outage_ns=brown_outage, after_ns=brown_after),
        drained_ns=None if t1 is None or t3 is None else drained(seen, t1, t3, baseline.band_ns),
        resolution_ns=baseline.resolution_ns,
        closed=arrivals.closed,
        baseline=BaselineRecord(**asdict(baseline)),
        criteria=CriteriaRecord(**asdict(criteria)),
        reconnects=lanes,
    )


def recoveries(
    operations: NDArray[Any],
    record: RunRecord,
    faults: Sequence[FaultRecord],
    reconnections: Sequence[Reconnection] = (),
    criteria: Criteria | None = None,
) -> list[RecoveryRecord]:
    """The section `recoveries` of run.json: each fault that took effect, for each workload that it may hit.

    `operations` is operations.npy; `record` holds workloads, phases and duration.
    """
    took = sorted(
        ((fault, fault.effective_ns) for fault in faults if fault.effective_ns is not None and _acted(fault)),
        key=lambda each: each[1],
    )
    if not took:
        return []
    measured = [(phase.start_ns, phase.end_ns) for phase in record.phases if phase.measured]
    last_ns = max(record.duration_ns, took[-1][1])
    by_fault: dict[tuple[int, int], RecoveryRecord] = {}
    for number, workload in enumerate(record.workloads):
        arrivals = Arrivals.of(operations[operations["workload"] == number], closed=workload.is_closed)
        baseline = baseline_of(arrivals, measured, _start(*took[0]))
        clean = True
        own = [(place, each) for place, each in enumerate(took) if record.may_hit(each[0], workload.target)]
        nexts = [_start(*each) for _, each in own[1:]]
        for (place, (fault, effective_ns)), end_ns in zip(own, [*nexts, last_ns], strict=False):
            start_ns, until_ns = _start(fault, effective_ns), _watched_until(fault, effective_ns, end_ns)
            by_fault[place, number] = recovery = recovery_of(
                arrivals,
                baseline,
                effective_ns,
                until_ns,
                criteria,
                start_ns,
                fault=fault.number,
                workload=workload.name,
                clean=clean,
                lanes=reconnects(reconnections, workload.name, start_ns, until_ns),
            )
            clean = recovery.state in (RECOVERED, UNAFFECTED)
    return [by_fault[key] for key in sorted(by_fault)]


def _start(fault: FaultRecord, effective_ns: int) -> int:
    """When it was asked for, as far as that is known: it may have acted before its effect was seen."""
    return effective_ns if fault.asked_ns is None else fault.asked_ns


def _watched_until(fault: FaultRecord, effective_ns: int, end_ns: int) -> int:
    """`observe` ends when its time is over; any other fault is watched until the next one."""
    if fault.kind != "observe" or not fault.for_ns:
        return end_ns
    return min(end_ns, effective_ns + fault.for_ns)


def _acted(fault: FaultRecord) -> bool:
    """Whether it did what it was to do, and that breaks something; one that is to do nothing always does."""
    return (fault.took_effect and fault.kind not in REMEDIES) or fault.kind == "nothing"


def _first(*stamps_ns: int | None) -> int:
    """The first that is known."""
    return next(one for one in stamps_ns if one is not None)


def _full(
    seen: Seen, t1: int | None, t4: int | None, baseline: Baseline, criteria: Criteria
) -> tuple[int | None, int | None, bool]:
    """Since when it was slow, since when as good as before, and whether the watch was too short to know."""
    if baseline.band_ns is None:
        return None, None, False
    slow = slow_from(seen, baseline, criteria) if t1 is None else None
    since = slow if t1 is None else t4
    if since is None:
        return slow, None, False
    percent = SLOW_PERCENT if t1 is None else 99
    t5 = full(seen, since, baseline, criteria, percent)
    room = fits(seen, since, criteria.window_ns, criteria.arrivals)
    return slow, t5, t5 is None and not room


def _state(seen: Seen, t1: int | None, t4: int | None, quiet: int | None, is_clean: bool) -> str:
    if not len(seen.arrivals):
        return UNSEEN
    if not is_clean:
        return NO_CLEAN_BASELINE
    if t1 is None:
        return UNAFFECTED
    if t4 is not None:
        return RECOVERED
    return NEVER if quiet is None else CUT_SHORT
