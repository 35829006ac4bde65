"""The report that a user looks at every day: the verdict first, then what stands behind it.

A run that has just ended is shown the other way round: what is printed last is what stays on the screen.
80 columns; colour only on a terminal.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, TextIO

from bench.judge.status import Status
from bench.report import context, outages, resources, tables
from bench.report.columns import heading, styled, wrapped
from bench.report.faults import text as faults

if TYPE_CHECKING:
    from bench.judge.verdict import Check, Verdict
    from bench.results.reader import Run

HEADLINES = {
    Status.PASS: "{n} of {n} rules hold",
    Status.WARN: "every rule holds, {k} of {n} past the warning level",
    Status.INCONCLUSIVE: "{k} of {n} rules cannot be judged",
    Status.FAIL: "{k} of {n} rules broken",
    Status.INVALID: "this run says nothing about the system",
}


def render(run: Run, verdict: Verdict, colour: bool = False, unicode: bool = True) -> str:
    """The whole report, with a line end; without `unicode` its lines are drawn in ASCII.

    Raises ResultError for a damaged run.
    """
    return _text(*_verdict_blocks(run, verdict, colour), *_evidence(run, colour, unicode))


def render_ended(run: Run, verdict: Verdict, colour: bool = False, unicode: bool = True) -> str:
    """The same with the verdict, and what broke it, at the end: of a run that a person has waited for.

    Raises ResultError for a damaged run.
    """
    return _text(
        *_evidence(run, colour, unicode),
        tables.rules(verdict, colour),
        _unsettled(verdict, colour),
        _headline(run, verdict, colour),
    )


def _evidence(run: Run, colour: bool, unicode: bool) -> list[list[str]]:
    return [
        *faults.blocks(run, colour, unicode),
        outages.block(run, colour),
        tables.latency(run, colour),
        tables.arrivals(run, colour),
        resources.table(run, colour),
        context.losses(run),
        context.generator(run),
        context.run_itself(run),
    ]


def render_verdict(run: Run, verdict: Verdict, colour: bool = False) -> str:
    """The part of the report that judges: headline, what is not in order, the table of rules."""
    return _text(*_verdict_blocks(run, verdict, colour))


def is_colourful() -> bool:
    """Whether standard output is a terminal whose user did not ask for plain text (NO_COLOR)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def is_unicode(stream: TextIO | None = None) -> bool:
    """Whether a stream, or standard output, can show the characters that lines are drawn with."""
    return ((stream or sys.stdout).encoding or "").lower().startswith("utf")


def _text(*blocks: list[str]) -> str:
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def _verdict_blocks(run: Run, verdict: Verdict, colour: bool) -> list[list[str]]:
    return [_headline(run, verdict, colour), _unsettled(verdict, colour), tables.rules(verdict, colour)]


def _headline(run: Run, verdict: Verdict, colour: bool) -> list[str]:
    status = styled(verdict.status.name, verdict.status, colour)
    lines = [f"{status}  {heading(run.scenario, colour)}: {headline(verdict)}"]
    lines += wrapped(str(run.record.get("scenario", {}).get("purpose", "")))
    if run.record.get("plan", {}).get("quick"):
        lines.append("Quick run with shortened phases: good to see that it works, not to decide by.")
    return lines


def headline(verdict: Verdict) -> str:
    """The verdict in a few words: "1 of 5 rules broken"."""
    rules = [check for check in verdict.checks if check.is_rule]
    alike = sum(check.status is verdict.status for check in rules)
    if alike or verdict.status is Status.INVALID:
        return HEADLINES[verdict.status].format(n=len(rules), k=alike)
    # The status is that of a finding about the run, not of any rule.
    return "the run has flaws" if rules else "there is no rule to judge"


def _unsettled(verdict: Verdict, colour: bool) -> list[str]:
    """Every check that is not plainly in order, the worst first: what was seen, what to do."""
    unsettled = [check for check in verdict.checks if check.status is not Status.PASS]
    blocks = [_explained(check, colour) for check in sorted(unsettled, key=lambda check: -check.status)]
    return [line for block in blocks for line in block]


def _explained(check: Check, colour: bool) -> list[str]:
    indent = " " * 4
    subject = check.rule if check.is_rule else check.metric.removeprefix("validity.").replace("_", " ")
    lines = [f"{styled(check.status.name, check.status, colour)}  {subject}"]
    lines += wrapped(check.because, indent, indent)
    if check.advice:
        lines += wrapped(check.advice, indent + "-> ", indent + "   ")
    return lines
