"""The tree of a scenario file to a Scenario and its rules, with every problem found on the way."""

from functools import cache
from itertools import islice
from typing import Annotated, Any

from pydantic import BaseModel, TypeAdapter, ValidationError

from bench.core.errors import Problem
from bench.scenario.dataset import DataSetChoice, SqlSource
from bench.scenario.drivers import DRIVERS
from bench.scenario.faults import Detection, Fault, FaultEntry
from bench.scenario.finding import Finding
from bench.scenario.integrity import Integrity, IntegrityCheck
from bench.scenario.model import INCONSISTENT, Keys, Load, Operation, Phase, Scenario, Value, Workload
from bench.scenario.parameters import Parameter
from bench.scenario.paths import Path
from bench.scenario.plain import findings_of_data, plain
from bench.scenario.requests import Expect, Request
from bench.scenario.rules.grammar import Rule, RuleError, parse_rule
from bench.scenario.rules.metrics import Outline, check_rule, contacts, metrics_of_outlines
from bench.scenario.source import Node
from bench.scenario.validators.faults import findings_of_faults
from bench.scenario.validators.integrity import findings_of_integrity
from bench.scenario.validators.workload import (
    findings_of_phases,
    findings_of_workload,
    findings_of_workloads,
)
from bench.scenario.wording import placed, reworded

# A hostile file can have tens of thousands of each; nobody reads the rest.
MAX_REWORDED = 600
MAX_LOOKED_AT = 1000  # no list may be longer: see the model

_MODELS: dict[Path, type[BaseModel]] = {
    (): Scenario,
    ("workloads", "*"): Workload,
    ("workloads", "*", "keys"): Keys,
    ("workloads", "*", "value"): Value,
    ("workloads", "*", "parameters", "*"): Parameter,
    ("workloads", "*", "dataset"): DataSetChoice,
    ("workloads", "*", "dataset", "sql", "*"): SqlSource,
    ("workloads", "*", "operations", "*"): Operation,
    ("workloads", "*", "operations", "*", "request"): Request,
    ("workloads", "*", "operations", "*", "request", "expect"): Expect,
    ("faults", "*"): FaultEntry,
    ("detection",): Detection,
    ("integrity", "*"): IntegrityCheck,
    ("phases", "*"): Phase,
    ("phases", "*", "load"): Load,
}
_KEYS = {
    path: [field.alias or name for name, field in model.model_fields.items()]
    for path, model in _MODELS.items()
}


def decoded(root: Node) -> tuple[Scenario | None, tuple[Rule, ...], list[Problem]]:
    """The scenario (None if its fields are wrong), its rules, and all problems."""
    raw = plain(root)
    scenario, errors = None, []
    try:
        scenario = Scenario.model_validate(raw)
    except ValidationError as error:
        errors = [item for item in error.errors(include_url=False) if item["type"] != INCONSISTENT]
    problems = [reworded(error, root, _KEYS) for error in errors[:MAX_REWORDED]]
    workloads = _right_parts(Workload, raw, "workloads", errors)
    phases = _right_parts(Phase, raw, "phases", errors)
    findings = list(islice(findings_of_data(root), MAX_REWORDED))
    for index, workload in enumerate(workloads):
        findings += [f.under("workloads", index) for f in findings_of_workload(workload, workload["given"])]
    findings += findings_of_workloads(workloads)
    findings += findings_of_phases(phases, workloads)
    findings += _faults(raw, workloads, phases)
    findings += _integrity(raw, workloads)
    rules, rule_findings = _rules(raw, workloads)
    problems += [placed(finding, root) for finding in [*findings, *rule_findings]]
    told = [problem for problem in problems if problem is not None]
    return scenario, rules, told


def _right_parts(model: type[BaseModel], raw: Any, key: str, errors: list[Any]) -> list[dict[str, Any]]:
    """For each item of a list the fields that are right on their own, by field name; "given": those set."""
    items = raw.get(key)
    if not isinstance(items, list):
        return []
    wrong: dict[Any, set[Any]] = {}
    for error in errors:
        if error["loc"][:1] == (key,) and len(error["loc"]) > 2:
            wrong.setdefault(error["loc"][1], set()).add(error["loc"][2])
    return [
        _right_fields(model, item, wrong.get(index, set())) if isinstance(item, dict) else {"given": set()}
        for index, item in enumerate(items[:MAX_LOOKED_AT])
    ]


