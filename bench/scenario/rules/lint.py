"""Rules that are allowed but probably not what was meant. `bench validate` prints these."""

import math
from collections.abc import Iterable, Iterator

from bench.core.clock import NS_PER_S
from bench.core.intervals import stretches
from bench.core.units import format_duration_ns, format_rate, quoted
from bench.registry import LOGIN, OF, Topology
from bench.scenario.model import Phase, Scenario
from bench.scenario.rules.grammar import Metric, Rule
from bench.scenario.rules.metric_facts import BY_NAME, arrivals_needed, kills_needed
from bench.scenario.rules.metrics import check_rule, metrics_of
from bench.scenario.templates import placeholders_in
from bench.scenario.workloads import Workload

MARGIN = 0.98  # Poisson arrivals and the edges of the measured time move the rate by about this much
SAMPLES_ABOVE = 10  # fewer samples above a percentile say little about it
SAMPLES_FOR_MEDIAN = 20
POISSON_REACH = 2.0
"""Standard deviations of a random number of arrivals that the judge needs between it and a limit."""
TAIL = 99.0
MEDIAN = 50


def hints_of(scenario: Scenario, rules: Iterable[Rule], topology: Topology | None = None) -> list[str]:
    """One sentence for each rule that the plan cannot answer well, and for settings without effect."""
    metrics = metrics_of(scenario, topology)
    rules = list(rules)
    hints = []
    for rule in rules:
        better = check_rule(rule, metrics).better
        few = _too_few(scenario, rule)
        own = (*_direction(rule, better), *_rate(scenario, rule), *few, *_window(rule, scenario))
        hints += [_about(rule, hint) for hint in (*own, *_closed(rule, scenario))]
    return [*hints, *_plan_of_load(scenario, rules), *_unused(scenario)]


def hints_before_a_run(scenario: Scenario, rules: Iterable[Rule], *, quick: bool = False) -> list[str]:
    """Those of them that the verdict depends on. That a quick run has few samples is no news."""
    rules = list(rules)
    hints = [_about(rule, hint) for rule in rules for hint in _rate(scenario, rule)]
    if not quick:
        hints += [_about(rule, hint) for rule in rules for hint in _too_few(scenario, rule)]
    hints += [_about(rule, hint) for rule in rules for hint in _closed(rule, scenario)]
    return [*hints, *_plan_of_load(scenario, rules)]


def _about(rule: Rule, hint: str) -> str:
    return f"rule {quoted(rule.text)}: {hint}"


def _plan_of_load(scenario: Scenario, rules: list[Rule]) -> list[str]:
    """Workloads that plan nothing, or more than their lanes can carry within the rules."""
    found = []
    for workload in scenario.workloads:
        if workload.rate_per_s is None:
            continue
        planned = planned_arrivals(scenario, Metric((workload.name,), "errors")) or 0
        if planned < 1:
            about = f"about {planned:.2g} arrivals" if planned else "no arrival"
            found.append(
                f"workload {workload.name}: the plan has {about} in measured time; raise the rate or"
                " measure longer"
            )
        else:
            found += _lanes(scenario, workload, rules)
    return found


def _lanes(scenario: Scenario, workload: Workload, rules: list[Rule]) -> list[str]:
    """Lanes that could not carry the rate if half of the answers took as long as a rule about them allows."""
    assert workload.rate_per_s is not None
    about = [
        rule
        for rule in rules
        if rule.metric.name in ("response", "response_ok", "service")
        and rule.metric.workload in (None, workload.name)
        and rule.metric.operation is None
        and rule.op in ("<", "<=")
        and (rule.metric.stat == "mean" or (rule.metric.percent or 0) >= MEDIAN)
    ]
    speaks_of_half = any(rule.metric.stat == "mean" or rule.metric.percent == MEDIAN for rule in about)
    loads = [load for phase in scenario.phases if phase.measured for load in (phase.load_from, phase.load_to)]
    lanes = workload.pool if workload.engine == "client" else workload.lanes * workload.pipeline
    if not speaks_of_half or not loads:
        return []
    peak_per_s, limit_ns = workload.rate_per_s * max(loads), min(rule.limit for rule in about)
    needed = math.ceil(peak_per_s * limit_ns / NS_PER_S - 1e-9)
    if needed <= lanes:
        return []
    connections = "connections of the pool" if workload.engine == "client" else "lanes"
    return [
        f"workload {workload.name}: if answers take {format_duration_ns(limit_ns)}, which the rules allow,"
        f" {format_rate(peak_per_s)} need {needed} {connections}, and there are {lanes}: then arrivals wait"
        " for them; add some, or lower the rate"
    ]


def planned_arrivals(scenario: Scenario, metric: Metric) -> float | None:
    """Arrivals of the metric's scope in measured time by the plan; None where it does not decide."""
    total = 0.0
    for workload in scenario.workloads:
        if metric.workload not in (None, workload.name):
            continue
        if workload.rate_per_s is None or metric.operation == LOGIN:
            return None
        planned = workload.rate_per_s * sum(_load_s(phase) for phase in scenario.phases if phase.measured)
        if metric.name == "end_to_end":
            planned *= workload.subscribers or 0
        total += planned * _share(workload, metric.operation)
    return total


def _load_s(phase: Phase) -> float:
    """Seconds of full load that a phase amounts to: its loads, without its rests."""
    total = 0.0
    for stretch in stretches(0, phase.duration_ns, phase.cycles, phase.rest):
        if not stretch.is_rest:
            middle = (stretch.start_ns + stretch.end_ns) / 2 / phase.duration_ns
            load = phase.load_from + (phase.load_to - phase.load_from) * middle
            total += load * (stretch.end_ns - stretch.start_ns) / NS_PER_S
    return total


