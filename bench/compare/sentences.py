"""What was found, in sentences: the same in every form of the report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.compare.difference import Difference, Finding
from bench.compare.status_change import StatusChange
from bench.core import units

if TYPE_CHECKING:
    from bench.compare.comparison import Comparison, Figure, ScenarioComparison
    from bench.compare.estimate import Kind

LEFT_OUT_SHOWN = 3
SEPARATE = {
    "resolution": "it is not certain to be more than what these runs can resolve",
    "spread": "the interval excludes neither a change nor none",
    "never": "it never came",
    "never before": "it did not come in every earlier run either",
}


def regression_text(scenario: ScenarioComparison, found: Figure | StatusChange, threshold: float) -> str:
    """One line: scenario, metric, before, after, by how much, and against what."""
    if isinstance(found, StatusChange):
        return f"{scenario.form} {status_text(found)}"
    return f"{scenario.form} {figure_text(found)}, threshold {units.format_ratio(threshold)}"


def figure_text(figure: Figure) -> str:
    """As in "cache.response.p95: 0.41 ms -> 2.63 ms (x6.4, 95 % interval 5.9..6.9)"."""
    found = figure.difference
    before, after = value_text(found.before, figure.kind), value_text(found.after, figure.kind)
    if found.because == "never" and found.finding is Finding.REGRESSION:
        return f"{figure.metric}: {before} -> never came back"
    text = f"{figure.metric}: {before} -> {after}"
    return f"{text} ({ratio_text(found)})" if found.ratio is not None else text


def status_text(found: StatusChange) -> str:
    """As in `rule "cache.errors < 1%": PASS -> FAIL (0 % -> 2.1 %)`."""
    seen = f"{found.observed_before} -> {found.observed_after}"
    text = f'rule "{found.rule}": {found.before.name} -> {found.after.name} ({seen})'
    if found.finding is Finding.CANNOT_TELL and found.because:
        text += f"; the difference cannot be told: {SEPARATE.get(found.because, found.because)}"
    elif found.finding is Finding.CANNOT_TELL:
        text += f"; it was broken in {found.failed_before} of {found.runs} earlier runs"
    return text


def value_text(value: float | None, kind: Kind) -> str:
    """A value for people; "-" where there is none."""
    if value is None:
        return "-"
    return units.format_quantity(value, kind.unit)


def ratio_text(found: Difference) -> str:
    """As in "x6.4, 95 % interval 5.9..6.9"."""
    assert found.ratio is not None
    assert found.low is not None
    assert found.high is not None
    return f"x{factor(found.ratio)}, 95 % interval {factor(found.low)}..{factor(found.high)}"


def factor(value: float) -> str:
    """A ratio with two or three digits that matter."""
    if value >= 1000:
        return "> 1000"
    if value >= 99.5:
        return f"{value:.0f}"
    if value >= 2:
        return f"{value:.1f}"
    return f"{value:.2f}" if value >= 0.005 else "< 0.01"


def reason_text(found: Difference, kind: Kind) -> str:
    """Why a figure cannot be told."""
    if found.because == "resolution":
        least = value_text(found.resolution, kind)
        return f"not certain to be more than what these runs can resolve, {least}"
    return SEPARATE.get(found.because, found.because)


def setting_text(scenario: ScenarioComparison) -> str:
    """With what a run was compared."""
    count = len(scenario.before)
    if count == 1:
        return f"{scenario.after} against {scenario.before[0]}; one earlier run: its spread is assumed"
    return f"{scenario.after} against {count} earlier runs, {scenario.before[0]} to {scenario.before[-1]}"


def left_out_text(scenario: ScenarioComparison) -> list[str]:
    """Earlier runs that were not used: a few with their reasons, and how many more."""
    found = scenario.left_out[-LEFT_OUT_SHOWN:]
    more = len(scenario.left_out) - len(found)
    return [*(f"left out: {text}" for text in found), *([f"left out: {more} more"] if more else [])]


def summary_text(comparison: Comparison) -> str:
    """The whole in one sentence."""
    figures = [figure for scenario in comparison.scenarios for figure in scenario.figures]
    counts = {finding: sum(f.difference.finding is finding for f in figures) for finding in Finding}
    compared = sum(bool(scenario.before) for scenario in comparison.scenarios)
    parts = [
        counted(comparison.regressions, "regression"),
        counted(counts[Finding.IMPROVEMENT], "improvement"),
        f"{counts[Finding.NO_DIFFERENCE]} without difference",
        f"{counts[Finding.CANNOT_TELL]} that cannot be told",
    ]
    if not figures:
        return "nothing could be compared"
    found = f"{', '.join(parts)}, of {counted(len(figures), 'figure')} in {counted(compared, 'scenario')}"
    return f"{found}; {counted(comparison.untold, 'scenario')} not compared" if comparison.untold else found


def counted(count: int, word: str) -> str:
    """As in "1 regression", "3 regressions"."""
    return f"{count} {word}{'s' * (count != 1)}"
