"""Many runs in one Markdown text: a table of all, then what was wrong with those that did not pass."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from bench.core import units
from bench.judge.status import Status
from bench.report.markdown import findings, paragraphs, rules
from bench.report.markdown_form import code, folded, mark, table, text
from bench.report.text import headline
from bench.report.timestamps import clock_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bench.report.index.entry import RunEntry, WorkloadFigures

MOST_BYTES = 900_000
"""GitHub refuses a step summary of more than 1 MiB altogether."""
MOST_ROWS = 400

NUMBERS = (">P50", ">P95", ">P99", ">Done", ">Errors", ">Recovery")
COLUMNS = ("Status", "Scenario", "Rules", "Workload", *NUMBERS, "When")


def render(
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
