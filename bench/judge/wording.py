"""The sentences of a check: what was seen, in numbers, and what to do about it."""

import math

from bench.core import units
from bench.core.answers import STATUS_CLASSES
from bench.core.clock import NS_PER_S
from bench.core.errors import HoldfastError
from bench.core.outcome import OUTCOMES
from bench.core.units import often, spaced
from bench.explain import wording as causes
from bench.explain.events import CauseKind
from bench.explain.explanation import explain
from bench.judge.guards import exceeding
from bench.judge.measures import LATENCIES, statistic_ns
from bench.judge.observation import Observation, Tally, tally_of
from bench.judge.verdict import Status, headroom
from bench.results.reader import Run
from bench.scenario.rules.grammar import Rule

LEAST_OF_WHAT_BROKE = 0.1
"""An outage that met a smaller share of what broke a rule is not its cause, with its backlog or without."""
NAMES = {
    "errors": "the share of errors",
    "dropped": "the number never sent",
    "hits": "the share of hits",
    "misses": "the share of misses",
    "empty": "the share of statements without a row",
    **{f"status.{name}": f"the share of HTTP {name}" for name in STATUS_CLASSES},
    "cpu": "the share of CPU",
    "fd_growth": "the growth of open files",
    "lost_writes": "the number of lost writes",
    "split_writes": "the number of writes lost in a split",
    "recovery_point": "the recovery point",
    "recovery_time": "the recovery time",
    "unexpected_values": "the number of unexpected values",
    "false_alarms": "the number of false alarms",
}
FAULT_ADVICE = {
    **dict.fromkeys(
        ("recovery", "downtime"),
        "look at events.jsonl of the run for who restarted it and when, and at the server's log",
    ),
    "detection": "look more often, or ask for fewer failures in a row before it counts",
    "lost_writes": "integrity in run.json has examples; look at how the server is told to persist",
    "recovery_point": "back up more often, and see under integrity in run.json what the backup lacked",
    "recovery_time": "look at how long the restore itself took: faults in run.json has its begin and end",
    "split_writes": "roles in run.json has who said to be the primary when: end the old one before another",
    **dict.fromkeys(
        ("replication_lag", "replication_backlog"),
        "replication in run.json has each standby; look at its disk, its network and its queries",
    ),
    "unexpected_values": "integrity in run.json has examples: nobody wrote these values",
    "false_alarms": "look at false_alarms in run.json for what was taken for a fault",
    "breaker_open_time": "shorten the time after which the breaker tries again",
}
RESOURCE_ADVICE = {
    "memory_growth": "look at resources.csv of the run: a slope that goes on is a leak, a step is a cache",
    "memory_slope": "this goes on growing: find what is kept from request to request",
    "cpu": "look at resources.csv of the run for which process needs it, or lower the rate",
    "fd_growth": "look for files and connections that are opened and not closed",
}


LOOKUP_ADVICE = "write the keys first (keys: {preload: true}), or check their prefix and count"
ANSWER_ADVICE = {
    "hits": LOOKUP_ADVICE,
    "misses": LOOKUP_ADVICE,
    "empty": "look at the range of the parameters and at what the tables hold",
    "status": "the table of answers in the report has each status by operation",
}


def because(rule: Rule, seen: Observation, status: Status) -> str:
    """One sentence that names the value, the limit and the samples."""
    value = units.format_quantity(seen.value, seen.unit)
    compared = f"is {value}, {_side(rule, seen, status)} {rule.written.limit}"
    if rule.sustained_ns is not None:
        return f"{_named(rule)} {compared}, kept for {rule.written.sustained}: {seen.basis}"
    if seen.counts is not None:
        sentence = f"{_named(rule)} of {spaced(seen.samples)} samples {compared}"
        over = exceeding(seen.counts, rule.limit)
        if status is Status.FAIL and over:
            sentence += f"; {spaced(over)} ({units.format_ratio(over / seen.samples)}) took longer"
        return sentence
    name = _named(rule)
    if seen.tally is not None:
        done = f"{spaced(seen.tally.ok)} of {spaced(seen.tally.planned)} arrivals OK"
        lost = f", {seen.tally.lost}" if seen.tally.lost else ""
        return f"{name} {compared}: {done}{lost}"
    if seen.basis is not None:
        return f"{name} {compared}: {seen.basis}"
    return f"{name} {compared}, in {spaced(seen.samples)} arrivals"


def _named(rule: Rule) -> str:
    if rule.metric.name in LATENCIES:
        stat = rule.metric.stat or "p95"
        return stat.upper() if rule.metric.percent is not None else stat
    return NAMES.get(rule.metric.name) or _spoken(rule.metric.name)


def _spoken(metric: str) -> str:
    """Two words with a dot between them are a name, as in the rule; one with underscores is read as words."""
    return metric if "." in metric else metric.replace("_", " ")


