"""An engine that stands for the engines of one workload on the workers: it passes on what the session asks
and adds up exactly. Operation logs are fetched in pieces, so that no process holds a whole one."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from bench.core.clock import NS_PER_S, monotonic_ns
from bench.core.histogram import Counts, empty
from bench.core.machine_limits import RAW_LOG_PREFIX
from bench.core.messages import Event
from bench.core.outcome import Outcome
from bench.engine.api import EngineResult, EngineStats
from bench.engine.board import Change
from bench.engine.wire.engine import share_of
from bench.engine.wire.layout import LOG_RECORD
from bench.plan.plan import Plan, WorkloadPlan
from bench.stack.target import Target, is_loopback_literal
from bench.swarm.distributed.coordinator import Coordinator
from bench.swarm.distributed.host import HostInfo, WorkerError
from bench.swarm.distributed.messages import (
    Begin,
    FetchLog,
    Finish,
    HistogramGain,
    LogPiece,
    Prepare,
    Stop,
    Window,
    unpacked_bytes,
)
from bench.swarm.distributed.sums import PartialLive, merged_live, merged_result, result_of_the_lost
from bench.swarm.distributed.worker import RemotePart, Worker

PIECE = 32_768
PIECE_S = 30.0
NEVER = -1
PREPARE_S = 240.0
LATE_S = 3.0
"""How long a window is waited for after its end. What comes later is counted later, and reported."""
SILENT_S = 2.0
"""A worker that has said nothing for so long, not even that it lives, is not waited for."""
FINISH_S = 30.0


def fetch_log(
    coordinator: Coordinator,
    worker: Worker,
    number: int,
    file: int,
    to: Path,
    plan: WorkloadPlan,
    duration_ns: int,
) -> int:
    """Write one log to `to` and return how many records there are: fewer where the worker is lost.

    Times are put on the coordinator's clock. Its run zero is right from the start; what a clock that is
    not ours drifted until the end is spread evenly.
    """
    part = worker.parts[number]
    segment, lanes = part.segment, plan.workload.lanes
    first_lane = sum(share_of(lanes, segment.count, before) for before in range(segment.number))
    drift = worker.clock.drift_ns / max(duration_ns, 1)
    length, at = part.log_lengths[file], 0
    with to.open("wb") as out:
        while at < length:
            piece = _piece(coordinator, worker, number, file, at)
            if piece is None or not len(piece):
                break
            for name in ("planned_ns", "sent_ns", "done_ns"):
                times = piece[name]
                moved = times - np.rint(times * drift).astype(np.int64)
                piece[name] = np.where(times == NEVER, NEVER, moved)
            piece["lane"][piece["lane"] != NEVER] += first_lane
            out.write(piece.tobytes())
            at += len(piece)
    return at


def _piece(
    coordinator: Coordinator, worker: Worker, number: int, file: int, first: int
) -> np.ndarray[tuple[int], np.dtype[np.void]] | None:
    part = worker.parts[number]
    piece: LogPiece | None = None

    def has_come() -> bool:
        nonlocal piece
        piece, part.piece = part.piece, None
        return piece is not None or worker.is_lost or part.failure is not None

    with coordinator.changed:
        coordinator.post(worker, FetchLog(number, file, first, PIECE))
        coordinator.changed.wait_for(has_come, PIECE_S)
        if part.failure is not None:
            raise part.failure
    if piece is None:
        coordinator.lost(worker.name, "a piece of its operation log did not come")
        return None
    try:
        content = unpacked_bytes(piece.content, PIECE * LOG_RECORD.itemsize)
        return np.frombuffer(content, dtype=LOG_RECORD).copy()
    except ValueError:
        coordinator.lost(worker.name, "refused, because it sent a damaged piece of its operation log")
        return None


class RemoteEngine:
    """See bench.engine.api.Engine. Every window is the sum of the same window of all workers."""

    def __init__(
        self,
        coordinator: Coordinator,
        plan: Plan,
        number: int,
        workers: Sequence[Worker],
        target: Target | None,
        folder: Path,
    ) -> None:
        self.plan = plan.workloads[number]
        self._whole, self._number, self._target, self._folder = plan, number, target, folder
        self._coordinator, self._workers = coordinator, list(workers)
        self._window = -1
        """Number of the window that was asked for last."""
        self._has_finished = False
        self._events: list[Event] = []
        self._idle = PartialLive()
        self._live = merged_live([], self._idle)

    def _part(self, worker: Worker) -> RemotePart:
        return worker.parts[self._number]

    def prepare(self) -> None:
        """Have every worker make its engine. Raises what the first of them says, or WorkerError."""
        for worker in self._workers:
            segment = self._part(worker).segment
            numbers = (segment.number, segment.count)
            self._coordinator.post(worker, Prepare(self._number, numbers, self._target))
        self._coordinator.await_all(
            self._workers,
            lambda worker: self._part(worker).is_prepared,
            PREPARE_S,
            f"connect {self.plan.name}",
        )

    def require_reachable(self, worker: Worker) -> None:
        """Raises WorkerError where the target's address means something else on the worker's host."""
        target = self._target
        if target is None or not (is_loopback_literal(target.host) or target.host == "localhost"):
            return
        if worker.where is not None and not worker.where.shares_loopback_with(HostInfo.of_this_process()):
            expected = "an address that every worker can reach"
            found = f"loopback, which is another one on the host of worker {worker.name}"
            advice = "use --stack external with the address of the target in the network"
            raise WorkerError(worker.name, str(target.error(expected, found, advice)))

    def begin(self, start_ns: int, run_label: int = 0) -> None:
        """Send every worker run zero on its own clock."""
        self._coordinator.start_ns = start_ns
        for worker in self._workers:
            there_ns = start_ns + worker.clock.offset_ns
            self._coordinator.post(worker, Begin(self._number, there_ns, run_label))

    def is_running(self) -> bool:
        """Whether a worker that is not lost still has arrivals open."""
        with self._coordinator.changed:
            for worker in self._workers:
                if failure := self._part(worker).failure:
                    raise failure
            return any(not worker.is_lost and not self._part(worker).has_ended for worker in self._workers)

    def changes(self) -> Iterator[Change]:
        """What the next window gained on all workers; what came late of earlier ones is in it, too."""
        self._window += 1
        sums: dict[tuple[int, str, int], Counts] = {}
        with self._coordinator.changed:
            if not self._has_finished:
                self._await_window(self._window)
            looks = []
            for worker in self._workers:
                part = self._part(worker)
                everything = self._has_finished or worker.is_lost or part.has_ended
                for window in part.read(None if everything else self._window):
                    self._take(worker, window, sums)
                _add(sums, part.read_last_gains())
                if part.live is not None:
                    looks.append(part.live)
            self._live = merged_live(looks, self._idle)
        for (row, kind, outcome), counts in sums.items():
            yield Change(row, kind, Outcome(outcome), counts)

    def _await_window(self, number: int) -> None:
        """Wait for a window of every worker, but not again for one that is known to be behind or silent."""

        def has_come(worker: Worker) -> bool:
            part = self._part(worker)
            return part.newest >= number or part.has_ended or worker.is_lost or part.failure is not None

        def is_waited_for(worker: Worker) -> bool:
            is_silent = monotonic_ns() - worker.heard_ns > SILENT_S * NS_PER_S
            return not (has_come(worker) or self._part(worker).is_behind or is_silent)

        for worker in self._workers:
            part = self._part(worker)
            part.is_behind = part.is_behind and not has_come(worker)
        self._coordinator.changed.wait_for(lambda: not any(map(is_waited_for, self._workers)), LATE_S)
        for worker in self._workers:
            if has_come(worker):
                continue
            self._part(worker).is_behind = True
            if worker.late_windows == 0:
                ends = self._whole.window_ends()
                worker.first_late_ns = ends[min(number, len(ends) - 1)]
            worker.late_windows += 1

    def _take(self, worker: Worker, window: Window, sums: dict[tuple[int, str, int], Counts]) -> None:
        _add(sums, window.gains)
        part = self._part(worker)
        self._idle.add(worker.name, part.live, window.live)
        part.live = window.live
        for event in window.events:
            at_ns = event.at_ns - worker.clock.offset_ns
            self._events.append(event.model_copy(update={"at_ns": at_ns, "worker": worker.name}))

    def live(self) -> EngineStats:
        """All workers added up, as of the last window."""
        return self._live

    def events(self) -> list[Event]:
        """What happened to connections, and to workers."""
        with self._coordinator.changed:
            events, self._events = self._events + self._coordinator.notes, []
            self._coordinator.notes = []
        return events

    def stop(self, *, at_once: bool) -> None:
        """Pass it on."""
        for worker in self._workers:
            self._coordinator.post(worker, Stop(self._number, at_once))

    def finish(self) -> EngineResult:
        """Add up what every worker says; of one that is lost, what it had sent."""
        with self._coordinator.changed:
            alive = [worker for worker in self._workers if not worker.is_lost]
        for worker in alive:
            self._coordinator.post(worker, Finish(self._number))

        def has_come(worker: Worker) -> bool:
            part = self._part(worker)
            return part.result is not None or worker.is_lost or part.failure is not None

        with self._coordinator.changed:
            self._coordinator.changed.wait_for(lambda: all(map(has_come, alive)), FINISH_S)
        for worker in alive:
            if failure := self._part(worker).failure:
                raise failure
            if self._part(worker).result is None:
                reason = f"its result did not come within {FINISH_S:.0f} s of the end"
                self._coordinator.lost(worker.name, reason)
        self._coordinator.ask_clocks_again()
        self._has_finished = True
        results = []
        for worker in self._workers:
            part = self._part(worker)
            results.append((worker.name, part.result or result_of_the_lost(part, self.plan)))
        return merged_result(results, len(self._workers) > 1)

    def raw_logs(self) -> list[tuple[Path, int]]:
        """Fetch the operation logs of every worker; `lane` counts over all of them."""
        logs: list[tuple[Path, int]] = []
        for worker in self._workers:
            for file in range(len(self._part(worker).log_lengths)):
                segment = self._part(worker).segment.number
                path = self._folder / f"{RAW_LOG_PREFIX}{self.plan.name}-{segment}-{file}"
                length = fetch_log(
                    self._coordinator, worker, self._number, file, path, self.plan, self._whole.duration_ns
                )
                logs.append((path, length))
        return logs

    def close(self) -> None:
        """Nothing: the workers end with the coordinator."""


def _add(sums: dict[tuple[int, str, int], Counts], gains: Iterable[HistogramGain]) -> None:
    """A histogram that several workers gained is summed in place: exact, whatever the order."""
    for gain in gains:
        total = sums.setdefault((gain.row, gain.kind, gain.outcome), empty())
        total[gain.buckets] += gain.counts
