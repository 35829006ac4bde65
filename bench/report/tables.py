"""The tables of the text report: rules, latency, arrivals."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from bench.core import units
from bench.core.outcome import OUTCOMES
from bench.judge.comparison import headroom, parts_of
from bench.judge.guards import SAMPLES_ABOVE
from bench.judge.outcome_counts import spaced
from bench.report.columns import heading, row, styled
from bench.report.figures import Latency, latencies, tallies

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
    parts = parts_of(check.rule)
    operator = parts.get("op", "")
    observed = "-" if check.observed is None else units.format_quantity(check.observed, check.unit or "count")
    cells = (observed, f"{operator} {parts.get('limit', '')}", headroom_text(check, operator))
    lines = row(parts["metric"], RULE_WIDTH, zip(cells, RULE_ROOMS, strict=True))
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
