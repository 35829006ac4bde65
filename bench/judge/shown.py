"""Whether a run shows that a rule holds or that it is broken, with 95 % confidence to one side.

A value at its limit is a coin flip: the next run of the same system comes out the other way. So a rule passes
only where the run shows that it holds, fails only where it shows that it is broken, and is INCONCLUSIVE in
between, with how long to measure to decide. The level of `warn` is an alert: the value that was seen decides.

Percentiles are judged by the share of samples that break the limit, errors and availability by that of
arrivals that did not end OK (`bench.statistics.evidence`), throughput and means by batch means, statistics
of repeated faults by how many of them broke the limit. What was counted to the last case (lost messages, a
maximum, the worst of the faults) needs no confidence: it is what happened. So is what faults of the plan
cost: another run of the plan has them too, and rules on recovery ask how their cost varies.
"""

import math
from dataclasses import dataclass, replace
from statistics import stdev

from bench.core import histogram, units
from bench.core.clock import NS_PER_S
from bench.core.units import spaced
from bench.judge.measures import LATENCIES
from bench.judge.observation import Observation
from bench.judge.verdict import Doubt, Status
from bench.judge.windowed import (
    cpu_slices,
    losses_evidence,
    mean_evidence,
    percentile_evidence,
    throughput_evidence,
)
from bench.results.reader import Run
from bench.scenario.rules.grammar import Rule
from bench.scenario.rules.metric_facts import SHARES_OF_FEW, SHARES_OF_MOST
from bench.statistics.evidence import (
    NEARLY_INDEPENDENT,
    RatioEvidence,
    ShareEvidence,
    times_as_long,
)

BELOW, ABOVE = ("<", "<="), (">", ">=")
NEAR = 4.0
"""A percentile so many times below its limit says nothing of how samples beyond the limit come."""


@dataclass(frozen=True)
class Shown:
    """What a run shows of a rule. `bound` ends a sentence about what is shown; empty where it was seen."""

    holds: bool
    breaks: bool
    bound: str
    doubt: str
    """The reason where neither is shown."""
    times: float | None
    """How many times as long a run would decide, if it went on like this; None where none would."""
    advice: str | None = None
    """In place of how long to measure."""

    def confirms(self, status: Status) -> bool:
        """Whether the plain status is shown."""
        return self.breaks if status is Status.FAIL else self.holds


def shown(run: Run, rule: Rule, seen: Observation) -> Shown | None:
    """What the run shows; None for a value that is known and not estimated. Raises ResultError."""
    if rule.sustained_ns is not None:
        return None  # what was kept for so long was there
    name, stat = rule.metric.name, rule.metric.stat
    if name in LATENCIES and stat != "max" and rule.op in BELOW and run.measured_spans:
        return _mean(run, rule, seen) if stat == "mean" else _percentile(run, rule, seen)
    if seen.repeats and rule.metric.percent is not None and rule.op in BELOW:
        over = sum(not rule.holds(repeat.value) for repeat in seen.repeats)
        evidence = ShareEvidence(over, len(seen.repeats))
        found = _of_share(evidence, 1 - rule.metric.percent / 100, ("take longer", "of the faults"))
        return replace(found, advice=_more_faults(found, len(seen.repeats), rule.metric.name))
    if name in ("errors", "availability") and seen.tally is not None and run.measured_spans:
        return _losses(run, rule)
    if name in SHARES_OF_FEW | SHARES_OF_MOST and seen.tally is None and seen.repeats is None:
        return _lookups(rule, seen)
    if name == "throughput" and rule.op in ABOVE and run.measured_spans:
        return _throughput(run, rule)
    if name == "cpu" and rule.op in BELOW:
        return _cpu(run, rule, seen)
    return None


def not_shown(run: Run, status: Status, found: Shown) -> Doubt | None:
    """INCONCLUSIVE for a plain status that the run does not show; None where it does."""
    if found.confirms(status):
        return None
    because = f"with 95 % confidence it is not shown: {found.doubt}"
    return Doubt(Status.INCONCLUSIVE, because, found.advice or how_long(run, found.times))


def how_long(run: Run, times: float | None) -> str:
    """The advice to measure for so many times as long."""
    if run.record.plan.quick:
        return "run it in its standard form, without --quick"
    if times is None:
        return "too close to its limit for any length of run to decide: change the limit, or what is slow"
    more_s = (times - 1) * run.measured_s
    step = 10 ** max(math.floor(math.log10(max(more_s, 1))) - 1, 0)
    shown_s = max(math.ceil(more_s / step) * step, 1)
    return f"measure about {spaced(shown_s)} s more: then it can be decided, if it goes on like this"


