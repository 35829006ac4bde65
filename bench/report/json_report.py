"""The report for programs: the verdict, the figures and what the run says about itself."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from bench.judge.answer_measures import answers_of
from bench.report.figures import Latency, latencies, tallies
from bench.report.resources import resources
from bench.results.files import as_json

if TYPE_CHECKING:
    from bench.judge.verdict import Verdict
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


def render(run: Run, verdict: Verdict) -> str:
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
