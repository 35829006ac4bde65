"""The comparison as JSON: what a script reads to run a scenario again."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from bench.compare.sentences import reason_text, regression_text, summary_text
from bench.results.files import as_json

if TYPE_CHECKING:
    from bench.compare.comparison import Comparison, Figure, ScenarioComparison

FORMAT = 1


def render(comparison: Comparison) -> str:
    """One object; ratios that are no number are null."""
    return as_json(
        {
            "format": FORMAT,
            "threshold": comparison.threshold,
            "exit_code": int(comparison.exit_code),
            "summary": summary_text(comparison),
            "regressions": comparison.regressions,
            "scenarios": [_scenario(one, comparison.threshold) for one in comparison.scenarios],
            "missing": [str(form) for form in comparison.missing],
            "new": [str(form) for form in comparison.new],
            "damaged": comparison.damaged,
        }
    )


def _scenario(scenario: ScenarioComparison, threshold: float) -> dict[str, Any]:
    form = scenario.form
    return {
        "scenario": form.scenario,
        "quick": form.quick,
        "overrides": list(form.overrides),
        "stack": form.stack,
        "path": scenario.path,
        "after": scenario.after,
        "before": scenario.before,
        "left_out": scenario.left_out,
        "notes": scenario.notes,
        "not_comparable": scenario.not_comparable,
        "regressions": [regression_text(scenario, one, threshold) for one in scenario.regressions],
        "statuses": [
            {
                "rule": one.rule,
                "finding": one.finding.value,
                "before": one.before.name,
                "after": one.after.name,
                "because": one.because or None,
            }
            for one in scenario.statuses
        ],
        "figures": [_figure(one) for one in scenario.figures],
    }


def _figure(figure: Figure) -> dict[str, Any]:
    found = figure.difference
    return {
        "metric": figure.metric,
        "unit": figure.kind.unit,
        "finding": found.finding.value,
        "before": _finite(found.before),
        "after": _finite(found.after),
        "ratio": _finite(found.ratio),
        "interval": None if found.low is None else [_finite(found.low), _finite(found.high)],
        "because": reason_text(found, figure.kind) or None,
    }


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
