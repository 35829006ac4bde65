"""A comparison of runs as text, Markdown, JSON, and annotations of a GitHub workflow; the same sentences
in each.

The form of an annotation (`::error title=...::message`) and its escaping are those of GitHub's
workflow commands.
"""

import math

from bench.compare.comparison import Comparison, Figure, ScenarioComparison
from bench.compare.difference import Difference, Finding, Kind, StatusChange
from bench.core import units
from bench.core.units import counted
from bench.report.document import Block, Bullets, Cell, Facts, Folded, Section, Strong, Table, columns
from bench.report.render import markdown, text
from bench.results.layout import as_json

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
        text += f"; the difference cannot be shown: {SEPARATE.get(found.because, found.because)}"
    elif found.finding is Finding.CANNOT_TELL:
        text += f"; it was broken in {found.failed_before} of {found.runs} earlier runs"
    return text


def value_text(value: float | None, kind: Kind) -> str:
    """A value as text; "-" for none."""
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
    """Why a difference of a figure is not known."""
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
        f"{counts[Finding.CANNOT_TELL]} that cannot be shown",
    ]
    if not figures:
        return "nothing could be compared"
    found = f"{', '.join(parts)}, of {counted(len(figures), 'figure')} in {counted(compared, 'scenario')}"
    return (
        f"{found}; {counted(comparison.not_compared, 'scenario')} not compared"
        if comparison.not_compared
        else found
    )


NOT_COMPARABLE = "not comparable"
TABLE = columns("metric | #before | #after | #ratio | #95 % interval | ")


def render_text(comparison: Comparison) -> str:
    """For a terminal: each scenario with its figures, then what is missing, then every regression."""
    scenarios = [Section(str(one.form), _scenario(one)) for one in comparison.scenarios]
    others = [(label, said) for label, said in _others(comparison) if label != NOT_COMPARABLE]
    regressions = [("REGRESSION", said) for said in _regressions(comparison)]
    summary = f"{summary_text(comparison)}; threshold {units.format_ratio(comparison.threshold)}"
    last = Section("", (Facts((*others, *regressions), width=10), summary))
    return text.render([*scenarios, last], wraps=False)


def render_markdown(comparison: Comparison) -> str:
    """For the summary of a workflow: what changed first, the rest folded away."""
    threshold = units.format_ratio(comparison.threshold)
    head = Section(
        "Compared with earlier runs",
        (
            f"{summary_text(comparison)}. The threshold is {threshold}.",
            Bullets(tuple((Strong("REGRESSION"), said) for said in _regressions(comparison))),
            Bullets(
                tuple(
                    (Strong(label), said) if label == "missing" else (f"{label}: {said}",)
                    for label, said in _others(comparison)
                )
            ),
        ),
    )
    scenarios = [
        Section("", (_folded(scenario),)) for scenario in comparison.scenarios if not scenario.not_comparable
    ]
    return markdown.render([head, *scenarios])


def _regressions(comparison: Comparison) -> list[str]:
    return [
        regression_text(scenario, found, comparison.threshold)
        for scenario in comparison.scenarios
        for found in scenario.regressions
    ]


def _others(comparison: Comparison) -> list[tuple[str, str]]:
    """What was not compared, each with its label."""
    return [
        *(("missing", f"{form}: run before, not now") for form in comparison.missing),
        *(("new", f"{form}: nothing to compare it with") for form in comparison.new),
        *(("damaged", reason) for reason in comparison.damaged),
        *(
            (NOT_COMPARABLE, f"{one.form}: {one.not_comparable}")
            for one in comparison.scenarios
            if one.not_comparable
        ),
    ]


def _folded(scenario: ScenarioComparison) -> Folded:
    count = len(scenario.regressions)
    mark = f": {count} REGRESSION" if count else ""
    return Folded(f"{scenario.form}{mark}", _scenario(scenario), opened=bool(count))


def _scenario(scenario: ScenarioComparison) -> tuple[Block, ...]:
    if scenario.not_comparable:
        return (f"{NOT_COMPARABLE}: {scenario.not_comparable}",)
    notes = [*left_out_text(scenario), *scenario.notes]
    notes += [f"{one.finding.value}: {status_text(one)}" for one in scenario.statuses]
    return (
        setting_text(scenario),
        Bullets(tuple((note,) for note in notes)),
        Table("", TABLE, tuple(_row(figure) for figure in scenario.figures)),
    )


