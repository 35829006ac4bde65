"""A matrix on disk, one JSON file beside the runs of its cells, and how a cell is read from its run."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from bench.core.clock import NS_PER_S
from bench.core.errors import ResultError
from bench.core.outcome import Outcome
from bench.judge.verdict import Status, Verdict
from bench.matrix.cells import CONDITIONS, WARM_UP_NS, Cell
from bench.results import layout
from bench.results.fault_records import FaultRecord, RecoveryRecord
from bench.results.model import Number, Record, Whole
from bench.results.reader import Run
from bench.scenario.model import Scenario

FORMAT = 1
SUFFIX = ".matrix.json"
FOLDER = "matrix"
"""Below a folder of results: where matrices and their runs are kept unless another is named."""
LEAST_FOR_A_PERCENTILE = 100
LAST_NS = 2 * NS_PER_S
"""Of a run: what is open then was not closed."""


class NoticeRecord(Record):
    """A detector that noticed, and how long after the fault took effect."""

    detector: str
    after_ns: int


class CellRecord(Record):
    """One edge under one condition."""

    client: str | None
    """None: the load."""
    target: str
    condition: str
    kind: str
    """Of the fault."""
    run: str | None = None
    refused: str | None = None
    """Why this stack cannot have it; then nothing below is known."""
    invalid: str | None = None
    """Why its run says nothing about the target, although all below is what was seen."""
    workload: str | None = None
    """Of those that send this way the one that was harmed most."""
    planned: Whole = 0
    """Arrivals while the fault lasted."""
    availability: Number | None = None
    """The share of them that ended OK."""
    p99_ns: Whole | None = None
    """Of their response times, lost ones as their deadline; None of fewer than 100."""
    p99_before_ns: Whole | None = None
    noticed: list[NoticeRecord] = Field(default_factory=list)
    back: str | None = None
    """The state of the recovery, such as full, stable or never."""
    back_ns: int | None = None
    """From the end of the fault until no arrival was harmed any more; 0 where none was after it."""
    left_open: int | None = None
    """Descriptors of the target that the load sends to, at the end more than before the fault."""

    @property
    def is_measured(self) -> bool:
        """Whether it says something about the target."""
        return self.refused is None and self.invalid is None

    @property
    def is_back(self) -> bool:
        """Whether the load was served as before in the end."""
        return self.back_ns is not None


class MatrixRecord(Record):
    """All cells that were tried."""

    format: Whole = FORMAT
    holdfast: str
    scenario: str
    started_utc: str
    fault_ns: Whole
    delay_ns: Whole
    """Of each answer under the condition "slow"."""
    cells: list[CellRecord] = Field(default_factory=list)


def save(record: MatrixRecord, file: Path) -> None:
    """Write it whole. Raises ResultError."""
    try:
        layout.write_whole(file, layout.as_json(record.model_dump()))
    except OSError as error:
        raise ResultError(f"{file}: the matrix cannot be written: {error.strerror}; make room") from error


def empty_cell(cell: Cell, refused: str | None = None) -> CellRecord:
    """One of which nothing is known."""
    edge, kind = cell.edge, CONDITIONS[cell.condition]
    return CellRecord(
        client=edge.client, target=edge.target, condition=cell.condition, kind=kind, refused=refused
    )


def cell_of(cell: Cell, scenario: Scenario, run: Run, verdict: Verdict) -> CellRecord:
    """What a cell's run showed. Raises ResultError for a damaged one."""
    why = next((one.because for one in verdict.checks if one.status is Status.INVALID), None)
    found = empty_cell(cell).model_copy(update={"run": run.path.name, "invalid": why})
    (fault,) = run.record.faults
    if not fault.took_effect or fault.effective_ns is None:
        return found.model_copy(update={"invalid": why or fault.proof or "the fault did not take effect"})
    over_ns = fault.healed_ns or fault.effective_ns + (fault.for_ns or 0)
    harms = {
        one.name: _harm(run, number, one.deadline_ns, fault.effective_ns, over_ns)
        for number, one in enumerate(scenario.workloads)
        if one.target == cell.edge.entry
    }
    worst = min(harms, key=lambda name: (harms[name]["availability"] or 0.0, -(harms[name]["p99_ns"] or 0)))
    back, back_ns = _back(run.record.recoveries, worst, over_ns)
    return found.model_copy(
        update={
            "workload": worst,
            **harms[worst],
            "noticed": _noticed(run, fault),
            "back": back,
            "back_ns": back_ns,
            "left_open": _left_open(run, cell.edge.entry, fault.effective_ns),
        }
    )


def _harm(
    run: Run, workload: int, deadline_ns: int, from_ns: int, until_ns: int
) -> Mapping[str, float | None]:
    operations = run.operations()
    if operations is None:
        raise ResultError(f"{run.path}: expected an operation log, found none; the run is damaged")
    own = operations[operations["workload"] == workload]
    planned = own["planned_ns"]
    during = own[(planned >= from_ns) & (planned < until_ns)]
    before = own[(planned >= WARM_UP_NS) & (planned < from_ns)]
    is_ok = during["outcome"] == Outcome.OK
    return {
        "planned": len(during),
        "availability": float(is_ok.mean()) if len(during) else None,
        "p99_ns": _p99_ns(during, deadline_ns),
        "p99_before_ns": _p99_ns(before, deadline_ns),
    }


def _p99_ns(arrivals: NDArray[np.void], deadline_ns: int) -> int | None:
    """Nearest rank of the response times, a lost arrival as its deadline at least."""
    if len(arrivals) < LEAST_FOR_A_PERCENTILE:
        return None
    times = arrivals["done_ns"] - arrivals["planned_ns"]
    is_lost = arrivals["outcome"] != Outcome.OK
    charged = np.sort(np.where(is_lost, np.maximum(times, deadline_ns), times))
    return int(charged[int(np.ceil(0.99 * len(charged))) - 1])


def _noticed(run: Run, fault: FaultRecord) -> list[NoticeRecord]:
    begin_ns = fault.effective_ns or 0
    found = [
        NoticeRecord(detector=one.detector, after_ns=one.at_ns - begin_ns)
        for one in run.record.detections
        if one.fault == fault.number and one.at_ns is not None
    ]
    return sorted(found, key=lambda one: one.after_ns)


def _back(recoveries: list[RecoveryRecord], workload: str, over_ns: int) -> tuple[str | None, int | None]:
    recovery = next((one for one in recoveries if one.workload == workload), None)
    if recovery is None:
        return None, None
    if recovery.first_failure_ns is None and recovery.slow_from_ns is None:
        return recovery.state, 0
    stable_ns = recovery.stable_ns if recovery.stable_ns is not None else recovery.full_ns
    return recovery.state, None if stable_ns is None else max(stable_ns - over_ns, 0)


def _left_open(run: Run, source: str, fault_ns: int) -> int | None:
    rows = [row for row in run.resources() if row.get("source") == source and row.get("fds") is not None]
    before = [row for row in rows if WARM_UP_NS <= float(row["at_ns"] or 0) < fault_ns]
    if not before or len({row.get("pid") for row in (before[-1], rows[-1])}) > 1:
        return None  # another process by now, which has nothing of the old one
    return int(float(rows[-1]["fds"] or 0) - float(before[-1]["fds"] or 0))
