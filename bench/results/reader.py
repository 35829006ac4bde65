"""Reads one run folder. What is damaged, missing or newer is said with its file and line."""

import csv
import json
from collections import Counter
from collections.abc import Collection, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from bench.core import histogram
from bench.core.clock import NS_PER_S
from bench.core.errors import ResultError
from bench.core.histogram import Counts
from bench.core.sanitize import all_visible
from bench.registry import received_by
from bench.results import layout
from bench.results.load_records import PhaseRecord, WorkloadRecord
from bench.results.logs import OPERATION, ActivityRecord, Tag, Window, WindowSamples, window_of
from bench.results.run_record import Anomaly, RunRecord

KEPT = "response"
"""The kind of histogram that nearly every rule and report asks for: its windows are kept once read."""


class Run:
    """One run as it lies on disk. `record` is run.json; histograms are read when first asked for."""

    def __init__(self, path: Path, record: RunRecord) -> None:
        self.path = path
        self.record = record
        self._samples: dict[str, WindowSamples] = {}

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """The run in folder `path`. Raises ResultError with what is wrong and where."""
        folder = Path(path)
        if folder.name == layout.RECORD:
            folder = folder.parent
        file = folder / layout.RECORD
        if not file.is_file():
            raise ResultError(_no_run_at(folder))
        try:
            return cls(folder, RunRecord.read(layout.read_json(file)))
        except (OSError, ValueError) as error:
            raise ResultError(f"{file}: this run cannot be read: {error}") from error

    def of_phases(self, phases: list[PhaseRecord]) -> Self:
        """The same run as if it had these phases alone; what it used is read once for all such parts.

        Raises ResultError.
        """
        part = type(self)(self.path, self.record.model_copy(update={"phases": phases}))
        part.__dict__["_resources"] = self._resources
        return part

    @property
    def name(self) -> str:
        """The run's name: that of its folder when it was written."""
        return self.record.run or self.path.name

    @property
    def scenario(self) -> str:
        """The scenario's name."""
        return self.record.scenario.name

    @property
    def is_complete(self) -> bool:
        """False for a run that was interrupted."""
        return self.record.is_complete

    @property
    def rules(self) -> list[str]:
        """The SLA rules in force when the run was made, as text."""
        return self.record.sla

    @property
    def workloads(self) -> list[WorkloadRecord]:
        """The workloads' entries in run.json."""
        return self.record.workloads

    @property
    def anomalies(self) -> list[Anomaly]:
        """What the session found odd: code, severity, message."""
        return self.record.anomalies

    @property
    def measured_s(self) -> float:
        """Seconds of measured phases."""
        return self.record.measured_ns / NS_PER_S

    @property
    def measured_spans(self) -> list[tuple[int, int]]:
        """Begin and end of each measured phase, in ns from run zero."""
        return [(phase.start_ns, phase.end_ns) for phase in self.record.phases if phase.measured]

    def measured_phase_of(self, window: Window) -> int | None:
        """Which of the measured phases has the middle of a window; None for warm-up and drain."""
        middle_ns = (window.start_ns + window.end_ns) / 2
        spans = enumerate(self.measured_spans)
        return next((number for number, (start, end) in spans if start <= middle_ns < end), None)

    def workloads_of(self, name: str | None) -> list[WorkloadRecord]:
        """The workload of this name; all of them for None."""
        return [entry for entry in self.workloads if name in (None, entry.name)]

    def is_of(self, tag: Tag, workload: str | None, operation: str | None) -> bool:
        """Whether a tag is of a workload (None: any) and an operation (None: any that is an arrival)."""
        if workload not in (None, tag.workload):
            return False
        return tag.operation == operation if operation else self.arrives(tag.workload, tag.operation)

    def arrives(self, workload: str, operation: str) -> bool:
        """Whether the plan makes arrivals of this operation; a pub/sub delivery is not one."""
        record = self._workloads.get(workload)
        return record is None or record.is_planned(operation)

    def received(self, workload: str | None = None) -> list[tuple[str, str]]:
        """The workloads, or this one, that receive without asking, and the operation counting it."""
        return [
            (name, operation)
            for name, record in self._workloads.items()
            if workload in (None, name) and (operation := received_by(record.driver)) is not None
        ]

    def histogram(
        self,
        kind: str,
        workload: str | None = None,
        operation: str | None = None,
        outcomes: Collection[str] | None = None,
    ) -> Counts:
        """The measured samples of `kind` as one array of counts; empty when there are none.

        Without an operation it sums those that are arrivals; without a workload, all of them.
        """
        total = histogram.empty()
        for tag, counts in self._sums.items():
            if (
                tag.measured
                and tag.kind == kind
                and self.is_of(tag, workload, operation)
                and (outcomes is None or tag.outcome in outcomes)
            ):
                total += counts
        return total

    def tags(self) -> list[Tag]:
        """Every tag in the log, sorted."""
        return sorted(self._sums)

    def windows(self, kind: str | None = None, measured: bool | None = None) -> Iterator[Window]:
        """Every histogram of the log in the order of writing, one at a time. Raises ResultError."""
        found = self._samples[kind] if kind in self._samples else self._read_windows(kind)
        return (window for window in found if measured in (None, window.tag.measured))

    def samples(self, kind: str) -> WindowSamples:
        """The same of one kind, decoded once for all who ask. Raises ResultError."""
        if kind == KEPT:
            _ = self._sums  # reads everything, and keeps these
        if kind not in self._samples:
            self._samples[kind] = WindowSamples(self._read_windows(kind))
        return self._samples[kind]

    def _read_windows(self, kind: str | None = None) -> Iterator[Window]:
        file = self.path / layout.WINDOWS
        for number, line, is_cut in self._lines(file):
            if kind is not None and line.startswith("Tag=") and f"/{kind}/" not in line.partition(",")[0]:
                continue  # decoding costs most, and this one is not wanted
            try:
                window = window_of(line)
            except ValueError as error:
                if is_cut:
                    return
                raise ResultError(f"{file}:{number}: {error}; the run is damaged") from error
            if window is not None and kind in (None, window.tag.kind):
                yield window

    def series(self) -> list[dict[str, float | str | None]]:
        """The rows of series.csv: numbers as float, empty cells as None. Raises ResultError."""
        rows = self._table(layout.SERIES)
        ends = [end for row in rows if isinstance(end := row.get("end_ns"), float)]
        self._expect_up_to_the_end(layout.SERIES, rows, max(ends, default=None))
        return rows

    def resources(self) -> list[dict[str, float | str | None]]:
        """The rows of resources.csv, one per sample and source; none in a run that has no such file.

        Raises ResultError.
        """
        return self._resources

    def prometheus(self, name: str) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """What a query of the user's Prometheus said: ns from run zero, and values. Raises ResultError."""
        if not (self.path / layout.PROMETHEUS).exists():
            return np.zeros(0, dtype=np.int64), np.zeros(0)
        mine = [row for row in self._table(layout.PROMETHEUS) if row.get("name") == name]
        at_ns = np.array([row.get("at_ns") or 0.0 for row in mine], dtype=np.float64).astype(np.int64)
        return at_ns, np.array([row.get("value") for row in mine], dtype=np.float64)

    @cached_property
    def _resources(self) -> list[dict[str, float | str | None]]:
        file = self.path / layout.RESOURCES
        rows = self._table(layout.RESOURCES) if file.exists() else []
        wanted = self.record.resources.samples
        sources = Counter(row.get("source") for row in rows)
        if self.is_complete and wanted > max(sources.values(), default=0):
            found = max(sources.values(), default=0)
            raise ResultError(
                f"{file}: expected {wanted} samples, as run.json says, found {found}; the run is damaged"
            )
        return rows

    def _expect_up_to_the_end(self, name: str, rows: list[Any], last_ns: float | None) -> None:
        """A table that was cut between two lines reads well and would show less. Raises ResultError."""
        if not self.is_complete or self.record.totals is None or not self.record.totals.planned:
            return
        whole_ns = self.record.duration_ns
        if not rows or (last_ns is not None and last_ns < whole_ns):
            found = f"up to {int(last_ns or 0)}" if rows else "none"
            raise ResultError(
                f"{self.path / name}: expected windows up to {whole_ns} ns, found {found}; the run is damaged"
            )

    def _table(self, name: str) -> list[dict[str, float | str | None]]:
        file = self.path / name
        lines = [line for _, line, is_cut in self._lines(file) if not is_cut]
        rows = []
        for row in csv.DictReader(lines, restkey="+", restval="-"):
            if "+" in row or "-" in row.values():
                raise ResultError(
                    f"{file}: a row does not have the columns of its header; the run is damaged"
                )
            rows.append({column: _cell(text) for column, text in row.items()})
        return rows

    def operations(self) -> NDArray[Any] | None:
        """operations.npy, mapped and not read (`bench.results.logs`); None in a run without it.

        Raises ResultError.
        """
        file = self.path / layout.OPERATIONS
        if not file.exists():
            return None
        try:
            found: NDArray[Any] = np.lib.format.open_memmap(file, mode="r")
        except Exception as error:  # numpy raises what its parsers do: EOFError, SyntaxError, TokenError
            said = str(error) or type(error).__name__
            raise ResultError(f"{file}: {said}; the run is damaged") from error
        if found.dtype != OPERATION:
            raise ResultError(
                f"{file}: expected records of arrivals, found {found.dtype}; the run is damaged"
            )
        return found

    def events(self) -> list[dict[str, Any]]:
        """The entries of events.jsonl in the order of writing. Raises ResultError."""
        file = self.path / layout.EVENTS
        entries = []
        for number, line, is_cut in self._lines(file):
            try:
                entry = json.loads(line)
            except ValueError as error:
                if is_cut:
                    break
                raise ResultError(f"{file}:{number}: {error}; the run is damaged") from error
            if not isinstance(entry, dict):
                raise ResultError(f"{file}:{number}: expected an object; the run is damaged")
            entries.append(all_visible(entry))
        return entries

    def activity(self) -> list[ActivityRecord]:
        """What services reported beside their figures, in the order of writing; none in an older run.

        Raises ResultError.
        """
        file = self.path / layout.ACTIVITY
        if not file.exists():
            return []
        found = []
        for number, line, is_cut in self._lines(file):
            try:
                found.append(ActivityRecord.read(json.loads(line)))
            except ValueError as error:
                if is_cut:
                    break
                raise ResultError(f"{file}:{number}: {error}; the run is damaged") from error
        return found

    def _lines(self, file: Path) -> Iterator[tuple[int, str, bool]]:
        """Number, text, and whether a kill cut the line short; only an interrupted run may end so."""
        try:
            with file.open("rb") as lines:
                for number, line in enumerate(lines, start=1):
                    # A kill may cut a character too. Texts may hold other separators than the line end.
                    is_cut = not line.endswith(b"\n") and not self.is_complete
                    yield number, line.decode("utf-8", "replace" if is_cut else "strict"), is_cut
        except FileNotFoundError as error:
            if self.is_complete:
                raise ResultError(f"{file}: expected the file, found none; the run is damaged") from error
        except (OSError, UnicodeDecodeError) as error:
            raise ResultError(f"{file}: {error}; the run is damaged") from error

    @cached_property
    def _sums(self) -> dict[Tag, Counts]:
        sums: dict[Tag, Counts] = {}
        self._samples[KEPT] = WindowSamples(self._added_up(sums))
        self._compare_with_record(sums)
        return sums

    def _added_up(self, sums: dict[Tag, Counts]) -> Iterator[Window]:
        """Add every window of the log to `sums`, and yield those of the kind that is kept."""
        for window in self._read_windows():
            if window.tag in sums:
                sums[window.tag] += window.counts
            else:
                sums[window.tag] = window.counts.copy()
            if window.tag.kind == KEPT:
                yield window

    def _compare_with_record(self, sums: dict[Tag, Counts]) -> None:
        """A log that lost whole lines reads well and would make a good run bad. Raises ResultError."""
        if not self.is_complete:
            return
        for recorded in self.record.response:
            name, operation = recorded.workload, recorded.operation
            if operation is None:
                continue  # all of them together
            logged = sum(
                int(counts.sum())
                for tag, counts in sums.items()
                if tag.measured and (tag.workload, tag.operation, tag.kind) == (name, operation, "response")
            )
            if logged != recorded.samples:
                raise ResultError(
                    f"{self.path / layout.WINDOWS}: expected {recorded.samples} response times of "
                    f"{name}.{operation}, as run.json says, found {logged}; the run is damaged"
                )

    @cached_property
    def _workloads(self) -> dict[str, WorkloadRecord]:
        return {workload.name: workload for workload in self.workloads}


def _no_run_at(folder: Path) -> str:
    """The sentence for a path without a run: it helps someone who named the folder above."""
    if not folder.exists():
        return f"{folder}: expected a run folder, found nothing there"
    if layout.PARTIAL_NAME.fullmatch(folder.name):
        return (
            f"{folder}: expected a run folder, found one that has measured nothing yet; "
            "where its harness was killed, the next bench run gives it its name"
        )
    if runs := layout.run_folders(folder):
        return f"{folder}: expected one run folder, found {len(runs)} runs in it; the newest is {runs[-1]}"
    return (
        f"{folder}: expected a run folder, found no {layout.RECORD} in it; name one that bench run has made"
    )


def _cell(text: str) -> float | str | None:
    if text == "":
        return None
    try:
        return float(text)
    except ValueError:
        return text