def _share(workload: Workload, operation: str | None) -> float:
    if operation is None or not workload.operations:
        return 1.0
    weight = workload.operations[operation.partition(OF)[0]].weight
    return weight / sum(o.weight for o in workload.operations.values())


def _rate(scenario: Scenario, rule: Rule) -> Iterator[str]:
    """A rate that the plan cannot reach."""
    arrivals = planned_arrivals(scenario, rule.metric)
    if arrivals is None or rule.metric.name != "throughput" or rule.op not in (">", ">=", "=="):
        return
    measured_s = scenario.measured_ns / NS_PER_S
    planned_per_s = arrivals / measured_s
    # As many random arrivals come in one run and not in the next: beyond that the limit must be exceeded.
    at_random = POISSON_REACH * math.sqrt(arrivals) / measured_s if _is_random(scenario, rule.metric) else 0.0
    if min(planned_per_s * MARGIN, planned_per_s - at_random) < rule.limit or rule.op == "==":
        planned, limit = format_rate(planned_per_s), format_rate(rule.limit)
        yield (
            f"the plan offers {planned} in measured time, too close to the limit of {limit} to pass reliably;"
            " raise the rate by a tenth above it, or lower the limit"
        )


def _is_random(scenario: Scenario, metric: Metric) -> bool:
    asked = [workload for workload in scenario.workloads if metric.workload in (None, workload.name)]
    return any(workload.arrivals == "poisson" for workload in asked)


def _too_few(scenario: Scenario, rule: Rule) -> Iterator[str]:
    """What the plan has too few of: samples, arrivals, faults."""
    name, percent = rule.metric.name, rule.metric.percent
    planned = planned_arrivals(scenario, rule.metric)
    if planned is not None:
        more = "measure longer or raise the rate, else the verdict is INCONCLUSIVE"
        if percent is not None and name not in BY_NAME:
            needed = max(SAMPLES_FOR_MEDIAN, math.ceil(SAMPLES_ABOVE / (1 - percent / 100) - 1e-6))
            if planned < needed:
                yield f"needs {needed} samples, and the plan has about {planned:.0f} in measured time; {more}"
        # A limit of a share that so few arrivals cannot resolve. A lookup may look for many keys.
        arrivals = None if name in ("hits", "misses") else arrivals_needed(name, rule.limit)
        is_projected = name == "availability" and "incidents" in rule.metric.arguments
        if arrivals is not None and planned < arrivals and not is_projected:
            has = f"the plan has about {planned:.0f} in measured time"
            yield f"to judge it needs {arrivals} arrivals, and {has}; {more}"
    if percent is not None and name in BY_NAME:
        had, faults = sum(fault.repeat for fault in scenario.faults), kills_needed(percent)
        if had < faults:
            yield (
                f"{rule.metric.stat} of {name} needs {faults} faults, and the plan has {had}; repeat them"
                f" more often, or judge {name} alone: the worst of all"
            )


def _direction(rule: Rule, better: str) -> Iterator[str]:
    if rule.op in ((">", ">=") if better == "lower" else ("<", "<=")):
        yield f"{better} is better for this metric, and the rule asks for the opposite"


def _window(rule: Rule, scenario: Scenario) -> Iterator[str]:
    window = rule.metric.arguments.get("window")
    if window is not None and window > scenario.measured_ns and "incidents" not in rule.metric.arguments:
        shown, measured = format_duration_ns(window), format_duration_ns(scenario.measured_ns)
        yield f"its window of {shown} is longer than the measured time of {measured}"


def _closed(rule: Rule, scenario: Scenario) -> Iterator[str]:
    """What a closed loop cannot know: it asks a target that hangs less often."""
    asked = [workload for workload in scenario.workloads if rule.metric.workload in (None, workload.name)]
    if not asked or any(workload.arrivals != "closed" or workload.engine == "locust" for workload in asked):
        return
    is_tail = rule.metric.name in ("response", "response_ok") and (rule.metric.percent or 0) >= TAIL
    if is_tail or (rule.metric.name == "availability" and "incidents" not in rule.metric.arguments):
        yield (
            "a closed loop asks a target that hangs less often; where the lanes' time contradicts the answers"
            " the verdict is INCONCLUSIVE; better ask at planned times: arrivals: poisson and a rate"
        )


def _unused(scenario: Scenario) -> list[str]:
    hints = []
    for workload in scenario.workloads:
        words = [word for o in workload.operations.values() for command in o.all_commands for word in command]
        if workload.keys is not None and words and not any("{key}" in word for word in words):
            hints.append(f"workload {workload.name}: keys are described, and no operation uses {{key}}")
        hints += [
            f"workload {workload.name}: operation {name} has weight 0 and is never sent"
            for name, operation in workload.operations.items()
            if operation.weight == 0
        ]
    for workload in scenario.workloads:
        for name, request in workload.requests.items():
            expected, headers = request.expect.contains, {**workload.headers, **request.headers}
            if expected and any(header.lower() == "accept-encoding" for header in headers):
                hints.append(
                    f"workload {workload.name}: operation {name} asks for an encoded body and expects text in"
                    " it: bodies are not decoded; remove the header Accept-Encoding"
                )
            if expected and placeholders_in(expected):
                hints.append(
                    f"workload {workload.name}: operation {name} expects a body that contains"
                    f" {quoted(expected)} as it stands: nothing is put in for braces there"
                )
    if not scenario.sla:
        hints.append("there is no rule under sla: the verdict is INCONCLUSIVE")
    if not any(phase.measured is False for phase in scenario.phases):
        hints.append("no phase has measured: false: connections and caches warm up in measured time")
    return hints
