"""The report that a user looks at every day: the verdict first, then what stands behind it.

A run that has just ended is shown the other way round: what is printed last is what stays on the
screen. 80 columns; colour only on a terminal.
"""

from __future__ import annotations

import os
import sys
from itertools import groupby
from typing import TYPE_CHECKING, TextIO

from bench.core import units
from bench.core.outcome import OUTCOMES
from bench.judge.guards import SAMPLES_ABOVE
from bench.judge.outcome_counts import spaced
from bench.judge.verdict import Status, headroom
from bench.report import context, figures
from bench.report.columns import heading, row, styled, wrapped
from bench.report.faults import recovery as faults
from bench.report.figures import Latency, latencies, tallies
from bench.scenario.rules.grammar import RuleText

if TYPE_CHECKING:
    from bench.judge.verdict import Check, Verdict
    from bench.results.reader import Run


RULE_WIDTH = 31
RULE_ROOMS = (11, 13, 11)
FAR_OVER = 9
"""From ten times the limit on, a multiple reads better than a percentage."""

SHOWN_PERCENTILES = (50.0, 95.0, 99.0, 99.9)
KIND_WIDTH = 14
LATENCY_ROOM = 11

ARRIVAL_WIDTH = 17
ARRIVAL_ROOMS = (10, 10, 8, 9, 8, 9, 9)

SHOWN_KINDS = ("response", "service", "pool_wait")
"""Lag and late are the generator's; they have their own line below the tables."""


def rules(verdict: Verdict, colour: bool) -> list[str]:
    """Each rule with what was observed, its limit, and what is left of it."""
    judged = [check for check in verdict.checks if check.is_rule]
    if not judged:
        return []
    heads = zip(("observed", "limit", "headroom"), RULE_ROOMS, strict=True)
    lines = [heading(row("Rule", RULE_WIDTH, heads)[0] + "  status", colour)]
    for check in judged:
        *above, last = _rule(check)
        lines += [*above, f"{last}  {styled(check.status.name, check.status, colour)}"]
    return lines


def _rule(check: Check) -> list[str]:
    written = RuleText.of(check.rule)
    observed = "-" if check.observed is None else units.format_quantity(check.observed, check.unit or "count")
    cells = (observed, f"{written.op} {written.limit}", headroom_text(check, written.op))
    lines = row(written.metric, RULE_WIDTH, zip(cells, RULE_ROOMS, strict=True))
    width = RULE_WIDTH + sum(RULE_ROOMS)
    return [*lines[:-1], f"{lines[-1]:<{width}}"]


def headroom_text(check: Check, operator: str) -> str:
    """The share of the limit that is left: "79 %", or "12x limit" far past it."""
    if check.observed is None or check.limit is None:
        return "-"
    left = headroom(operator, check.limit, check.unit or "count", check.observed)
    if left is None:
        return "-"
    if left <= -FAR_OVER:
        return f"{1 - left:.0f}x limit"
    return f"{left * 100:.0f} %"


def latency(run: Run, colour: bool) -> list[str]:
    """P50 to max for every operation: response from the plan, service from the send."""
    shown = [found for found in latencies(run) if found.kind in SHOWN_KINDS]
    if not shown:
        return []
    heads = [*(f"P{percent:g}" for percent in SHOWN_PERCENTILES), "max", "samples"]
    lines = [heading(row("Latency", KIND_WIDTH, [(head, LATENCY_ROOM) for head in heads])[0], colour)]
    for (workload, operation), kinds in groupby(shown, key=lambda found: (found.workload, found.operation)):
        lines.append(f"{workload}.{operation}" if operation else f"{workload}, all operations")
        for found in kinds:
            cells = [(cell, LATENCY_ROOM) for cell in _latency(found)]
            name = (
                "end to end" if not run.arrives(workload, operation or "") else found.kind.replace("_", " ")
            )
            lines += row(f"  {name}", KIND_WIDTH, cells)
    if any("~" in line for line in lines):
        lines.append(f"~ fewer than {SAMPLES_ABOVE} samples lie above: too few to judge by")
    return lines


def _latency(found: Latency) -> list[str]:
    cells = []
    for percent in SHOWN_PERCENTILES:
        # A percentile of very few samples is one accident: it is shown, and marked.
        above = found.samples * (1 - percent / 100)
        mark = "" if above >= SAMPLES_ABOVE - 1e-6 else "~"
        cells.append(mark + units.format_duration_ns(found.percentiles_ns[percent]))
    return [*cells, units.format_duration_ns(found.max_ns), spaced(found.samples)]


def arrivals(run: Run, colour: bool) -> list[str]:
    """How every planned arrival of the measured phases ended."""
    rows = [found for found in tallies(run) if run.arrives(found[0], found[1] or "")]
    if not rows:
        return []
    heads = ["planned", *(outcome.label for outcome in OUTCOMES)]
    lines = row("Arrivals", ARRIVAL_WIDTH, zip(heads, ARRIVAL_ROOMS, strict=True))
    lines = [heading(lines[0], colour)]
    for workload, operation, tally in rows:
        label = f"{workload}.{operation}" if operation else f"{workload}, all"
        numbers = [tally.planned, *(tally.outcomes[outcome.label] for outcome in OUTCOMES)]
        lines += row(label, ARRIVAL_WIDTH, zip(map(spaced, numbers), ARRIVAL_ROOMS, strict=True))
    return lines


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
        rules(verdict, colour),
        _unsettled(verdict, colour),
        _headline(run, verdict, colour),
    )


def _evidence(run: Run, colour: bool, unicode: bool) -> list[list[str]]:
    return [
        *faults.blocks(run, colour, unicode),
        context.outage_table(run, colour),
        latency(run, colour),
        arrivals(run, colour),
        figures.resource_table(run, colour),
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
    return [_headline(run, verdict, colour), _unsettled(verdict, colour), rules(verdict, colour)]


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