def _side(rule: Rule, seen: Observation, status: Status) -> str:
    if rule.op == "==":
        return "where the rule wants"
    if status is Status.FAIL:
        if seen.value == rule.limit:
            return "which is exactly the limit of"
        return "above the limit of" if seen.value > rule.limit else "below the limit of"
    if status is Status.WARN:
        return f"past the warning level of {rule.written.warn}, within the limit of"
    return "within the limit of"


def advice(run: Run, rule: Rule, seen: Observation, status: Status) -> str | None:
    """What to do next about a check that is not plainly in order; None where there is nothing to say."""
    if status is Status.WARN:
        left = headroom(rule.op, rule.limit, rule.unit, seen.value)
        return f"{units.format_ratio(left)} of the limit is left; find out what grew" if left else None
    if status is not Status.FAIL:
        return None
    if (seen.tally is not None or rule.metric.name in LATENCIES) and (
        away := _outage_from_outside(run, rule, seen)
    ):
        return away
    if rule.metric.name in LATENCIES:
        return _latency_advice(run, rule)
    if (family := rule.metric.name.partition(".")[0]) in FAULT_ADVICE:
        return FAULT_ADVICE[family]
    if "incidents" in rule.metric.arguments:
        return "recover faster: of a longer window, or of fewer incidents, the run knows nothing"
    if rule.metric.name == "throughput":
        return _throughput_advice(run, rule, seen)
    if seen.tally is not None:
        return _losses_advice(run, rule, seen)
    if family in ANSWER_ADVICE:
        return ANSWER_ADVICE[family]
    if rule.metric.name in RESOURCE_ADVICE:
        return RESOURCE_ADVICE[rule.metric.name]
    if rule.metric.name == "lost_messages" and (closed := _lost_subscribers(run, rule)):
        said = f"the server closed {often(closed)} the connection of a subscriber"
        return f"{said}: look at its log and at its client-output-buffer-limit for pubsub"
    if rule.metric.name == "pool_utilization":
        return "enlarge the pool, or hold connections for a shorter time"
    return LOOK_AT_EVENTS


def _outage_from_outside(run: Run, rule: Rule, seen: Observation) -> str | None:
    """Where a target went away by itself, that is what to look at: not the lanes that waited for it.

    An overload makes a short stretch without a success, too. That is no cause of what broke all along.
    """
    mine = [
        outage
        for outage in run.record.outages
        if outage.whose == "nobody" and rule.metric.workload in (None, outage.workload)
    ]
    touched = sum(max(outage.planned, outage.failed) for outage in mine)
    if not mine or touched < LEAST_OF_WHAT_BROKE * _broke(run, rule, seen):
        return None
    longest = max(mine, key=lambda outage: outage.until_ns - outage.from_ns)
    length, at = (
        units.format_duration_ns(ns) for ns in (longest.until_ns - longest.from_ns, longest.from_ns)
    )
    more = f" ({len(mine) - 1} more like it)" if len(mine) > 1 else ""
    said = f"from {at} on nothing of {longest.workload} succeeded for {length}{more}"
    return f"{said}, and no fault of this run was there: look at the target's log at that time"


def _broke(run: Run, rule: Rule, seen: Observation) -> float:
    """How many arrivals broke a rule; of an operation's, what that comes to for its whole workload."""
    if seen.tally is not None:
        broke, samples = seen.tally.planned - seen.tally.ok, seen.tally.planned
    else:
        broke = exceeding(seen.counts, rule.limit) if seen.counts is not None else 0
        samples = seen.samples
    if len(rule.metric.scope) < 2 or not samples:
        return broke
    return broke * tally_of(run, rule.metric.scope[:1]).planned / samples


def _latency_advice(run: Run, rule: Rule) -> str:
    """Losses; else the first cause of the tail; else a slow server is told from waiting for a free lane."""
    if rule.metric.name not in ("response", "response_ok"):
        return "look at series.csv of the run for when it happened"
    workload, operation = rule.metric.workload, rule.metric.operation
    ends = {
        label: exceeding(run.histogram("response", workload, operation, (label,)), rule.limit)
        for label in (outcome.label for outcome in OUTCOMES)
    }
    slow = Tally(sum(ends.values()), ends)
    if slow.planned > 2 * slow.ok and rule.metric.name == "response":
        return f"most of them are losses ({slow.lost}); {_worst_loss(run, rule, slow)}"
    if (known := _first_cause(run, rule)) is not None:
        return known
    service = run.histogram("service", workload, operation)
    if not service.any():
        return "no request was answered; look at the outcomes and the server's log"
    stat = rule.metric.stat or "p95"
    service_ns = statistic_ns(service, stat)
    served = f"service time {stat} is {units.format_duration_ns(service_ns)}"
    if rule.holds(service_ns):
        return f"{served}: the time went into waiting for a free lane; look for stalls, or add lanes"
    return f"{served}: the server itself is slow; look there"


