"""What one probe asks: the scenario at another rate, as values of --set, so that any probe can be run again.

A probe is a warm-up and one measured phase at a constant rate. It lasts long enough for the percentiles that
are judged. Rules that do not depend on the rate in the way that a limit does are left out of it:

- a minimum throughput that the probe's own plan does not offer: `throughput >= 1000/s` says nothing
  about a probe at 500/s. At rates that offer it, it is judged as it stands. If the capacity that is found
  lies below such a minimum, no rate satisfies all rules, and the result says so;
- growth over time (memory, open files): a probe is too short to show one, and no rate is its limit.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass

from bench.core.clock import NS_PER_S
from bench.core.errors import UsageError
from bench.core.units import format_duration_ns, format_rate, quoted
from bench.judge.guards import needed_samples
from bench.scenario.model import Phase, Scenario
from bench.scenario.rules.grammar import Rule
from bench.scenario.rules.lint import planned_arrivals
from bench.scenario.workloads import Workload

MEASURED_NS = 10 * NS_PER_S
LONGEST_NS = 300 * NS_PER_S
WARM_UP_NS = 2 * NS_PER_S
LONGEST_WARM_UP_NS = 5 * NS_PER_S
SAMPLES_MARGIN = 2
"""Of the samples that a rule needs: so many times as many are planned, as arrivals are random."""
LOWEST_SHARE = 1 / 64
"""Of the scenario's own rate: below it no rate is tried."""
MINIMUM_MARGIN = 0.95
"""A minimum throughput is judged where the plan offers more than it by so much."""
OVER_TIME = frozenset({"memory_growth", "memory_slope", "fd_growth"})
MINIMA = (">", ">=", "==")


@dataclass(frozen=True)
class Scaling:
    """The workloads whose rates a search changes, all in the same proportion."""

    own_per_s: dict[str, float]
    """Their rates in the scenario."""

    @property
    def start_per_s(self) -> float:
        """The rate of the scenario: of all of them together."""
        return sum(self.own_per_s.values())

    def at(self, rate_per_s: float) -> dict[str, float]:
        """The rate of each where together they have `rate_per_s`."""
        return {name: rate_per_s * own / self.start_per_s for name, own in self.own_per_s.items()}


def scaling_of(scenario: Scenario, workload: str | None) -> Scaling:
    """The workload of that name, or all of them. Raises UsageError for what no rate can be searched of."""
    if scenario.faults:
        raise UsageError(
            f"capacity: expected a scenario without faults, found {len(scenario.faults)} in "
            f"{scenario.scenario}; leave them out with --set 'faults=[]', and rules about them"
        )
    known = {one.name: one for one in scenario.workloads}
    if workload is not None and workload not in known:
        raise UsageError(
            f"--workload: expected one of {', '.join(known)}, found {quoted(workload)}; name one of those"
        )
    chosen = [known[workload]] if workload is not None else list(scenario.workloads)
    return Scaling({one.name: _own_rate(one) for one in chosen})


def _own_rate(workload: Workload) -> float:
    if workload.rate_per_s is None:
        name = workload.name
        raise UsageError(
            f"capacity: expected planned arrivals, found that workload {name} is a closed loop: it asks as "
            "fast as it is answered, so it has no rate to raise; give it one with "
            f"--set workloads.{name}.arrivals=poisson --set workloads.{name}.rate=100/s, or search that of "
            "another with --workload"
        )
    return workload.rate_per_s


@dataclass(frozen=True)
class LeftOut:
    """A rule that a probe does not judge, and why."""

    rule: str
    because: str


@dataclass(frozen=True)
class ProbePlan:
    """One probe."""

    overrides: tuple[str, ...]
    """The values of --set that make it of the scenario."""
    duration_ns: int
    """Of warm-up and measured phase."""
    left_out: tuple[LeftOut, ...]


