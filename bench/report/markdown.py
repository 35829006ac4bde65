"""The report for a pull request or a step summary: the verdict, the rules, the figures that matter.

What is more than a reader wants at first is below, folded: the whole text report. Many runs are a table
of all, then what was wrong with those that did not pass.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import groupby

from bench.core import units
from bench.core.clock import NS_PER_S
from bench.core.units import counted, spaced
from bench.judge.measures import answers_of
from bench.judge.verdict import Check, Status, Verdict
from bench.report import context
from bench.report import text as text_report
from bench.report.context import clock_text, command_again, joined, lookups_text, statuses_text
from bench.report.document import (
    Badge,
    Block,
    Bullets,
    Cell,
    Code,
    Findings,
    Folded,
    Headline,
    Line,
    Lines,
    Preformatted,
    Section,
    Table,
    table,
)
from bench.report.faults import detection as fault_detection
from bench.report.faults import recovery as faults
from bench.report.faults.detection import entries, label, not_shown, shown
from bench.report.figures import kind_text, latencies, tallies, time_cells
from bench.report.formats import JudgedRun, Reader, RunFolder
from bench.report.index.entries import RunEntry, WorkloadFigures, entry_with
from bench.report.render import markdown
from bench.report.text import finding_of, head, headline, headroom_text, observed_text
from bench.results.reader import Run
from bench.scenario.rules.grammar import RuleText

KINDS = ("response", "service", "pool_wait")
SHOWN = (50, 95, 99, 99.9)
MOST_BYTES = 900_000
"""GitHub refuses a step summary of more than 1 MiB altogether."""
MOST_ROWS = 400
RULES = "Status | Rule | #Observed | #Limit | #Headroom | Why"
COLUMNS = "Status | Scenario | Rules | Workload | #P50 | #P95 | #P99 | #Done | #Errors | #Recovery | When"


def render(run: Run, verdict: Verdict) -> str:
    """One run. Raises ResultError for a damaged run."""
    return markdown.render([Section("", blocks(run, verdict))])


def blocks(run: Run, verdict: Verdict) -> tuple[Block, ...]:
    """All that there is to say about one run. Raises ResultError for a damaged run."""
    whole = text_report.render(run, verdict).split("\n")
    return (
        *head(run, verdict).blocks,
        *_judgement(verdict),
        *_latency(run),
        *_losses(run),
        *_recovery(run),
        *_outages(run),
        *_origin(run),
        Folded("The whole report", (Preformatted(tuple(whole)),)),
    )


def _judgement(verdict: Verdict) -> tuple[Block, ...]:
    """What is wrong with the run as a whole, whatever its rules say; then each rule."""
    flaws = [check for check in verdict.checks if not check.is_rule and check.status is not Status.PASS]
    rules = [_rule(check) for check in verdict.checks if check.is_rule]
    return (Findings(tuple(map(finding_of, flaws))), *table("", RULES, rules))


def _rule(check: Check) -> tuple[Cell, ...]:
    """What was observed of a rule, its limit, what is left of it, and why."""
    rule = RuleText.of(check.rule)
    limit = rule.bound
    if rule.warn:
        limit += f" (warn {rule.warn})"
    why = f"{check.because} → {check.advice}" if check.advice else check.because
    observed, left = observed_text(check), headroom_text(check, rule.op)
    return (Badge.of(check.status), Code(rule.metric), observed, limit, left, why)


def _latency(run: Run) -> tuple[Block, ...]:
    """Workloads as a whole, or their one operation; the operations by themselves are in the text report."""
    rows: list[tuple[Cell, ...]] = []
    for (workload, operation), kinds in groupby(
        [latency for latency in latencies(run) if latency.kind in KINDS],
        key=lambda latency: (latency.workload, latency.operation),
    ):
        arriving = [name for name in _operations(run, workload) if run.arrives(workload, name)]
        if operation is not None and operation in arriving and len(arriving) > 1:
            continue
        rows += [(workload, kind_text(run, one), *time_cells(one, SHOWN, marked=False)) for one in kinds]
    heads = ("Workload | Time", *(f"P{percent:g}" for percent in SHOWN), "max", "samples")
    return table("", " | #".join(heads), rows)


def _operations(run: Run, workload: str) -> list[str]:
    """Those that have measured response times, each once."""
    measured = [tag for tag in run.tags() if tag.measured and tag.kind == "response"]
    return list(dict.fromkeys(tag.operation for tag in measured if tag.workload == workload))


def _losses(run: Run) -> tuple[Block, ...]:
    """How many arrivals did not end well, by workload; one line each."""
    lines = []
    drivers = {entry.name: entry.driver for entry in run.workloads}
    for workload, operation, tally in tallies(run):
        alone = sum(1 for name, _, _ in tallies(run) if name == workload) == 1
        if (operation is None or alone) and run.arrives(workload, operation or ""):
            ends = tally.lost or "none lost"
            answered = answers_of(run, (workload,))
            brought = joined((statuses_text(answered), lookups_text(answered, drivers[workload])))
            said = f"{spaced(tally.planned)} arrivals planned, {ends}{'; ' * bool(brought)}{brought}"
            lines.append(f"{workload}: {said}")
    return (_listed(lines),)


def _listed(lines: Sequence[str]) -> Bullets:
    return Bullets(tuple((line,) for line in lines))


def _recovery(run: Run) -> tuple[Block, ...]:
    """Each fault and what followed it; nothing for a run without faults."""
    if not run.record.faults:
        return ()
    detectors = fault_detection.detectors(run)
    rows: list[tuple[Cell, ...]] = []
    for fault in shown(run):
        detected = fault_detection.detection_cells(run, fault)
        rows += [
            (label(fault), entry.workload, *faults.recovery_cells(entry), *detected)
            for entry in entries(run, fault)
        ]
    for title, hit in faults.repeated(run):
        for name, percent in (("median", 50), ("longest", 100)):
            rows.append((f"{title}, {name}", "", *faults.statistic(hit, percent)))
    heads = ["Fault | Workload | #to failure | #first OK | #stable | #full | #lost"]
    heads += [name.replace("_", " ") for name in detectors]
    left_out = " ".join(not_shown(run))
    notes = [left_out] if left_out else []
    notes.append(f"times count from the first failure; {fault_detection.false_alarms(run)}")
    return (*table("", " | #".join(heads), rows), _listed(notes))


def _outages(run: Run) -> tuple[Block, ...]:
    """Stretches without any success, and whose they were; nothing where there was none."""
    rows = tuple(context.outage_rows(run))
    return (Table("", context.OUTAGES, rows), _listed([context.outage_note(run)])) if rows else ()


def _origin(run: Run) -> tuple[Block, ...]:
    """When and on what, in one line; how to do it again, in another."""
    record = run.record
    machine = record.environment.key
    known = joined(
        (
            clock_text(record.started.utc),
            f"{units.format_duration_ns(run.measured_s * NS_PER_S)} measured",
            f"stack {record.stack.kind or 'unknown'}" if record.stack.kind or record.stack.targets else "",
            f"{machine['cores']} cores" if machine.get("cores") else "",
            str(machine.get("cpu") or ""),
            "" if record.plan.seed is None else f"seed {record.plan.seed}",
        )
    )
    origin = Line((f"{known}, run", Code(run.name)))
    if not record.scenario.path:
        return (origin,)
    return (origin, Line(("Again:", Code(command_again(record)))))


def render_runs(runs: Sequence[JudgedRun], _: Reader) -> str:
    """One run in full; several as a table with each of them folded below it. Raises ResultError."""
    if len(runs) == 1:
        return render(*runs[0])
    by_path = {judged.run.path: judged for judged in runs}
    return render_summary(
        [entry_with(*judged) for judged in runs], lambda entry: blocks(*by_path[entry.path])
    )


def render_folder(folder: RunFolder, _: Reader) -> str:
    """The runs of a folder."""
    return render_summary(folder.entries)


def render_summary(
    entries: Sequence[RunEntry], detail: Callable[[RunEntry], tuple[Block, ...]] | None = None
) -> str:
    """The runs in the order given. `detail`: what there is to say about one, folded below the table;
    without it, findings and rules of those that did not plainly pass.
    """
    rows = [_row(entry) for entry in entries[:MOST_ROWS]]
    head = Section("", (_outcome(entries), *table("", COLUMNS, rows)))
    parts = [markdown.render([head])]
    if len(entries) > MOST_ROWS:
        parts.append(f"The {len(entries) - MOST_ROWS} runs before these are left out.\n")
    size, left_out = len("\n".join(parts).encode()), 0
    for entry in entries[:MOST_ROWS]:
        blocks = _details(entry, detail)
        if not blocks:
            continue
        part = markdown.render([Section("", blocks)])
        size += len(part.encode())
        if size > MOST_BYTES:
            left_out += 1
        else:
            parts.append(part)
    if left_out:
        parts.append(
            f"The details of {left_out} more runs are left out: the text would be too long to show.\n"
        )
    return "\n".join(parts)


def _outcome(entries: Sequence[RunEntry]) -> Block:
    """The worst status, and how many runs came out how: "❌ FAIL: 3 runs, 1 FAIL, 2 PASS"."""
    judged = [entry.status for entry in entries if entry.status is not None]
    counts = Counter(judged)
    parts = [f"{counts[status]} {status.name}" for status in sorted(counts, reverse=True)]
    if len(judged) < len(entries):
        parts.append(f"{len(entries) - len(judged)} without a verdict")
    said = f"{counted(len(entries), 'run')}, {', '.join(parts)}"
    return Headline(Badge.of(max(judged)), text=said) if judged else Headline(None, "No verdict", said)


def _row(entry: RunEntry) -> tuple[Cell, ...]:
    """One line in every cell for each workload."""
    said = headline(entry.verdict) if entry.verdict else entry.problem or ""
    figures = [_figures(workload) for workload in entry.workloads] or [["-"] * 7]
    return (
        Badge.of(entry.status) if entry.status is not None else entry.state,
        f"{entry.scenario}{' (quick)' if entry.quick else ''}",
        said,
        *map(Lines, zip(*figures, strict=True)),
        clock_text(entry.utc),
    )


def _figures(workload: WorkloadFigures) -> list[str]:
    times = (workload.p50_ns, workload.p95_ns, workload.p99_ns)
    return [
        workload.name,
        *("-" if time is None else units.format_duration_ns(time) for time in times),
        "-" if workload.done_per_s is None else units.format_rate(workload.done_per_s),
        "-" if workload.errors is None else units.format_ratio(workload.errors),
        "-" if workload.recovery is None else workload.recovery.shown,
    ]


def _details(entry: RunEntry, detail: Callable[[RunEntry], tuple[Block, ...]] | None) -> tuple[Block, ...]:
    """What stands below the table about one run; empty where there is nothing to add."""
    settled = entry.status in (Status.PASS, None)
    name = f"{entry.status.name} {entry.scenario}" if entry.status is not None else entry.scenario
    if detail is not None and entry.verdict is not None:
        return (Folded(name, detail(entry), opened=not settled),)
    if entry.verdict is None or settled:
        return ()
    return (Folded(name, (Line(("Run", Code(entry.run))), *_judgement(entry.verdict)), opened=True),)
