"""The engine host of a worker: engines of a plan that a coordinator deals out, and nothing else of a run.

It ends at the coordinator's word, at the end of its parent's stream, and when the coordinator has been
silent for long: load that nobody watches over is not made.
"""

from __future__ import annotations

import threading
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from bench.core.clock import NS_PER_S, monotonic_ns
from bench.core.errors import ExitCode
from bench.plan.plan import Segment
from bench.run.stop_request import StopRequest
from bench.swarm.distributed.failures import packed_failure
from bench.swarm.distributed.host_info import HostInfo
from bench.swarm.distributed.trust import check_locustfiles, check_target
from bench.swarm.distributed.workload_runner import WorkloadRunner

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bench.engine.api import Engine
    from bench.plan.plan import Plan

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
