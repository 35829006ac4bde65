"""The engine host of a worker: runs engines of a plan that a coordinator deals out, each in a thread that
does what the coordinator says, step by step.

It ends when the coordinator says so, when its parent's stream ends, and when nothing was heard of the
coordinator for long: load that nobody supervises is not made.
"""

from __future__ import annotations

import contextlib
import os
import queue
import shutil
import tempfile
import threading
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.core.clock import NS_PER_S, monotonic_ns
from bench.core.errors import ExitCode
from bench.plan.plan import Segment
from bench.run.stop_request import StopRequest
from bench.run.windows import windows
from bench.swarm.distributed.messages import (
    packed_bytes,
    packed_changes,
    packed_failure,
    packed_live,
    packed_result,
)
from bench.swarm.distributed.trust import check_locustfiles, check_target
from bench.swarm.distributed.worker import HostInfo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bench.engine.api import Engine
    from bench.plan.plan import Plan


PREFIX = "holdfast-worker-"


@contextlib.contextmanager
def scratch_folder() -> Iterator[Path]:
    """A folder of this process alone, gone at the end; those of our killed predecessors go now."""
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


LEAST_LEAD_NS = 2_000_000
"""An engine that is told of run zero later than this before it may miss it."""


class WorkloadRunner:
    """Runs one engine. Answers go to `send`, each with the number of the workload."""

    def __init__(
        self,
        number: int,
        plan: Plan,
        make_engine: Callable[[], Engine],
        send: Callable[[dict[str, Any]], None],
    ) -> None:
        self._number, self._plan, self._make_engine, self._send = number, plan, make_engine, send
        self._steps: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._engine: Engine | None = None
        self._stop = StopRequest()
        threading.Thread(target=self._run, name=f"part-{number}", daemon=True).start()

    def do(self, message: dict[str, Any]) -> None:
        """Take the next step, after those before it; a stop is obeyed in the middle of the windows."""
        if message["kind"] != "stop":
            self._steps.put(message)
        elif message["at_once"]:
            self._stop.ask_at_once()
        else:
            self._stop.ask()

    def close(self) -> None:
        """End the engine, whatever its thread is at."""
        if self._engine is not None:
            self._engine.close()

    def _run(self) -> None:
        steps = {
            "prepare": self._prepare,
            "begin": self._begin,
            "finish": self._finish,
            "log": self._log,
        }
        while True:
            message = self._steps.get()
            try:
                steps[message["kind"]](message)
            except Exception as failure:  # noqa: BLE001 - the coordinator is told, whatever it is
                self._say("failed", error=packed_failure(failure))

    def _say(self, kind: str, **fields: Any) -> None:
        self._send({"kind": kind, "workload": self._number, **fields})

    def _prepare(self, _: dict[str, Any]) -> None:
        self._engine = self._make_engine()
        self._engine.prepare()
        self._say("prepared")

    def _begin(self, message: dict[str, Any]) -> None:
        assert self._engine is not None
        start_ns = int(message["start_ns"])
        lead_ns = start_ns - monotonic_ns()
        if lead_ns < LEAST_LEAD_NS:
            self._say("late", by_ns=LEAST_LEAD_NS - lead_ns)
            return
        self._engine.begin(start_ns, message["run_label"])
        self._windows(self._engine, start_ns)

    def _windows(self, engine: Engine, start_ns: int) -> None:
        """Send what was gained in each window of the plan, then in steps until all has ended."""
        for window in windows(self._plan, [engine], self._stop, start_ns):
            self._say(
                "window",
                number=window.number,
                is_last=window.is_last,
                gains=packed_changes(engine.changes()),
                live=packed_live(engine.live()),
                events=engine.events(),
            )

    def _finish(self, _: dict[str, Any]) -> None:
        assert self._engine is not None
        result = packed_result(self._engine.finish())
        logs = [length for _, length in self._engine.raw_logs()]
        self._say("result", result=result, gains=packed_changes(self._engine.changes()), logs=logs)

    def _log(self, message: dict[str, Any]) -> None:
        """A piece of one of the operation logs: records from `first` on, at most `count`."""
        from bench.engine.wire.layout import LOG_RECORD

        assert self._engine is not None
        path, length = self._engine.raw_logs()[message["file"]]
        size = LOG_RECORD.itemsize
        count = min(message["count"], length - message["first"])
        with path.open("rb") as file:
            file.seek(message["first"] * size)
            content = file.read(count * size)
        self._say("log_piece", file=message["file"], first=message["first"], content=packed_bytes(content))