def _row(figure: Figure) -> tuple[Cell, ...]:
    difference = figure.difference
    words: Cell = difference.finding.value
    if difference.finding is Finding.REGRESSION:
        words = Strong(difference.finding.value)
    elif difference.finding is Finding.CANNOT_TELL and difference.because:
        words = f"{difference.finding.value}: {reason_text(difference, figure.kind)}"
    ratio = interval = "-"
    if difference.ratio is not None and difference.low is not None and difference.high is not None:
        ratio = f"x{factor(difference.ratio)}"
        interval = f"{factor(difference.low)}..{factor(difference.high)}"
    before, after = (value_text(value, figure.kind) for value in (difference.before, difference.after))
    return (figure.metric, before, after, ratio, interval, words)


FORMAT = 1


def render_json(comparison: Comparison) -> str:
    """One object; ratios that are no number are null."""
    scenarios = [
        {
            "scenario": scenario.form.scenario,
            "quick": scenario.form.quick,
            "overrides": list(scenario.form.overrides),
            "stack": scenario.form.stack,
            "path": scenario.path,
            "after": scenario.after,
            "before": scenario.before,
            "left_out": scenario.left_out,
            "notes": scenario.notes,
            "not_comparable": scenario.not_comparable,
            "regressions": [
                regression_text(scenario, one, comparison.threshold) for one in scenario.regressions
            ],
            "statuses": [
                {
                    "rule": change.rule,
                    "finding": change.finding.value,
                    "before": change.before.name,
                    "after": change.after.name,
                    "because": change.because or None,
                }
                for change in scenario.statuses
            ],
            "figures": [
                {
                    "metric": figure.metric,
                    "unit": figure.kind.unit,
                    "finding": difference.finding.value,
                    "before": _finite(difference.before),
                    "after": _finite(difference.after),
                    "ratio": _finite(difference.ratio),
                    "interval": None
                    if difference.low is None
                    else [_finite(difference.low), _finite(difference.high)],
                    "because": reason_text(difference, figure.kind) or None,
                }
                for figure in scenario.figures
                for difference in (figure.difference,)
            ],
        }
        for scenario in comparison.scenarios
    ]
    return as_json(
        {
            "format": FORMAT,
            "threshold": comparison.threshold,
            "exit_code": int(comparison.exit_code),
            "summary": summary_text(comparison),
            "regressions": comparison.regressions,
            "scenarios": scenarios,
            "missing": [str(form) for form in comparison.missing],
            "new": [str(form) for form in comparison.new],
            "damaged": comparison.damaged,
        }
    )


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


IN_MESSAGES = "%\r\n"
IN_TITLES = IN_MESSAGES + ":,"


def render_annotations(comparison: Comparison) -> str:
    """An error for each regression, a warning for what was not compared, a notice about all of it."""
    lines = [
        annotation(
            "error", f"Regression in {scenario.form}", regression_text(scenario, found, comparison.threshold)
        )
        for scenario in comparison.scenarios
        for found in scenario.regressions
    ]
    lines += [
        annotation("warning", "Scenario missing", f"{form} was run before and is not among the runs now")
        for form in comparison.missing
    ]
    lines += [
        annotation("warning", "Not compared", f"{one.form}: {one.not_comparable}")
        for one in comparison.scenarios
        if one.not_comparable
    ]
    lines += [annotation("warning", "Damaged run", text) for text in comparison.damaged]
    lines.append(annotation("notice", "Compared with earlier runs", summary_text(comparison)))
    return "\n".join(lines) + "\n"


def annotation(level: str, title: str, message: str) -> str:
    """One workflow command; level is error, warning or notice."""
    return f"::{level} title={_escaped(title, IN_TITLES)}::{_escaped(message, IN_MESSAGES)}"


def _escaped(text: str, special: str) -> str:
    for one in special:  # the percent sign first: the others become it
        text = text.replace(one, f"%{ord(one):02X}")
    return text
