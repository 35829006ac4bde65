"""The report that a user looks at every day: the verdict first, then what stands behind it.

A run that has just ended is shown the other way round: what is printed last is what stays on the
screen.
"""

from collections.abc import Sequence
from itertools import groupby

from bench.core import units
from bench.judge.guards import SAMPLES_ABOVE
from bench.judge.verdict import Check, Status, Verdict, headroom
from bench.report import context
from bench.report.document import Badge, Facts, Finding, Findings, Headline, Note, Section, Table, columns
from bench.report.faults import recovery as faults
from bench.report.figures import arrival_rows, kind_text, latencies, resource_table, scope_text, time_cells
from bench.report.formats import JudgedRun, Reader
from bench.report.render import text
from bench.results.reader import Run
from bench.scenario.rules.grammar import RuleText

FAR_OVER = 9
"""From ten times the limit on, a multiple reads better than a percentage."""
SHOWN_PERCENTILES = (50.0, 95.0, 99.0, 99.9)
SHOWN_KINDS = ("response", "service", "pool_wait")
"""Lag and late are the generator's; they have their own line below the tables."""
RULES = columns("Rule:31 | #observed:11 | #limit:13 | #headroom:11 | status")
LATENCY = columns(
    " | #".join(
        ("Latency:14", *(f"P{percent:g}:11" for percent in SHOWN_PERCENTILES), "max:11", "samples:11")
    )
)
ARRIVALS = columns(
    "Arrivals:17 | #planned:10 | #ok:10 | #error:8 | #timeout:9 | #reset:8 | #refused:9 | #dropped:9"
)
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
    return text.render([*_judgement(run, verdict), *_evidence(run, unicode)], colour)


def render_runs(runs: Sequence[JudgedRun], reader: Reader) -> str:
    """Several runs one after the other. Raises ResultError for a damaged run."""
    return "\n".join(render(*judged, colour=reader.colour, unicode=reader.unicode) for judged in runs)


def render_ended(run: Run, verdict: Verdict, colour: bool = False, unicode: bool = True) -> str:
    """The same with the verdict, and what broke it, at the end: of a run that a person has waited for.

    Raises ResultError for a damaged run.
    """
    return text.render([*_evidence(run, unicode), *reversed(_judgement(run, verdict))], colour)


def render_verdict(run: Run, verdict: Verdict, colour: bool = False) -> str:
    """The part of the report that judges: headline, what is not in order, the table of rules."""
    return text.render(_judgement(run, verdict), colour)


def _judgement(run: Run, verdict: Verdict) -> list[Section]:
    return [head(run, verdict), _unsettled(verdict), _tabled(_rules(verdict))]


def _evidence(run: Run, unicode: bool) -> list[Section]:
    outages, times = Table("", context.OUTAGES, tuple(context.outage_rows(run))), _latency_table(run)
    marked = any("~" in cell for row in times.rows for cell in row if isinstance(cell, str))
    few = [f"~ fewer than {SAMPLES_ABOVE} samples lie above: too few to judge by"] if marked else []
    return [
        *faults.sections(run, unicode),
        _tabled(outages, *([context.outage_note(run)] if outages.rows else [])),
        _tabled(times, *few),
        _tabled(_arrivals(run)),
        _tabled(resource_table(run)),
        Section("", (Facts(tuple(context.losses(run))),)),
        Section("", (Facts(tuple(context.generator(run))),)),
        Section("", (Facts(tuple(context.run_itself(run))),)),
    ]


def _tabled(table: Table, *notes: str) -> Section:
    return Section("", (table, *notes) if table.rows else ())


def head(run: Run, verdict: Verdict) -> Section:
    """What came of the run, and what it was for."""
    purpose = run.record.scenario.purpose
    quick = Note("Quick run with shortened phases: good to see that it works, not to decide by.")
    return Section(
        "",
        (
            Headline(Badge.of(verdict.status), run.scenario, headline(verdict)),
            *([purpose] if purpose else []),
            *([quick] if run.record.plan.quick else []),
        ),
    )


def headline(verdict: Verdict) -> str:
    """The verdict in a few words: "1 of 5 rules broken"."""
    rules = [check for check in verdict.checks if check.is_rule]
    alike = sum(check.status is verdict.status for check in rules)
    if alike or verdict.status is Status.INVALID:
        return HEADLINES[verdict.status].format(n=len(rules), k=alike)
    # The status is that of a finding about the run, not of any rule.
    return "the run has flaws" if rules else "there is no rule to judge"


def _unsettled(verdict: Verdict) -> Section:
    """Every check that is not plainly in order, the worst first: what was seen, what to do."""
    unsettled = [check for check in verdict.checks if check.status is not Status.PASS]
    ordered = sorted(unsettled, key=lambda check: -check.status)
    return Section("", (Findings(tuple(map(finding_of, ordered))),))


def finding_of(check: Check) -> Finding:
    """A check that is not in order: what it is about, why, and what to do."""
    subject = check.rule if check.is_rule else check.metric.removeprefix("validity.").replace("_", " ")
    return Finding(subject, Badge.of(check.status), (check.because,), check.advice)


def _rules(verdict: Verdict) -> Table:
    """Each rule with what was observed, its limit, and what is left of it."""
    rows = []
    for check in verdict.checks:
        if check.is_rule:
            rule = RuleText.of(check.rule)
            limit, left = rule.bound, headroom_text(check, rule.op)
            rows.append((rule.metric, observed_text(check), limit, left, Badge.of(check.status)))
    return Table("", RULES, tuple(rows))


def observed_text(check: Check) -> str:
    """What was observed; a dash for nothing."""
    return "-" if check.observed is None else units.format_quantity(check.observed, check.unit or "count")


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


def _latency_table(run: Run) -> Table:
    """P50 to max for every operation: response from the plan, service from the send."""
    rows: list[tuple[str, ...]] = []
    shown = [latency for latency in latencies(run) if latency.kind in SHOWN_KINDS]
    for (workload, operation), kinds in groupby(shown, key=lambda one: (one.workload, one.operation)):
        rows.append((scope_text(workload, operation, "all operations"),))
        rows += [(f"  {kind_text(run, one)}", *time_cells(one, SHOWN_PERCENTILES)) for one in kinds]
    return Table("", LATENCY, tuple(rows))


def _arrivals(run: Run) -> Table:
    """How every planned arrival of the measured phases ended."""
    return Table("", ARRIVALS, tuple(arrival_rows(run)))
