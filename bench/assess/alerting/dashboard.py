"""A Grafana dashboard of what `bench run --prometheus` publishes, with the required limits as thresholds."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from bench.assess.alerting.rules import (
    LOWER_IS_BETTER,
    RATE_OVER,
    alert_rules,
    in_series,
    recording_of,
    warning_level,
)
from bench.assess.matrix import Row

CHOSEN = 'scenario=~"$scenario"'
WIDTH, HEIGHT, COLUMNS = 12, 8, 24
SOURCE = {"type": "prometheus", "uid": "${datasource}"}


@dataclass(frozen=True)
class Panel:
    """A chart: its queries with how each line is called, and levels as (value, colour)."""

    title: str
    unit: str
    queries: tuple[tuple[str, str], ...]
    levels: tuple[tuple[float, str], ...] = ()


def _rate(name: str, by: str, more: str = "") -> str:
    return f"sum by ({by}) (rate({name}{{{CHOSEN}{more}}}[{RATE_OVER}]))"


def _percentiles() -> tuple[tuple[str, str], ...]:
    buckets = _rate("holdfast_response_seconds_bucket", "workload, le")
    return tuple(
        (f"histogram_quantile({percent / 100:g}, {buckets})", f"{{{{workload}}}} P{percent}")
        for percent in (50, 95, 99)
    )


def _of_runs() -> tuple[Panel, ...]:
    """What every run publishes."""
    return (
        Panel("Response time", "s", _percentiles()),
        Panel(
            "Arrivals by outcome",
            "reqps",
            ((_rate("holdfast_arrivals_total", "workload, outcome"), "{{workload}} {{outcome}}"),),
        ),
        Panel(
            "Planned arrivals",
            "reqps",
            ((_rate("holdfast_planned_arrivals_total", "workload"), "{{workload}}"),),
        ),
        Panel("Requests in flight", "short", ((f"holdfast_in_flight{{{CHOSEN}}}", "{{workload}}"),)),
        Panel("Connected lanes", "short", ((f"holdfast_connected_lanes{{{CHOSEN}}}", "{{workload}}"),)),
        Panel(
            "Generator idle",
            "percentunit",
            ((f"avg_over_time(holdfast_generator_idle_ratio{{{CHOSEN}}}[{RATE_OVER}])", "{{workload}}"),),
        ),
        Panel("Phase", "short", ((f"holdfast_phase{{{CHOSEN}}}", "{{phase}}"),)),
        Panel("Run in progress", "short", ((f"holdfast_run_in_progress{{{CHOSEN}}}", "{{scenario}}"),)),
    )


def _of_requirements(rows: Iterable[Row]) -> list[Panel]:
    """One for each rule that has an alert, with its limit and its warning level."""
    found: dict[str, Panel] = {}
    for row in rows:
        if not alert_rules([row]).alerts or (series := recording_of(row.rule.metric)) is None:
            continue
        rule, warn = row.rule, warning_level(row)
        colours = [(warn, "orange"), (rule.limit, "red")]
        known = [(in_series(level, rule.unit), colour) for level, colour in colours if level is not None]
        if rule.op not in LOWER_IS_BETTER:  # what is below is bad there
            at = sorted(level for level, _ in known)
            known = list(
                zip([0.0, *at], ("red", "orange", "green") if len(at) > 1 else ("red", "green"), strict=True)
            )
        names = dict(zip(("workload", "operation"), rule.metric.scope, strict=False)) | {
            "scenario": row.scenario
        }
        wanted = ", ".join(f"{name}={json.dumps(value)}" for name, value in names.items())
        unit = {"ns": "s", "ratio": "percentunit", "per_s": "reqps"}.get(rule.unit, "short")
        title = f"{row.scenario}: {rule}"
        query = (f"{series[0]}{{{wanted}}}", str(rule.metric))
        found.setdefault(title, Panel(title, unit, (query,), tuple(sorted(known))))
    return list(found.values())


def queries_of(text: str) -> list[str]:
    """Every query of a dashboard, with the scenarios left open."""
    panels = json.loads(text)["panels"]
    return [one["expr"].replace("$scenario", ".*") for panel in panels for one in panel["targets"]]


def dashboard(rows: Iterable[Row]) -> str:
    """As Grafana imports it."""
    panels = [_drawn(panel, number) for number, panel in enumerate((*_of_requirements(rows), *_of_runs()))]
    choose = {
        "name": "scenario",
        "type": "query",
        "datasource": SOURCE,
        "query": "label_values(holdfast_run_info, scenario)",
        "refresh": 2,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
    }
    whole = {
        "uid": "holdfast",
        "title": "Holdfast",
        "tags": ["holdfast"],
        "schemaVersion": 39,
        "refresh": "5s",
        "time": {"from": "now-15m", "to": "now"},
        "templating": {"list": [{"name": "datasource", "type": "datasource", "query": "prometheus"}, choose]},
        "panels": panels,
    }
    return json.dumps(whole, indent=2, ensure_ascii=False) + "\n"


def _drawn(panel: Panel, number: int) -> dict[str, object]:
    steps: list[dict[str, object]] = [{"value": None, "color": "green"}]
    steps += [{"value": value, "color": colour} for value, colour in panel.levels]
    place = {"w": WIDTH, "h": HEIGHT, "x": number * WIDTH % COLUMNS, "y": number * WIDTH // COLUMNS * HEIGHT}
    custom = {"thresholdsStyle": {"mode": "line" if panel.levels else "off"}}
    defaults = {
        "unit": panel.unit,
        "min": 0,
        "thresholds": {"mode": "absolute", "steps": steps},
        "custom": custom,
    }
    targets = [
        {"refId": chr(ord("A") + index), "datasource": SOURCE, "expr": query, "legendFormat": legend}
        for index, (query, legend) in enumerate(panel.queries)
    ]
    return {
        "id": number + 1,
        "type": "timeseries",
        "title": panel.title,
        "datasource": SOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "targets": targets,
    }
