"""One run: plan, engines, windows, folder. Everything meets here, nothing is decided here.

The session is synchronous and owns the stop decision. It runs in the thread that called it; engines
have threads of their own. Run zero is set once every engine is ready, so compiling, connecting,
preloading and the self-measurement are over before the clock starts.
"""

from __future__ import annotations

import contextlib
import shutil
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from bench.core.clock import WallLabel, monotonic_ns
from bench.core.errors import InterruptedRun, StatementRefused, TargetError
from bench.core.threads import Value, Work
from bench.engine.wire.layout import LOG_RECORD
from bench.plan.compile import compile_plan
from bench.registry import instances_of
from bench.resources.machine import Look as CompanyLook
from bench.resources.sampler import Sampler
from bench.results.layout import run_name
from bench.results.logs import RawLog, merge
from bench.results.run_record import Anomaly, StartRecord
from bench.results.writer import RunWriter
from bench.run.anomalies import outages_of
from bench.run.fixtures import NS_PER_MS, DatasetFixtures, Steps
from bench.run.plugins import LoadGenerator, LocalGenerator, Observers
from bench.run.progress import Pace, Progress, ProgressSnapshot
from bench.run.record import cut_short, final_record, first_record
from bench.run.recorder import POLL_S, Recorder, windows
from bench.run.stop_conditions import StopConditions
from bench.run.stop_request import StopRequest
from bench.scenario.load import placed_refusal
from bench.scenario.rules.lint import hints_before_a_run

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.engine.api import Engine
    from bench.plan.plan import Plan
    from bench.results.generator_records import CalibrationRecord
    from bench.results.run_record import PairRecord, StoppedRecord
    from bench.run.plugins import RunPlugin, WindowView
    from bench.scenario.load import LoadedScenario
    from bench.scenario.model import Scenario
    from bench.stack.stack import Stack
    from bench.stack.target import Target


def _start(zero: WallLabel) -> StartRecord:
    """Run zero on both clocks, for the record."""
    return StartRecord(utc=zero.utc.isoformat(), monotonic_ns=zero.monotonic_ns, wall_ns=zero.wall_ns)


@dataclass
class _Parts:
    """All who take part in one run."""

    plan: Plan
    engines: list[Engine]
    writer: RunWriter
    sampler: Sampler
    fixtures: DatasetFixtures
    steps: Steps
    plugins: list[RunPlugin]
    stops: StopConditions
    stopped: StoppedRecord | None = None
    """Why the load was ended before its plan."""

    def end_early(self, stopped: StoppedRecord) -> None:
        """Heal, and plan nothing further."""
        self.stopped = stopped
        for plugin in self.plugins:
            plugin.end_early()
        for engine in self.engines:
            engine.stop(at_once=False)

    def close(self, note: Callable[[str], None]) -> None:
        """Release everything, each whatever becomes of the others; faults are healed first."""
        with contextlib.ExitStack() as cleanup:
            cleanup.callback(self._take_data_away, note)
            for engine in self.engines:
                cleanup.callback(engine.close)
            cleanup.callback(self.sampler.stop)
            cleanup.callback(self.stops.close)
            for plugin in self.plugins:
                cleanup.callback(plugin.close)

    def _take_data_away(self, note: Callable[[str], None]) -> None:
        for _, error in self.steps.tear_down():
            note(f"not torn down: {error}")
        for sentence in self.fixtures.drop():
            note(sentence)


