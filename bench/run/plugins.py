"""What a session calls without knowing what is behind it: observers, the load generator, plug-ins.

Observers (a web page, live metrics, traces) cannot disturb a run: they are called in the
session's thread and must return immediately; one that raises is removed, and that is reported once.
The load generator is this process, or workers elsewhere. Plug-ins take part in a run without being
part of its load: faults and detectors. The command line brings in `chaos`, which imports from `bench`
and is never imported by it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from bench.core.messages import Event
from bench.results.generator_records import CalibrationRecord
from bench.results.run_record import RunRecord

if TYPE_CHECKING:
    from bench.core.clock import WallLabel
    from bench.core.histogram import Counts
    from bench.engine.api import Engine
    from bench.judge.verdict import Verdict
    from bench.plan.plan import Plan, WorkloadPlan
    from bench.resources.generator import GeneratorCost
    from bench.results.logs import Tag
    from bench.results.writer import RunWriter
    from bench.scenario.model import Scenario
    from bench.stack.stack import Stack
    from bench.stack.target import Target


@dataclass(frozen=True)
class WindowView:
    """One closed window; times in ns from run zero. What is in here is never written to again."""

    start_ns: int
    end_ns: int
    phase: str
    """The phase in which the window began; `drain` after the last."""
    under_way: str
    """The faults that hold, as the progress line names them; empty without any."""
    series: tuple[dict[str, Any], ...]
    """One row per workload: the columns of series.csv, None for an empty cell."""
    gains: tuple[tuple[Tag, Counts], ...]
    """What each histogram gained in the window; one that gained nothing is not there."""


class RunObserver(Protocol):
    """An observer of one session. Called in this order, `window` and `event` mixed; any may be the last."""

    def started(self, record: RunRecord, zero: WallLabel) -> None:
        """Run zero is set. `record` is run.json as far as it is known (results/FORMAT.md)."""

    def window(self, view: WindowView) -> None:
        """A window was closed."""

    def event(self, entry: Event) -> None:
        """An entry of events.jsonl."""

    def ended(self, path: Path, *, interrupted: bool) -> None:
        """The run folder is complete at `path`."""

    def judged(self, verdict: Verdict) -> None:
        """The run was judged; not called for an interrupted one."""

    def close(self) -> None:
        """The session is over; release everything."""


class Observers:
    """All observers, as one. Methods as of a `RunObserver`; failures stay here."""

    def __init__(
        self, watchers: Sequence[RunObserver] = (), report: Callable[[str], None] = lambda _: None
    ) -> None:
        self._watchers = list(watchers)
        self._report = report

    def __bool__(self) -> bool:
        return bool(self._watchers)

    def started(self, record: RunRecord, zero: WallLabel) -> None:
        """Pass it on."""
        self._each(lambda watcher: watcher.started(record, zero))

    def window(self, view: WindowView) -> None:
        """Pass it on."""
        self._each(lambda watcher: watcher.window(view))

    def event(self, entry: Event) -> None:
        """Pass it on."""
        self._each(lambda watcher: watcher.event(entry))

    def ended(self, path: Path, *, interrupted: bool) -> None:
        """Pass it on."""
        self._each(lambda watcher: watcher.ended(path, interrupted=interrupted))

    def judged(self, verdict: Verdict) -> None:
        """Pass it on."""
        self._each(lambda watcher: watcher.judged(verdict))

    def close(self) -> None:
        """Pass it on; no observer is called again."""
        self._each(lambda watcher: watcher.close())
        self._watchers.clear()

    def _each(self, call: Callable[[RunObserver], None]) -> None:
        for watcher in list(self._watchers):
            try:
                call(watcher)
            except Exception as failure:  # noqa: BLE001 - whatever it is, the run goes on without that watcher
                self._watchers.remove(watcher)
                self._report(
                    f"observer {type(watcher).__name__} failed and was removed: "
                    f"{type(failure).__name__}: {failure}"
                )


LEAD_NS = 50_000_000
"""Between the last preparation and run zero: the engines' threads see the start well before it."""


class GeneratorUsage(Protocol):
    """What the generators use, from window to window."""

    def window(self) -> GeneratorCost:
        """Since the last call."""


class LoadGenerator(Protocol):
    """What the session needs of those who make the load; called in the order of the methods."""

    @property
    def lead_ns(self) -> int:
        """How long before run zero they must know it."""

    @property
    def closes_windows(self) -> bool:
        """Whether they close the windows themselves, at the ends that the plan gives."""

    def engine_for(self, plan: Plan, workload: WorkloadPlan, target: Target | None, folder: Path) -> Engine:
        """The engine of one workload; operation logs go into `folder`."""

    def calibrate(
        self, rate_per_s: float | None, lanes: int, note: Callable[[str], None]
    ) -> CalibrationRecord:
        """What a server of known delays shows: the section `calibration` of run.json."""

    def use(self) -> GeneratorUsage:
        """What they use from now on."""

    def add_to(self, record: RunRecord) -> RunRecord:
        """After the end: the record with what is to be reported of them, anomalies included."""


class LocalGenerator:
    """The load is made in this process."""

    lead_ns = LEAD_NS
    closes_windows = False

    def engine_for(self, plan: Plan, workload: WorkloadPlan, target: Target | None, folder: Path) -> Engine:
        """One of our own."""
        from bench.engine import engine_for

        return engine_for(plan, workload, target, folder)

    def calibrate(
        self, rate_per_s: float | None, lanes: int, note: Callable[[str], None]
    ) -> CalibrationRecord:
        """This process and this machine."""
        from bench.core.jit import is_cold
        from bench.run.calibration.measure import self_measurement

        if is_cold():
            note("compiling the engine: once for this version, about 20 s")
        note("measuring this machine against a server of known delays")
        return CalibrationRecord.read(self_measurement(rate_per_s, lanes, note))

    def use(self) -> GeneratorUsage:
        """This process, and what belongs to it."""
        from bench.resources.generator import GeneratorUse

        return GeneratorUse()

    def add_to(self, record: RunRecord) -> RunRecord:
        """The same: all of it is known."""
        return record


class RunPlugin(Protocol):
    """One plugin of one run. Called from the session's thread, in the order of the methods."""

    def prepare(
        self, scenario: Scenario, plan: Plan, stack: Stack, targets: Mapping[str, Target]
    ) -> dict[str, Target]:
        """Get ready before anything connects; the targets as the load is to see them.

        Raises ScenarioError or TargetError where what is asked for cannot be done.
        """

    def calibrate(self) -> None:
        """The self-measurement is over: measure what of yours stands in the path. In another thread."""

    def rehearse(self) -> None:
        """Data sets are loaded, `setup` is carried out, and nothing has connected. In another thread.

        Raises ScenarioError or TargetError where what is asked for cannot be done.
        """

    def begin(self, start_ns: int, writer: RunWriter) -> None:
        """Run zero is set, on CLOCK_MONOTONIC, ahead of now. Events go to `writer`."""

    def look(self, now_ns: int) -> str | None:
        """Called about ten times a second; what is under way, for the progress line."""

    def end_early(self) -> None:
        """The load is being ended before its plan: begin nothing more, undo what holds. Returns at once."""

    def finish(self, record: RunRecord, folder: Path) -> RunRecord:
        """The load has ended and everything is healed: the run's record with what was found.

        The folder holds operations.npy; the rest of the record is complete.
        """

    def close(self) -> None:
        """Undo whatever still holds and end what was started; again is harmless."""
