"""Reasons not to believe a check: each looks at one, and changes the status when it applies.

They are asked in the order of `DOUBTS`; the first that applies wins.

One of them is about a queue that is divided among workers. Workers on several machines cannot share
one queue as the threads of a process do. Each gets as large a share of the arrivals as of the lanes,
but an arrival waits for a lane of its own worker while another worker's may be free. So it waits
longer than in one queue, never shorter: a rule that holds, holds; and one that breaks by waiting alone
is not the target's to answer for, unless all lanes were busy.
"""

import math

import numpy as np

from bench.core import histogram, units
from bench.core.clock import NS_PER_S
from bench.core.histogram import Counts
from bench.core.units import spaced
from bench.judge.closed_loop import unasked
from bench.judge.measures import floor_ns, statistic_ns
from bench.judge.observation import CUT_SHORT, NEVER, SLOW, Observation
from bench.judge.verdict import Doubt, Guard, Status
from bench.results.reader import Run
from bench.scenario.rules.grammar import Metric, Rule
from bench.scenario.rules.metric_facts import (
    BY_NAME,
    PROMQL,
    SHARES_OF_FEW,
    SHARES_OF_MOST,
    arrivals_needed,
    kills_needed,
)

FULL = 0.9
"""Of the time of all lanes: where they were busy for so much of it, one queue would have waited as well."""
SENT_IN_VAIN = ("error", "timeout", "reset", "refused")


def lanes_were_divided(run: Run, rule: Rule, seen: Observation, status: Status) -> Doubt | None:
    """INCONCLUSIVE for a rule that would hold without waiting for lanes, where workers divide them."""
    if status is not Status.FAIL or not (names := _divided(run, rule.metric)):
        return None
    value = _without_waiting(run, rule.metric, seen)
    if value is None or not rule.holds(value) or any(_were_full(run, name) for name in names):
        return None
    workers = max(_segments(run, name) for name in names)
    return Doubt(
        Status.INCONCLUSIVE,
        f"{rule.metric.stat or rule.metric.name} is {units.format_quantity(seen.value, seen.unit)}, and "
        f"{units.format_quantity(value, seen.unit)} without waiting for a lane: {workers} workers divide "
        "the lanes, so an arrival may have waited while another worker's lane was free",
        "run this workload on one worker, or with more lanes",
    )


def _segments(run: Run, name: str) -> int:
    """Into how many segments the workload was cut."""
    parts = [worker.workloads.get(name) for worker in run.record.workers]
    return max((part[1] for part in parts if part), default=1)


def _divided(run: Run, metric: Metric) -> list[str]:
    """The workloads in question whose queue was divided; a closed loop has none."""
    return [
        entry.name
        for entry in run.workloads_of(metric.workload)
        if entry.arrivals != "closed" and _segments(run, entry.name) > 1
    ]


def _without_waiting(run: Run, metric: Metric, seen: Observation) -> float | None:
    """The figure without lane waits, at best; None for one that has none in it."""
    if metric.name in ("response", "response_ok"):
        counts = run.histogram("service", metric.workload, metric.operation, ("ok",))
        if metric.name == "response":
            counts = counts + run.histogram("response", metric.workload, metric.operation, SENT_IN_VAIN)
        return statistic_ns(counts, metric.stat or "p95") if counts.any() else None
    if seen.tally is None or not seen.tally.planned:
        return None
    tally, dropped = seen.tally, seen.tally.outcomes["dropped"]
    match metric.name:
        case "errors":
            return (tally.planned - tally.ok - dropped) / tally.planned
        case "dropped":
            return tally.outcomes["refused"]
        case "throughput":
            return seen.value + dropped / run.measured_s
        case "availability" if tally.ok + dropped == tally.planned:
            return 1.0
        case _:
            return None


def _were_full(run: Run, name: str) -> bool:
    """Whether all lanes of a workload were busy for nearly all of the measured time."""
    (entry,) = [entry for entry in run.workloads if entry.name == name]
    service = run.histogram("service", name)
    if not service.any() or not entry.lanes or not run.measured_s:
        return False
    busy_ns = histogram.mean_ns(service) * int(service.sum())
    places = entry.lanes * entry.pipeline
    return bool(busy_ns >= FULL * places * run.measured_s * NS_PER_S)


