"""When to sample: often enough for every rule, and where it matters most: at the end of each rest."""

from __future__ import annotations

import bisect
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.plan.plan import Plan

LONGEST_INTERVAL_NS = 500_000_000
SHORTEST_INTERVAL_NS = 50_000_000
SAMPLES = 80
"""At least so many in the measured time, if it is long enough: eight in its first and last tenth."""

APART_NS = 25_000_000
"""No two samples are due closer to each other than this."""

BEFORE_END_NS = 20_000_000
"""How long before the end of a rest its sample is due: a late one shall still lie in the rest."""
BEFORE_END_SHARE = 0.3


def interval_ns(plan: Plan) -> int:
    """The pace of the samples between those that have a place of their own."""
    return min(max(plan.measured_ns // SAMPLES, SHORTEST_INTERVAL_NS), LONGEST_INTERVAL_NS)


def due_times_ns(plan: Plan) -> tuple[list[int], frozenset[int]]:
    """When samples are due, ns from run zero, in order and at least APART_NS apart; and which of them are
    at edges: those may not be left out.

    First come the ends of rests, then the edges of phases and the ends of loads, then a regular pace;
    what would be too close to one that is there already is left out.
    """
    rest_ends: list[int] = []
    edges: list[int] = [0]
    for phase in plan.phases:
        edges.append(phase.end_ns)
        for stretch in phase.stretches():
            if stretch.is_rest:
                size = stretch.end_ns - stretch.start_ns
                rest_ends.append(stretch.end_ns - min(BEFORE_END_NS, int(size * BEFORE_END_SHARE)))
                edges.append(stretch.start_ns)
    pace = interval_ns(plan)
    times: list[int] = []
    for time_ns in (*rest_ends, *edges):
        _insert(times, time_ns, APART_NS)
    at_edges = frozenset(times)
    for time_ns in range(0, plan.duration_ns, pace):
        _insert(times, time_ns, pace // 2)
    return times, at_edges


def _insert(times: list[int], time_ns: int, apart_ns: int) -> None:
    place = bisect.bisect_left(times, time_ns)
    if place and time_ns - times[place - 1] < apart_ns:
        return
    if place < len(times) and times[place] - time_ns < apart_ns:
        return
    times.insert(place, time_ns)
