"""The workers of a run as those who make its load: the coordinator's side."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Any

from bench.core.clock import monotonic_ns
from bench.swarm.distributed.clock_offset import Round
from bench.swarm.distributed.failures import WorkerError
from bench.swarm.distributed.host_info import PROTOCOL, HostInfo
from bench.swarm.distributed.members import Members
from bench.swarm.distributed.plan_codec import packed_plan
from bench.swarm.distributed.segments import segments_of
from bench.swarm.distributed.worker import RemotePart, Worker
from bench.swarm.distributed.worker_record import add_workers, worst_calibration

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from bench.engine.api import Engine
    from bench.plan.plan import Plan, WorkloadPlan
    from bench.run.generator import GeneratorUsage
    from bench.stack.target import Target

HELLO_ROUNDS = 9
MEET_S = 30.0
CALIBRATE_S = 900.0
"""A worker may have to compile first, on a busy machine. One that is gone falls silent long before."""
LEAST_LEAD_NS = 1_000_000_000
TRIPS_OF_LEAD = 20


class Coordinator(Members):
    """See bench.run.generator.Generators for what the session asks of it.

    `send` hands a message to the engine host of a worker; it returns at once. What hosts say comes to
    `hear`, from any one thread.
    """

    closes_windows = True

    def __init__(self, names: Sequence[str], send: Callable[[str, dict[str, Any]], None]) -> None:
        super().__init__(names, send)
        self.keeps_operations = False
        self._segments: list[dict[str, Any]] = []
        self._has_asked_again = False

    def meet(self) -> None:
        """Learn where every worker is and what its clock says. Raises WorkerError."""
        threading.Thread(target=self.watch, name="fleet", daemon=True).start()
        everyone = list(self.workers.values())
        ours = HostInfo.of_this_process()
        self._ask_for_time(everyone, after=False)
        for worker in everyone:
            assert worker.where is not None
            if worker.where.protocol != PROTOCOL:
                raise WorkerError(
                    worker.name,
                    f"expected version {PROTOCOL} of our messages, found {worker.where.protocol}; "
                    "install the same version of Holdfast on every host",
                )
            worker.clock.is_same = worker.where.shares_clock_with(ours)

    def _ask_for_time(self, workers: Sequence[Worker], *, after: bool) -> None:
        for _ in range(HELLO_ROUNDS):
            for worker in workers:  # one after the other: they would hold each other up
                self._one_round(worker, worker.clock.after if after else worker.clock.before)

    def _one_round(self, worker: Worker, rounds: list[Round]) -> None:
        wanted = len(rounds) + 1
        sent_ns = monotonic_ns()
        with self.changed:
            worker.asked_ns.add(sent_ns)
        self.post(worker, "hello", sent_ns=sent_ns)
        self.await_all([worker], lambda _: len(rounds) >= wanted, MEET_S, "tell where it is")

    # --- what the session asks -----------------------------------------------------------------------

    @property
    def lead_ns(self) -> int:
        """Time for the start to reach every worker, with much to spare."""
        longest = max(worker.clock.longest_trip_ns for worker in self.workers.values())
        return max(LEAST_LEAD_NS, TRIPS_OF_LEAD * longest)

    def engine_for(self, plan: Plan, workload: WorkloadPlan, target: Target | None, folder: Path) -> Engine:
        """One that stands for the workers' engines."""
        from bench.swarm.distributed.remote_engine import RemoteEngine

        if not self._segments:
            self._segments = segments_of(plan, list(self.workers))
            self.keeps_operations = plan.operation_log
            self._deal(plan)
        number = [entry.name for entry in plan.workloads].index(workload.name)
        for name, segment in self._segments[number].items():
            self.workers[name].parts[number] = RemotePart.of(segment, workload, plan.duration_ns)
        chosen = [self.workers[name] for name in self._segments[number]]
        engine = RemoteEngine(self, plan, number, chosen, target, folder)
        for worker in chosen:
            engine.require_reachable(worker)
        return engine

    def _deal(self, plan: Plan) -> None:
        busy = self.busy()
        values = packed_plan(plan)
        for worker in busy:
            self.post(worker, "plan", plan=values)
        self.await_all(busy, lambda worker: worker.has_plan, CALIBRATE_S, "take the plan")

    def busy(self) -> list[Worker]:
        """The workers that have a segment of something."""
        named = {name for segments in self._segments for name in segments}
        return [worker for worker in self.workers.values() if worker.name in named]

    def calibrate(self, rate_per_s: float | None, lanes: int, note: Callable[[str], None]) -> dict[str, Any]:
        """All at once, as they will run; the worst of them counts."""
        busy = self.busy()
        idle = len(self.workers) - len(busy)
        if idle:
            note(
                f"{idle} of {len(self.workers)} workers stay idle: the load cannot be cut into more segments"
            )
        note(f"{len(busy)} workers measure themselves against servers of known delays")
        share = rate_per_s / len(busy) if rate_per_s else None
        for worker in busy:
            self.post(worker, "calibrate", rate_per_s=share, lanes=max(lanes // len(busy), 1))
        self.await_all(busy, lambda worker: worker.calibration is not None, CALIBRATE_S, "measure itself")
        return worst_calibration({worker.name: worker.calibration or {} for worker in busy})

    def use(self) -> GeneratorUsage:
        """Of all workers together."""
        return _FleetUse(self)

    def add_to(self, record: dict[str, Any]) -> None:
        """`workers`, and what was wrong with them."""
        with self.changed:
            add_workers(
                record,
                self.workers.values(),
                self.start_ns,
                self.late_joiners,
                is_logged=self.keeps_operations,
            )

    def ask_clocks_again(self) -> None:
        """At the end of the run, once: how far clocks that are not ours have drifted in it."""
        if self._has_asked_again:
            return
        self._has_asked_again = True
        apart = [one for one in self.busy() if not one.is_lost and not one.clock.is_same]
        # One that is lost at this moment did its part; only the drift of its clock stays unknown.
        with contextlib.suppress(WorkerError):
            self._ask_for_time(apart, after=True)


class _FleetUse:
    """CPU and memory of all workers' processes, as each said last."""

    def __init__(self, fleet: Coordinator) -> None:
        self._fleet = fleet

    def window(self) -> dict[str, Any]:
        """See bench.run.generator.Use."""
        with self._fleet.changed:
            told = [worker.use for worker in self._fleet.workers.values() if not worker.is_lost]
        found: dict[str, Any] = {}
        for key in ("generator_cpu_ratio", "generator_rss_bytes"):
            values = [use[key] for use in told if use.get(key) is not None]
            found[key] = round(sum(values), 3) if values else None
        return found
