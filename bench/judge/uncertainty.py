"""How sure an achieved value is: an interval, and by which method.

Where the judge has bounds (slopes) they are taken. Else each kind of metric has its method, and what
has none says so. `METHODS` describes them for the page's reader.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from bench.core import histogram, units
from bench.core.clock import NS_PER_S
from bench.core.histogram import Counts
from bench.core.units import spaced
from bench.judge import external
from bench.judge.measures import LATENCIES, observe
from bench.judge.observation import KNOWN, Unmeasurable
from bench.judge.resources.growth import (
    SHARE,
    Series,
    Times,
    by_memory,
    growth,
    measured_offsets,
    series_of,
    targets_of,
    times_of,
)
from bench.judge.verdict import Check
from bench.judge.windowed import (
    cpu_slices,
    losses_evidence,
    mean_evidence,
    percentile_evidence,
    throughput_evidence,
    with_faults,
)
from bench.results.reader import Run
from bench.scenario.rules.grammar import Metric, Rule
from bench.scenario.rules.metric_facts import ALERT, BY_NAME, RULE_OF_THREE, SHARES_OF_FEW, SHARES_OF_MOST
from bench.statistics.evidence import RatioEvidence, ShareEvidence


def memory_growth_spread(run: Run, metric: Metric) -> tuple[float, float] | None:
    """Lowest minus highest and highest minus lowest sample of the last and the first tenth, in bytes."""
    found = []
    for source in metric.scope or targets_of(run):
        try:
            found.append(_extremes_of(series_of(run, source), times_of(run)))
        except Unmeasurable:
            continue
    if not found:
        return None
    # Without a source the rule is about the one that grew most.
    return max(low for low, _ in found), max(high for _, high in found)


def _extremes_of(series: Series, times: Times) -> tuple[float, float]:
    return by_memory(series, lambda column: _extremes(series, times, column))[0]


def _extremes(series: Series, times: Times, column: str) -> tuple[float, float]:
    growth(series, times, column)  # refuses the column that the judge refuses
    at_ns, values = series.known(column)
    offsets, inside = measured_offsets(at_ns, times)
    measured = values[inside]
    first = measured[offsets < SHARE * times.measured_ns]
    last = measured[offsets >= (1 - SHARE) * times.measured_ns]
    if not len(first) or not len(last):
        message = "no samples at the beginning or at the end"
        raise Unmeasurable(message, "measure longer")
    return float(last.min() - first.max()), float(last.max() - first.min())


METHODS = {
    "slices of time": "Percentiles: the measured time is cut into 10, 20 and 30 slices, and how much the "
    "share of samples beyond the value differs between them says how many independent samples they are "
    "worth: that gives the 95 % interval of the share, read back at the histogram (Woodruff 1952). No "
    "distribution is assumed, and samples of one slice may depend on each other.",
    "independent samples": "Percentiles, rates and means of a run with fewer than 10 windows: the same with "
    "samples taken as independent, which makes the interval too narrow where they are not.",
    "batch means": "Throughput and means: by how much the slices differ, with Student's t (95 %).",
    "Clopper-Pearson": "Shares: the interval of Clopper and Pearson (95 %), for as many independent samples "
    "as the slices say they are worth.",
    "rule of three": "Nothing found in n: the true share may be up to 3/n (95 %).",
    "repeats": "Repeated faults: the least and the greatest of n; up to 1 - 0.05^(1/n) of further ones may "
    "be worse than the worst of them (95 %).",
    "ten slices": "CPU: the least and the greatest of ten slices of the measured time.",
    "extremes": "Memory growth: from the lowest and highest samples of the first and the last tenth.",
    "counted": "Counts, maxima, a single fault, the worst window of an availability, the worst stretch of a "
    "sustained rule: every case was looked "
    "at, so for this run the number is exact.",
    "bootstrap": "Slopes: 98 % bounds by a moving-block bootstrap (the judge's own).",
}
"""Name of a method -> what it is, for the reader of the page."""
COUNTS = frozenset(
    {
        "lost_messages",
        "duplicate_messages",
        "reordered_messages",
        "lost_writes",
        "split_writes",
        "unexpected_values",
    }
)
"""Metrics for which every single case was looked at."""
SLOPES = frozenset({"memory_slope"})
SHARE_BEYOND = 0.05
TWO_SIDED = 0.975
"""Confidence of each end of a 95 % interval."""
MANY = 10**6
"""Degrees of freedom of what is taken as known."""


@dataclass(frozen=True)
class Uncertainty:
    """The bounds of an achieved value in the unit of its metric, None where there is none on that side.

    `text` says it in words; `method` names an entry of METHODS, None where there is no interval.
    """

    low: float | None
    high: float | None
    text: str
    method: str | None


def uncertainty(run: Run, rule: Rule, check: Check) -> Uncertainty:
    """How sure the observed value of a check is. Raises ResultError for a damaged run."""
    if check.observed is None:
        return _none("nothing was observed")
    name = rule.metric.name
    if name in SLOPES and check.interval is not None:
        return _between(*check.interval, rule.unit, "bootstrap")
    if name in LATENCIES:
        return _latency(run, rule.metric)
    if name in COUNTS:
        return _zero_of(check.observed, check.samples)
    if name.startswith(external.PREFIX) and rule.metric.stat == "mean":
        return _of_ratio(external.mean_of_answers(run, rule.metric), rule.unit, "batch means")
    if name in PER_FAULT or name.startswith(f"detection.{ALERT}"):
        return _repeats(run, rule.metric)
    method = OTHERS.get(name)
    return method(run, rule) if method else _none(REASONS.get(name, "one value, without an interval"))


def interval_of(run: Run, rule: Rule, check: Check) -> tuple[tuple[float, float] | None, str | None]:
    """The bounds of the observed value of a check, and the method; None where nothing was observed.

    Raises ResultError for a damaged run.
    """
    if check.observed is None:
        return None, None
    if rule.sustained_ns is not None:
        return (check.observed, check.observed), "counted"
    found = uncertainty(run, rule, check)
    if found.low is not None and found.high is not None:
        return (found.low, found.high), found.method
    return (check.observed, check.observed), "counted"


REASONS = {
    "leaked_connections": "counted at the end, not sampled",
    "redirects": "counted, not sampled",
    "pool_utilization": "the highest that was seen",
    "fd_growth": "counted at the beginning and at the end",
    "breaker_open_time": "one value, to the pace of the probe",
    "dropped": "counted, not sampled",
    **dict.fromkeys(("replication_lag", "replication_backlog"), "the most that was seen in looks each 25 ms"),
}
PER_FAULT = frozenset(name for name, metric in BY_NAME.items() if metric.per_repeat)


def _latency(run: Run, metric: Metric) -> Uncertainty:
    """Of a percentile by the share of samples beyond it, read back at the histogram (Woodruff 1952)."""
    seen = observe(run, metric)
    assert seen.counts is not None
    if metric.stat == "max":
        return Uncertainty(seen.value, seen.value, "the longest of this run", "counted")
    if metric.stat == "mean":
        return _mean(run, metric, seen.counts)
    evidence = percentile_evidence(run, metric, histogram.bucket_of(int(seen.value)) + 1)
    # The share that the percentile stands for: what lies in its own bucket may be much more or much less.
    beyond = 1 - (metric.percent or 95.0) / 100
    standing = replace(
        evidence, cases=beyond * evidence.samples, planned_cases=beyond * evidence.planned_samples
    )
    low = histogram.percentile_ns(seen.counts, 100 * (1 - standing.upper(TWO_SIDED)))
    high_percent = 100 * (1 - standing.lower(TWO_SIDED))
    high = (
        histogram.percentile_ns(seen.counts, high_percent)
        if high_percent < 100
        else histogram.max_ns(seen.counts)
    )
    return _between(low, high, "ns", "slices of time" if evidence.is_by_windows else "independent samples")


def _errors(run: Run, rule: Rule) -> Uncertainty:
    return _of_share(losses_evidence(run, rule.metric))


def _of_share(evidence: ShareEvidence, *, of_most: bool = False) -> Uncertainty:
    """`of_most`: of a share that should be high, whose cases are what is missing."""
    cases, samples = evidence.cases + evidence.planned_cases, evidence.samples + evidence.planned_samples
    low, high = evidence.lower(TWO_SIDED), evidence.upper(TWO_SIDED)
    method = "Clopper-Pearson"
    if not cases:
        low, high, method = 0.0, min(RULE_OF_THREE / samples, 1.0), "rule of three"
    if of_most:
        low, high = 1 - high, 1 - low
    found = _between(low, high, "ratio", method)
    return found if cases else replace(found, text=f"{found.text}, 0 of {samples:.0f}")


def _lookups(run: Run, rule: Rule) -> Uncertainty:
    """Counted by the whole run, so their samples are taken as independent."""
    seen = observe(run, rule.metric)
    is_most = rule.metric.name in SHARES_OF_MOST
    share = 1 - seen.value if is_most else seen.value
    return _of_share(ShareEvidence(share * seen.samples, seen.samples), of_most=is_most)


def _throughput(run: Run, rule: Rule) -> Uncertainty:
    evidence = throughput_evidence(run, rule.metric)
    if evidence is None:
        per_s = observe(run, rule.metric).value
        evidence = RatioEvidence(per_s, math.sqrt(per_s / run.measured_s), MANY) if run.measured_s else None
        return _of_ratio(evidence, "per_s", "independent samples")
    return _of_ratio(evidence, "per_s", "batch means")


def _mean(run: Run, metric: Metric, counts: Counts) -> Uncertainty:
    evidence = mean_evidence(run, metric)
    if evidence is None:
        error = histogram.deviation_ns(counts) / math.sqrt(counts.sum())
        evidence = RatioEvidence(histogram.mean_ns(counts), error, MANY)
        return _of_ratio(evidence, "ns", "independent samples")
    return _of_ratio(evidence, "ns", "batch means")


def _of_ratio(evidence: RatioEvidence | None, unit: str, method: str) -> Uncertainty:
    if evidence is None:
        return _none("nothing was measured")
    reach = evidence.reach(TWO_SIDED)
    return _between(max(0.0, evidence.ratio - reach), evidence.ratio + reach, unit, method)


def _availability(run: Run, rule: Rule) -> Uncertainty:
    """Projected from each fault by itself: the spread of what one interruption would mean."""
    if "incidents" not in rule.metric.arguments:
        if rule.metric.arguments["window"] >= run.measured_s * NS_PER_S:
            return _of_share(losses_evidence(run, rule.metric), of_most=True)
        return _none("the worst window of the run")
    values = []
    for fault in run.record.faults:
        try:
            values.append(observe(with_faults(run, {fault.number}), rule.metric).value)
        except Unmeasurable:
            continue
    return _range(values, "ratio")


def _cpu(run: Run, rule: Rule) -> Uncertainty:
    slices = cpu_slices(run, rule.metric)
    if not slices:
        return _none("too few samples for slices")
    return _between(min(slices), max(slices), "ratio", "ten slices")


def _memory_growth(run: Run, rule: Rule) -> Uncertainty:
    bounds = memory_growth_spread(run, rule.metric)
    return _between(*bounds, "bytes", "extremes") if bounds else _none("too few samples")


def _false_alarms(run: Run, rule: Rule) -> Uncertainty:  # noqa: ARG001 - the signature of every method
    watched_s = float(run.record.duration_ns) / NS_PER_S
    alarms = len(run.record.false_alarms)
    if alarms or not watched_s:
        return _none("counted")
    return Uncertainty(
        0,
        None,
        f"0 in {watched_s:.0f} s: up to {3600 * 3 / watched_s:.0f} an hour are possible",
        "rule of three",
    )


OTHERS: dict[str, Callable[[Run, Rule], Uncertainty]] = {
    "errors": _errors,
    "throughput": _throughput,
    **dict.fromkeys(SHARES_OF_FEW - {"errors"}, _lookups),
    **dict.fromkeys(SHARES_OF_MOST - {"availability"}, _lookups),
    "availability": _availability,
    "cpu": _cpu,
    "memory_growth": _memory_growth,
    "false_alarms": _false_alarms,
}


def _repeats(run: Run, metric: Metric) -> Uncertainty:
    repeats = observe(run, metric).repeats or ()
    if any(repeat.kind != KNOWN for repeat in repeats):
        return _none("not every recovery was seen to its end")
    return _range([repeat.value for repeat in repeats], "ns")


def _range(values: list[float], unit: str) -> Uncertainty:
    if not values:
        return _none("no repeats")
    worse = units.format_ratio(1 - SHARE_BEYOND ** (1 / len(values)))
    low, high = min(values), max(values)
    between = (
        f"{units.format_quantity(low, unit)} to {units.format_quantity(high, unit)} in {len(values)} faults"
    )
    if len(values) == 1:
        return _none("one fault: says nothing about further ones")
    return Uncertainty(low, high, f"{between}; up to {worse} of further ones may be worse", "repeats")


def _zero_of(observed: float, samples: int | None) -> Uncertainty:
    if observed or not samples:
        return _none("counted")
    bound = units.format_ratio(3 / samples)
    return Uncertainty(0, None, f"0 of {spaced(samples)}: up to {bound} is possible", "rule of three")


def _between(low: float, high: float, unit: str, method: str) -> Uncertainty:
    text = f"{units.format_quantity(low, unit)} to {units.format_quantity(high, unit)}"
    return Uncertainty(low, high, text, method)


def _none(reason: str) -> Uncertainty:
    return Uncertainty(None, None, reason, None)
