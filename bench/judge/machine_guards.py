"""Reasons not to believe a broken rule that lie in our own machine: its limits, other work on it, our proxy.

Those of limits and of other work are asked before all other doubts. What this machine did is no FAIL of the
target; and what the target did is not excused because the machine was also busy: a rule is doubted only as
far as the starved time can explain what broke it, and only if the best result that the run could have had
without that time would satisfy the rule.

Those of the fault proxy, which stands in the path of the load, are asked last. An answer and its question
both pass it. Which arrival met which delay is not known, but how many reads were late by how much is, and
that bounds it: of the arrivals beyond limit + 2 x d at most as many may be its doing as there were reads
later than d. A rule that is broken by more than that for any d is the target's. An arrival is lost to it in
the time in which it stood still, and for a deadline after that. An answer that was an error is the target's.
"""

from collections.abc import Sequence

import numpy as np

from bench.core import histogram, units
from bench.core.clock import NS_PER_S
from bench.core.histogram import Counts
from bench.core.machine_limits import CODE as OWN_LIMIT
from bench.core.machine_limits import COUNTER as OWN_LIMITS
from bench.judge.faults.guards import Found
from bench.judge.guards import BY_SPEED, exceeding
from bench.judge.measures import percent_of
from bench.judge.observation import Observation, tally_of
from bench.judge.resources.measures import MEASURES as RESOURCES
from bench.judge.verdict import Doubt, Guard, Status
from bench.resources.starvation import PRESSING, UNDISTURBED, Starvation, starvation
from bench.results.reader import Run
from bench.results.run_record import ProxyRecord
from bench.scenario.rules.grammar import Metric, Rule

PARTIES = 2
"""Generator and target wait one after the other: who suffered most has at least half of all waits."""
MOST_LOST = 0.95
MANY = 100
SOONEST_NS = 1e9
"""No server ends a connection for its silence sooner: each such wait costs a lane what it had sent, once."""
NOT_BY_TIME = frozenset(
    {
        *("lost_writes", "split_writes", "unexpected_values", "duplicate_messages", "reordered_messages"),
        *("hits", "misses", "empty", "recovery_point"),
    }
)
"""What a target kept or answered: being late changes none of it."""
STATUS = "status."


def waited_share(found: Starvation) -> float:
    """The share of the measured time that waiting for a processor can have cost, at most."""
    return min(PARTIES * found.share * found.held_up, 1.0)


def could_hold(run: Run, rule: Rule, seen: Observation, lost: float, broken_off: int = 0) -> bool:
    """Whether the rule could have held in the same run, had this machine not lost that share of its time.

    `broken_off`: requests in flight whose connections this machine itself ended.
    """
    name = rule.metric.name
    if name in NOT_BY_TIME or name.startswith(STATUS):
        return False
    left = 1 - min(lost, MOST_LOST)
    if seen.counts is not None:
        return seen.samples < MANY or rule.holds(_fastest_ns(run, rule.metric, seen.counts))
    if name == "throughput":
        return rule.holds(min(seen.value / left, _possible_per_s(run, rule.metric)))
    if seen.repeats is not None:
        # Projected from an outage: a shorter one leaves more.
        return rule.holds(1 - (1 - seen.value) * left if name == "availability" else seen.value * left)
    if seen.tally is not None and seen.tally.planned:
        refused = max(seen.tally.outcomes["refused"] - lost * seen.tally.planned, 0.0)
        broken = max(seen.tally.outcomes["reset"] - _broken_off(run, rule.metric, seen, lost) - broken_off, 0)
        said_no = seen.tally.outcomes["error"] + broken + refused
        if name == "availability":
            return rule.holds(1 - _worst_share(run, rule.metric, seen, said_no))
        best = {"errors": said_no / seen.tally.planned, "dropped": refused}
        return name not in best or rule.holds(best[name])
    return True