SAMPLES_ABOVE = 10
"""A percentile needs this many samples above it: fewer, and one stall moves it anywhere."""
SAMPLES_AT_LEAST = 20
"""What the median, the mean and the maximum need."""
BY_SPEED = frozenset({"response", "response_ok", "service", "throughput"})
"""Metrics that a generator without time to spare makes worse."""
TOLD_APART = 2
"""A slope within its limit passes when one of so many times the limit can be excluded."""
MEDIAN = 50.0
OUTAGES = ("recovery", "downtime", "availability")
NEVER_SAID = {
    **dict.fromkeys(OUTAGES, "the target did not come back"),
    "detection": "it was not detected",
    **dict.fromkeys(("recovery_point", "recovery_time"), "what it destroyed did not come back"),
    "slow": "it was not as fast as before",
}
NEVER_ADVICE = {
    **dict.fromkeys(OUTAGES, "look at the server's log, and at who restarts it and when"),
    "detection": "look at how often and at what the detector looks",
    "recovery_point": "look at integrity in run.json for what is there, and at how the backup was made",
    "recovery_time": "look at the proof of the fault in run.json for what the restore said",
    "slow": "look at response around faults in the report, and at what the target does after its start",
}


SUSTAINED_ADVICE = "raise the rate, or ask for a longer time after for: so many must be planned in it"


def never_happened(run: Run, rule: Rule, seen: Observation, status: Status) -> Doubt | None:  # noqa: ARG001 - the signature of every doubt
    """FAIL when what the rule waits for never came, whatever the statistic: with the time waited."""
    never = [repeat for repeat in seen.repeats or () if repeat.kind == NEVER]
    never = never or [repeat for repeat in seen.repeats or () if repeat.kind == SLOW]
    if not never:
        return None
    longest = max(never, key=lambda repeat: repeat.value)
    more = f" (and {len(never) - 1} more)" if len(never) > 1 else ""
    waited = units.format_duration_ns(longest.value)
    what = "slow" if longest.kind == SLOW else rule.metric.name.partition(".")[0]
    said = NEVER_SAID.get(what, "it did not end")
    basis = "" if len(seen.repeats or ()) == 1 else f"; {seen.basis}"
    advice = NEVER_ADVICE.get(what, "look at events.jsonl of the run for what happened and when")
    return Doubt(Status.FAIL, f"{longest.fault}{more}: {said}, waited {waited}{basis}", advice)


def ended_too_early(run: Run, rule: Rule, seen: Observation, status: Status) -> Doubt | None:  # noqa: ARG001 - the signature of every doubt
    """INCONCLUSIVE when a recovery was still being watched as the next fault came, and may pass or fail."""
    cut = [repeat for repeat in seen.repeats or () if repeat.kind == CUT_SHORT]
    if not cut or status is Status.FAIL:
        return None
    return Doubt(
        Status.INCONCLUSIVE,
        f"{cut[0].fault}: the watch ended before {rule.metric.name} could be told, "
        f"after at least {units.format_duration_ns(cut[0].value)}",
        "let more time pass after each fault: a longer every, or a longer run",
    )


def too_few_samples(run: Run, rule: Rule, seen: Observation, status: Status) -> Doubt | None:
    """INCONCLUSIVE below the needed number, unless the rule is broken whatever the missing ones say."""
    needed = needed_samples(rule)
    if seen.samples >= needed:
        return None
    if status is Status.FAIL and _broken_anyway(rule, seen, needed):
        return None
    if seen.repeats is not None:
        return Doubt(
            Status.INCONCLUSIVE,
            f"{rule.metric.stat} of {rule.metric.name} needs {needed} faults, had {seen.samples}",
            f"repeat the fault more often, or judge {rule.metric.name} alone: the worst of all",
        )
    return Doubt(
        Status.INCONCLUSIVE,
        f"needed {spaced(needed)} samples to judge {_stat(rule)}, had {spaced(seen.samples)}",
        SUSTAINED_ADVICE if rule.sustained_ns is not None else _longer(run, seen.samples, needed),
    )


