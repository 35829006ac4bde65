"""The comparison for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.compare.difference import Finding
from bench.compare.sentences import (
    factor,
    left_out_text,
    reason_text,
    regression_text,
    setting_text,
    status_text,
    summary_text,
    value_text,
)
from bench.core import units

if TYPE_CHECKING:
    from bench.compare.comparison import Comparison, Figure, ScenarioComparison

HEADS = ("metric", "before", "after", "ratio", "95 % interval", "")


def render(comparison: Comparison) -> str:
    """Each scenario with its figures, then what is missing, then every regression in one line."""
    lines = []
    for scenario in comparison.scenarios:
        lines += [*_scenario(scenario), ""]
    lines += [f"missing   {form}: run before, not now" for form in comparison.missing]
    lines += [f"new       {form}: nothing to compare it with" for form in comparison.new]
    lines += [f"damaged   {text}" for text in comparison.damaged]
    for scenario in comparison.scenarios:
        for found in scenario.regressions:
            lines.append(f"REGRESSION {regression_text(scenario, found, comparison.threshold)}")
    lines.append(f"{summary_text(comparison)}; threshold {units.format_ratio(comparison.threshold)}")
    return "\n".join(lines) + "\n"


def _scenario(scenario: ScenarioComparison) -> list[str]:
    lines = [str(scenario.form)]
    if scenario.not_comparable:
        return [*lines, f"  not comparable: {scenario.not_comparable}"]
    lines.append(f"  {setting_text(scenario)}")
    lines += [f"  {text}" for text in (*left_out_text(scenario), *scenario.notes)]
    lines += [f"  {one.finding.value}: {status_text(one)}" for one in scenario.statuses]
    rows = [HEADS, *(_row(figure) for figure in scenario.figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADS))]
    lines += ["  " + _line(row, widths) for row in rows]
    return lines


def _row(figure: Figure) -> tuple[str, ...]:
    found = figure.difference
    words = found.finding.value
    if found.finding is Finding.CANNOT_TELL and found.because:
        words += f": {reason_text(found, figure.kind)}"
    known = found.ratio is not None and found.low is not None and found.high is not None
    return (
        figure.metric,
        value_text(found.before, figure.kind),
        value_text(found.after, figure.kind),
        f"x{factor(found.ratio)}" if known and found.ratio is not None else "-",
        f"{factor(found.low)}..{factor(found.high)}" if known and found.low and found.high else "-",
        words,
    )


def _line(row: tuple[str, ...], widths: list[int]) -> str:
    name, *numbers, words = row
    cells = [
        f"{name:<{widths[0]}}",
        *(f"{n:>{w}}" for n, w in zip(numbers, widths[1:-1], strict=True)),
        words,
    ]
    return "  ".join(cells).rstrip()