def _percentile(run: Run, rule: Rule, seen: Observation) -> Shown | None:
    percent = rule.metric.percent or 95.0
    if rule.limit >= histogram.HIGHEST_NS:
        return None
    level = histogram.bucket_of(max(0, int(rule.limit)))
    level += rule.holds(histogram.upper_edge_ns(level))
    near = rule.limit / NEAR <= seen.value
    others = (histogram.bucket_of(int(seen.value)) + 1,) if near else ()
    evidence = percentile_evidence(run, rule.metric, level, *others)
    return _of_share(evidence, 1 - percent / 100, ("take longer", "of the samples"))


def _losses(run: Run, rule: Rule) -> Shown | None:
    is_errors = rule.metric.name == "errors"
    allowed = rule.limit if is_errors else 1 - rule.limit
    if rule.op not in (BELOW if is_errors else ABOVE) or allowed <= 0 or "incidents" in rule.metric.arguments:
        return None
    found = _of_share(losses_evidence(run, rule.metric), allowed, ("fail", "of the arrivals"))
    # The worst window of several is one that was there: that it broke the rule needs no confidence.
    is_all = rule.metric.arguments.get("window", 0) >= run.measured_s * NS_PER_S
    if is_errors or is_all or found.breaks:
        return found
    return replace(found, breaks=True, bound=found.bound if found.holds else "")


def _lookups(rule: Rule, seen: Observation) -> Shown | None:
    is_few = rule.metric.name in SHARES_OF_FEW
    allowed = rule.limit if is_few else 1 - rule.limit
    if rule.op not in (BELOW if is_few else ABOVE) or not 0 < allowed < 1:
        return None
    share = seen.value if is_few else 1 - seen.value
    evidence = ShareEvidence(share * seen.samples, seen.samples)
    do = BEYOND.get(rule.metric.name, "have such a status" if is_few else "have another status")
    return _of_share(evidence, allowed, (do, "of them"))


BEYOND = {"hits": "find nothing", "misses": "find nothing", "empty": "touch no row"}
"""What cases of a share that should be low do; the rest are statuses."""


def _cpu(run: Run, rule: Rule, seen: Observation) -> Shown | None:
    slices = cpu_slices(run, rule.metric)
    if not slices:
        return None
    error = stdev(slices) / math.sqrt(len(slices))
    return _of_ratio(RatioEvidence(seen.value, error, len(slices) - 1), rule, seen.value)


def _of_share(evidence: ShareEvidence, allowed: float, words: tuple[str, str]) -> Shown:
    do, of_what = words
    below, above = evidence.is_below(allowed), evidence.is_above(allowed)
    low, high = (_share(bound) for bound in (evidence.lower(), evidence.upper()))
    may = f"{_share(allowed)} may"
    doubt = f"{_share(evidence.share)} {of_what} {do}, {low} to {high} are possible, and {may}"
    if evidence.effect >= NEARLY_INDEPENDENT:
        doubt += f"; they come in clumps, so {spaced(round(evidence.samples))} are worth about "
        doubt += f"{spaced(max(round(evidence.effective), 1))}"
    if not evidence.is_by_windows and evidence.cases:
        doubt += "; too few windows to say how they depend on each other"
    bound = f"at least {low} {do}" if above else f"at most {high} {do}"
    return Shown(below, above, f"{bound}, {may}", doubt, times_as_long(evidence, allowed))


def _more_faults(found: Shown, had: int, name: str) -> str:
    worst = f"judge {name} alone: the worst of all"
    if found.times is None:
        return worst
    return f"repeat the fault about {math.ceil(found.times * had)} times, if it goes on like this, or {worst}"


def _mean(run: Run, rule: Rule, seen: Observation) -> Shown | None:
    evidence = mean_evidence(run, rule.metric)
    return None if evidence is None else _of_ratio(evidence, rule, seen.value)


def _throughput(run: Run, rule: Rule) -> Shown | None:
    evidence = throughput_evidence(run, rule.metric)
    return None if evidence is None else _of_ratio(evidence, rule, evidence.ratio)


def _of_ratio(evidence: RatioEvidence, rule: Rule, value: float) -> Shown:
    reach = evidence.reach()
    low, high = (
        units.format_quantity(bound, rule.unit) for bound in (max(value - reach, 0.0), value + reach)
    )
    worst, best = (value + reach, value - reach) if rule.op in BELOW else (value - reach, value + reach)
    distance = abs(value - rule.limit)
    times = (reach / distance) ** 2 if distance else math.inf
    is_at_most = rule.op in BELOW if rule.holds(value) else rule.op in ABOVE
    return Shown(
        rule.holds(worst),
        not rule.holds(best),
        f"at most {high}" if is_at_most else f"at least {low}",
        f"{low} to {high} is possible",
        times if times < MOST_TIMES else None,
    )


MOST_TIMES = 200.0


def _share(share: float) -> str:
    return units.format_ratio(share)
