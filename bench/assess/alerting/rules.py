"""Recording and alert rules for Prometheus, of the requirements that runs have shown.

They are about what `bench run --prometheus` publishes, so the runs that prove a requirement also say whether
its alert fires. A requirement has up to two alerts: `critical` beyond its limit, `warning` beyond its warn
level or, where it has none, beyond the middle between the limit and what was measured, by the end of its
interval that is nearer to the limit. Requirements of other metrics, or that no run shows, have none.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from bench.assess.matrix import Row
from bench.core import units
from bench.core.clock import NS_PER_S
from bench.scenario.rules.grammar import Metric, Rule

RATE_OVER = "1m"
"""Longer than four scrapes of 15 s: a rate needs two of them."""
HOLDS_FOR = "1m"
"""Of a requirement without a duration of its own."""
LOWER_IS_BETTER = ("<", "<=")
MEASURED = 'measured="true"'
LEVELS = (("scenario",), ("scenario", "workload"), ("scenario", "workload", "operation"))
"""By how many names stand before a metric: the labels that are left."""


@dataclass(frozen=True)
class Alert:
    """One alert rule."""

    name: str
    expression: str
    holds_for: str
    severity: str
    scenario: str
    summary: str
    description: str


@dataclass(frozen=True)
class AlertRules:
    """What goes into the files. `recordings`: name and expression; `left_out`: rules without an alert."""

    alerts: tuple[Alert, ...]
    recordings: tuple[tuple[str, str], ...]
    left_out: tuple[str, ...]


def alert_rules(rows: Iterable[Row]) -> AlertRules:
    """Of requirements' rows as an assessment has them; each rule of a scenario once."""
    alerts: dict[str, Alert] = {}
    recordings: dict[str, str] = {}
    left_out: dict[str, None] = {}
    for row in rows:
        found = recording_of(row.rule.metric)
        if found is None or row.check is None or row.check.observed is None or row.is_recorded_only:
            left_out[f"{row.scenario}: {row.rule.text}"] = None
            continue
        recordings.setdefault(*found)
        for alert in _alerts(row, found[0]):
            alerts.setdefault(alert.name, alert)
    return AlertRules(tuple(alerts.values()), tuple(recordings.items()), tuple(left_out))


def recording_of(metric: Metric) -> tuple[str, str] | None:
    """The name and the expression of the series that a rule is about; None where nothing publishes it."""
    if len(metric.scope) >= len(LEVELS):
        return None
    labels = LEVELS[len(metric.scope)]
    by, level = f"sum by ({', '.join(labels)})", labels[-1]
    if metric.name == "response" and metric.percent is not None:
        by_bound = f"sum by ({', '.join((*labels, 'le'))})"
        buckets = f"{by_bound} (rate(holdfast_response_seconds_bucket{{{MEASURED}}}[{RATE_OVER}]))"
        stat = re.sub(r"\W", "_", str(metric.stat))
        return f"{level}:holdfast_response_seconds:{stat}", (
            f"histogram_quantile({metric.percent / 100:.10g}, {buckets})"
        )
    if metric.name == "response" and metric.stat == "mean":
        parts = (f"{by} (rate(holdfast_response_seconds_{part}[{RATE_OVER}]))" for part in ("sum", "count"))
        return f"{level}:holdfast_response_seconds:mean", " / ".join(parts)
    every = f"{by} (rate(holdfast_arrivals_total{{{MEASURED}}}[{RATE_OVER}]))"
    if metric.name == "errors":
        lost = f'{by} (rate(holdfast_arrivals_total{{{MEASURED}, outcome!="ok"}}[{RATE_OVER}]))'
        return f"{level}:holdfast_errors:ratio", f"({lost} or 0 * {every}) / {every}"
    if metric.name == "throughput":
        ok = f'{by} (rate(holdfast_arrivals_total{{{MEASURED}, outcome="ok"}}[{RATE_OVER}]))'
        return f"{level}:holdfast_ok:rate", f"{ok} or 0 * {every}"
    return None


