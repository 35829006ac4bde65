"""The workers of a run: what is sent to them, what they send, which of them are lost, and how together they
generate the load of a session."""

import contextlib
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.core.clock import NS_PER_S, monotonic_ns
from bench.core.messages import Event, MessageError
from bench.engine.api import Engine
from bench.plan.plan import Plan, Segment, WorkloadPlan
from bench.resources.generator import GeneratorCost
from bench.results.generator_records import CalibrationRecord
from bench.results.run_record import RunRecord
from bench.run.plugins import GeneratorUsage
from bench.stack.target import Target
from bench.swarm.distributed import messages
from bench.swarm.distributed.host import PROTOCOL, HostInfo, WorkerError
from bench.swarm.distributed.plan_codec import PlanMessage, segments_of
from bench.swarm.distributed.sums import anomalies_of, late_joiner, worker_record, worst_calibration
from bench.swarm.distributed.worker import RemotePart, Round, Worker

BEAT_S = 1.0
SILENT_S = 10.0
"""A worker that says nothing for so long is lost: it beats twice a second, whatever it is doing."""
SILENT_BEFORE_S = 45.0
"""The same before run zero, when a worker may be busy compiling."""
HELLO_ROUNDS = 9
MEET_S = 30.0
CALIBRATE_S = 900.0
"""A worker may have to compile first, on a busy machine. One that is gone falls silent long before."""
LEAST_LEAD_NS = 1_000_000_000
TRIPS_OF_LEAD = 20


