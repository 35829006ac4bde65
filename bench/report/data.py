"""Reports for programs: a run as JSON or CSV, a folder of runs as JSON."""

from __future__ import annotations

import csv
import io
from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from bench.core.outcome import OUTCOMES
from bench.judge.measures import answers_of
from bench.report.figures import PERCENTILES, Latency, latencies, resources, tallies
from bench.results.layout import as_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.judge.verdict import Verdict
    from bench.report.index.entries import RunEntry
    from bench.results.reader import Run


FORMAT = 1
RECORDED = (
    "started",
    "duration_ns",
    "measured_ns",
    "plan",
    "stack",
    "versions",
    "environment",
    "calibration",
    "faults",
    "detections",
    "false_alarms",
    "recoveries",
    "outages",
    "integrity",
    "breaker_open_ns",
)
"""Sections of run.json that are passed on as they are."""


def render_json(run: Run, verdict: Verdict) -> str:
    """The run as one JSON object; times in ns, missing figures absent rather than zero."""
    return as_json(
        {
            "format": FORMAT,
            "run": run.name,
            "scenario": run.scenario,
            "status": run.record.get("status"),
            "verdict": verdict.to_json(),
            "latency": [_latency(found) for found in latencies(run)],
            "arrivals": [
                {"workload": workload, "operation": operation, "planned": tally.planned, **tally.outcomes}
                for workload, operation, tally in tallies(run)
            ],
            **_answers(run),
            "resources": [asdict(use) for use in resources(run)],
            "counters": {entry["name"]: entry.get("counters", {}) for entry in run.workloads},
            "errors": {entry["name"]: entry.get("errors", []) for entry in run.workloads},
            "pool": run.record.get("pool", {}),
            "generator": run.record.get("generator", {}),
            "anomalies": run.anomalies,
            **{section: run.record[section] for section in RECORDED if section in run.record},
        }
    )


def _answers(run: Run) -> dict[str, Any]:
    """What answers brought, by workload and operation; absent where nothing was counted."""
    scopes = {(workload, operation): None for workload, operation, _ in tallies(run)}
    found = [
        {"workload": workload, "operation": operation, **answers.record()}
        for workload, operation in scopes
        if (answers := answers_of(run, (workload, operation) if operation else (workload,)))
    ]
    return {"answers": found} if found else {}


def _latency(found: Latency) -> dict[str, Any]:
    return {
        "workload": found.workload,
        "operation": found.operation,
        "kind": found.kind,
        "samples": found.samples,
        **{f"p{percent:g}_ns": value for percent, value in found.percentiles_ns.items()},
        "mean_ns": round(found.mean_ns),
        "max_ns": found.max_ns,
    }


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


def render_csv(run: Run, verdict: Verdict) -> str:
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


def render_folder_json(entries: Sequence[RunEntry]) -> str:
    """One JSON object with the runs in the order given; times in ns, what is not known null."""
    return as_json({"format": FORMAT, "runs": [_run(entry) for entry in entries]})


def _run(entry: RunEntry) -> dict[str, Any]:
    checks = entry.verdict.checks if entry.verdict else ()
    return {
        "run": _clean(entry.run),
        "scenario": entry.scenario,
        "state": entry.state,
        "problem": None if entry.problem is None else _clean(entry.problem),
        "status": None if entry.status is None else entry.status.name,
        "rules": dict(Counter(check.status.name for check in checks if check.is_rule)),
        "started_utc": entry.utc or None,
        "duration_ns": entry.duration_ns,
        "measured_ns": entry.measured_ns,
        "quick": entry.quick,
        "form": dict(entry.form),
        "workloads": [asdict(workload) for workload in entry.workloads],
        "files": list(entry.files),
    }


def _clean(text: str) -> str:
    """A folder's name may hold bytes that are no text."""
    return text.encode("utf-8", "replace").decode()
