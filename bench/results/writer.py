"""Writes one run: into a hidden partial folder during the run, renamed when it is complete.

Order of writing (each step leaves a folder that can be read): the owner's file; `run.json` with what
is known so far, already marked interrupted (`outline`); windows, series, resources and events line by
line; at the end the full `run.json`, a sync of every file, the rename.

The percentiles of the whole run (section `response`) are kept up to date while it is written. They
could be computed from windows.hlog, but decoding that takes a second or so, and a page about hundreds
of runs needs no more of each than its run.json.
"""

import contextlib
import csv
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

from bench.core import histogram
from bench.core.clock import WallLabel
from bench.core.errors import ResultError
from bench.core.histogram import Counts
from bench.core.messages import Event
from bench.core.sanitize import all_visible
from bench.results import layout
from bench.results.layout import COLUMNS
from bench.results.load_records import ResponseRecord, WorkloadRecord
from bench.results.logs import MOST_LINES, ActivityRecord, Encoder, Tag, Window, header, line_of
from bench.results.ownership import Ownership
from bench.results.run_record import COMPLETE, INTERRUPTED, RunRecord, visible_record

PERCENTS = (50, 95, 99)


class ResponseTotals:
    """The measured response times of every operation, all outcomes together, as one histogram each.

    `spans`: the measured phases as (start, end) in ns; until they are known nothing is counted as done.
    """

    def __init__(self) -> None:
        self.spans: list[tuple[int, int]] = []
        self._sums: dict[tuple[str, str], Counts] = {}
        self._done: dict[tuple[str, str], int] = {}

    def add(self, tag: Tag, start_ns: int, end_ns: int, counts: Counts) -> None:
        """Take in the samples of one window; whatever is no response is passed over."""
        if tag.kind != "response":
            return
        key = (tag.workload, tag.operation)
        if tag.outcome == "ok" and self._is_measured((start_ns + end_ns) / 2):
            # Whatever phase it was planned in: done in this time is done in this time.
            self._done[key] = self._done.get(key, 0) + int(counts.sum())
        if not tag.measured:
            return
        if key in self._sums:
            self._sums[key] += counts
        else:
            self._sums[key] = counts.copy()

    def figures(self, workloads: list[WorkloadRecord]) -> list[ResponseRecord]:
        """The section `response` of run.json: for each workload its operations, then all of them together.

        `workloads`: their entries in run.json. Deliveries of a pub/sub workload stand by themselves.
        """
        found = []
        for record in workloads:
            name = record.name
            arrivals = []
            for (workload, operation), counts in sorted(self._sums.items()):
                if workload != name:
                    continue
                found.append(self._figures(name, operation, counts))
                if record.is_planned(operation):
                    arrivals.append(operation)
            if arrivals:
                found.append(self._together(name, arrivals))
        return found

    def _is_measured(self, at_ns: float) -> bool:
        return any(start_ns <= at_ns < end_ns for start_ns, end_ns in self.spans)

    def _together(self, workload: str, operations: list[str]) -> ResponseRecord:
        whole = sum((self._sums[workload, operation] for operation in operations), histogram.empty())
        return self._figures(workload, None, whole, operations)

    def _figures(
        self, workload: str, operation: str | None, counts: Counts, operations: list[str] | None = None
    ) -> ResponseRecord:
        done = sum(self._done.get((workload, name), 0) for name in operations or [operation or ""])
        p50_ns, p95_ns, p99_ns = (int(histogram.percentile_ns(counts, percent)) for percent in PERCENTS)
        return ResponseRecord(
            workload=workload,
            operation=operation,
            samples=int(counts.sum()),
            p50_ns=p50_ns,
            p95_ns=p95_ns,
            p99_ns=p99_ns,
            max_ns=int(histogram.max_ns(counts)),
            done=done if self.spans else None,
        )


COLUMN_SET = frozenset(COLUMNS)


