"""Reports for programs: a run as JSON or CSV, a folder of runs as JSON."""

import csv
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from bench.core.outcome import OUTCOMES
from bench.judge.measures import answers_of
from bench.judge.verdict import Verdict
from bench.report.figures import PERCENTILES, latencies, resources, tallies
from bench.report.formats import JudgedRun, Reader, RunFolder
from bench.results.layout import as_json
from bench.results.reader import Run

if TYPE_CHECKING:
    from bench.report.index.entries import RunEntry


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


def render_runs_json(runs: Sequence[JudgedRun], _: Reader) -> str:
    """One JSON object: the run, or a list of several. Raises ResultError for a damaged run."""
    if len(runs) == 1:
        return render_json(*runs[0])
    return as_json({"format": FORMAT, "runs": [run_data(run, verdict) for run, verdict in runs]})


def render_json(run: Run, verdict: Verdict) -> str:
    """The run as one JSON object; times in ns, missing figures absent rather than zero."""
    return as_json(run_data(run, verdict))


def run_data(run: Run, verdict: Verdict) -> dict[str, Any]:
    """What `render_json` writes."""
    record, answers = run.record, _answers(run)
    return {
        "format": FORMAT,
        "run": run.name,
        "scenario": run.scenario,
        "status": record.status or None,
        "verdict": verdict.to_json(),
        "latency": [
            {
                "workload": latency.workload,
                "operation": latency.operation,
                "kind": latency.kind,
                "samples": latency.samples,
                **{f"p{percent:g}_ns": value for percent, value in latency.percentiles_ns.items()},
                "mean_ns": round(latency.mean_ns),
                "max_ns": latency.max_ns,
            }
            for latency in latencies(run)
        ],
        "arrivals": [
            {"workload": workload, "operation": operation, "planned": tally.planned, **tally.outcomes}
            for workload, operation, tally in tallies(run)
        ],
        **({"answers": answers} if answers else {}),
        "resources": [asdict(use) for use in resources(run)],
        "counters": {workload.name: workload.counters for workload in run.workloads},
        "errors": {workload.name: workload.errors for workload in run.workloads},
        "pool": record.pool,
        "generator": record.generator,
        "anomalies": run.anomalies,
        **{section: getattr(record, section) for section in RECORDED if record.has(section)},
    }


def _answers(run: Run) -> list[dict[str, int | str | None]]:
    """What answers brought, by workload and operation; empty where nothing was counted."""
    scopes = {(workload, operation): None for workload, operation, _ in tallies(run)}
    return [
        {"workload": workload, "operation": operation, **answers.record()}
        for workload, operation in scopes
        if (answers := answers_of(run, (workload, operation) if operation else (workload,)))
    ]


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


def render_runs_csv(runs: Sequence[JudgedRun], _: Reader) -> str:
    """The rows of all runs below one header. Raises ResultError for a damaged run."""
    first, *others = [render_csv(*judged) for judged in runs]
    return first + "".join(text.partition("\n")[2] for text in others)


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


def render_folder_json(folder: RunFolder, _: Reader) -> str:
    """One JSON object with the runs in the order given; times in ns, what is not known null."""
    runs = [
        {
            "run": _clean(entry.run),
            "scenario": entry.scenario,
            "state": entry.state,
            "problem": None if entry.problem is None else _clean(entry.problem),
            "status": None if entry.status is None else entry.status.name,
            "rules": _rules(entry),
            "started_utc": entry.utc or None,
            "duration_ns": entry.duration_ns,
            "measured_ns": entry.measured_ns,
            "quick": entry.quick,
            "form": dict(entry.form),
            "workloads": [asdict(workload) for workload in entry.workloads],
            "files": list(entry.files),
        }
        for entry in folder.entries
    ]
    return as_json({"format": FORMAT, "runs": runs})


def _rules(entry: "RunEntry") -> dict[str, int]:
    """How many rules came to each status."""
    checks = entry.verdict.checks if entry.verdict else ()
    return dict(Counter(check.status.name for check in checks if check.is_rule))


def _clean(text: str) -> str:
    """A folder's name may hold bytes that are no text."""
    return text.encode("utf-8", "replace").decode()
