"""The comparison as annotations of a GitHub workflow: one line each, shown on the run's page.

The form of a line (`::error title=...::message`) and its escaping are those of GitHub's workflow commands.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.compare.sentences import regression_text, summary_text

if TYPE_CHECKING:
    from bench.compare.comparison import Comparison

IN_MESSAGES = "%\r\n"
IN_TITLES = IN_MESSAGES + ":,"


def render(comparison: Comparison) -> str:
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