class Coordinator:
    """See bench.run.plugins.LoadGenerator for what the session asks of it.

    `send` hands a message to the engine host of a worker; it returns immediately. What hosts say comes to
    `hear`, from any one thread.
    """

    closes_windows = True

    def __init__(
        self, names: Sequence[str], send: Callable[[str, messages.CoordinatorMessage], None]
    ) -> None:
        self.workers = {name: Worker(name) for name in names}
        self.late_joiners: list[tuple[str, int]] = []
        self.changed = threading.Condition()
        """Notified whenever a worker has said something; guards everything that workers send."""
        self.start_ns = 0
        """Run zero, once it is set."""
        self.notes: list[Event] = []
        """Events about workers that no engine has reported yet."""
        self.keeps_operations = False
        self._send = send
        self._segments: list[dict[str, Segment]] = []
        self._has_asked_again = False
        self._closed = threading.Event()

    # --- what comes in -----------------------------------------------------------------------------

    def hear(self, name: str, message: object) -> None:
        """What an engine host sent, as it was read from JSON."""
        now = monotonic_ns()
        with self.changed:
            worker = self.workers.get(name)
            if worker is None or worker.is_lost:
                return
            worker.heard_ns = now
            if problem := self._problem_of(worker, message, now):
                self._lose(worker, f"refused, because {problem}")
            self.changed.notify_all()

    def _problem_of(self, worker: Worker, message: object, now: int) -> str | None:
        """Take a message, or say why not. Nothing that a worker sends may end the run of the others."""
        if not isinstance(message, dict):
            return "it sent what is no message"
        try:
            return self._take(worker, messages.FROM_HOST.of(message), now)
        except MessageError as error:
            if not error.place:
                return "it sent a message of an unknown kind"
            return f"it sent a damaged message: {error}"

    def _take(self, worker: Worker, message: messages.HostMessage, now: int) -> str | None:
        number = getattr(message, "workload", None)
        part = worker.parts.get(number) if number is not None else None
        match message:
            case messages.Here() if message.sent_ns not in worker.asked_ns:
                return "it answered a question that was not asked"
            case messages.Here():
                worker.asked_ns.discard(message.sent_ns)
                worker.where = message
                rounds = worker.clock.after if self.start_ns else worker.clock.before
                rounds.append(Round(message.sent_ns, message.at_ns, now))
            case messages.HostBeat():
                worker.use = message
            case messages.Calibrated():
                worker.calibration = message.calibration
            case messages.Planned():
                worker.has_plan = True
            case messages.Failed() if part:
                part.failure = message.error.error(worker.name)
            case messages.Failed():
                worker.failure = message.error.error(worker.name)
            case messages.Late():
                late_ms = message.by_ns / 1e6
                self._lose(worker, f"it learned of the start {late_ms:.0f} ms too late to take part")
            case messages.Prepared() if part:
                part.is_prepared = True
            case messages.Window() if part:
                return part.add_window(message)
            case messages.Result() if part:
                return part.add_result(message)
            case messages.LogPiece() if part:
                part.piece = message
        return None

    def lost(self, name: str, reason: str) -> None:
        """A worker is gone, as was noticed elsewhere."""
        with self.changed:
            if (worker := self.workers.get(name)) is not None:
                self._lose(worker, reason)
            self.changed.notify_all()

    def joined(self, name: str) -> None:
        """A worker came after the run had been dealt out: it takes no part."""
        with self.changed:
            if name not in self.workers and not self._closed.is_set():
                now = monotonic_ns()
                self.late_joiners.append((name, now))
                self.notes.append(_event(now, "worker_joined_late", worker=name))

    def _lose(self, worker: Worker, reason: str) -> None:
        if worker.is_lost or self._closed.is_set():
            return
        worker.lost_because, worker.lost_ns = reason, monotonic_ns()
        self.notes.append(_event(worker.lost_ns, "worker_lost", worker=worker.name, text=reason))
        self._send(worker.name, messages.End())  # should it still hear

    # --- what goes out -----------------------------------------------------------------------------

    def post(self, worker: Worker, message: messages.CoordinatorMessage) -> None:
        """A message to a worker that is not lost."""
        if not worker.is_lost:
            self._send(worker.name, message)

    def await_all(
        self, workers: Sequence[Worker], is_done: Callable[[Worker], bool], seconds: float, what: str
    ) -> None:
        """Wait until every worker has done what was asked. Raises what failed, of the first worker."""

        def is_over(worker: Worker) -> bool:
            failures = [part.failure for part in worker.parts.values()]
            return is_done(worker) or worker.is_lost or bool(worker.failure) or any(failures)

        with self.changed:
            self.changed.wait_for(lambda: all(map(is_over, workers)), seconds)
            for worker in workers:
                for failure in (worker.failure, *(part.failure for part in worker.parts.values())):
                    if failure is not None:
                        raise failure
            for worker in workers:
                if not is_done(worker):
                    reason = worker.lost_because or f"it did not within {seconds:.0f} s"
                    raise WorkerError(
                        worker.name,
                        f"expected it to {what}, found: {reason}; check its log, or exclude it",
                    )

    def watch(self) -> None:
        """Beat, and see which workers are silent.

        If this process was suspended, that time does not count as missed heartbeats.
        """
        before = monotonic_ns()
        while not self._closed.wait(BEAT_S):
            now = monotonic_ns()
            with self.changed:
                for worker in self.workers.values():
                    if now - before > 2 * BEAT_S * NS_PER_S:
                        worker.heard_ns = now
                    limit_s = SILENT_S if self.start_ns else SILENT_BEFORE_S
                    if not worker.is_lost and now - worker.heard_ns > limit_s * NS_PER_S:
                        self._lose(worker, f"nothing was heard of it for {limit_s:g} s")
                    self.post(worker, messages.Beat())
                self.changed.notify_all()
            before = now

    def close(self) -> None:
        """The run is over for every worker. Idempotent."""
        self._closed.set()
        for worker in self.workers.values():
            self._send(worker.name, messages.End())

    # --- before the run ------------------------------------------------------------------------------

    def meet(self) -> None:
        """Learn where every worker is and what its clock says. Raises WorkerError."""
        threading.Thread(target=self.watch, name="workers", daemon=True).start()
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
        self.post(worker, messages.Hello(sent_ns))
        self.await_all([worker], lambda _: len(rounds) >= wanted, MEET_S, "tell where it is")

    @property
    def lead_ns(self) -> int:
        """Time for the start to reach every worker, with much to spare."""
        longest = max(worker.clock.longest_trip_ns for worker in self.workers.values())
        return max(LEAST_LEAD_NS, TRIPS_OF_LEAD * longest)

    def engine_for(self, plan: Plan, workload: WorkloadPlan, target: Target | None, folder: Path) -> Engine:
        """One that stands for the workers' engines."""
        from bench.swarm.distributed.engine import RemoteEngine

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
        message = messages.TakePlan(PlanMessage.of(plan))
        for worker in busy:
            self.post(worker, message)
        self.await_all(busy, lambda worker: worker.has_plan, CALIBRATE_S, "take the plan")

    def busy(self) -> list[Worker]:
        """The workers that have a segment of something."""
        named = {name for segments in self._segments for name in segments}
        return [worker for worker in self.workers.values() if worker.name in named]

    def calibrate(
        self, rate_per_s: float | None, lanes: int, note: Callable[[str], None]
    ) -> CalibrationRecord:
        """All together, as they will run; the worst of them counts."""
        busy = self.busy()
        idle = len(self.workers) - len(busy)
        if idle:
            note(
                f"{idle} of {len(self.workers)} workers stay idle: the load cannot be cut into more segments"
            )
        note(f"{len(busy)} workers measure themselves against servers of known delays")
        share = rate_per_s / len(busy) if rate_per_s else None
        for worker in busy:
            self.post(worker, messages.Calibrate(share, max(lanes // len(busy), 1)))
        self.await_all(busy, lambda worker: worker.calibration is not None, CALIBRATE_S, "measure itself")
        by_worker = {worker.name: worker.calibration for worker in busy if worker.calibration}
        return worst_calibration(by_worker)

    # --- during and after the run --------------------------------------------------------------------

    def use(self) -> GeneratorUsage:
        """Of all workers together."""
        return self

    def window(self) -> GeneratorCost:
        """CPU and memory of all workers' processes, as each reported last; see GeneratorUsage."""
        with self.changed:
            uses = [worker.use for worker in self.workers.values() if worker.use and not worker.is_lost]
        cpu = [use.generator_cpu_ratio for use in uses if use.generator_cpu_ratio is not None]
        rss = [use.generator_rss_bytes for use in uses if use.generator_rss_bytes is not None]
        return GeneratorCost(round(sum(cpu), 3) if cpu else None, round(sum(rss), 3) if rss else None)

    def add_to(self, record: RunRecord) -> RunRecord:
        """`workers`, and what was wrong with them."""
        names = [workload.name for workload in record.workloads]
        with self.changed:
            workers = [
                worker_record(worker, number, len(self.workers), names)
                for number, worker in enumerate(self.workers.values(), 1)
            ]
            anomalies = [
                *(
                    anomaly
                    for worker in self.workers.values()
                    for anomaly in anomalies_of(worker, self.start_ns, is_logged=self.keeps_operations)
                ),
                *(late_joiner(name, at_ns - self.start_ns) for name, at_ns in self.late_joiners),
            ]
        return record.model_copy(update={"workers": workers, "anomalies": [*record.anomalies, *anomalies]})

    def ask_clocks_again(self) -> None:
        """At the end of the run, once: how far clocks that are not ours have drifted in it."""
        if self._has_asked_again:
            return
        self._has_asked_again = True
        apart = [worker for worker in self.busy() if not worker.is_lost and not worker.clock.is_same]
        # One that is lost at this moment did its part; only the drift of its clock stays unknown.
        with contextlib.suppress(WorkerError):
            self._ask_for_time(apart, after=True)


def _event(at_ns: int, kind: str, **details: str) -> Event:
    return Event.model_validate({"at_ns": at_ns, "kind": kind, **details})
