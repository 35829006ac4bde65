"""The report for spreadsheets: one row for each workload, operation and kind of time."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

from bench.core.outcome import OUTCOMES
from bench.report.figures import PERCENTILES, latencies, tallies

if TYPE_CHECKING:
    from bench.judge.verdict import Verdict
    from bench.results.reader import Run

COLUMNS = (
    "run",
    "scenario",
    "status",
    "workload",
    "operation",
    "kind",
    "samples",
    *(f"p{percent:g}_ns" for percent in PERCENTILES),
    "mean_ns",
    "max_ns",
    "planned",
    *(outcome.label for outcome in OUTCOMES),
)


def render(run: Run, verdict: Verdict) -> str:
    """CSV with a header; `operation` is empty in a row for a workload as a whole."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    ends = {(workload, operation): tally for workload, operation, tally in tallies(run)}
    for found in latencies(run):
        tally = ends.get((found.workload, found.operation))
        writer.writerow(
            {
                "run": run.name,
                "scenario": run.scenario,
                "status": verdict.status.name,
                "workload": found.workload,
                "operation": found.operation or "",
                "kind": found.kind,
                "samples": found.samples,
                **{f"p{percent:g}_ns": value for percent, value in found.percentiles_ns.items()},
                "mean_ns": round(found.mean_ns),
                "max_ns": found.max_ns,
                **({"planned": tally.planned, **tally.outcomes} if tally else {}),
            }
        )
    return text.getvalue()