def warning_level(row: Row) -> float | None:
    """Beyond which it is time to look, in the base unit of the rule; None where the limit is reached."""
    rule = row.rule
    if rule.warn is not None:
        return rule.warn
    assert row.check is not None
    observed = row.check.observed
    assert observed is not None
    bounds = (observed, *(row.check.interval or ()))
    nearest = max(bounds) if rule.op in LOWER_IS_BETTER else min(bounds)
    return (nearest + rule.limit) / 2 if rule.holds(nearest) and nearest != rule.limit else None


def in_series(value: float, unit: str) -> float:
    """A value of a rule in the unit of its series: times are seconds there."""
    return value / NS_PER_S if unit == "ns" else value


def _alerts(row: Row, series: str) -> Iterator[Alert]:
    rule, check = row.rule, row.check
    assert check is not None
    if rule.op == "==":
        return
    where = dict(zip(("workload", "operation"), rule.metric.scope, strict=False))
    labels = ", ".join(
        f"{name}={json.dumps(value)}" for name, value in [("scenario", row.scenario), *where.items()]
    )
    levels: list[tuple[str, float | None]] = [("critical", rule.limit), ("warning", warning_level(row))]
    for severity, level in levels:
        if level is None:
            continue
        shown, measured = (units.format_quantity(one, rule.unit) for one in (level, check.observed or 0.0))
        yield Alert(
            name=_name(row.scenario, rule, severity),
            expression=f"{series}{{{labels}}} {_broken_by(rule)} {in_series(level, rule.unit):.10g}",
            holds_for=rule.written.sustained or HOLDS_FOR,
            severity=severity,
            scenario=row.scenario,
            summary=f"{rule.metric} of {row.scenario} is beyond {shown}",
            description=f"required: {rule}; measured: {measured}, {check.because}",
        )


def _broken_by(rule: Rule) -> str:
    """The comparison that says that a rule is broken."""
    return {"<": ">=", "<=": ">", ">": "<=", ">=": "<"}[rule.op]


def _name(scenario: str, rule: Rule, severity: str) -> str:
    words = re.split(r"[^A-Za-z0-9]+", f"{scenario} {rule.subject} {severity}")
    return "Holdfast" + "".join(word[:1].upper() + word[1:] for word in words if word)


def alerts_file(found: AlertRules) -> str:
    """The alert rules, as Prometheus reads them."""
    lines = ["# Written by bench assess --alerts: limits of requirements, and what was measured of them."]
    reason = "# Without an alert, because nothing publishes it or no run shows it"
    lines += [f"{reason}: {json.dumps(text)}" for text in found.left_out]
    rules = "    rules:" if found.alerts else "    rules: []"
    lines += ["groups:", "  - name: holdfast_requirements", rules]
    for alert in found.alerts:
        lines += [
            f"      - alert: {alert.name}",
            f"        expr: {json.dumps(alert.expression)}",
            f"        for: {alert.holds_for}",
            f"        labels: {{severity: {alert.severity}}}",
            "        annotations:",
            f"          summary: {json.dumps(_literal(alert.summary))}",
            f"          description: {json.dumps(_literal(alert.description))}",
        ]
    return "\n".join(lines) + "\n"


def recordings_file(found: AlertRules) -> str:
    """The recording rules that the alerts are about."""
    lines = ["# Written by bench assess --alerts: the series that its alert rules are about.", "groups:"]
    lines += ["  - name: holdfast_series", "    rules:" if found.recordings else "    rules: []"]
    for name, expression in found.recordings:
        lines += [f"      - record: {name}", f"        expr: {json.dumps(expression)}"]
    return "\n".join(lines) + "\n"


def _literal(text: str) -> str:
    """Braces are templates in annotations."""
    return text.replace("{{", "{ {")
