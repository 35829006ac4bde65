"""What an outage cost: time without success, lost requests, answers that came later, reconnections."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bench.core.outcome import OUTCOMES, Outcome
from chaos.recovery.stamps import successes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from chaos.recovery.arrivals import Seen


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


def reconnects(
    events: Iterable[Mapping[str, Any]], workload: str, from_ns: int, until_ns: int
) -> dict[str, int | None]:
    """How many lanes came back between two times, and their time away: median (nearest rank) and longest."""
    away = sorted(
        int(event["away_ns"])
        for event in events
        if event.get("kind") == "reconnected"
        and event.get("workload") == workload
        and from_ns <= int(event["at_ns"]) < until_ns
        and event.get("away_ns") is not None
    )
    if not away:
        return {"count": 0, "p50_ns": None, "max_ns": None}
    return {"count": len(away), "p50_ns": away[(len(away) + 1) // 2 - 1], "max_ns": away[-1]}
