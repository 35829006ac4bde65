"""The engine host of a worker: runs engines of a plan that a coordinator deals out, each in a thread that
does what the coordinator says, step by step.

It ends when the coordinator says so, when its parent's stream ends, and when nothing was heard of the
coordinator for long: load that nothing supervises is not made.
"""

import contextlib
import os
import queue
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path

from bench.core.clock import NS_PER_S, monotonic_ns
from bench.core.errors import ExitCode
from bench.engine.api import Engine
from bench.plan.plan import Plan, Segment
from bench.results.generator_records import CalibrationRecord
from bench.run.recorder import windows
from bench.run.stop_request import StopRequest
from bench.swarm.distributed import messages
from bench.swarm.distributed.host import Failure, HostInfo
from bench.swarm.distributed.plan_codec import PlanMessage
from bench.swarm.distributed.trust import check_locustfiles, check_target

PREFIX = "holdfast-worker-"
LEAST_LEAD_NS = 2_000_000
"""An engine that learns of run zero later than this before it may miss it."""
BEAT_S = 0.5
COORDINATOR_SILENT_S = 20.0


@contextlib.contextmanager
def scratch_folder() -> Iterator[Path]:
    """A folder for operation logs and a locustfile that was sent: of this process alone, gone at the end.

    Those of our killed predecessors go now.
    """
    for old in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        pid = old.name.removeprefix(PREFIX).partition("-")[0]
        is_ours = old.lstat().st_uid == os.geteuid()
        if is_ours and pid.isdecimal() and not Path("/proc", pid).exists():
            shutil.rmtree(old, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


Step = messages.Prepare | messages.Begin | messages.Finish | messages.FetchLog


class WorkloadRunner:
    """Runs one engine. Answers go to `send`, each with the number of the workload."""

    def __init__(
        self,
        number: int,
        plan: Plan,
        make_engine: Callable[[], Engine],
        send: Callable[[messages.HostMessage], None],
    ) -> None:
        self._number, self._plan, self._make_engine, self._send = number, plan, make_engine, send
        self._steps: queue.SimpleQueue[Step] = queue.SimpleQueue()
        self._engine: Engine | None = None
        self._stop = StopRequest()
        threading.Thread(target=self._run, name=f"part-{number}", daemon=True).start()

    def do(self, step: Step) -> None:
        """Take the next step, after those before it."""
        self._steps.put(step)

    def stop(self, *, at_once: bool) -> None:
        """Obeyed in the middle of the windows."""
        if at_once:
            self._stop.ask_at_once()
        else:
            self._stop.ask()

    def close(self) -> None:
        """End the engine, whatever its thread is doing."""
        if self._engine is not None:
            self._engine.close()

    def _run(self) -> None:
        while True:
            step = self._steps.get()
            try:
                if isinstance(step, messages.Prepare):
                    self._prepare()
                else:
                    assert self._engine is not None
                    self._take(self._engine, step)
            except Exception as failure:  # noqa: BLE001 - whatever it is, it is reported to the coordinator
                self._send(messages.Failed(self._number, Failure.of(failure)))

    def _prepare(self) -> None:
        self._engine = self._make_engine()
        self._engine.prepare()
        self._send(messages.Prepared(self._number))

    def _take(self, engine: Engine, step: messages.Begin | messages.Finish | messages.FetchLog) -> None:
        match step:
            case messages.Begin():
                lead_ns = step.start_ns - monotonic_ns()
                if lead_ns < LEAST_LEAD_NS:
                    self._send(messages.Late(self._number, LEAST_LEAD_NS - lead_ns))
                    return
                engine.begin(step.start_ns, step.run_label)
                self._windows(engine, step.start_ns)
            case messages.Finish():
                result = messages.ResultValues.of(engine.finish())
                logs = [length for _, length in engine.raw_logs()]
                self._send(messages.Result(self._number, result, _gains(engine), logs))
            case messages.FetchLog():
                self._send(self._piece(engine, step))

    def _windows(self, engine: Engine, start_ns: int) -> None:
        """Send what was gained in each window of the plan, then in steps until all has ended."""
        for window in windows(self._plan, [engine], self._stop, start_ns):
            gains, live = _gains(engine), engine.live()
            self._send(
                messages.Window(self._number, window.number, window.is_last, gains, live, engine.events())
            )

    def _piece(self, engine: Engine, step: messages.FetchLog) -> messages.LogPiece:
        from bench.engine.wire.layout import LOG_RECORD

        path, length = engine.raw_logs()[step.file]
        size = LOG_RECORD.itemsize
        count = min(step.count, length - step.first)
        with path.open("rb") as file:
            file.seek(step.first * size)
            content = file.read(count * size)
        return messages.LogPiece(self._number, step.file, step.first, messages.packed_bytes(content))


def _gains(engine: Engine) -> list[messages.HistogramGain]:
    return [messages.HistogramGain.of(change) for change in engine.changes()]


class EngineHost:
    """Does what the coordinator's messages say; what it has to say goes to `send`.

    Operation logs are kept in `scratch` until they are fetched.
    """

    def __init__(self, send: Callable[[messages.HostMessage], None], scratch: Path) -> None:
        self._send, self._scratch = send, scratch
        self._plan: Plan | None = None
        self._parts: dict[int, WorkloadRunner] = {}
        self._over = StopRequest()
        self._code = int(ExitCode.INTERRUPTED)
        self._heard_ns = monotonic_ns()

    def hear(self, message: object) -> None:
        """A message of the coordinator as it was read from JSON, in the order in which they were sent."""
        self._heard_ns = monotonic_ns()
        match messages.TO_HOST.of(message):
            case messages.Hello(sent_ns):  # before all else: the answer tells the time
                where = asdict(HostInfo.of_this_process())
                self._send(messages.Here(**where, sent_ns=sent_ns, at_ns=monotonic_ns()))
            case messages.Calibrate(rate_per_s, lanes):
                self._aside(lambda: self._calibrate(rate_per_s, lanes))
            case messages.TakePlan(plan):
                self._aside(lambda: self._take(plan))
            case messages.Prepare() as step:
                self._prepare(step)
            case messages.Begin() | messages.Finish() | messages.FetchLog() as step if (
                step.workload in self._parts
            ):
                self._parts[step.workload].do(step)
            case messages.Stop(workload, at_once) if workload in self._parts:
                self._parts[workload].stop(at_once=at_once)
            case messages.End():
                self._code = int(ExitCode.OK)
                self._over.ask()
            case messages.Beat():
                pass

    def end(self) -> None:
        """The parent has gone."""
        self._over.ask()

    def run(self) -> int:
        """Until the end; the exit code."""
        from bench.resources.generator import GeneratorUse

        use = GeneratorUse()
        while not self._over.wait(BEAT_S):
            self._send(messages.HostBeat(**asdict(use.window())))
            if monotonic_ns() - self._heard_ns > COORDINATOR_SILENT_S * NS_PER_S:
                break
        for part in self._parts.values():
            part.close()
        return self._code

    def _aside(self, work: Callable[[], None]) -> None:
        """Do it in a separate thread, because compiling and measuring take seconds."""

        def run() -> None:
            try:
                work()
            except Exception as failure:  # noqa: BLE001 - whatever it is, it is reported to the coordinator
                self._send(messages.Failed(None, Failure.of(failure)))

        threading.Thread(target=run, name="aside", daemon=True).start()

    def _calibrate(self, rate_per_s: float | None, lanes: int) -> None:
        from bench.run.calibration.measure import self_measurement

        self._send(messages.Calibrated(CalibrationRecord.read(self_measurement(rate_per_s, lanes))))

    def _take(self, plan: PlanMessage) -> None:
        check_locustfiles(plan.locustfiles)
        self._plan = plan.plan(self._scratch)
        self._send(messages.Planned())

    def _prepare(self, step: messages.Prepare) -> None:
        from bench.engine import engine_for

        assert self._plan is not None
        plan = replace(self._plan, segment=Segment(*step.segment))

        def make() -> Engine:
            check_target(step.target)
            return engine_for(plan, plan.workloads[step.workload], step.target, self._scratch)

        part = self._parts[step.workload] = WorkloadRunner(step.workload, plan, make, self._send)
        part.do(step)
