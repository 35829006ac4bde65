"""The runs in a results folder, whatever state they are in, and what a page over many of them says about
one.

From run.json, verdict.json and series.csv alone: the histograms are not decoded, so a folder of
hundreds of runs is read in seconds.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.core import units
from bench.core.errors import ResultError
from bench.core.units import counted
from bench.judge.faults.times import NOTHING, is_clean
from bench.judge.observation import tally_of
from bench.judge.verdict import Status, Verdict, saved
from bench.results import layout
from bench.results.load_records import ResponseRecord, WorkloadRecord
from bench.results.ownership import Ownership
from bench.results.reader import Run

Form = tuple[tuple[str, str], ...]

NONE, ALONE = "none", "one process"
SHORT = 8
"""Of a digest: enough to distinguish two."""


def form_of(run: Run) -> Form:
    """The things a run must share with another one, each as (name, text).

    Versions of the targets are none of them: how an upgrade shows is what the line is for.
    """
    record = run.record
    plan = record.plan
    machine = record.environment.key
    return (
        ("length", "quick" if plan.quick else "standard"),
        ("scenario text", (record.scenario.digest or "unknown")[:SHORT]),
        ("changed values", ", ".join(plan.overrides) or NONE),
        ("stack", record.stack.kind or "unknown"),
        ("machine", _described(machine)),
        ("load from", _sources(record.workers)),
    )


def differences(form: Form, other: Form) -> list[str]:
    """In which of these things two runs differ; empty when they may be compared."""
    theirs = dict(other)
    return [name for name, text in form if theirs.get(name) != text]


def described(form: Form, names: Sequence[str] | None = None) -> str:
    """As in "length quick, stack embedded"; of `names` only, where given, else what is worth a word."""
    usual = {("changed values", NONE), ("load from", ALONE)}
    wanted = [one for one in form if (one[0] in names if names is not None else one not in usual)]
    return ", ".join(f"{name} {text}" for name, text in wanted)


def _described(machine: Mapping[str, object]) -> str:
    known = {name: value for name, value in machine.items() if value is not None}
    if all(isinstance(value, str | int | float) for value in known.values()):
        return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in known.items()) or "unknown"
    return json.dumps(known, sort_keys=True)


def _sources(workers: Sequence[object]) -> str:
    return counted(len(workers), "worker") if workers else ALONE


NEVER, CUT_SHORT = "never", "cut_short"


@dataclass(frozen=True)
class Recovery:
    """From the first failure to stable, of the slowest fault; `value_ns` None: not known or never."""

    value_ns: int | None
    faults: int
    """How many faults the workload has lived through."""
    never: bool

    @property
    def shown(self) -> str:
        """As in "310 ms", "never", "?" where the watch ended too early, "unaffected"."""
        if self.never:
            return "never"
        if self.value_ns is None:
            return "?"
        return units.format_duration_ns(self.value_ns) if self.value_ns else "unaffected"


def recovery_of(run: Run, workload: str) -> Recovery | None:
    """None for a run without faults, and where no arrival says anything about them."""
    nothing = {fault.number for fault in run.record.faults if fault.kind == NOTHING}
    found = [
        one
        for one in run.record.recoveries
        if one.workload == workload and one.state != "unseen" and one.fault not in nothing
    ]
    if not found:
        return None
    never = any(one.state == NEVER for one in found)
    hit = [(one.first_failure_ns, one.stable_ns) for one in found if one.first_failure_ns is not None]
    times = [stable_ns - failure_ns for failure_ns, stable_ns in hit if stable_ns is not None]
    known = len(times) == len(hit) and all(is_clean(one) for one in found)
    return Recovery(max(times, default=0) if known else None, len(found), never)


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
        """When it began, as in "2026-02-02T02:40:00Z"; from the name where the record does not say."""
        named = layout.named_utc(self.run)
        return self.started_utc or (f"{named:%Y-%m-%dT%H:%M:%SZ}" if named else "")


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
    """An entry for a folder that cannot be read, by its name."""
    partial = layout.PARTIAL_NAME.fullmatch(path.name)
    run = partial["run"] if partial else path.name
    parts = layout.RUN_NAME.fullmatch(run)
    return RunEntry(path, run, parts["scenario"] if parts else "unknown", state, problem, files=_files(path))


def entry_with(run: Run, verdict: Verdict | None, problem: str | None = None) -> RunEntry:
    """A run that could be read, with its verdict and what is wrong with it."""
    record, state = run.record, COMPLETE if run.is_complete else INTERRUPTED
    if run.is_complete and not (run.path / layout.WINDOWS).is_file():
        verdict, state = None, UNREADABLE  # that verdict cannot be made again
        problem = f"{run.path / layout.WINDOWS}: expected the file, found none; the run is damaged"
    return RunEntry(
        path=run.path,
        run=run.name,
        scenario=run.scenario,
        state=state,
        problem=problem,
        verdict=verdict,
        started_utc=record.started.utc or None,
        duration_ns=record.duration_ns if record.has("duration_ns") else None,
        measured_ns=record.measured_ns if record.has("measured_ns") else None,
        quick=record.plan.quick,
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


def _workload(run: Run, entry: WorkloadRecord, verdict: Verdict | None) -> list[WorkloadFigures]:
    name = entry.name
    tally = tally_of(run, (name,))
    whole = WorkloadFigures(
        name,
        *_percentiles(run, name, None, verdict),
        done_per_s=_throughput(run, name, verdict),
        errors=(tally.planned - tally.ok) / tally.planned if tally.planned else None,
        recovery=recovery_of(run, name),
    )
    found = [whole]
    for _, operation in run.received(name):
        delivered = _percentiles(run, name, operation, verdict)
        if any(delivered):
            found.append(WorkloadFigures(f"{name}, end to end", *delivered, None, None, None))
    return found


def _percentiles(
    run: Run, workload: str, operation: str | None, verdict: Verdict | None
) -> tuple[int | None, int | None, int | None]:
    """P50, P95 and P99 of the run: of run.json, else those that its rules asked for."""
    row = _response(run, workload, operation)
    if row is not None:
        return row.p50_ns, row.p95_ns, row.p99_ns
    metric = f"{workload}.{'end_to_end' if operation else 'response'}"
    p50, p95, p99 = (_observed(verdict, f"{metric}.{stat}") for stat in ("p50", "p95", "p99"))
    return _whole_ns(p50), _whole_ns(p95), _whole_ns(p99)


def _throughput(run: Run, workload: str, verdict: Verdict | None) -> float | None:
    row = _response(run, workload, None)
    if not run.is_complete or not run.measured_s:
        return None  # of a run cut short the measured time is that of the plan
    if row is not None and row.done is not None:
        return row.done / run.measured_s
    return _observed(verdict, f"{workload}.throughput")


def _response(run: Run, workload: str, operation: str | None) -> ResponseRecord | None:
    """The row of the section `response` in run.json; None in a run of an older version, or cut short."""
    rows = run.record.response
    return next((row for row in rows if (row.workload, row.operation) == (workload, operation)), None)


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


def is_folder_of_runs(path: Path) -> bool:
    """Whether `path` is a folder above runs, and not a run itself."""
    return path.is_dir() and not (path / layout.RECORD).exists() and not layout.RUN_NAME.fullmatch(path.name)


def entries_in(results: Path) -> list[RunEntry]:
    """Every run in the folders right below `results`, newest first. Raises ResultError for none at all."""
    if not results.is_dir():
        raise ResultError(
            f"{results}: expected a folder of runs, found nothing there; name the --out of bench run"
        )
    try:
        folders = sorted(path for path in results.iterdir() if path.is_dir())
    except OSError as error:
        raise ResultError(f"{results}: expected a folder that can be read: {error.strerror}") from error
    entries = [entry for folder in folders if (entry := _looked_into(folder)) is not None]
    if not entries:
        raise ResultError(
            f"{results}: expected runs in it, found none; bench run puts them there, "
            "or name a run's own folder"
        )
    return sorted(entries, key=lambda entry: (entry.utc, entry.run), reverse=True)


def _looked_into(folder: Path) -> RunEntry | None:
    try:
        return _entry(folder)
    except OSError as error:
        return broken(folder, UNREADABLE, f"{folder}: expected a run that can be read: {error.strerror}")


def _entry(folder: Path) -> RunEntry | None:
    """The run in a folder; None for a folder that is no run."""
    if layout.PARTIAL_NAME.fullmatch(folder.name):
        return _partial(folder)
    if folder.name.startswith("."):
        return None
    if (folder / layout.RECORD).exists():
        return entry_of(folder)
    if layout.RUN_NAME.fullmatch(folder.name):
        return broken(folder, UNREADABLE, f"{folder}: expected {layout.RECORD} in it, found none")
    return None


def _partial(folder: Path) -> RunEntry | None:
    """A run that goes on, or one whose harness was killed. Nothing in it is changed."""
    try:
        owner = Ownership.inherit(folder)
    except OSError as error:
        return broken(folder, UNDER_WAY, f"whether it is still running is unknown: {error.strerror}")
    if not folder.exists():
        return None  # it has ended while we looked, and has its own name now
    if owner is None:
        return broken(folder, UNDER_WAY, "the run goes on; its figures come when it has ended")
    owner.release()
    return broken(
        folder, INTERRUPTED, "its harness was killed; the next bench run here keeps what there is of it"
    )
