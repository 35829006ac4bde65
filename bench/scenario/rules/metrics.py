"""The metrics that a scenario can produce: what each is called, its unit, and which way is better.

A rule about anything else is refused before any load, with this list. A metric exists for the run
as a whole, for a workload, and for one operation of it, where that makes sense. What a run costs has
sources in place of workloads: its targets, the generator and the machine. No name is both a metric of
workloads and one of sources, so a workload may be named like a source.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

from bench.core.answers import STATUS_CLASSES
from bench.core.units import BASE_UNITS, quoted
from bench.registry import OF, contacts_a_target, is_planned, kind_of_answers, reachable_targets, received_by
from bench.scenario.problems import nearest
from bench.scenario.rules.grammar import FAMILIES, Metric, Rule, RuleError, scope_and_name
from bench.scenario.rules.metric_facts import ALERT, BY_NAME, FAULT_METRICS, PROMQL, STATS, SUSTAINED

if TYPE_CHECKING:
    from bench.registry import Topology
    from bench.scenario.model import Scenario
    from bench.scenario.workloads import Workload

Better = Literal["lower", "higher"]
UNIT_WORDS = {
    "ns": "a duration such as 10ms",
    "per_s": "a rate such as 1000/s",
    "bytes": "a size such as 100MB",
    "bytes_per_s": "a growth such as 1MB/min",
    "ratio": "a percentage such as 1%",
    "count": "a plain count such as 0",
}
_SHOWN_SCOPES = 20
_USUAL = {"recovery": "recovery.stable", "detection": "detection.probe", "status": "status.2xx"}
"""What is meant by the first name of a family alone."""


@dataclass(frozen=True)
class MetricSpec:
    """One metric of a scenario."""

    name: str
    unit: str
    better: Better
    explanation: str
    may_have: tuple[str, ...] = ()
    """Arguments that it may have beside those it needs."""


@dataclass(frozen=True)
class Outline:
    """What of a workload decides its metrics."""

    name: str
    engine: str
    operations: tuple[str, ...]
    target: str = ""
    """Empty for a driver that contacts none."""
    driver: str = ""

    @classmethod
    def of(cls, workload: Workload) -> Outline:
        """That of a workload whose name, driver, engine and operations are right."""
        target = workload.target if contacts_a_target(workload.driver) and workload.has("target") else ""
        names = workload.operation_names
        return cls(workload.name, workload.engine, names, target, workload.driver)


@dataclass(frozen=True)
class _Kind:
    """A metric before it is given a scope."""

    name: str
    unit: str
    better: Better
    explanation: str
    has_stats: bool = False
    per_operation: bool = True


def _time(name: str, explanation: str, *, per_operation: bool = True) -> _Kind:
    return _Kind(name, "ns", "lower", explanation, has_stats=True, per_operation=per_operation)


def _count(name: str, explanation: str, *, per_operation: bool = False) -> _Kind:
    return _Kind(name, "count", "lower", explanation, per_operation=per_operation)


def _share(name: str, better: Better, explanation: str, *, per_operation: bool = True) -> _Kind:
    return _Kind(name, "ratio", better, explanation, per_operation=per_operation)


_COMMON = (
    _time("response", "planned to done; every planned arrival, lost ones as their deadline"),
    _time("response_ok", "planned to done; arrivals answered OK only"),
    _time("service", "sent to done"),
    _time("lag", "planned to sent"),
    _Kind("throughput", "per_s", "higher", "arrivals completed OK per second of measured time"),
    _share("errors", "lower", "share of planned arrivals that did not end OK"),
    _share("availability", "higher", "share of planned arrivals that ended OK, over a declared window"),
    _count("dropped", "arrivals that were never sent", per_operation=True),
)
_OF_PARTS, _STATUS = ("service", "errors"), "status."
"""Metrics that steps of operations have, too: they are no arrivals, which are planned."""
_CLIENT = (
    _time("pool_wait", "waiting for a connection of the pool"),
    _share("pool_utilization", "lower", "highest share of the pool in use", per_operation=False),
    _count("leaked_connections", "connections not returned to the pool"),
)
_PUBSUB = (
    _time("end_to_end", "planned publish to delivery at a subscriber", per_operation=False),
    _count("lost_messages", "published, never delivered"),
    _count("duplicate_messages", "delivered more than once"),
    _count("reordered_messages", "delivered after a later one"),
)
_OF_ANSWERS: Mapping[str | None, tuple[_Kind, ...]] = {
    "lookups": (
        _share("hits", "higher", "share of lookups that found something"),
        _share("misses", "lower", "share of lookups that found nothing"),
        _count("redirects", "answers of a Redis Cluster that named another node, which was asked then"),
    ),
    "rows": (_share("empty", "lower", "share of statements that returned or changed no row"),),
    "statuses": tuple(
        _share(f"status.{name}", "higher" if name == "2xx" else "lower", f"share of answers that were {name}")
        for name in STATUS_CLASSES
    ),
}
_TARGETS, _GENERATOR, _MACHINE = "targets", "generator", "machine"
_PROCESSES = (_TARGETS, _GENERATOR)
_RESOURCES: Mapping[_Kind, tuple[str, ...]] = {
    _Kind("memory_growth", "bytes", "lower", "memory at the end minus memory after warm-up"): _PROCESSES,
    _Kind("memory_slope", "bytes_per_s", "lower", "how fast memory keeps growing"): _PROCESSES,
    _share("cpu", "lower", "share of all CPU, on average under load"): (*_PROCESSES, _MACHINE),
    _count("fd_growth", "open files at the end minus those after warm-up"): _PROCESSES,
}
"""Metrics of what a run costs, and the kinds of sources that have them. Alone they are about the
targets: of growth the one that grew most, of CPU all together."""

# The arguments that a metric needs. Availability of an undeclared window says nothing: 99.9 % of
# 60 s allows 60 ms of outage, of a month 43 minutes.
_ARGUMENTS: Mapping[str, tuple[str, ...]] = {"availability": ("window",)}


def metrics_of(scenario: Scenario, topology: Topology | None = None) -> dict[str, MetricSpec]:
    """Every metric of a scenario by its catalogue name, such as "cache.get.response.pNN"."""
    outlines = map(Outline.of, scenario.workloads)
    found = metrics_of_outlines(outlines, scenario.disturbs, topology)
    if scenario.prometheus is None:
        return found
    queries = {name: BASE_UNITS[one.unit][0] for name, one in scenario.prometheus.metrics.items()}
    return found | external_metrics(queries, scenario.prometheus.alerts if scenario.disturbs else ())


def external_metrics(queries: Mapping[str, str], alerts: Iterable[str]) -> dict[str, MetricSpec]:
    """Those of the user's Prometheus. queries: the unit of each in rules; alerts: names, with faults only."""
    found = {}
    for query, unit in queries.items():
        for stat in STATS:
            name = f"{PROMQL}.{query}.{stat}"
            found[name] = MetricSpec(name, unit, "lower", "what a query of the user's Prometheus said")
    for alert in alerts:
        for name in (f"detection.{ALERT}{alert}", f"detection.{ALERT}{alert}.max"):
            found[name] = MetricSpec(name, "ns", "lower", "first failure to the firing of that alert")
    return found