@dataclass(frozen=True)
class Prober:
    """Makes probes of a scenario."""

    scenario: Scenario
    rules: tuple[Rule, ...]
    scaling: Scaling
    measured_ns: int = MEASURED_NS
    """Of a probe that needs no more."""

    def plan(self, rate_per_s: float, longer: int = 0) -> ProbePlan:
        """The probe at a rate; its measured phase is doubled `longer` times."""
        judged, left_out = self._sorted(rate_per_s)
        needed_ns = self._needed_ns(rate_per_s, judged)
        measured_ns = min(max(self.measured_ns, needed_ns) << longer, max(LONGEST_NS, self.measured_ns))
        rates = self.scaling.at(rate_per_s)
        phases = (
            f"[{{name: warmup, for: {_text(self._warm_up_ns())}, measured: false}}, "
            f"{{name: probe, for: {_text(measured_ns)}}}]"
        )
        changed = [f"workloads.{name}.rate={rate:.10g}/s" for name, rate in rates.items()]
        changed.append(f"phases={phases}")
        if left_out:
            changed.append(f"sla={json.dumps([rule.text for rule in judged], ensure_ascii=False)}")
        return ProbePlan(tuple(changed), self._warm_up_ns() + measured_ns, tuple(left_out))

    def lowest_per_s(self) -> float:
        """The lowest rate that is tried: one at which a probe of the longest kind has samples enough.

        Raises UsageError if that is more than the scenario's own rate, or if no rule can limit one.
        """
        start = self.scaling.start_per_s
        judged, _ = self._sorted(start)
        if not any(rule.metric.name != "throughput" or rule.op not in MINIMA for rule in judged):
            raise UsageError(
                f"capacity: expected a rule that a rate can break, found none in {self.scenario.scenario}; "
                f"add one, such as --set 'sla.+={next(iter(self.scaling.own_per_s))}.response.p95 < 10ms'"
            )
        needed = start * self._needed_ns(start, judged) / LONGEST_NS
        if needed > start:
            rule = max(judged, key=lambda rule: self._needed_ns(start, [rule]))
            took = format_duration_ns(self._needed_ns(start, [rule]))
            raise UsageError(
                f"capacity: rule {quoted(rule.text)} needs {took} of measuring at {format_rate(start)}, "
                "too long for a probe; start from a higher rate with --set, or judge a lower percentile"
            )
        return max(needed, start * LOWEST_SHARE)

    def unmet(self, rate_per_s: float) -> list[str]:
        """The minimum throughputs that a rate does not offer: no rate that low satisfies them."""
        at_rate = self._at(rate_per_s)
        return [
            rule.text
            for rule in self.rules
            if _is_minimum(rule) and (planned_arrivals(at_rate, rule.metric) or rule.limit) < rule.limit
        ]

    def _sorted(self, rate_per_s: float) -> tuple[list[Rule], list[LeftOut]]:
        """The rules that a probe judges, and those that it leaves out."""
        at_rate = self._at(rate_per_s)
        judged, left_out = [], []
        for rule in self.rules:
            planned = planned_arrivals(at_rate, rule.metric) if _is_minimum(rule) else None
            if rule.metric.name in OVER_TIME:
                left_out.append(
                    LeftOut(rule.text, "a probe is too short to show a growth, and no rate limits it")
                )
            elif planned is not None and (planned * MINIMUM_MARGIN < rule.limit or rule.op == "=="):
                left_out.append(
                    LeftOut(rule.text, f"a probe that plans {format_rate(planned)} does not offer it")
                )
            else:
                judged.append(rule)
        return judged, left_out

    def _needed_ns(self, rate_per_s: float, judged: Iterable[Rule]) -> int:
        """How long a probe must measure to have the samples that these rules need."""
        at_rate = self._at(rate_per_s)
        needed_s = [
            needed_samples(rule) * SAMPLES_MARGIN / planned
            for rule in judged
            if (planned := planned_arrivals(at_rate, rule.metric))
        ]
        return round(max(needed_s, default=0.0) + 0.5) * NS_PER_S

    def _at(self, rate_per_s: float) -> Scenario:
        """One second of the scenario at a rate: what is planned in it is what is planned per second."""
        rates = self.scaling.at(rate_per_s)
        workloads = tuple(
            one.model_copy(update={"rate_per_s": rates.get(one.name, one.rate_per_s)})
            for one in self.scenario.workloads
        )
        second = Phase.model_validate({"name": "probe", "for": "1s"})
        return self.scenario.model_copy(update={"workloads": workloads, "phases": (second,)})

    def _warm_up_ns(self) -> int:
        own = sum(phase.duration_ns for phase in self.scenario.phases if not phase.measured)
        return min(own or WARM_UP_NS, LONGEST_WARM_UP_NS)


def _is_minimum(rule: Rule) -> bool:
    return rule.metric.name == "throughput" and rule.op in MINIMA


def _text(duration_ns: int) -> str:
    return f"{duration_ns}ns" if duration_ns % NS_PER_S else f"{duration_ns // NS_PER_S}s"