def _right_fields(model: type[BaseModel], item: dict[str, Any], wrong: set[Any]) -> dict[str, Any]:
    fields: dict[str, Any] = {"given": set()}
    for name, field in model.model_fields.items():
        alias = field.alias or name
        if alias in wrong:
            continue
        if alias in item:
            try:
                fields[name] = _adapter(model, name).validate_python(item[alias])
            except ValidationError:
                continue
            fields["given"].add(name)
        elif not field.is_required():
            fields[name] = field.get_default(call_default_factory=True)
    return fields


def _faults(raw: Any, workloads: list[dict[str, Any]], phases: list[dict[str, Any]]) -> list[Finding]:
    """What is wrong among faults that are right on their own; nothing where one of them is not."""
    try:
        faults = TypeAdapter(tuple[Fault, ...]).validate_python(raw.get("faults") or ())
    except ValidationError:
        return []
    known = [w for w in workloads if {"driver", "target"} <= w.keys()]
    targets = [w["target"] for w in known if DRIVERS[w["driver"]].targets]
    total = sum(phase.get("duration_ns", 0) for phase in phases)
    return [finding.under("faults") for finding in findings_of_faults(faults, targets, total)]


def _integrity(raw: Any, workloads: list[dict[str, Any]]) -> list[Finding]:
    """What is wrong among checks that are right on their own; nothing where one of them is not."""
    try:
        checks = TypeAdapter(tuple[Integrity, ...]).validate_python(raw.get("integrity") or ())
    except ValidationError:
        return []
    return [finding.under("integrity") for finding in findings_of_integrity(checks, workloads)]


@cache
def _adapter(model: type[BaseModel], name: str) -> TypeAdapter[Any]:
    field = model.model_fields[name]
    annotation: Any = field.annotation
    return TypeAdapter(Annotated[annotation, *field.metadata] if field.metadata else annotation)


def _rules(raw: Any, workloads: list[dict[str, Any]]) -> tuple[tuple[Rule, ...], list[Finding]]:
    """The rules that are right, and what is wrong with the others."""
    texts = raw.get("sla")
    if not isinstance(texts, list):
        return (), []
    outlines = [_outline(workload) for workload in workloads]
    metrics = metrics_of_outlines(
        [outline for outline in outlines if outline is not None], with_faults=bool(raw.get("faults"))
    )
    # Where a workload is not understood, a metric that is missing may well be one of its.
    known = {outline.name for outline in outlines if outline is not None}
    names_known = bool(outlines) and None not in outlines
    # Rules name workloads and targets, so a sentence about a rule shows both.
    names: list[Path] = [
        ("workloads", index, key) for index in range(len(workloads)) for key in ("name", "target")
    ]
    rules: list[Rule] = []
    findings: list[Finding] = []
    seen: dict[str, int] = {}
    for index, text in enumerate(texts[:MAX_LOOKED_AT]):
        if not isinstance(text, str) or not text:
            continue
        try:
            rule = parse_rule(text)
            if names_known or rule.metric.key in metrics or rule.metric.workload in known:
                check_rule(rule, metrics)
        except RuleError as error:
            involved = tuple(names)
            findings.append(Finding(("sla", index), error.expected, error.found, error.advice, involved))
            continue
        if " ".join(text.split()) in seen:
            first = ("sla", seen[" ".join(text.split())])
            findings.append(
                Finding(("sla", index), "every rule once", "the same rule again", "remove it", (first,))
            )
        seen.setdefault(" ".join(text.split()), index)
        rules.append(rule)
    return tuple(rules), findings


def _outline(workload: dict[str, Any]) -> Outline | None:
    if not {"name", "engine", "driver", "operations"} <= workload.keys():
        return None
    facts = DRIVERS[workload["driver"]]
    operations = facts.operation_names(workload["operations"])
    target = workload.get("target", "") if contacts(workload["driver"]) else ""
    name, engine, driver = (workload[key] for key in ("name", "engine", "driver"))
    return Outline(name, engine, facts.is_pubsub, operations, target, driver)
