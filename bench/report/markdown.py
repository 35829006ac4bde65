"""The report for a pull request or a step summary: the verdict, the rules, the figures that matter.

GitHub's flavour. What is more than a reader wants at once stands below, folded: the whole text report.
Many runs are a table of all, then what was wrong with those that did not pass.
"""

from __future__ import annotations

from collections import Counter
from itertools import groupby
from typing import TYPE_CHECKING

from bench.core import units
from bench.core.clock import NS_PER_S
from bench.judge.measures import answers_of
from bench.judge.outcome_counts import spaced
from bench.judge.verdict import Status
from bench.report import context
from bench.report import text as text_report
from bench.report.columns import clock_text
from bench.report.context import command_again, lookups_text
from bench.report.faults import detection as fault_detection
from bench.report.faults import recovery as faults
from bench.report.faults.detection import entries, label, not_shown, shown
from bench.report.figures import Latency, latencies, tallies
from bench.report.markdown_form import block, code, folded, mark, table, text
from bench.report.text import headline, headroom_text
from bench.scenario.rules.grammar import RuleText

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bench.judge.verdict import Check, Verdict
    from bench.report.index.entries import RunEntry, WorkloadFigures
    from bench.results.reader import Run


KINDS = ("response", "service", "pool_wait")
QUICK = "Quick run with shortened phases: good to see that it works, not to decide by."


def render(run: Run, verdict: Verdict, level: int = 2) -> str:
    """One run; `level` is that of its heading. Raises ResultError for a damaged run."""
    said = f"{text(run.scenario)}: {text(text_report.headline(verdict))}"
    purpose = str(run.record.get("scenario", {}).get("purpose", ""))
    parts = [
        [f"{'#' * level} {mark(verdict.status)} {said}"],
        [text(purpose)] if purpose else [],
        [f"> {QUICK}"] if run.record.get("plan", {}).get("quick") else [],
        findings(verdict),
        rules(verdict),
        _latency(run),
        _losses(run),
        _recovery(run),
        _outages(run),
        _surroundings(run),
        folded("The whole report", block(text_report.render(run, verdict))),
    ]
    return paragraphs(parts)


def paragraphs(parts: list[list[str]]) -> str:
    """Parts with an empty line between them, and a line end."""
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


def findings(verdict: Verdict) -> list[str]:
    """What is wrong with the run as a whole, whatever its rules say; empty for a sound run."""
    found = [check for check in verdict.checks if not check.is_rule and check.status is not Status.PASS]
    return [f"- **{mark(check.status)}** {_subject(check)}: {_why(check)}" for check in found]


def rules(verdict: Verdict) -> list[str]:
    """Each rule with what was observed, its limit, what is left of it, and why; empty without rules."""
    judged = [check for check in verdict.checks if check.is_rule]
    if not judged:
        return []
    return table(("Status", "Rule", ">Observed", ">Limit", ">Headroom", "Why"), map(_rule, judged))


def _rule(check: Check) -> list[str]:
    written = RuleText.of(check.rule)
    observed = "-" if check.observed is None else units.format_quantity(check.observed, check.unit or "count")
    limit = f"{written.op} {written.limit}".strip()
    if written.warn:
        limit += f" (warn {written.warn})"
    cells = [text(cell) for cell in (observed, limit, headroom_text(check, written.op))]
    return [mark(check.status), code(written.metric), *cells, _why(check)]


def _subject(check: Check) -> str:
    return text(check.metric.removeprefix("validity.").replace("_", " "))


def _why(check: Check) -> str:
    advice = f" → {text(check.advice)}" if check.advice else ""
    return text(check.because) + advice


def _latency(run: Run) -> list[str]:
    """Workloads as a whole, or their one operation; the operations by themselves are in the text report."""
    lines = []
    for (workload, operation), kinds in groupby(
        [found for found in latencies(run) if found.kind in KINDS],
        key=lambda found: (found.workload, found.operation),
    ):
        arriving = [name for name in _operations(run, workload) if run.arrives(workload, name)]
        if operation is not None and operation in arriving and len(arriving) > 1:
            continue
        for found in kinds:
            end_to_end = operation is not None and operation not in arriving
            name = "end to end" if end_to_end else found.kind.replace("_", " ")
            lines.append([text(workload), name, *_times(found)])
    heads = ("Workload", "Time", ">P50", ">P95", ">P99", ">P99.9", ">max", ">samples")
    return table(heads, lines) if lines else []