def _fastest_ns(run: Run, metric: Metric, counts: Counts) -> int:
    """What even the fastest of many took: nothing kept that one waiting.

    Where a backlog was there all the time every arrival has waited, so a response counts from its sending.
    """
    fastest_ns = histogram.lower_edge_ns(int(np.flatnonzero(counts)[0]))
    if metric.name not in ("response", "response_ok"):
        return fastest_ns
    sent = np.flatnonzero(run.histogram("service", metric.workload, metric.operation))
    return min(fastest_ns, histogram.lower_edge_ns(int(sent[0]))) if len(sent) else fastest_ns


def _worst_share(run: Run, metric: Metric, seen: Observation, said_no: float) -> float:
    """So many losses as a share of the whole run, or of its worst window with all others in it."""
    assert seen.tally is not None
    planned = seen.tally.planned
    in_window = planned * min(metric.arguments["window"] / (run.measured_s * NS_PER_S), 1.0)
    others = planned - seen.tally.ok - said_no
    at_least = min(max((1 - seen.value) * in_window - others, 0.0), said_no)
    return max(said_no / planned, at_least / in_window)


def _broken_off(run: Run, metric: Metric, seen: Observation, lost: float) -> int:
    """How many resets a deadline or a server's idle timeout explains, where that share of time was lost.

    A lane whose request timed out is given up, with what was sent behind it.
    """
    assert seen.tally is not None
    workloads = run.workloads_of(metric.workload)
    behind = max((entry.pipeline - 1 for entry in workloads), default=0)
    in_flight = sum(entry.lanes * entry.pipeline for entry in workloads)
    silences = int(min(lost, 1.0) * run.measured_s * NS_PER_S / SOONEST_NS)
    return int(seen.tally.outcomes["timeout"]) * behind + in_flight * silences


def _possible_per_s(run: Run, metric: Metric) -> float:
    """All that is planned but what the server would not do; a closed loop asks for what it can get."""
    workloads = run.workloads_of(metric.workload)
    if any(entry.arrivals == "closed" for entry in workloads) or not run.measured_s:
        return float("inf")
    tally = tally_of(run, metric.scope)
    return (tally.planned - tally.outcomes["error"]) / run.measured_s


CARRIED_OVER = 2.0
"""What broke in so many times the starved time may be its work: a backlog is caught up after it."""
LEAST_SHARE = 0.02
"""Of the measured time: less than that is what any machine does now and then."""
LEAST_SHARE_OF_MOMENTS = 0.1
"""The same for a rule that a moment decides: a recovery, a lost message, the fullest moment of a pool."""
BEFORE_A_MOMENT_NS = 500_000_000
"""What fills a pool happens just before; resources are sampled no less often."""
MOST_OF_ITS_TIME = 0.5
"""A target that had the processor for half of the time in which it should have come back had its chance."""
ALL = 1.0
"""Of the time: for how long connections were missing is not recorded."""
ADVICE = "free the machine of other work, or measure on another; bench doctor shows what is at work here"


def limit_of_our_own(run: Run, rule: Rule, seen: Observation, status: Status) -> Doubt | None:
    """INVALID for a broken rule about a workload whose connections this machine could not make.

    A connection that is missing explains what was not sent, or late; not what the target answered.
    """
    if status is not Status.FAIL or rule.metric.name in RESOURCES:
        return None
    entries = run.workloads_of(rule.metric.workload)
    met = [entry.name for entry in entries if entry.counters.get(OWN_LIMITS)]
    targets = {entry.target for entry in entries}
    proxies = {
        proxy.name: proxy.dials_failed
        for proxy in run.record.proxies
        if targets.intersection(run.record.passed_by(proxy)) and proxy.dials_failed
    }
    said = [anomaly for anomaly in run.anomalies if anomaly.code == OWN_LIMIT]
    limits = [one for one in said if any(one.message.startswith(f"{name}: ") for name in met)]
    limits += [one for one in said if any(f"{name} " in one.message for name in proxies)]
    depth = max((entry.pipeline for entry in run.workloads), default=1)
    if not limits or not could_hold(run, rule, seen, ALL, sum(proxies.values()) * depth):
        return None
    return Doubt(Status.INVALID, limits[0].message, limits[0].advice)


