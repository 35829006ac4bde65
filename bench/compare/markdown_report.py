"""The comparison as Markdown, for the summary of a workflow: what changed first, the rest folded away."""

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
from bench.report.markdown_form import folded, text

if TYPE_CHECKING:
    from bench.compare.comparison import Comparison, Figure, ScenarioComparison

HEAD = "| metric | before | after | ratio | 95 % interval | |\n|---|---:|---:|---:|---:|---|"


def render(comparison: Comparison) -> str:
    """Markdown that GitHub shows; every text from outside is escaped."""
    lines = ["## Compared with earlier runs", "", f"{text(summary_text(comparison))}. "]
    lines[-1] += f"The threshold is {units.format_ratio(comparison.threshold)}."
    regressions = [
        f"- **REGRESSION** {text(regression_text(scenario, found, comparison.threshold))}"
        for scenario in comparison.scenarios
        for found in scenario.regressions
    ]
    lines += ["", *regressions] if regressions else []
    told = [
        *(f"- **missing** {text(str(form))}: run before, not now" for form in comparison.missing),
        *(f"- new: {text(str(form))}, nothing to compare it with" for form in comparison.new),
        *(f"- damaged: {text(one)}" for one in comparison.damaged),
        *(
            f"- not comparable: {text(str(one.form))}: {text(one.not_comparable)}"
            for one in comparison.scenarios
            if one.not_comparable
        ),
    ]
    lines += ["", *told] if told else []
    for scenario in comparison.scenarios:
        if not scenario.not_comparable:
            lines += ["", *_scenario(scenario)]
    return "\n".join(lines) + "\n"


def _scenario(scenario: ScenarioComparison) -> list[str]:
    count = len(scenario.regressions)
    mark = f": {count} REGRESSION" if count else ""
    lines = [text(setting_text(scenario)), ""]
    lines += [f"- {text(note)}" for note in (*left_out_text(scenario), *scenario.notes)]
    lines += [f"- {one.finding.value}: {text(status_text(one))}" for one in scenario.statuses]
    lines += ["", HEAD, *(_row(figure) for figure in scenario.figures)]
    return folded(f"{scenario.form}{mark}", lines, opened=bool(count))


def _row(figure: Figure) -> str:
    found = figure.difference
    words = found.finding.value
    if found.finding is Finding.REGRESSION:
        words = f"**{words}**"
    elif found.finding is Finding.CANNOT_TELL and found.because:
        words += f": {text(reason_text(found, figure.kind))}"
    ratio = interval = ""
    if found.ratio is not None and found.low is not None and found.high is not None:
        ratio, interval = f"x{factor(found.ratio)}", f"{factor(found.low)}..{factor(found.high)}"
    cells = (
        text(figure.metric),
        value_text(found.before, figure.kind),
        value_text(found.after, figure.kind),
        text(ratio),
        text(interval),
        words,
    )
    return "| " + " | ".join(cells) + " |"