BEAT_S = 0.5
COORDINATOR_SILENT_S = 20.0


class EngineHost:
    """Does what the coordinator's messages say; what it has to say goes to `send`.

    The messages are listed in members.py. Operation logs are kept in `scratch` until they are fetched.
    """

    def __init__(self, send: Callable[[dict[str, Any]], None], scratch: Path) -> None:
        self._send, self._scratch = send, scratch
        self._plan: Plan | None = None
        self._parts: dict[int, WorkloadRunner] = {}
        self._over = StopRequest()
        self._code = int(ExitCode.INTERRUPTED)
        self._heard_ns = monotonic_ns()

    def hear(self, message: dict[str, Any]) -> None:
        """A message of the coordinator, in the order in which they were sent."""
        self._heard_ns = monotonic_ns()
        match message["kind"]:
            case "hello":  # at once: the answer tells the time
                facts = asdict(HostInfo.of_this_process())
                self._send({"kind": "here", "sent_ns": message["sent_ns"], "at_ns": monotonic_ns(), **facts})
            case "calibrate":
                self._aside(lambda: self._calibrate(message["rate_per_s"], message["lanes"]))
            case "plan":
                self._aside(lambda: self._take(message["plan"]))
            case "prepare":
                self._prepare(message)
            case "end":
                self._code = int(ExitCode.OK)
                self._over.ask()
            case "beat":
                pass
            case _ if message.get("workload") in self._parts:
                self._parts[message["workload"]].do(message)

    def end(self) -> None:
        """The parent has gone."""
        self._over.ask()

    def run(self) -> int:
        """Until the end; the exit code."""
        from bench.resources.generator import GeneratorUse

        use = GeneratorUse()
        while not self._over.wait(BEAT_S):
            self._send({"kind": "beat", **use.window()})
            if monotonic_ns() - self._heard_ns > COORDINATOR_SILENT_S * NS_PER_S:
                break
        for part in self._parts.values():
            part.close()
        return self._code

    def _aside(self, work: Callable[[], None]) -> None:
        """Do it in a thread of its own, because compiling and measuring take seconds."""

        def run() -> None:
            try:
                work()
            except Exception as failure:  # noqa: BLE001 - the coordinator is told, whatever it is
                self._send({"kind": "failed", "workload": None, "error": packed_failure(failure)})

        threading.Thread(target=run, name="aside", daemon=True).start()

    def _calibrate(self, rate_per_s: float | None, lanes: int) -> None:
        from bench.run.calibration.measure import self_measurement

        self._send({"kind": "calibrated", "calibration": self_measurement(rate_per_s, lanes)})

    def _take(self, values: dict[str, Any]) -> None:
        from bench.swarm.distributed.plan_codec import unpacked_plan

        check_locustfiles(values)
        self._plan = unpacked_plan(values, self._scratch)
        self._send({"kind": "planned"})

    def _prepare(self, message: dict[str, Any]) -> None:
        from bench.engine import engine_for
        from bench.swarm.distributed.plan_codec import unpacked_target

        assert self._plan is not None
        number, count = message["segment"]
        plan = replace(self._plan, segment=Segment(number, count))
        target = unpacked_target(message["target"])

        def make() -> Engine:
            check_target(target)
            return engine_for(plan, plan.workloads[message["workload"]], target, self._scratch)

        part = self._parts[message["workload"]] = WorkloadRunner(message["workload"], plan, make, self._send)
        part.do(message)
