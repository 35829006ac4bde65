"""Reasons not to believe a broken rule that lie in the fault proxy, which stands in the path of the load.

An answer and its question both pass it. Which arrival met which delay is not known, but how many reads
were late by how much is, and that bounds it: of the arrivals beyond limit + 2 x d at most as many may be its
doing as there were reads later than d. A rule that is broken by more than that for any d is the target's.
An arrival is lost to it in the time in which it stood still, and for a deadline after that. An answer that
was an error is the target's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.core import units
from bench.judge.guards import BY_SPEED, exceeding
from bench.judge.measures import percent_of
from bench.judge.verdict import Doubt, Guard, Status

if TYPE_CHECKING:
    from bench.judge.observation import Observation
    from bench.results.reader import Run
    from bench.results.run_record import ProxyRecord
    from bench.scenario.rules.grammar import Rule

BUSY_RATIO = 0.98
WAYS = 2
"""Through the proxy: there and back."""
WAYS_BEHIND = 16
"""Through one behind the target, which may ask several times for one answer of its own."""
LATENCIES = frozenset({"response", "response_ok", "service"})
LOSSES = frozenset({"errors", "availability"})
OUTAGES = frozenset({"recovery.first", "recovery.stable", "recovery.full", "downtime"})
ADVICE = "lower the rate, or free the machine of other work"


def proxies_of(run: Run, rule: Rule) -> list[ProxyRecord]:
    """The record of every proxy that answers to the rule's workloads passed, there or further behind."""
    targets = {entry.target for entry in run.workloads_of(rule.metric.workload)}
    return [proxy for proxy in run.record.proxies if targets.intersection(run.record.passed_by(proxy))]


def proxy_was_late(run: Run, rule: Rule, seen: Observation, status: Status) -> Doubt | None:
    """INVALID when the rule might hold without the time that the proxy itself lost."""
    if status is not Status.FAIL:
        return None
    for proxy in proxies_of(run, rule):
        later = [(ns, count) for ns, count in proxy.later_than]
        if later and _may_hold(run, rule, seen, later, proxy):
            late = proxy.lateness_ns
            return Doubt(
                Status.INVALID,
                f"{proxy.name} passed bytes on up to "
                f"{units.format_duration_ns(late['max'])} late, P99 "
                f"{units.format_duration_ns(late['p99'])}: without that the rule may hold",
                ADVICE,
            )
    return None


def proxy_was_busy(run: Run, rule: Rule, seen: Observation, status: Status) -> Doubt | None:  # noqa: ARG001 - the signature of every doubt
    """INVALID for a broken limit of speed where the proxy never had time to spare."""
    if status is not Status.FAIL or rule.metric.name not in BY_SPEED:
        return None
    for proxy in proxies_of(run, rule):
        if (proxy.busy_ratio or 0.0) >= BUSY_RATIO:
            return Doubt(
                Status.INVALID,
                f"the rule is broken, but {proxy.name} was busy all the time: it may be the bottleneck",
                "use fewer lanes, or free the machine of other work",
            )
    return None


def _may_hold(
    run: Run, rule: Rule, seen: Observation, later: list[tuple[int, int]], proxy: ProxyRecord
) -> bool:
    name, stat, late = rule.metric.name, rule.metric.stat, proxy.lateness_ns
    ways = WAYS if proxy.client is None else WAYS_BEHIND
    if name in LATENCIES and seen.counts is not None:
        if rule.metric.percent is None:
            return rule.holds(seen.value - ways * late.get(str(stat), late["max"]))
        allowed = seen.samples * (1 - percent_of(stat or "p95") / 100)
        return all(exceeding(seen.counts, rule.limit + ways * ns) - count <= allowed for ns, count in later)
    if name in LOSSES and seen.tally is not None:
        allowed = seen.tally.planned * (rule.limit if name == "errors" else 1 - rule.limit)
        ours = seen.tally.planned * _stalled_share(run, proxy)
        said_no = seen.tally.outcomes["error"]
        unanswered = seen.tally.planned - seen.tally.ok - said_no
        return said_no + max(unanswered - ours, 0.0) <= allowed
    if name in OUTAGES and not seen.never:
        return rule.holds(seen.value - ways * late["max"])
    return False


def _stalled_share(run: Run, proxy: ProxyRecord) -> float:
    """Of the measured time: that in which it stood still, each time with a deadline after it."""
    stalls, stalled_ns = proxy.stalls, proxy.stalled_ns
    through = run.record.passed_by(proxy)
    deadlines = [entry.deadline_ns for entry in run.workloads if entry.target in through]
    lost_ns = stalled_ns + stalls * max((ns for ns in deadlines if ns), default=0)
    return min(lost_ns / max(run.measured_s * 1e9, 1), 1.0)


PROXY_DOUBTS: tuple[Guard, ...] = (proxy_was_late, proxy_was_busy)
