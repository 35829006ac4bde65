"""What a page over many runs says about one of them: from run.json, verdict.json and series.csv alone.

The histograms are not decoded: a folder of hundreds of runs is read in seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.core.errors import ResultError
from bench.judge.outcome_counts import tally_of
from bench.judge.verdict import saved
from bench.report.index.comparable import form_of
from bench.report.index.recovery import Recovery, recovery_of
from bench.results import layout
from bench.results.reader import DELIVERY, Run

if TYPE_CHECKING:
    from pathlib import Path

    from bench.judge.status import Status
    from bench.judge.verdict import Verdict

COMPLETE, INTERRUPTED, UNDER_WAY, UNREADABLE = "complete", "interrupted", "under way", "unreadable"
LINKED = (layout.REPORT, layout.VERDICT, layout.WINDOWS)


@dataclass(frozen=True)
class WorkloadFigures:
    """One workload in the measured time; None for what is not known without decoding histograms."""

    name: str
    p50_ns: int | None
    p95_ns: int | None
    p99_ns: int | None
    done_per_s: float | None
    """Answered OK per second; None for deliveries, which are no arrivals."""
    errors: float | None
    """The share of planned arrivals that did not end OK."""
    recovery: Recovery | None


@dataclass(frozen=True)
class RunEntry:
    """One folder, as far as it could be read. `problem` says what is wrong with it, or is None."""

    path: Path
    run: str
    scenario: str
    state: str
    """complete, interrupted, under way or unreadable."""
    problem: str | None = None
    verdict: Verdict | None = None
    started_utc: str | None = None
    duration_ns: int | None = None
    measured_ns: int | None = None
    quick: bool = False
    form: tuple[tuple[str, str], ...] = ()
    """What two runs must share to be compared, as (name, text)."""
    workloads: tuple[WorkloadFigures, ...] = ()
    files: tuple[str, ...] = ()
    """Which of report.html, verdict.json and windows.hlog are there."""

    @property
    def status(self) -> Status | None:
        """That of the verdict, None without one."""
        return self.verdict.status if self.verdict else None

    @property
    def utc(self) -> str:
        """When it began, as in "2026-02-02T02:40:00Z"; from the name where the record does not tell."""
        return self.started_utc or _utc_in(self.run) or ""


def entry_of(path: Path) -> RunEntry:
    """The run in folder `path`. Never raises for what is in the folder: that becomes the entry's problem."""
    try:
        run = Run.load(path)
        return entry_with(run, *_verdict(run))
    except ResultError as error:
        return broken(path, UNREADABLE, str(error))
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        # Sections that only people read are not checked when a run is loaded.
        text = (
            f"{path / layout.RECORD}: expected the sections of a run, found {type(error).__name__}: {error}"
        )
        return broken(path, UNREADABLE, text)


def broken(path: Path, state: str, problem: str) -> RunEntry:
    """An entry for a folder that cannot be read, by what its name tells."""
    partial = layout.PARTIAL_NAME.fullmatch(path.name)
    run = partial["run"] if partial else path.name
    parts = layout.RUN_NAME.fullmatch(run)
    return RunEntry(path, run, parts["scenario"] if parts else "unknown", state, problem, files=_files(path))


def entry_with(run: Run, verdict: Verdict | None, problem: str | None = None) -> RunEntry:
    """A run that could be read, with its verdict and what is wrong with it."""
    record, state = run.record, COMPLETE if run.is_complete else INTERRUPTED
    if run.is_complete and not (run.path / layout.WINDOWS).is_file():
        verdict, state = None, UNREADABLE  # nobody could make that verdict again
        problem = f"{run.path / layout.WINDOWS}: expected the file, found none; the run is damaged"
    duration_ns = record.get("duration_ns")
    return RunEntry(
        path=run.path,
        run=run.name,
        scenario=run.scenario,
        state=state,
        problem=problem,
        verdict=verdict,
        started_utc=_text(record.get("started", {}).get("utc")),
        duration_ns=duration_ns if isinstance(duration_ns, int) else None,
        measured_ns=record.get("measured_ns"),
        quick=bool(record.get("plan", {}).get("quick")),
        form=form_of(run),
        workloads=tuple(row for entry in run.workloads for row in _workload(run, entry, verdict)),
        files=_files(run.path),
    )


def _verdict(run: Run) -> tuple[Verdict | None, str | None]:
    """The saved verdict, or what is wrong with it."""
    try:
        verdict = saved(run.path)
    except ResultError as error:
        return None, str(error)
    if verdict is not None:
        return verdict, None
    ended = "not judged yet" if run.is_complete else "interrupted before its end, and not judged"
    return None, f"{ended}; bench judge does it"


def _workload(run: Run, entry: dict[str, Any], verdict: Verdict | None) -> list[WorkloadFigures]:
    name = entry["name"]
    tally = tally_of(run, (name,))
    whole = WorkloadFigures(
        name,
        *_percentiles(run, name, None, verdict),
        done_per_s=_throughput(run, name, verdict),
        errors=(tally.planned - tally.ok) / tally.planned if tally.planned else None,
        recovery=recovery_of(run, name),
    )
    if entry.get("driver") != "redis_pubsub":
        return [whole]
    delivered = _percentiles(run, name, DELIVERY, verdict)
    if not any(delivered):
        return [whole]
    return [whole, WorkloadFigures(f"{name}, end to end", *delivered, None, None, None)]


def _percentiles(
    run: Run, workload: str, operation: str | None, verdict: Verdict | None
) -> tuple[int | None, int | None, int | None]:
    """P50, P95 and P99 of the run: of run.json, else those that its rules asked for."""
    row = _response(run, workload, operation)
    if row is not None:
        return int(row["p50_ns"]), int(row["p95_ns"]), int(row["p99_ns"])
    metric = f"{workload}.{'end_to_end' if operation else 'response'}"
    p50, p95, p99 = (_observed(verdict, f"{metric}.{stat}") for stat in ("p50", "p95", "p99"))
    return _whole_ns(p50), _whole_ns(p95), _whole_ns(p99)


def _throughput(run: Run, workload: str, verdict: Verdict | None) -> float | None:
    row = _response(run, workload, None)
    if not run.is_complete or not run.measured_s:
        return None  # of a run cut short the measured time is that of the plan
    if row is not None and row.get("done") is not None:
        return int(row["done"]) / run.measured_s
    return _observed(verdict, f"{workload}.throughput")


def _response(run: Run, workload: str, operation: str | None) -> dict[str, Any] | None:
    """The row of the section `response` in run.json; None in a run of an older version, or cut short."""
    for row in run.record.get("response", []):
        if row["workload"] == workload and row.get("operation") == operation:
            assert isinstance(row, dict)
            return row
    return None


def _observed(verdict: Verdict | None, metric: str) -> float | None:
    checks = verdict.checks if verdict else ()
    return next((check.observed for check in checks if check.metric == metric), None)


def _whole_ns(value: float | None) -> int | None:
    return None if value is None else round(value)


def _files(path: Path) -> tuple[str, ...]:
    try:
        return tuple(name for name in LINKED if (path / name).is_file())
    except OSError:
        return ()  # a folder that may not be looked into


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _utc_in(run: str) -> str | None:
    parts = layout.RUN_NAME.fullmatch(run)
    if parts is None:
        return None
    u = parts["utc"]
    return f"{u[:4]}-{u[4:6]}-{u[6:8]}T{u[9:11]}:{u[11:13]}:{u[13:15]}Z"
