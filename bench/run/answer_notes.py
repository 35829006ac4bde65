"""Notes on runs whose answers were no errors and yet, nearly all of them, not what anybody wants to measure.

A cache that never has the key and an API that sends everybody to its login page are fast. Nothing fails
then, so it is said here. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench.core.answers import Answers
from bench.judge.outcome_counts import spaced

if TYPE_CHECKING:
    from bench.plan.plan import Plan
    from bench.scenario.model import Workload

NEARLY_ALL = 0.95
AT_LEAST = 20
"""Fewer answers are no pattern."""


def notes_on_answers(plan: Plan, workloads: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A note for each workload with operations whose answers were, nearly all, empty or not 2xx."""
    found = []
    for planned, entry in zip(plan.workloads, workloads, strict=True):
        answers = {name: _answers(entry, name) for name in entry["operations"]}
        for code, text, advice in (
            _misses(planned.workload, answers),
            _unwanted(planned.workload, answers),
        ):
            if text:
                message = f"{planned.name}: {text}"
                found.append({"code": code, "severity": "note", "message": message, "advice": advice})
    return found


def _answers(entry: dict[str, Any], operation: str) -> Answers:
    counts = entry["counts"]
    return Answers.total(Answers.from_record(one) for one in counts if one["operation"] == operation)


def _misses(workload: Workload, answers: dict[str, Answers]) -> tuple[str, str, str]:
    """Operations that looked for what was not there."""
    parts = []
    for name, one in answers.items():
        if one.lookups >= AT_LEAST and one.misses >= NEARLY_ALL * one.lookups:
            parts.append(f"{spaced(one.misses)} of {spaced(one.lookups)} of {name}")
    if not parts:
        return "", "", ""
    if workload.driver == "postgres":
        text = f"nearly all statements touched no row: {', '.join(parts)}"
        return "nothing_found", text, "look at the range of the parameters and at what the tables hold"
    text = f"nearly all lookups found nothing: {', '.join(parts)}; what was measured is a miss"
    advice = "write the keys first (keys: {preload: true}), or check their prefix and count"
    return "nothing_found", text, advice


def _unwanted(workload: Workload, answers: dict[str, Answers]) -> tuple[str, str, str]:
    """Operations of which nobody said what to expect, and whose answers were not 2xx."""
    parts = []
    for name, one in answers.items():
        operation = workload.operations.get(name)
        request = operation.request if operation is not None else None
        is_expected = request is not None and "status" in request.expect.model_fields_set
        others = one.answered - one.in_class("2xx")
        if one.answered >= AT_LEAST and others >= NEARLY_ALL * one.answered and not is_expected:
            statuses = sorted(one.statuses.items(), key=lambda item: -item[1])
            listed = ", ".join(f"{spaced(count)} were HTTP {status}" for status, count in statuses[:3])
            parts.append(f"{name}: {listed}")
    if not parts:
        return "", "", ""
    text = f"nearly all answers were not 2xx ({'; '.join(parts)})"
    if workload.driver == "http" and any(one.in_class("3xx") for one in answers.values()):
        text += "; redirects are not followed"
    return "not_2xx", text, "say what is expected, such as expect: {status: 200}, and check path and login"