def _first_cause(run: Run, rule: Rule) -> str | None:
    """What made most of the tail of a workload, as far as the run kept it, and what to do about that."""
    try:
        found = explain(run)
    except (HoldfastError, ArithmeticError, LookupError, TypeError, ValueError, AttributeError):
        return None  # an explanation that fails, of a run with a damaged file too, must not change a verdict
    if not found.causes or rule.metric.workload not in (None, *(limit.workload for limit in found.limits)):
        return None
    first = found.causes[0]
    if first.kind is CauseKind.LANES:
        return None  # said below, with the service time
    said = f"{causes.share(first)} of the slow arrivals, because {causes.sentence(first)}"
    return f"{said}: {causes.advice(first)} (bench explain has more)"


def _throughput_advice(run: Run, rule: Rule, seen: Observation) -> str:
    rates = [entry.rate_per_s for entry in run.workloads_of(rule.metric.workload)]
    planned = sum(rate for rate in rates if rate)
    if rates and all(rates) and len(rule.metric.scope) < 2 and planned <= rule.limit:
        return f"the plan offers {units.format_rate(planned)} at 100 %: raise the rate above the limit"
    if seen.tally is not None and seen.tally.lost:
        return _losses_advice(run, rule, seen)
    return "the lanes were busy: compare service time with the number of lanes"


def _losses_advice(run: Run, rule: Rule, seen: Observation) -> str:
    texts = [
        (error.count, error.shown, entry.name)
        for entry in run.workloads_of(rule.metric.workload)
        for error in entry.errors
    ]
    ends = seen.tally.outcomes if seen.tally else {}
    if texts and ends.get("error", 0) == max((ends[label] for label in LOSS_ADVICE), default=0):
        count, text, workload = max(texts)
        return f"the most frequent error of {workload}, {often(count)} in the whole run: {text}"
    return _worst_loss(run, rule, seen.tally) if seen.tally else LOOK_AT_EVENTS


def _lost_subscribers(run: Run, rule: Rule) -> int:
    entries = run.workloads_of(rule.metric.workload)
    return sum(entry.counters.get("lost_subscribers", 0) for entry in entries)


def _worst_loss(run: Run, rule: Rule, tally: Tally) -> str:
    worst = max(LOSS_ADVICE, key=lambda label: tally.outcomes[label])
    if not tally.outcomes[worst]:
        return LOOK_AT_EVENTS
    if worst in BROKEN_CONNECTIONS and (said := _broken_by(run, rule)):
        return said
    if worst == "dropped" and (said := _lanes_needed(run, rule)):
        return said
    return LOSS_ADVICE[worst]


def _broken_by(run: Run, rule: Rule) -> str | None:
    """Bytes that are no reply: each time its connection is given up, and then one is missing."""
    names = [entry.name for entry in run.workloads_of(rule.metric.workload)]
    for anomaly in run.anomalies:
        message = anomaly.message
        if anomaly.code in UNREADABLE and message.partition(":")[0] in names:
            return f"{message}, and its connection is given up each time: look at what the server sends"
    return None


def _lanes_needed(run: Run, rule: Rule) -> str | None:
    """How many lanes the rate needs at the service time that was measured, where there are fewer."""
    for entry in run.workloads_of(rule.metric.workload):
        rate, lanes = entry.rate_per_s, entry.lanes * entry.pipeline
        pool = run.record.pool.get(entry.name)
        service = run.histogram("service", entry.name)
        if not rate or not service.any():
            continue
        mean_ns = statistic_ns(service, "mean")
        needed = math.ceil(rate * mean_ns / NS_PER_S)
        lanes = pool.size if pool and pool.size is not None else lanes
        if needed > lanes:
            return (
                f"at the mean service time of {units.format_duration_ns(mean_ns)}, {units.format_rate(rate)} "
                f"need {needed} {'connections of the pool' if pool else 'lanes'}, and there are {lanes}: add "
                "some, or lower the rate"
            )
    return None


LOOK_AT_EVENTS = "look at events.jsonl of the run for what happened and when"


BROKEN_CONNECTIONS = ("refused", "reset", "dropped")
UNREADABLE = ("broken_replies", "stray_replies")
"""Anomalies after which a lane gives its connection up."""

LOSS_ADVICE = {
    "error": "the server refused them: its error texts are in run.json",
    "dropped": "every lane was busy until the deadline passed: add lanes or lower the rate",
    "refused": "there was no connection: look at the server's log and its connection limit",
    "reset": "connections broke while requests were under way: look at the server's log",
    "timeout": "answers did not come within the deadline: look for stalls in series.csv",
}
