"""A folder of runs for programs."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from bench.results.files import as_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.report.index.entry import RunEntry

FORMAT = 1


def render(entries: Sequence[RunEntry]) -> str:
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