def metrics_of_outlines(
    outlines: Iterable[Outline], with_faults: bool = False, topology: Topology | None = None
) -> dict[str, MetricSpec]:
    """The same for workloads of which only the outline is known."""
    metrics: dict[str, MetricSpec] = {}
    outlines = list(outlines)
    for outline in outlines:
        kinds = [*_COMMON, *_OF_ANSWERS.get(kind_of_answers(outline.driver), ())]
        if outline.engine == "client":
            kinds += _CLIENT
        if received_by(outline.driver) is not None:
            kinds += _PUBSUB
        # Deliveries are not arrivals: they have end_to_end, at the workload.
        operations = [name for name in outline.operations if is_planned(outline.driver, name)]
        parts = [name for name in outline.operations if OF in name]
        for kind in kinds:
            scopes: list[tuple[str, ...]] = [(), (outline.name,)]
            scopes += [(outline.name, operation) for operation in operations if kind.per_operation]
            if kind.name in _OF_PARTS or kind.name.startswith(_STATUS):
                scopes += [(outline.name, part) for part in parts]
            for scope in scopes:
                for stat in STATS if kind.has_stats else (None,):
                    name = ".".join([*scope, kind.name, *([stat] if stat else [])])
                    metrics.setdefault(name, MetricSpec(name, kind.unit, kind.better, kind.explanation))
    metrics |= _resources(reachable_targets((outline.target for outline in outlines), topology))
    return metrics | _faults(metrics, outlines) if with_faults else metrics