def generator_was_late(run: Run, rule: Rule, seen: Observation, status: Status) -> Doubt | None:  # noqa: ARG001 - the signature of every doubt
    """INVALID when the rule would hold without the time that the generator itself lost with each arrival."""
    if status is not Status.FAIL:
        return None
    shown = f"{_stat(rule)} is {units.format_quantity(seen.value, seen.unit)}"
    advice = "lower the rate, add threads, or free the machine of other work"
    if seen.net is not None:
        if not rule.holds(seen.net):
            return None
        net = units.format_quantity(seen.net, seen.unit)
        without = f"without the time that the generator itself lost it is {net}"
        return Doubt(Status.INVALID, f"{shown}, {without}: the rule would hold", advice)
    if seen.counts is None or seen.late is None or not seen.late.any():
        return None
    if _breaks_without(seen.counts, seen.late, rule):
        return None
    late = units.format_duration_ns(statistic_ns(seen.late, "max"))
    because = f"{shown}, and the generator itself was late by up to {late}: the delay may be its own"
    return Doubt(Status.INVALID, because, advice)


def below_the_floor(run: Run, rule: Rule, seen: Observation, status: Status) -> Doubt | None:
    """INCONCLUSIVE for a limit that this machine cannot resolve."""
    if seen.counts is None or rule.metric.name == "pool_wait":
        return None
    floor = floor_ns(run, rule.metric.name, rule.metric.stat or "p95", *rule.metric.scope[:1])
    if floor is None or rule.limit > floor:
        return None
    if status is Status.FAIL and not rule.holds(seen.value - floor):
        return None
    return Doubt(
        Status.INCONCLUSIVE,
        f"{_stat(rule)} is {units.format_duration_ns(seen.value)}, but the floor of this machine is "
        f"{units.format_duration_ns(floor)}: "
        f"a limit of {rule.written.limit} cannot be judged here",
        "judge this rule on a quieter or faster machine; bench calibrate shows its floor",
    )


def generator_was_busy(run: Run, rule: Rule, seen: Observation, status: Status) -> Doubt | None:  # noqa: ARG001 - the signature of every doubt
    """INVALID for a broken limit of a closed loop whose generator never had time to spare."""
    busy = run.record.generator.busy
    names = {entry.name for entry in run.workloads_of(rule.metric.workload)}
    if status is not Status.FAIL or rule.metric.name not in BY_SPEED or not names & set(busy):
        return None
    return Doubt(
        Status.INVALID,
        f"{_stat(rule)} breaks its limit, but the generator was busy all the time: it may be the bottleneck",
        "add threads, use fewer lanes, or free the machine of other work",
    )


def slope_not_shown(run: Run, rule: Rule, seen: Observation, status: Status) -> Doubt | None:  # noqa: ARG001 - the signature of every doubt
    """INCONCLUSIVE for a slope that may be noise, or that of something that is still warming up."""
    if seen.interval is None or rule.op not in ("<", "<="):
        return None
    found = f"{units.format_quantity(seen.value, seen.unit)} ({seen.basis})"
    if status is not Status.FAIL:
        if seen.interval[1] <= TOLD_APART * rule.limit:
            return None
        because = (
            f"the slope is {found}: even {TOLD_APART} times the limit of {rule.written.limit} is possible"
        )
        return Doubt(Status.INCONCLUSIVE, because, "measure longer")
    if seen.interval[0] <= rule.limit:
        because = f"the slope is {found}: it may be as low as the limit of {rule.written.limit}"
        return Doubt(Status.INCONCLUSIVE, because, "measure longer")
    if not seen.goes_on:
        because = f"the slope is {found}, but its later half rises less than the first: still warming up"
        advice = "warm up at least three times as long, then measure again"
        return Doubt(Status.INCONCLUSIVE, because, advice)
    return None


def source_unknown(run: Run, rule: Rule, seen: Observation, status: Status) -> Doubt | None:  # noqa: ARG001 - the signature of every doubt
    """INCONCLUSIVE for the targets as a whole when one of them could not be looked at."""
    if seen.missing is None or status is Status.FAIL:
        return None
    return Doubt(Status.INCONCLUSIVE, seen.missing.because, seen.missing.advice)


