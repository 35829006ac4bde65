"""The plain comparison of a value with a rule, before any doubt."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bench.judge.status import Status

if TYPE_CHECKING:
    from bench.scenario.rules.grammar import Rule


PARTS = re.compile(
    r"^(?P<metric>.*?(?:\(.*?\))?)\s*(?P<op><=|>=|==|<|>)\s*(?P<limit>.*?)(?:\s+warn\s+(?P<warn>.*?))?\s*$"
)


def parts_of(rule: str) -> dict[str, str]:
    """The metric, op, limit and warn of a rule in its writer's own words; empty where there is none."""
    match = PARTS.match(rule)
    return {name: text or "" for name, text in match.groupdict().items()} if match else {"metric": rule}


def limit_text(rule: Rule) -> str:
    """The limit as it was written: "10ms"."""
    return parts_of(rule.text).get("limit", str(rule.limit))


def warn_text(rule: Rule) -> str:
    """The warning level as it was written: "8ms"."""
    return parts_of(rule.text).get("warn", str(rule.warn))


def compared(rule: Rule, value: float) -> Status:
    """PASS, WARN (past the warning level, within the limit) or FAIL."""
    if not rule.holds(value):
        return Status.FAIL
    return Status.PASS if rule.holds(value, warn=True) else Status.WARN


def headroom(op: str, limit: float, unit: str, value: float) -> float | None:
    """The share of the limit that is left, negative past it; None where a share means nothing.

    Of a ratio that must be high it is the share of the allowed failures: of 99.9 % the 0.1 %.
    """
    if limit == 0 or op == "==":
        return None
    if unit == "ratio" and op in (">", ">=") and limit < 1:
        return (value - limit) / (1 - limit)
    return (limit - value) / limit if op in ("<", "<=") else (value - limit) / limit