def _resources(targets: tuple[str, ...]) -> dict[str, MetricSpec]:
    targets = tuple(name for name in targets if "#" not in name)  # instances count with their target
    metrics: dict[str, MetricSpec] = {}
    for kind, kinds_of_sources in _RESOURCES.items():
        scopes = [""] if targets else []
        for source in kinds_of_sources:
            scopes += targets if source == _TARGETS else (source,)
        for scope in scopes:
            name = f"{scope}.{kind.name}" if scope else kind.name
            metrics[name] = MetricSpec(name, kind.unit, kind.better, kind.explanation)
    return metrics


def _faults(metrics: Mapping[str, MetricSpec], outlines: Iterable[Outline]) -> dict[str, MetricSpec]:
    """What a scenario with faults has in addition: its metrics, and a projected availability."""
    workloads = [outline.name for outline in outlines]
    found = {
        name: replace(metrics[name], may_have=("incidents",))
        for name in ("availability", *(f"{workload}.availability" for workload in workloads))
        if name in metrics
    }
    for metric in FAULT_METRICS:
        for scope in ("", *(f"{workload}." for workload in workloads if metric.per_workload)):
            for stat in ("", *(f".{stat}" for stat in STATS if metric.per_repeat)):
                name = f"{scope}{metric.name}{stat}"
                found[name] = MetricSpec(name, metric.unit, metric.better, metric.explanation)
    return found


def check_rule(rule: Rule, metrics: Mapping[str, MetricSpec]) -> MetricSpec:
    """The metric that `rule` is about. Raises RuleError if there is none or the rule does not suit it."""
    spec = metrics.get(rule.metric.key)
    if spec is None:
        raise _unknown(rule.metric, metrics)
    _check_arguments(rule.metric, spec)
    if rule.sustained_ns is not None and not _has_windows(rule.metric.name):
        expected = f"for with one of {', '.join(SUSTAINED)}: every window of a run has them"
        raise RuleError(expected, quoted(rule.subject), "remove for and its duration")
    if rule.unit != spec.unit:
        expected = f"{UNIT_WORDS[spec.unit]} for {quoted(str(rule.metric))}"
        raise RuleError(
            expected, UNIT_WORDS[rule.unit].partition(" such")[0], f"write {UNIT_WORDS[spec.unit]}"
        )
    if spec.unit == "ratio" and max(rule.limit, rule.warn or 0) > 1:
        raise RuleError("a percentage of at most 100%", f"{rule.limit * 100:g}%", "lower the limit")
    if rule.op == "<" and 0 in (rule.limit, rule.warn):
        raise RuleError(
            "a limit that can be met", "< 0, below which nothing is", "write == 0, or a limit above 0"
        )
    if rule.op == ">" and spec.unit == "ratio" and rule.limit >= 1:
        raise RuleError("a limit that can be met", "> 100%, above which no share is", "write == 100%")
    return spec


def _has_windows(name: str) -> bool:
    return name in SUSTAINED or name.startswith(f"{PROMQL}.")


def listed(metrics: Iterable[str]) -> str:
    """All metrics in one line: each metric once, then the scopes that can stand before it."""
    return _listed(tuple(metrics))