def _operations(run: Run, workload: str) -> list[str]:
    """Those that have measured response times, each once."""
    measured = [tag for tag in run.tags() if tag.measured and tag.kind == "response"]
    return list(dict.fromkeys(tag.operation for tag in measured if tag.workload == workload))


def _times(found: Latency) -> list[str]:
    times = [units.format_duration_ns(found.percentiles_ns[percent]) for percent in (50, 95, 99, 99.9)]
    return [*times, units.format_duration_ns(found.max_ns), spaced(found.samples)]


def _losses(run: Run) -> list[str]:
    """How many arrivals did not end well, by workload; one line each."""
    lines = []
    for workload, operation, tally in tallies(run):
        alone = sum(1 for name, _, _ in tallies(run) if name == workload) == 1
        if (operation is None or alone) and run.arrives(workload, operation or ""):
            ends = tally.lost or "none lost"
            answered = answers_of(run, (workload,))
            listed = [f"{spaced(count)} answered {status}" for status, count in answered.statuses.items()]
            listed += [lookups_text(answered, _driver(run, workload))] if answered.lookups else []
            brought = f"; {', '.join(listed)}" if listed else ""
            lines.append(f"- {text(workload)}: {spaced(tally.planned)} arrivals planned, {ends}{brought}")
    return lines


def _driver(run: Run, workload: str) -> str:
    return next((str(entry.get("driver")) for entry in run.workloads if entry["name"] == workload), "")


def _recovery(run: Run) -> list[str]:
    """Each fault and what followed it; nothing for a run without faults."""
    if not run.record.get("faults"):
        return []
    detectors = fault_detection.detectors(run)
    rows = []
    for fault in shown(run):
        detected = [text(cell) for cell in fault_detection.detection_cells(run, fault)]
        for entry in entries(run, fault):
            cells = [text(cell) for cell in faults.recovery_cells(entry)]
            rows.append([text(label(fault)), text(entry["workload"]), *cells, *detected])
    for title, hit in faults.repeated(run):
        for name, percent in (("median", 50), ("longest", 100)):
            cells = [text(cell) for cell in faults.statistic(hit, percent)]
            rows.append([text(f"{title}, {name}"), "", *cells, *[""] * len(detectors)])
    heads = [">to failure", ">first OK", ">stable", ">full", ">lost"]
    heads += [f">{text(name.replace('_', ' '))}" for name in detectors]
    lines = table(("Fault", "Workload", *heads), rows) if rows else []
    return [*lines, *([""] if rows else []), *(f"- {text(line)}" for line in _notes(run))]


def _outages(run: Run) -> list[str]:
    """Stretches without any success, and whose they were; nothing where there was none."""
    found = context.outages_of(run)
    if not found:
        return []
    rows = [
        [text(one["workload"]), *map(text, context.outage_cells(one)), text(context.outage_cause(run, one))]
        for one in found[: context.SHOWN_OUTAGES]
    ]
    heads = ("Without success", *(f">{name}" for name in context.OUTAGE_HEADS), "Whose")
    return [*table(heads, rows), "", f"- {text(context.outage_note(run))}"]


def _notes(run: Run) -> list[str]:
    left_out = " ".join(not_shown(run))
    counted = f"times count from the first failure; {fault_detection.false_alarms(run)}"
    return [left_out, counted] if left_out else [counted]


def _surroundings(run: Run) -> list[str]:
    """When and on what, in one line; how to do it again, in another."""
    record = run.record
    machine = record.get("environment", {}).get("key", {})
    known = [
        clock_text(str(record.get("started", {}).get("utc", ""))),
        f"{units.format_duration_ns(run.measured_s * NS_PER_S)} measured",
        f"stack {record['stack'].get('kind', 'unknown')}" if record.get("stack") else "",
        f"{machine['cores']} cores" if machine.get("cores") else "",
        str(machine.get("cpu") or ""),
        f"seed {record['plan']['seed']}" if "seed" in record.get("plan", {}) else "",
    ]
    lines = [text(", ".join(part for part in known if part)) + f", run {code(run.name)}"]
    if record.get("scenario", {}).get("path"):
        lines += ["", f"Again: {code(command_again(record))}"]
    return lines


