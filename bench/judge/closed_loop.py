"""What a closed loop says of time: it lets the target choose how often it is asked.

A target that hangs for 400 ms of every second is asked a few times while it hangs and ten thousand times
while it does not: by its answers its P99 is perfect. So a rule must hold by the time of the lanes, too. An
arrival that is planned at any moment finds a lane in the middle of an operation and waits for what is left
of it: the share of lane time beyond a limit, each answer counted with what it took more than that, is the
share of such arrivals that would have waited for longer. (HdrHistogram's correction for an expected
interval is the same sum in steps.)

Whether all arrivals would have waited, as in a hang, or only those that the slow operation kept from its
lane, a closed loop cannot know; nor whether what it did not ask would have failed. Where answers and time
contradict each other the rule is INCONCLUSIVE, with the advice to ask at planned times.
"""

from typing import Any

import numpy as np

from bench.core import histogram, units
from bench.core.clock import NS_PER_S
from bench.core.histogram import Counts
from bench.core.intervals import stretches
from bench.core.outcome import OUTCOMES
from bench.judge.observation import LaneTime, Observation
from bench.judge.verdict import Doubt, Guard, Status
from bench.results.load_records import WorkloadRecord
from bench.results.reader import Run
from bench.scenario.rules.grammar import Metric, Rule

CLOSED = "closed"
USERS = "locust"
"""The engine whose users think between their requests: their time is not that of their requests."""
OK = "ok"
SENT_AND_LOST = tuple(outcome.label for outcome in OUTCOMES if outcome.label in ("error", "timeout", "reset"))
STALLED_NS = 100e6
STALLED_TIMES = 10
"""An answer that took longer than 100 ms and so many times the median stands for a stall of the target."""
STOOD_STILL = 0.1
"""A loop that was not asking for so much of its lanes' time says nothing of errors in that time."""
ADVICE = "ask at planned times: arrivals: constant or poisson, and a rate"
SELDOM = "a closed loop asks a target that is slow less often"


def is_closed(run: Run, metric: Metric) -> bool:
    """Whether all that the metric is about comes from closed loops."""
    entries = run.workloads_of(metric.workload)
    return bool(entries) and all(entry.arrivals == CLOSED for entry in entries)


def lane_time(run: Run, metric: Metric, kind: str, *, lost: bool) -> LaneTime | None:
    """The lane time of a closed loop's answers by a kind of histogram; `lost`: with that of what was lost."""
    workload, operation = metric.workload, metric.operation
    took, times = _spread(run.histogram(kind, workload, operation, (OK,)))
    lost_ns = _sum_ns(run.histogram("service", workload, operation, SENT_AND_LOST)) if lost else 0.0
    total_ns = float(np.dot(took, times)) + lost_ns + _thinking_ns(run, metric, float(times.sum()))
    if total_ns <= 0:
        return None
    charge_ns = max(
        (float(entry.deadline_ns or 0) for entry in run.workloads_of(metric.workload)), default=0.0
    )
    return LaneTime(took, times, lost_ns, charge_ns, total_ns)


def unasked(run: Run, rule: Rule, seen: Observation, status: Status) -> Doubt | None:
    """INCONCLUSIVE for a figure of a closed loop's answers that its lanes' time contradicts."""
    if seen.lane_time is not None:
        return _tail(seen.lane_time, rule, seen, status)
    shares = SHARES.get(rule.metric.name)
    if shares is None or "incidents" in rule.metric.arguments or not is_closed(run, rule.metric):
        return None
    return shares(run, rule, seen, status)


def _tail(spent: LaneTime, rule: Rule, seen: Observation, status: Status) -> Doubt | None:
    stat = rule.metric.stat or "p95"
    by_time_ns = spent.statistic_ns(None if stat == "mean" else float(stat.removeprefix("p")))
    if status is Status.FAIL or rule.holds(by_time_ns):
        return None
    answers, time = units.format_duration_ns(seen.value), units.format_duration_ns(by_time_ns)
    name = stat.upper() if rule.metric.percent is not None else stat
    found = f"{name} is {answers} by its answers and {time} by the lanes' time, of which"
    share = units.format_ratio(spent.share_beyond(rule.limit))
    because = f"{SELDOM}: {found} {share} went beyond {rule.written.limit}"
    return Doubt(Status.INCONCLUSIVE, because, ADVICE)


