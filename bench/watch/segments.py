"""A segment of a watch: what its run asks, what its folder shows, and what is counted where none ran."""

import contextlib
import json
import re
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path

from bench.core.clock import NS_PER_S, monotonic_ns
from bench.core.errors import UsageError
from bench.core.outcome import OUTCOMES, Outcome
from bench.judge.judge import findings
from bench.judge.verdict import Status
from bench.results.generator_records import CalibrationRecord
from bench.results.layout import WINDOWS
from bench.results.ownership import GONE
from bench.results.reader import Run
from bench.run.plugins import LocalGenerator
from bench.scenario.model import Scenario
from bench.watch.history import UNKNOWN, UNREACHABLE, RowRecord, Slot, TallyRecord, harm_in
from bench.watch.rollup import encoded

CUT_SHORT = {"validity.interrupted", f"validity.{GONE.code}", "validity.no_arrivals"}
"""What does not speak against the counts of a run."""
CALIBRATED_EVERY_NS = 3600 * NS_PER_S
BASE_TIME = re.compile(r"#\[BaseTime: (\d+\.\d+) ")
LINES_OF_A_HEADER = 5
ENDED = [outcome.label for outcome in OUTCOMES]


def overrides_of(scenario: Scenario, segment_ns: int) -> tuple[str, ...]:
    """The values of --set that make a segment of a scenario: its load alone, at its rate.

    Raises UsageError for a closed loop, which asks the less, the worse it is answered.
    """
    for workload in scenario.workloads:
        if workload.rate_per_s is None:
            raise UsageError(
                f"watch: expected planned arrivals, found that workload {workload.name} is a closed loop; "
                f"give it a light rate with --set workloads.{workload.name}.arrivals=poisson "
                f"--set workloads.{workload.name}.rate=5/s"
            )
    changed: dict[str, object] = {"phases": [{"name": "watch", "for": f"{segment_ns}ns"}], "sla": []}
    changed |= {key: [] for key in ("faults", "actions", "stop_when", "integrity") if getattr(scenario, key)}
    return tuple(f"{key}={json.dumps(value)}" for key, value in changed.items())


def row_of(path: Path, number: int) -> RowRecord | None:
    """The row of a segment's run, also of one that was cut short; None for one that had not begun.

    What is counted is what ended in its windows. Raises ResultError for a damaged run.
    """
    run = Run.load(path)
    began_ns = _zero_ns(run)
    series = run.series()
    if began_ns is None or not series:
        return None
    slots: dict[str, list[Slot]] = {}
    for cells in sorted(series, key=lambda row: float(row["start_ns"] or 0)):
        ended = {label: int(float(cells.get(label) or 0)) for label in ENDED}
        slots.setdefault(str(cells["workload"]), []).append(
            Slot(
                began_ns + int(float(cells["start_ns"] or 0)),
                began_ns + int(float(cells["end_ns"] or 0)),
                int(float(cells.get("planned") or 0)),
                ended["ok"],
                sum(ended.values()) - ended["ok"],
            )
        )
    from_ns = min(own[0].from_ns for own in slots.values())
    until_ns = max(own[-1].until_ns for own in slots.values())
    because = _invalid(run)
    row = RowRecord(first=number, last=number, from_ns=from_ns, until_ns=until_ns, run=path.name)
    if because is not None:
        return row.model_copy(update={"kind": UNKNOWN, "because": because})
    tallies = {name: _tally(run, name, own) for name, own in slots.items()}
    harm = [one for name, own in slots.items() for one in harm_in(name, own)]
    return row.model_copy(update={"workloads": tallies, "harm": harm, "watched_ns": until_ns - from_ns})


def _zero_ns(run: Run) -> int | None:
    """Run zero in UTC. run.json has it at the end; the log of windows from the first of them on, to a ms."""
    if not run.is_complete:
        with (
            contextlib.suppress(OSError),
            (run.path / WINDOWS).open(encoding="ascii", errors="replace") as log,
        ):
            for line in islice(log, LINES_OF_A_HEADER):
                if (found := BASE_TIME.match(line)) is not None:
                    return round(float(found[1]) * NS_PER_S)
    return run.record.started.wall_ns


def _tally(run: Run, workload: str, slots: Sequence[Slot]) -> TallyRecord:
    """By the run's own counts; where the harness was killed before it made them, by its windows.

    An arrival that was under way then has no outcome that anybody knows, and does not count.
    """
    counts = [
        count
        for entry in run.workloads_of(workload)
        for count in entry.counts
        if run.arrives(workload, count.operation)
    ]
    planned, ok = sum(slot.ok + slot.failed for slot in slots), sum(slot.ok for slot in slots)
    if run.record.totals is not None:
        planned = sum(sum(count.outcomes.values()) for count in counts)
        ok = sum(count.outcomes.get(Outcome.OK.label, 0) for count in counts)
    times, net = run.histogram("response", workload), run.histogram("net", workload)
    if net.sum() == times.sum():
        times = net  # what the generator itself was late is no fault of the target
    return TallyRecord(planned=planned, ok=ok, response=encoded(times))


def _invalid(run: Run) -> str | None:
    """Why the run says nothing of the target; None for one that does."""
    found = (check for check in findings(run) if check.status is Status.INVALID)
    return next((check.because for check in found if check.metric not in CUT_SHORT), None)


def unreachable(
    scenario: Scenario, number: int, from_ns: int, until_ns: int, because: str, targets: Sequence[str]
) -> RowRecord:
    """The row of a time in which no segment could connect: all that was to be asked then has failed.

    targets: those that could not be reached; load on others was not sent either, and is not counted.
    """
    length_ns = max(until_ns - from_ns, 0)
    hit = [one for one in scenario.workloads if one.target in targets]
    planned = {one.name: int((one.rate_per_s or 0) * length_ns / NS_PER_S) for one in hit}
    slots = {name: [Slot(from_ns, from_ns + length_ns, count, 0, count)] for name, count in planned.items()}
    return RowRecord(
        first=number,
        last=number,
        from_ns=from_ns,
        until_ns=from_ns + length_ns,
        kind=UNREACHABLE,
        because=because,
        workloads={name: TallyRecord(planned=count) for name, count in planned.items()},
        watched_ns=length_ns,
        harm=[one for name, own in slots.items() for one in harm_in(name, own)],
    )


class CalibratedOnce(LocalGenerator):
    """The load is made in this process, which is measured once an hour, not before every segment."""

    def __init__(self) -> None:
        self._found: CalibrationRecord | None = None
        self._until_ns = 0

    def calibrate(
        self, rate_per_s: float | None, lanes: int, note: Callable[[str], None]
    ) -> CalibrationRecord:
        """The latest self-measurement."""
        if self._found is None or monotonic_ns() >= self._until_ns:
            self._found = super().calibrate(rate_per_s, lanes, note)
            self._until_ns = monotonic_ns() + CALIBRATED_EVERY_NS
        return self._found
