"""Saved runs as pandas frames, for notebooks.

    frames = bench.load_runs("results")
    frames.checks.query("status == 'FAIL'")
    frames.windows.query("kind == 'response'").plot(x="start_s", y="p99_ns")

Times are in ns in columns that end in `_ns`, seconds since run zero in `start_s` and `end_s`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.core import histogram
from bench.core.clock import NS_PER_S
from bench.judge.faults.times import first_failure_ns
from bench.judge.judge import judge
from bench.judge.observation import tally_of
from bench.judge.verdict import Verdict, saved
from bench.results import layout
from bench.results.reader import Run

if TYPE_CHECKING:
    import pandas as pd


PERCENTILES = (50, 95, 99)


@dataclass(frozen=True)
class RunFrames:
    """Frames that share the column `run`; those about faults are empty for runs without any."""

    runs: pd.DataFrame
    """One row per run: scenario, verdict, start, measured seconds, arrivals by outcome."""
    checks: pd.DataFrame
    """One row per run and check, as in verdict.json."""
    windows: pd.DataFrame
    """One row per run, window and tag: samples and percentiles."""
    series: pd.DataFrame
    """The rows of every series.csv."""
    resources: pd.DataFrame
    """The rows of every resources.csv: one per sample and source."""
    faults: pd.DataFrame
    """One row per run and fault: what was done when, and the proof."""
    detections: pd.DataFrame
    """One row per run, fault and detector; `after_ns` counts from the first failure of any workload."""
    recoveries: pd.DataFrame
    """One row per run, fault and workload: the stamps, and the times between them."""


def load_runs(path: str | Path) -> RunFrames:
    """The run in folder `path`, or every run in the folders right below it, oldest first.

    A run without a verdict is judged by its own rules; nothing is written.
    Raises ResultError for a folder without runs and for a damaged run.
    """
    import pandas as pd

    folder = Path(path)
    folders = layout.run_folders(folder)
    is_one_run = (folder / layout.RECORD).exists() or not folders
    runs = [Run.load(found) for found in ([folder] if is_one_run else folders)]
    verdicts = [saved(run.path) or judge(run) for run in runs]
    judged = list(zip(runs, verdicts, strict=True))
    checks = [(run.name, check) for run, verdict in judged for check in verdict.to_json()["checks"]]
    rows: dict[str, list[dict[str, object]]] = {
        "runs": _runs(judged),
        "checks": [{"run": name, **check} for name, check in checks],
        "windows": _windows(runs),
        "series": [{"run": run.name, **row} for run in runs for row in run.series()],
        "resources": [{"run": run.name, **row} for run in runs for row in run.resources()],
        "faults": [{"run": run.name, **fault.to_json()} for run in runs for fault in run.record.faults],
        "detections": _detections(runs),
        "recoveries": _recoveries(runs),
    }
    return RunFrames(**{name: pd.DataFrame(found) for name, found in rows.items()})


def _runs(judged: Sequence[tuple[Run, Verdict]]) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for run, verdict in judged:
        record, tally = run.record, tally_of(run)
        rows.append(
            {
                "run": run.name,
                "scenario": run.scenario,
                "verdict": verdict.status.name,
                "is_complete": run.is_complete,
                "started_utc": record.started.utc or None,
                "measured_s": run.measured_s,
                "seed": record.plan.seed,
                "quick": record.plan.quick if record.has("plan") else None,
                "planned": tally.planned,
                **tally.outcomes,
            }
        )
    return rows


def _detections(runs: Sequence[Run]) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for run in runs:
        effective = {fault.number: fault.effective_ns for fault in run.record.faults}
        for detection in run.record.detections:
            failure_ns = first_failure_ns(run, detection.fault)
            since_ns = effective.get(detection.fault) if failure_ns is None else failure_ns
            after_ns = None if detection.at_ns is None or since_ns is None else detection.at_ns - since_ns
            rows.append({"run": run.name, **detection.to_json(), "after_ns": after_ns})
    return rows


def _recoveries(runs: Sequence[Run]) -> list[dict[str, object]]:
    """Nested sections as columns such as `baseline_band_ns`; `first_after_ns` and its like count from t1."""
    rows: list[dict[str, object]] = []
    for name, recovery in [(run.name, recovery) for run in runs for recovery in run.record.recoveries]:
        written = recovery.to_json()
        flat = {key: value for key, value in written.items() if not isinstance(value, dict)}
        nested = {key: value for key, value in written.items() if isinstance(value, dict)}
        failure_ns = recovery.first_failure_ns
        stamps = {"first": recovery.first_success_ns, "stable": recovery.stable_ns, "full": recovery.full_ns}
        after = {
            f"{stamp}_after_ns": None if failure_ns is None or at_ns is None else at_ns - failure_ns
            for stamp, at_ns in stamps.items()
        }
        parts = {f"{key}_{part}": value for key, values in nested.items() for part, value in values.items()}
        rows.append({"run": name, **flat, **after, **parts})
    return rows


def _windows(runs: Sequence[Run]) -> list[dict[str, object]]:
    return [
        {
            "run": run.name,
            "start_s": window.start_ns / NS_PER_S,
            "end_s": window.end_ns / NS_PER_S,
            "workload": window.tag.workload,
            "operation": window.tag.operation,
            "kind": window.tag.kind,
            "outcome": window.tag.outcome,
            "measured": window.tag.measured,
            "samples": int(window.counts.sum()),
            **{f"p{percent}_ns": histogram.percentile_ns(window.counts, percent) for percent in PERCENTILES},
            "max_ns": histogram.max_ns(window.counts),
        }
        for run in runs
        for window in run.windows()
    ]