class RunWriter:
    """The one writer of a run folder. Every method raises ResultError when the disk says no.

    As a context manager whose block fails before `finish` it leaves an outlined run to the next sweep
    and removes one that was never outlined.
    """

    def __init__(self, out: Path, name: str, zero: WallLabel | None = None) -> None:
        self.name = name
        self.zero = zero or WallLabel.read()
        """Run zero: what every time in the folder counts from. May be set until the first histogram."""
        self.on_event: Callable[[Event], None] | None = None
        """Called with every entry of events.jsonl, in the thread that wrote it."""
        self._out = out
        self._folder = out / layout.partial_name(name)
        self._columns: list[str] | None = None
        self._log_started = False
        self._activities = 0
        self._encoder = Encoder()
        self._responses = ResponseTotals()
        with self._disk_errors():
            out.mkdir(parents=True, exist_ok=True)
            # Claimed under another name first: a sweep never meets a partial folder without an owner.
            starting = out / layout.starting_name(name)
            starting.mkdir()
            self._owner = Ownership.claim(starting)
            starting.rename(self._folder)
            # Line buffered: what had been written when the harness was killed is in the file.
            self._windows = (self._folder / layout.WINDOWS).open("w", encoding="ascii", buffering=1)
            self._series = (self._folder / layout.SERIES).open("w", encoding="utf-8", buffering=1, newline="")
            self._events = (self._folder / layout.EVENTS).open("w", encoding="utf-8", buffering=1)
            self._activity = (self._folder / layout.ACTIVITY).open("w", encoding="utf-8", buffering=1)
            self._resources = (self._folder / layout.RESOURCES).open(
                "w", encoding="utf-8", buffering=1, newline=""
            )
            csv.writer(self._resources, lineterminator="\n").writerow(COLUMNS)

    @property
    def folder(self) -> Path:
        """Where the run is now: the partial folder, until `finish`."""
        return self._folder

    def outline(self, record: RunRecord) -> None:
        """Keep what is known at the start: all that a sweep has when the harness is killed."""
        self._responses.spans = [(phase.start_ns, phase.end_ns) for phase in record.phases if phase.measured]
        self._write_record(record, INTERRUPTED)

    def histogram(self, tag: Tag | str, start_ns: int, end_ns: int, counts: Counts) -> None:
        """Append the samples of one tag in one window; times in ns since run zero.

        `counts` is an array of `bench.core.histogram`. A window without samples has no line.
        Raises ValueError for a tag that is not of the format.
        """
        tag = Tag.parse(str(tag))
        if not counts.any():
            return
        self._responses.add(tag, start_ns, end_ns, counts)
        with self._disk_errors():
            if not self._log_started:
                self._windows.write(header(self.zero))
                self._log_started = True
            self._windows.write(line_of(Window(tag, int(start_ns), int(end_ns), counts), self._encoder))

    def series_so_far(self) -> list[dict[str, str]]:
        """The rows of series.csv, every cell as text."""
        with (self._folder / layout.SERIES).open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    def series(self, row: dict[str, Any]) -> None:
        """Append one row. The first row names the columns; a later row may lack some, never add one."""
        with self._disk_errors():
            writer = csv.writer(self._series, lineterminator="\n")
            if self._columns is None:
                self._columns = list(row)
                writer.writerow(self._columns)
            if added := row.keys() - set(self._columns):
                names = ", ".join(sorted(added))
                raise ValueError(f"expected the columns of the first row, found {names} too")
            writer.writerow([row.get(column, "") for column in self._columns])

    def resources(self, row: dict[str, Any]) -> None:
        """Append one sample of one source: values by column of `bench.results.layout`, None where unknown.

        With `activity` the only method that another thread may call, one thread at a time. Raises
        ValueError for a column that is not of the format, and after the end of the run.
        """
        if unknown := row.keys() - COLUMN_SET:
            raise ValueError(f"expected columns of resources.csv, found {', '.join(sorted(unknown))} too")
        with self._disk_errors():
            cells = ["" if row.get(column) is None else row[column] for column in COLUMNS]
            csv.writer(self._resources, lineterminator="\n").writerow(cells)

    def activity(self, record: ActivityRecord) -> None:
        """Append what a service reported; called by the thread that writes the resources.

        Raises ValueError after the end of the run.
        """
        self._activities += 1
        if self._activities <= MOST_LINES:
            with self._disk_errors():
                self._activity.write(json.dumps(record.to_json(), ensure_ascii=False) + "\n")

    def event(self, at_ns: int, kind: str, **fields: Any) -> None:
        """Append one event; `at_ns` since run zero."""
        entry: dict[str, Any] = all_visible({"at_ns": int(at_ns), "kind": kind, **fields})
        with self._disk_errors():
            self._events.write(json.dumps(entry, ensure_ascii=False, default=layout.plain) + "\n")
        if self.on_event is not None:
            self.on_event(Event.model_validate(entry))

    def artifact(self, name: str) -> Path:
        """Where to put another file of this run, such as a server's log."""
        if "/" in name or name.startswith("."):
            raise ValueError(f"expected a plain file name, found {name!r}")
        return self._folder / name

    def finish(self, record: RunRecord, interrupted: bool = False) -> Path:
        """Complete the folder, put it under its own name and return its path."""
        final = self._out / self.name
        with self._disk_errors():
            if not self._log_started:
                self._windows.write(header(self.zero))
            self._close()
            figures = self._responses.figures(record.workloads)
            whole = record.model_copy(update={"response": figures})
            self._write_record(whole, INTERRUPTED if interrupted else COMPLETE)
            for path in self._folder.rglob("*"):
                if path.is_file():
                    layout.sync(path)
            layout.sync(self._folder)
            self._folder.rename(final)
            self._folder = final
            # Only now: a partial folder without its owner's file would never be swept.
            (final / layout.OWNER).unlink()
            layout.sync(final)
            layout.sync(self._out)
        self._owner.release()
        return final

    def abandon(self) -> None:
        """Remove a run that has nothing worth keeping. Harmless after `finish` or twice."""
        self._close_anyhow()
        if self._is_partial():
            shutil.rmtree(self._folder, ignore_errors=True)
        self._owner.release()

    def leave(self) -> None:
        """Let go of a run that failed: the next sweep keeps it, marked interrupted."""
        self._close_anyhow()
        self._owner.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if (self._folder / layout.RECORD).exists():
            self.leave()
        else:
            self.abandon()

    def _is_partial(self) -> bool:
        return self._folder.name == layout.partial_name(self.name)

    def _write_record(self, record: RunRecord, status: str) -> None:
        named = record.model_copy(update={"format": layout.FORMAT, "run": self.name, "status": status})
        whole = visible_record(named.to_json())
        with self._disk_errors():
            layout.write_whole(self._folder / layout.RECORD, layout.as_json(whole))

    def _close(self) -> None:
        for file in (self._windows, self._series, self._events, self._resources, self._activity):
            file.close()

    def _close_anyhow(self) -> None:
        """After a failure: a disk that is full refuses what is left in the buffers, and that is known."""
        for file in (self._windows, self._series, self._events, self._resources, self._activity):
            with contextlib.suppress(OSError):
                file.close()

    @contextlib.contextmanager
    def _disk_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            place = error.filename or os.fspath(self._out)
            raise ResultError(
                f"results cannot be written to {place}: {error.strerror}; "
                "make room or choose another folder with --out"
            ) from error