DOUBTS: tuple[Guard, ...] = (
    never_happened,
    ended_too_early,
    too_few_samples,
    generator_was_late,
    generator_was_busy,
    unasked,
    lanes_were_divided,
    below_the_floor,
    slope_not_shown,
    source_unknown,
)


def needed_samples(rule: Rule) -> int:
    """How many samples the rule's metric needs before it may be judged."""
    percent = rule.metric.percent
    if rule.metric.name.startswith(f"{PROMQL}.") and (rule.sustained_ns or rule.metric.stat == "max"):
        return 1  # what Prometheus says is a figure already
    if rule.metric.name in BY_NAME or "incidents" in rule.metric.arguments:
        # The worst of the faults speaks for itself; a mean means no more than a median.
        return 1 if rule.metric.stat in ("max", None) else kills_needed(percent or MEDIAN)
    if percent is not None:
        # The tiny subtraction keeps P95 at 200 in spite of binary fractions.
        return max(SAMPLES_AT_LEAST, math.ceil(SAMPLES_ABOVE / (1 - percent / 100) - 1e-6))
    if rule.metric.stat is not None:
        return SAMPLES_AT_LEAST
    if rule.metric.name in SHARES_OF_FEW | SHARES_OF_MOST:
        return arrivals_needed(rule.metric.name, rule.limit) or SAMPLES_AT_LEAST
    return SAMPLES_AT_LEAST if rule.metric.name == "throughput" else 1


def exceeding(counts: Counts, limit_ns: float) -> int:
    """How many samples lie in buckets wholly above `limit_ns`."""
    if limit_ns >= histogram.HIGHEST_NS:
        return 0
    return int(counts[histogram.bucket_of(max(0, int(limit_ns))) + 1 :].sum())


def _breaks_without(counts: Counts, late: Counts, rule: Rule) -> bool:
    """Whether a rule is broken however the lateness is spread over the arrivals (P(R-L > x) is at least
    P(R > x+y) - P(L > y) for every y). For what holds no times without lateness.
    """
    total, allowed = int(counts.sum()), 1 - (rule.metric.percent or 100.0) / 100
    if rule.metric.stat == "mean":
        mean_late = histogram.mean_ns(late) * int(late.sum()) / total
        return not rule.holds(histogram.mean_ns(counts) - mean_late)
    lost = [0, *(histogram.upper_edge_ns(int(bucket)) for bucket in np.flatnonzero(late))]
    return any(exceeding(counts, rule.limit + y) - exceeding(late, y) > total * allowed + 1e-6 for y in lost)


def _broken_anyway(rule: Rule, seen: Observation, needed: int) -> bool:
    """Whether more samples exceed the limit than a full set of them may hold."""
    if seen.repeats is not None:
        if rule.metric.percent is None:
            return False
        over = sum(not rule.holds(repeat.value) for repeat in seen.repeats)
        return over > needed * (1 - rule.metric.percent / 100) + 1e-6
    if seen.tally is not None:
        allowed = {"errors": rule.limit, "availability": 1 - rule.limit}.get(rule.metric.name)
        return allowed is not None and seen.tally.planned - seen.tally.ok > needed * allowed
    if rule.metric.name in SHARES_OF_FEW:
        return seen.value * seen.samples > needed * rule.limit
    if rule.metric.name in SHARES_OF_MOST:
        return (1 - seen.value) * seen.samples > needed * (1 - rule.limit)
    if seen.counts is None or rule.metric.stat == "mean":
        return False
    share = 1 - (rule.metric.percent or 100) / 100
    return exceeding(seen.counts, rule.limit) > needed * share + 1e-6


def _longer(run: Run, had: int, needed: int) -> str:
    if not had or not run.measured_s:
        return "raise the rate or measure longer"
    more_s = math.ceil((needed - had) * run.measured_s / had)
    return f"measure {spaced(more_s)} s longer at this rate, or raise the rate"


def _stat(rule: Rule) -> str:
    stat = rule.metric.stat or rule.metric.name
    return stat.upper() if rule.metric.percent is not None else stat
