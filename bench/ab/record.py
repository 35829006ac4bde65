"""What `bench ab` leaves beside its runs: its result, `<UTC>-<scenario>-<id>.ab.json`, and A/A floors.

A floor says how far apart two equal variants of a scenario were on this machine, figure by figure. It
lies in `floors/` of the same folder, one file for each machine and form of a scenario, the newest
result only.
"""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import Field

from bench.ab.findings import PairedFigure
from bench.compare.difference import Finding
from bench.core.errors import ResultError
from bench.results import layout
from bench.results.model import Number, Record, Whole
from bench.results.reader import Run

FORMAT = 1
SUFFIX = ".ab.json"
FLOORS = "floors"


class FigureRecord(Record):
    """One figure, as `bench ab --json` has it."""

    metric: str
    a: Number | None
    b: Number | None
    ratio: Number | None
    interval: list[Number] | None
    p: Number | None
    finding: str
    smallest_told: Number | None

    @classmethod
    def of(cls, figure: PairedFigure) -> "FigureRecord":
        """The contract's keys of a figure; what is not finite is null."""
        ends = [figure.low, figure.high]
        numbers = [one for one in ends if one is not None and math.isfinite(one)]
        return cls(
            metric=figure.metric,
            a=figure.a,
            b=figure.b,
            ratio=figure.ratio,
            interval=numbers if len(numbers) == len(ends) else None,
            p=figure.p,
            finding=figure.finding.value,
            smallest_told=figure.smallest_told,
        )


class AbRecord(Record):
    """A whole comparison of two variants."""

    format: Whole = FORMAT
    ab: str
    """Its name, `<UTC>-<scenario>-<id>`."""
    scenario: str
    utc: str
    a: str
    b: str
    """What makes each variant."""
    threshold: Number
    floor: bool
    """Whether an A/A floor was known."""
    pairs: Whole
    runs: list[list[str]] = Field(default_factory=list)
    """Of each pair that was compared: the run of a, and that of b."""
    set_aside: list[str] = Field(default_factory=list)
    notes: list[str] = Field(default_factory=list)
    figures: list[FigureRecord] = Field(default_factory=list)

    def metrics(self, finding: Finding) -> list[str]:
        """Those of which it found this."""
        return [figure.metric for figure in self.figures if figure.finding == finding.value]


def save(record: AbRecord, out: Path) -> Path:
    """Write a result beside its runs. Raises ResultError."""
    path = out / f"{record.ab}{SUFFIX}"
    _write(path, record)
    return path


def results_in(folder: Path) -> list[AbRecord]:
    """The results in a folder and in `ab/` below it, oldest first; what is damaged is left out."""
    found = []
    for path in sorted([*folder.glob(f"*{SUFFIX}"), *folder.glob(f"ab/*{SUFFIX}")], key=lambda one: one.name):
        try:
            found.append(AbRecord.read(layout.read_json(path)))
        except (OSError, ValueError):
            continue
    return found


class FloorRecord(Record):
    """How far apart equal variants were."""

    format: Whole = FORMAT
    scenario: str
    utc: str
    machine: dict[str, str] = Field(default_factory=dict)
    pairs: Whole
    figures: dict[str, Number] = Field(default_factory=dict)
    """By metric: 0.03 is 3 %."""


def floor_of(figures: Sequence[PairedFigure]) -> dict[str, float]:
    """By metric, the end of an A/A interval that is further from 1: what chance alone could have shown."""
    return {
        one.metric: max(one.high, 1 / one.low) - 1
        for one in figures
        if one.low is not None and one.high is not None and one.low > 0 and math.isfinite(one.high)
    }


def save_floor(run: Run, pairs: int, figures: Mapping[str, float], utc: str, out: Path) -> Path:
    """Keep a floor for the machine and form of `run`. Raises ResultError."""
    path = _floor_path(run, out)
    record = FloorRecord(
        scenario=run.scenario, utc=utc, machine=_machine(run), pairs=pairs, figures=dict(figures)
    )
    _write(path, record)
    return path


def floor_for(run: Run, out: Path) -> FloorRecord | None:
    """The floor for the machine and form of `run`; None where there is none. Raises ResultError."""
    path = _floor_path(run, out)
    if not path.is_file():
        return None
    try:
        return FloorRecord.read(layout.read_json(path))
    except (OSError, ValueError) as error:
        raise ResultError(f"{path}: expected an A/A floor: {error}; remove it and measure it again") from None


def _floor_path(run: Run, out: Path) -> Path:
    """The load and the machine decide what chance can do; what --set changes is what is asked about."""
    record = run.record
    key = json.dumps(
        [_machine(run), record.scenario.digest, record.plan.quick, record.stack.kind], sort_keys=True
    )
    return out / FLOORS / f"{run.scenario}-{hashlib.sha256(key.encode()).hexdigest()[:12]}.json"


def _machine(run: Run) -> dict[str, str]:
    return {name: str(value) for name, value in run.record.environment.key.items()}


def _write(path: Path, record: Record) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        layout.write_whole(path, layout.as_json(record.model_dump()))
    except OSError as error:
        raise ResultError(f"{path}: cannot be written: {error.strerror}; choose another --out") from None