def _errors(run: Run, rule: Rule, seen: Observation, status: Status) -> Doubt | None:
    lost, stalled = _lost_share(run, rule.metric), _stalled_share(run, rule.metric)
    unsent = seen.tally.outcomes["dropped"] + seen.tally.outcomes["refused"] if seen.tally else 0
    if status is Status.FAIL and not unsent and lost is not None and rule.holds(lost):
        return _contradicted(f"{units.format_ratio(seen.value)} of the answers were errors, in", lost, "")
    if status is Status.FAIL:
        return None
    if lost is not None and not rule.holds(lost):
        return _contradicted("what was lost took", lost, "")
    if stalled > max(STOOD_STILL, rule.limit):
        return _contradicted("the target let its lanes wait for", stalled, NOT_KNOWN)
    return None


def _availability(run: Run, rule: Rule, seen: Observation, status: Status) -> Doubt | None:  # noqa: ARG001 - the signature of each
    if status is Status.FAIL:
        return None
    lost, stalled = _lost_share(run, rule.metric) or 0.0, _stalled_share(run, rule.metric)
    if rule.holds(1 - lost - stalled):
        return None
    return _contradicted("lost and stalled operations took", lost + stalled, NOT_KNOWN)


def _contradicted(what: str, share: float, more: str) -> Doubt:
    time = f"{units.format_ratio(share)} of the lanes' time"
    return Doubt(Status.INCONCLUSIVE, f"{SELDOM}: {what} {time}{more}", ADVICE)


NOT_KNOWN = ", and whether what was not asked in it would have been answered is not known"
SHARES: dict[str, Guard] = {"errors": _errors, "availability": _availability}


def _lost_share(run: Run, metric: Metric) -> float | None:
    """The share of lane time in operations that were lost, and in waiting for connections that were.

    None for users that think: they ask about as often, whatever they are answered.
    """
    if any(entry.engine == USERS for entry in run.workloads_of(metric.workload)):
        return None
    workload, operation = metric.workload, metric.operation
    lost_ns = _sum_ns(run.histogram("service", workload, operation, SENT_AND_LOST))
    spent_ns = lost_ns + _sum_ns(run.histogram("service", workload, operation, (OK,)))
    away_ns = 0.0
    if operation is None and any(_lost_connections(entry) for entry in run.workloads_of(metric.workload)):
        away_ns = max(_lanes_ns(run, metric) - spent_ns, 0.0)
    return (lost_ns + away_ns) / (spent_ns + away_ns) if spent_ns + away_ns else None


def _stalled_share(run: Run, metric: Metric) -> float:
    """The share of lane time in answers that came, but long after what is usual."""
    workload, operation = metric.workload, metric.operation
    answers = run.histogram("net", workload, operation, (OK,))
    if not answers.any():
        answers = run.histogram("response", workload, operation, (OK,))
    if not answers.any():
        return 0.0
    usual_ns = histogram.percentile_ns(answers, 50.0)
    took, times = _spread(answers)
    stalled = took > max(STALLED_NS, STALLED_TIMES * usual_ns)
    total_ns = float(np.dot(took, times)) + _thinking_ns(run, metric, float(times.sum()))
    return float(np.dot(took[stalled], times[stalled])) / total_ns


def _thinking_ns(run: Run, metric: Metric, answers: float) -> float:
    """The time that users spent between requests, as much of it as answers belong to the metric."""
    if not any(entry.engine == USERS for entry in run.workloads_of(metric.workload)):
        return 0.0
    everything = run.histogram("response", metric.workload)
    share = min(answers / max(float(everything.sum()), 1.0), 1.0)
    return max(_lanes_ns(run, metric) - _sum_ns(everything), 0.0) * share


def _lanes_ns(run: Run, metric: Metric) -> float:
    """The time of all lanes of the metric's workloads, in measured phases without their rests."""
    places = sum(entry.lanes * entry.pipeline for entry in run.workloads_of(metric.workload))
    load_ns = 0
    for phase in run.record.phases:
        if phase.measured:
            parts = stretches(phase.start_ns, phase.end_ns, phase.cycles, phase.rest)
            load_ns += sum(part.end_ns - part.start_ns for part in parts if not part.is_rest)
    return float(places * (load_ns or run.measured_s * NS_PER_S))


def _lost_connections(entry: WorkloadRecord) -> int:
    return entry.counters.get("lost_connections", 0)


def _spread(counts: Counts) -> tuple[Any, Any]:
    """The middles of the buckets in use, and how many samples each has."""
    used = histogram.buckets_in_use(counts)
    return histogram.middles_ns(used), counts[used].astype(np.float64)


def _sum_ns(counts: Counts) -> float:
    took, times = _spread(counts)
    return float(np.dot(took, times))
