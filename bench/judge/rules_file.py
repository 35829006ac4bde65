"""Rules from a file to judge a saved run by: a scenario's `sla`, or a plain YAML list of rules."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from bench.core.errors import Problem, ScenarioError
from bench.core.units import Mismatch
from bench.registry import contacts_a_target
from bench.scenario.rules.grammar import Rule, parse_rule
from bench.scenario.rules.metric_facts import ALERT
from bench.scenario.rules.metrics import (
    MetricSpec,
    Outline,
    check_rule,
    external_metrics,
    metrics_of_outlines,
)
from bench.scenario.source import ListNode, MapNode, Node, Scalar, compose, file_name, read_text
from bench.scenario.substitution import interpolated

if TYPE_CHECKING:
    from bench.results.reader import Run


def rules_in(path: Path, run: Run) -> list[Rule]:
    """The rules that stand in `path`, each fit for `run`.

    Only the rules of a scenario file are looked at: the rest of it need not suit this run.
    Raises ScenarioError with every problem: no such file, no rules, a rule that cannot be read or
    that is about something the run did not measure.
    """
    root, problems = compose(read_text(path), file_name(path))
    listed = _list_of_rules(root)
    if listed is None:
        raise ScenarioError([*problems, _nothing(path)])
    replaced, unset = interpolated(listed, os.environ)
    assert isinstance(replaced, ListNode)
    problems += unset
    metrics = metrics_of_outlines(_outlines(run), bool(run.record.faults), run.record.topology)
    metrics |= external_metrics(
        {one.name: one.unit for one in run.record.prometheus},
        {one.detector.removeprefix(ALERT) for one in run.record.detections if one.detector.startswith(ALERT)},
    )
    rules = []
    for index, node in enumerate(replaced.items):
        found = _rule(node, f"sla[{index}]", metrics)
        if isinstance(found, Problem):
            problems.append(found)
        elif found is not None:
            rules.append(found)
    if problems:
        raise ScenarioError(problems)
    return rules


def _list_of_rules(root: Node | None) -> ListNode | None:
    if isinstance(root, MapNode) and "sla" in root.entries:
        root = root.entries["sla"][1]
    return root if isinstance(root, ListNode) and root.items else None


def _outlines(run: Run) -> list[Outline]:
    return [
        Outline(
            name=entry.name,
            engine=entry.engine,
            operations=tuple(entry.operations),
            target=entry.target if contacts_a_target(entry.driver) else "",
            driver=entry.driver,
        )
        for entry in run.workloads
    ]


def _rule(node: Node, where: str, metrics: Mapping[str, MetricSpec]) -> Rule | Problem | None:
    """The rule at `node`, or what is wrong with it; None where that is reported already."""
    if not isinstance(node, Scalar):
        wrong = Mismatch("a rule as text", "a collection", "write one rule per line")
    elif node.is_broken:
        return None
    else:
        try:
            rule = parse_rule(node.text)
            check_rule(rule, metrics)
        except Mismatch as mismatch:
            wrong = mismatch
            if node.secret_of:
                hidden = f"the value of the environment variable {node.secret_of} (not shown)"
                wrong = Mismatch(wrong.expected, hidden, f"correct {node.secret_of}")
        else:
            return rule
    return node.place.problem(where, wrong.expected, wrong.found, wrong.advice)


def _nothing(path: Path) -> Problem:
    expected = "a list of rules, alone or under sla:"
    return Problem(file_name(path), 1, 1, "file", expected, "none", "write lines such as - errors < 1%")