@lru_cache(maxsize=4)  # a file can have hundreds of rules about unknown metrics
def _listed(names: tuple[str, ...]) -> str:
    scopes_of: dict[str, dict[str, None]] = {}
    parted = [_parts(full) for full in names]
    plain = {name for _, name, stat in parted if stat is None}
    for scope, name, stat in parted:
        if stat is None and name in BY_NAME and BY_NAME[name].per_repeat:
            continue
        shown = (
            f"{name}[.pNN|mean|max]" if name in plain and stat else f"{name}.pNN|mean|max" if stat else name
        )
        scopes_of.setdefault(shown, {})
        if scope:
            scopes_of[shown][".".join(scope)] = None
    shapes: dict[tuple[str, ...], list[str]] = {}
    for name, scopes in scopes_of.items():
        shapes.setdefault(tuple(scopes), []).append(name)
    parts = []
    for shape, alike in shapes.items():
        shown = ", ".join(shape[:_SHOWN_SCOPES]) + (", ..." if len(shape) > _SHOWN_SCOPES else "")
        parts.append(f"{', '.join(alike)} (alone for the whole run, or after {shown})")
    return "; ".join(parts)


def _check_arguments(metric: Metric, spec: MetricSpec) -> None:
    needed = _ARGUMENTS.get(metric.name, ())
    example = f"{metric}({', '.join(f'{name}=30s' for name in needed)})"
    for name in needed:
        if name not in metric.arguments:
            raise RuleError(
                f"{metric.name} with its {name} declared", quoted(str(metric)), f"write {example}"
            )
        if metric.arguments[name] <= 0:
            raise RuleError(f"a {name} above 0s", "0", f"write {example}")
    incidents = metric.arguments.get("incidents", 1)
    if "incidents" in spec.may_have and (incidents < 1 or incidents != int(incidents)):
        raise RuleError("a whole number of incidents of at least 1", f"{incidents:g}", "write incidents=1")
    for name in metric.arguments:
        if name not in (*needed, *spec.may_have):
            known = f"only {', '.join((*needed, *spec.may_have))}" if needed else "no arguments"
            advice = f"write {example}" if needed else f"write {metric}"
            raise RuleError(f"{known} for {metric.name}", f"the argument {quoted(name)}", advice)


def _unknown(metric: Metric, metrics: Mapping[str, MetricSpec]) -> RuleError:
    meant = _meant(metric, metrics)
    advice = f"write {meant} if that was meant" if meant else "use one of those"
    return RuleError(f"a metric of this scenario: {listed(metrics)}", quoted(str(metric)), advice)


def _meant(metric: Metric, metrics: Mapping[str, MetricSpec]) -> str | None:
    """The metric that was probably meant, found name by name: whole paths would take too long to compare."""
    names, scopes = _known(tuple(metrics))
    if metric.scope and metric.scope[-1] in FAMILIES:
        metric = Metric(metric.scope[:-1], f"{metric.scope[-1]}.{metric.name}", metric.stat)
    name = nearest(_USUAL.get(metric.name, metric.name), names)
    scope = [nearest(step, scopes[depth]) or step for depth, step in enumerate(metric.scope)]
    if name is None:
        return None
    stat = metric.stat if name in BY_NAME else (metric.stat or "p95") if names[name] else None
    guess = Metric(tuple(scope), name, stat)
    return str(guess) if guess.key in metrics else None


@lru_cache(maxsize=4)
def _known(full_names: tuple[str, ...]) -> tuple[dict[str, bool], tuple[set[str], set[str]]]:
    """Metric names with whether they take a statistic, and the names of workloads and of operations."""
    names: dict[str, bool] = {}
    scopes: tuple[set[str], set[str]] = (set(), set())
    for full in full_names:
        scope, name, stat = _parts(full)
        names[name] = stat is not None
        for depth, step in enumerate(scope):
            scopes[depth].add(step)
    return names, scopes


def _parts(full: str) -> tuple[tuple[str, ...], str, str | None]:
    """A catalogue name as scope, metric and statistic."""
    names = full.split(".")
    stat = names.pop() if names[-1] in STATS else None
    return (*scope_and_name(names), stat)