@dataclass
class Session:
    """Runs loaded scenarios against a stack that is up."""

    stack: Stack
    out: Path
    progress: Progress
    stop: StopRequest = field(default_factory=StopRequest)
    seed: int | None = None
    plugins: Callable[[Scenario], list[RunPlugin]] = lambda _: []
    """Who goes along with a run, by its scenario."""
    watchers: Observers = field(default_factory=Observers)
    """What observes it."""
    generators: LoadGenerator = field(default_factory=LocalGenerator)
    """What makes the load."""
    pair: PairRecord | None = None
    """Which of a pair of runs the next one is."""
    _pace: Pace = field(default_factory=Pace)
    """The rate shown."""

    def run(self, loaded: LoadedScenario) -> Path:
        """Run one scenario and return its complete folder.

        Raises InterruptedRun after the partial run was kept, TargetError when a target cannot be
        reached.
        """
        scenario = loaded.scenario
        self.progress.step(scenario.scenario)
        for hint in hints_before_a_run(scenario, loaded.rules, quick=loaded.quick):
            self.progress.step(f"hint: {hint}")
        plan = compile_plan(scenario, self.seed)
        plan = replace(plan, run_label=WallLabel.read().wall_ns // NS_PER_MS)
        with RunWriter(self.out, run_name(scenario.scenario)) as writer:
            plugins = self.plugins(scenario)
            try:
                targets = dict(self.stack.targets())
                for plugin in plugins:
                    targets = plugin.prepare(scenario, plan, self.stack, targets)
                parts = self._assembled(scenario, plan, writer, targets, plugins)
            except BaseException:
                for plugin in plugins:
                    plugin.close()
                raise
            try:
                return self._measured(loaded, parts)
            finally:
                self.progress.close()
                parts.close(self.progress.step)

    def _assembled(
        self,
        scenario: Scenario,
        plan: Plan,
        writer: RunWriter,
        targets: dict[str, Target],
        plugins: list[RunPlugin],
    ) -> _Parts:
        """Engines see the targets as the plugins left them; data and resources are the stack's own."""
        own = self.stack.targets()
        for name in (workload.workload.target for workload in plan.workloads):
            if instances := instances_of(name, own) if name not in own else ():
                raise TargetError(
                    name,
                    f"the {self.stack.kind} stack",
                    "one address to put the load on",
                    f"a service of {len(instances)} containers",
                    "put the load on what stands before them, or scale it to one",
                )
        engines = [
            self.generators.engine_for(plan, workload, targets.get(workload.workload.target), writer.folder)
            for workload in plan.workloads
        ]
        sampler = Sampler(
            plan, own, self.stack.describe(), writer.resources, lambda: pool_use(engines), writer.activity
        )
        fixtures, steps = DatasetFixtures(plan, own), Steps(plan, own)
        stops = StopConditions(scenario, plan, own)
        return _Parts(plan, engines, writer, sampler, fixtures, steps, plugins, stops)

    def _measured(self, loaded: LoadedScenario, parts: _Parts) -> Path:
        plan, engines, writer, fixtures = parts.plan, parts.engines, parts.writer, parts.fixtures
        calibration = self._calibrate(plan)
        for plugin in parts.plugins:
            self._while_listening(plugin.calibrate)
        data_sets = self._while_listening(lambda: fixtures.load(self.progress.step))
        for number in range(len(plan.workloads)):
            self._placed(loaded, number, partial(parts.steps.set_up, number, self.progress.step))
        for plugin in parts.plugins:
            self._while_listening(plugin.rehearse)
        self._connect(loaded, engines)
        record = first_record(loaded, plan, self.stack, calibration)
        # Written before run zero is set, because a slow disk must not push it into the past.
        update = {"data_sets": data_sets, "started": _start(writer.zero)}
        record = record.model_copy(update=update | ({"pair": self.pair} if self.pair else {}))
        writer.outline(record)
        label = WallLabel.read()
        lead_ns = self.generators.lead_ns
        start_ns = label.monotonic_ns + lead_ns
        writer.zero = WallLabel(start_ns, label.wall_ns + lead_ns)
        started = _start(writer.zero).model_copy(update={"run_label": plan.run_label})
        record = record.model_copy(update={"started": started, "run": writer.name})
        for engine in engines:
            engine.begin(start_ns, plan.run_label)
        parts.sampler.start(start_ns)
        for plugin in parts.plugins:
            plugin.begin(start_ns, writer)
        parts.stops.begin(start_ns)
        writer.on_event = self.watchers.event
        self.watchers.started(record, writer.zero)
        use, wants = self.generators.use(), bool(parts.stops)
        recorder = Recorder(plan, engines, writer, use, self.watchers, keeps_gains=wants)
        end_ns = self._windows(parts, recorder, start_ns)
        parts.sampler.stop()
        record = record.model_copy(update={"resources": parts.sampler.record()})
        results = [(engine, engine.finish()) for engine in engines]
        recorder.window(end_ns, max(monotonic_ns() - start_ns, end_ns + 1))
        if plan.operation_log:
            raw = [
                RawLog(number, path, length, engine.plan.workload.first_key)
                for number, (engine, _) in enumerate(results)
                for path, length in engine.raw_logs()
            ]
            merge(raw, LOG_RECORD, writer.artifact("operations.npy"))
        interrupted = self.stop.is_asked
        final = final_record(record, plan, results, end_ns)
        if parts.stopped is not None:
            final = cut_short(final, parts.stopped)
        for plugin in parts.plugins:
            final = plugin.finish(final, writer.folder)
        outages = outages_of(writer.series_so_far(), final)
        for outage in outages:
            shown = outage.model_dump(include={"workload", "whose", "fault", "until_ns"})
            writer.event(outage.from_ns, "outage", **shown)
        self._stack_events(writer, start_ns)
        self._keep_logs(writer)
        anomalies = [*final.anomalies, *fixtures.check(), *self._torn_down(loaded, parts.steps)]
        final = final.model_copy(update={"outages": outages, "anomalies": anomalies})
        final = self.generators.add_to(final)
        path = writer.finish(final, interrupted=interrupted)
        self.watchers.ended(path, interrupted=interrupted)
        if interrupted:
            raise InterruptedRun(f"interrupted; what was measured is kept in {path}", path)
        return path

    def _connect(self, loaded: LoadedScenario, engines: list[Engine]) -> None:
        for number, engine in enumerate(engines):
            self._check_stop()
            self.progress.step(f"connecting {engine.plan.name} to {engine.plan.workload.target}")
            self._placed(loaded, number, engine.prepare)
        self._check_stop()

    def _placed(self, loaded: LoadedScenario, number: int, work: Callable[[], None]) -> None:
        """Prepare something of workload `number`; what its target refuses is reported at its place."""
        try:
            self._while_listening(work)
        except StatementRefused as refused:
            raise placed_refusal(loaded, number, refused) from None

    def _torn_down(self, loaded: LoadedScenario, steps: Steps) -> list[Anomaly]:
        """Tear down what was set up; what could not be, for the record."""
        found = []
        for number, error in steps.tear_down():
            shown = placed_refusal(loaded, number, error) if isinstance(error, StatementRefused) else error
            message = f"what setup left behind may still be there: {shown}"
            found.append(Anomaly(code="teardown_failed", severity="note", message=message))
        return found

    def _calibrate(self, plan: Plan) -> CalibrationRecord:
        rates = [w.workload.rate_per_s for w in plan.workloads if w.workload.rate_per_s]
        lanes = max(workload.workload.lanes for workload in plan.workloads)
        look = CompanyLook()
        found = self._while_listening(
            lambda: self.generators.calibrate(max(rates) if rates else None, lanes, self.progress.step)
        )
        company = look.end()
        if company.disturbs:
            self.progress.step(f"{company.sentence()}: what breaks a rule may be their doing")
        return found

    def _while_listening(self, work: Callable[[], Value]) -> Value:
        """Do `work` in another thread, so that a stop is obeyed immediately; it ends with the process."""
        thread = Work("preparation", work)
        thread.start()
        while thread.is_alive():
            self._check_stop()
            thread.join(POLL_S)
        return thread.result()

    def _check_stop(self) -> None:
        if self.stop.is_asked:
            raise InterruptedRun("interrupted before the run began; nothing was measured")

    def _windows(self, parts: _Parts, recorder: Recorder, start_ns: int) -> int:
        """Close one window after the other until every engine has ended; return the end of the last one."""
        plan, engines, writer = parts.plan, parts.engines, parts.writer
        for phase in plan.phases:
            writer.event(
                phase.start_ns, "phase", name=phase.name, measured=phase.measured, end_ns=phase.end_ns
            )
        before = 0
        self._pace = Pace()
        for window in windows(
            plan,
            engines,
            self.stop,
            start_ns,
            lambda now_ns, times: writer.event(now_ns, "interrupted", times=times),
        ):
            now = window.now_ns
            if self.generators.closes_windows:
                now = min(now, window.due_ns)
            parts.sampler.update(self.stack.describe())
            if (said := parts.sampler.take_alarm()) is not None:
                self.progress.step(said)
                writer.event(now, "machine_busy", text=said)
            under_way = ", ".join(text for plugin in parts.plugins if (text := plugin.look(now)))
            view = recorder.window(before, now, under_way)
            self._stop_early(parts, view)
            self._look(parts, recorder, now, monotonic_ns() - start_ns, under_way)
            before = now
            if not any(engine.is_running() for engine in engines):
                break
        return before

    def _stop_early(self, parts: _Parts, view: WindowView) -> None:
        """End the load where a condition for that holds; what has not ended a window later is cut off."""
        if parts.stopped is not None:
            for engine in parts.engines:
                engine.stop(at_once=True)
            return
        if self.stop.is_asked or (found := parts.stops.look(view)) is None:
            return
        planned_ns = parts.plan.duration_ns
        if found.at_ns >= planned_ns:
            return
        stopped = found.model_copy(update={"planned_ns": planned_ns})
        parts.end_early(stopped)
        self.progress.step(f"stopped early: {stopped.sentence}")
        parts.writer.event(stopped.at_ns, "stopped", text=stopped.sentence)

    def _look(self, parts: _Parts, recorder: Recorder, now: int, looked_ns: int, under_way: str) -> None:
        """Show how it goes: `now` is the end of the window, and `looked_ns` when the counts are read."""
        plan, lives = parts.plan, [engine.live() for engine in parts.engines]
        ended = sum(sum(live.outcomes) for live in lives)
        phase = next((phase.name for phase in plan.phases if now < phase.end_ns), "drain")
        self.progress.look(
            ProgressSnapshot(
                now_ns=now,
                total_ns=plan.duration_ns,
                phase=phase,
                rate_per_s=self._pace.after(looked_ns, ended),
                ok=sum(live.outcomes[0] for live in lives),
                ended=ended,
                p95_ns=recorder.last_p95_ns,
                connected=sum(live.connected for live in lives),
                under_way=under_way,
            )
        )

    def _keep_logs(self, writer: RunWriter) -> None:
        """A copy of every log that the stack's services have written so far."""
        for target in self.stack.describe():
            log = Path(target.log or "")
            if log.is_file():
                shutil.copyfile(log, writer.artifact(f"{target.name}.log"))

    def _stack_events(self, writer: RunWriter, start_ns: int) -> None:
        """What happened to the stack's services during the run, on the run's clock."""
        for event in self.stack.events():
            if event.at_ns >= start_ns:
                writer.event(
                    event.at_ns - start_ns,
                    f"service_{event.kind}",
                    service=event.service,
                    pid=event.pid,
                    status=event.status,
                    text=event.text,
                )


def pool_use(engines: list[Engine]) -> tuple[int, int] | None:
    """Connections in use and in all, of the pools of all client engines; None where there is no pool."""
    pools = [engine for engine in engines if engine.plan.workload.engine == "client"]
    size = sum(engine.plan.workload.pool for engine in pools)
    return (sum(engine.live().pool_in_use or 0 for engine in pools), size) if size else None