def others_at_work(run: Run, rule: Rule, seen: Observation, status: Status) -> Doubt | None:
    """INVALID for a broken rule where others held the run up for long enough to explain it."""
    if (status is not Status.FAIL and not seen.never) or rule.metric.name in RESOURCES:
        return None
    found = starvation_of(run, _spans_in_question(run, seen))
    if found.share < LEAST_SHARE or (seen.never and waited_share(found) < MOST_OF_ITS_TIME):
        return None
    broken = share_too_many(rule, seen)
    if broken is None:
        if found.share < LEAST_SHARE_OF_MOMENTS:
            return None
    elif broken > CARRIED_OVER * found.share:
        return None
    if not could_hold(run, rule, seen, waited_share(found)):
        return None
    of = "the half second before" if seen.at_ns is not None else "the measured time"
    of = "that time" if seen.span is not None else of
    return Doubt(Status.INVALID, f"{found.sentence(of)}: what broke this rule may be their doing", ADVICE)


def _spans_in_question(run: Run, seen: Observation) -> Sequence[tuple[int, int]]:
    """Where to look for what others did; none: in all of the measured time."""
    if seen.never:
        return _since_it_left(run)
    if seen.span is not None:
        return [seen.span]
    return () if seen.at_ns is None else [(max(seen.at_ns - BEFORE_A_MOMENT_NS, 0), seen.at_ns + 1)]


def machine_excused(run: Run, found: Found) -> Found:
    """A finding that a target did not come back, as INVALID where others had most of its time to do so."""
    code, because, _, status = found
    others = starvation_of(run, _since_it_left(run)) if status is Status.FAIL else UNDISTURBED
    if waited_share(others) < MOST_OF_ITS_TIME:
        return found
    return code, f"{because}; but {others.sentence()}: it may be their doing", ADVICE, Status.INVALID


def _since_it_left(run: Run) -> list[tuple[int, int]]:
    """From the first fault that was not undone to the end of the run."""
    faults = [fault for fault in run.record.faults if fault.took_effect and not fault.healed]
    left_ns = [fault.effective_ns for fault in faults if fault.effective_ns is not None]
    return [(min(left_ns), run.record.duration_ns)] if left_ns else []


def starvation_of(run: Run, spans: Sequence[tuple[int, int]] = ()) -> Starvation:
    """What others did to the run on its machine, in the spans or else in the measured time.

    Faults that make the machine busy were asked for.
    """
    if run.record.workers:
        return UNDISTURBED  # the load came from other processes and machines than the one that was sampled
    spans = spans or run.measured_spans
    asked_for = [
        (fault.effective_ns, fault.healed_ns or run.record.duration_ns)
        for fault in run.record.faults
        if fault.kind in PRESSING and fault.effective_ns is not None
    ]
    return starvation(run.resources(), spans, asked_for)


def share_too_many(rule: Rule, seen: Observation) -> float | None:
    """The share of the arrivals, or of the work, beyond what the rule allows; None where it is unknown."""
    if seen.counts is not None:
        allowed = 1 - (rule.metric.percent or 100.0) / 100
        return exceeding(seen.counts, rule.limit) / max(seen.samples, 1) - allowed
    if seen.repeats is not None:
        return None
    if rule.metric.name == "throughput":
        return max(1 - seen.value / rule.limit, 0.0) if rule.limit else None
    if seen.tally is None:
        return None
    if rule.metric.name == "dropped":
        return (seen.value - rule.limit) / max(seen.samples, 1)
    allowed = 1 - rule.limit if rule.metric.name == "availability" else rule.limit
    return (seen.tally.planned - seen.tally.ok) / max(seen.tally.planned, 1) - allowed


MACHINE_DOUBTS: tuple[Guard, ...] = (limit_of_our_own, others_at_work)


BUSY_RATIO = 0.98
WAYS = 2
"""Through the proxy: there and back."""
WAYS_BEHIND = 16
"""Through one behind the target, which may ask several times for one answer of its own."""
LATENCIES = frozenset({"response", "response_ok", "service"})
LOSSES = frozenset({"errors", "availability"})
OUTAGES = frozenset({"recovery.first", "recovery.stable", "recovery.full", "downtime"})
PROXY_ADVICE = "lower the rate, or free the machine of other work"


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
                PROXY_ADVICE,
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