MOST_BYTES = 900_000
"""GitHub refuses a step summary of more than 1 MiB altogether."""
MOST_ROWS = 400

NUMBERS = (">P50", ">P95", ">P99", ">Done", ">Errors", ">Recovery")
COLUMNS = ("Status", "Scenario", "Rules", "Workload", *NUMBERS, "When")


def render_summary(
    entries: Sequence[RunEntry],
    detail: Callable[[RunEntry], str] | None = None,
) -> str:
    """The runs in the order given. `detail`: Markdown about one, folded below the table; without it, findings
    and rules of those that did not plainly pass.
    """
    parts = [
        [f"## {headline_of(entries)}"],
        table(COLUMNS, map(_row, entries[:MOST_ROWS])),
    ]
    if len(entries) > MOST_ROWS:
        parts.append([f"The {len(entries) - MOST_ROWS} runs before these are left out."])
    size, left_out = len(paragraphs(parts).encode()), 0
    for entry in entries[:MOST_ROWS]:
        found = _told(entry, detail)
        size += sum(len(line.encode()) + 1 for line in found)
        if found and size > MOST_BYTES:
            left_out += 1
        else:
            parts.append(found)
    if left_out:
        parts.append(
            [f"The details of {left_out} more runs are left out: the text would be too long to show."]
        )
    return paragraphs(parts)


def headline_of(entries: Sequence[RunEntry]) -> str:
    """The worst status, and how many runs came out how: "❌ FAIL: 3 runs, 1 FAIL, 2 PASS"."""
    judged = [entry.status for entry in entries if entry.status is not None]
    counts = Counter(judged)
    parts = [f"{counts[status]} {status.name}" for status in sorted(counts, reverse=True)]
    if len(judged) < len(entries):
        parts.append(f"{len(entries) - len(judged)} without a verdict")
    shown = mark(max(judged)) if judged else "No verdict"
    return f"{shown}: {len(entries)} run{'' if len(entries) == 1 else 's'}, {', '.join(parts)}"


def _row(entry: RunEntry) -> list[str]:
    status = mark(entry.status) if entry.status is not None else text(entry.state)
    said = text(headline(entry.verdict)) if entry.verdict else text(entry.problem or "")
    figures = [_figures(workload) for workload in entry.workloads] or [["-"] * (1 + len(NUMBERS))]
    # One line of the row for each workload, across all its cells.
    cells = ["<br>".join(column) for column in zip(*figures, strict=True)]
    return [
        status,
        f"{text(entry.scenario)}{' (quick)' if entry.quick else ''}",
        said,
        *cells,
        text(clock_text(entry.utc)),
    ]


def _figures(workload: WorkloadFigures) -> list[str]:
    times = (workload.p50_ns, workload.p95_ns, workload.p99_ns)
    return [
        text(workload.name),
        *("-" if time is None else units.format_duration_ns(time) for time in times),
        "-" if workload.done_per_s is None else units.format_rate(workload.done_per_s),
        "-" if workload.errors is None else units.format_ratio(workload.errors),
        "-" if workload.recovery is None else workload.recovery.shown,
    ]


def _told(entry: RunEntry, detail: Callable[[RunEntry], str] | None) -> list[str]:
    """What stands below the table about one run; empty where there is nothing to add."""
    settled = entry.status in (Status.PASS, None)
    name = f"{entry.status.name} {entry.scenario}" if entry.status is not None else entry.scenario
    if detail is not None and entry.verdict is not None:
        return folded(name, detail(entry).rstrip("\n").split("\n"), opened=not settled)
    if entry.verdict is None or settled:
        return []
    parts = [[f"Run {code(entry.run)}"], findings(entry.verdict), rules(entry.verdict)]
    return folded(name, paragraphs(parts).rstrip("\n").split("\n"), opened=True)
