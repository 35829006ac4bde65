"""What several workers are together: their engines' results as one result, and what run.json reports about
them. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from bench.core.answers import Answers, ErrorKinds
from bench.core.outcome import OUTCOME_COUNT
from bench.core.units import format_duration_ns
from bench.engine.api import EngineResult, EngineStats
from bench.engine.board import sum_of
from bench.plan.plan import WorkloadPlan
from bench.results.generator_records import CalibrationRecord, WorkerRecord
from bench.results.run_record import Anomaly
from bench.swarm.distributed.worker import RemotePart, Worker

UNCERTAIN_NS = 10_000_000
"""A clock that is known worse than this cannot time an outage that others see too."""


@dataclass
class PartialLive:
    """Idle and elapsed time of the busiest worker, window by window: the worst is what counts."""

    idle_ns: int = 0
    elapsed_ns: int = 0
    _ratios: dict[str, tuple[int, int]] = field(default_factory=dict)

    def add(self, worker: str, before: EngineStats | None, now: EngineStats) -> None:
        """What a worker's next look adds."""
        idle, elapsed = self._ratios.get(worker, (0, 0))
        idle += now.idle_ns - (before.idle_ns if before else 0)
        elapsed += now.elapsed_ns - (before.elapsed_ns if before else 0)
        self._ratios[worker] = (idle, elapsed)

    def close(self) -> None:
        """All looks of a window are added: keep those of the busiest."""
        known = [pair for pair in self._ratios.values() if pair[1] > 0]
        self._ratios = {}
        if known:
            idle, elapsed = min(known, key=lambda pair: pair[0] / pair[1])
            self.idle_ns += idle
            self.elapsed_ns += elapsed


def merged_live(looks: Sequence[EngineStats], idle: PartialLive) -> EngineStats:
    """Counts and gauges added up; idle time is that of the busiest."""
    idle.close()
    pools = [look.pool_in_use for look in looks if look.pool_in_use is not None]
    sums = {
        name: sum(getattr(look, name) for look in looks)
        for name in EngineStats.__dataclass_fields__
        if name not in ("outcomes", "answers", "pool_in_use", "idle_ns", "elapsed_ns")
    }
    outcomes = [sum(look.outcomes[number] for look in looks) for number in range(OUTCOME_COUNT)]
    return EngineStats(
        **sums,
        outcomes=tuple(outcomes),
        answers=Answers.total(look.answers for look in looks),
        pool_in_use=sum(pools) if pools else None,
        idle_ns=idle.idle_ns,
        elapsed_ns=idle.elapsed_ns,
    )


def result_of_the_lost(part: RemotePart, plan: WorkloadPlan) -> EngineResult:
    """What is known of an engine that never said its result: what it had sent before.

    Arrivals that were under way then are in none of the counts.
    """
    planned = part.tallies.sum(axis=1)
    idle = part.live.idle_ns / part.live.elapsed_ns if part.live and part.live.elapsed_ns else 1.0
    return EngineResult(
        taken=planned,
        tallies=part.tallies.copy(),
        idle_ratio=idle,
        busy_ns=None,
        phase_lag_p50_ns=[None] * plan.phase_count,
    )


def merged_result(results: Sequence[tuple[str, EngineResult]], are_several: bool) -> EngineResult:
    """All workers together: counts are sums, the busiest and the latest worker speaks for all."""
    only = [result for _, result in results]
    idles = [result.phase_idle_ratios for result in only if result.phase_idle_ratios]
    lags = [result.phase_lag_p50_ns for result in only if result.phase_lag_p50_ns]
    busy = [result.busy_ns for result in only]
    counters: dict[str, int] = {}
    errors = ErrorKinds()
    for result in only:
        for name, count in result.counters.items():
            counters[name] = counters.get(name, 0) + count
        for error in result.errors:
            errors.add(error.operation, error.text, error.count, error.example, error.body)
    return EngineResult(
        taken=sum_of([result.taken for result in only]),
        tallies=sum_of([result.tallies for result in only]),
        idle_ratio=min(result.idle_ratio for result in only),
        run_delay_ns=max(result.run_delay_ns for result in only),
        phase_idle_ratios=[min(ratios) for ratios in zip(*idles, strict=True)] or None,
        phase_lag_p50_ns=[
            max((lag for lag in phase if lag is not None), default=None) for phase in zip(*lags, strict=True)
        ]
        or None,
        answers={
            row: Answers.total(result.answers.get(row, Answers()) for result in only)
            for row in sorted({row for result in only for row in result.answers})
        },
        busy_ns=None if None in busy else sum(time for time in busy if time is not None),
        counters=counters,
        errors=errors.entries(),
        pool=next((result.pool for result in only if result.pool is not None), None),
        anomalies=[
            (code, severity, f"{message} (worker {name})" if are_several else message, *advice)
            for name, result in results
            for code, severity, message, *advice in result.anomalies
        ],
    )


def worst_calibration(by_worker: Mapping[str, CalibrationRecord]) -> CalibrationRecord:
    """The section `calibration` for several workers: by percentile the worst of them, and every table."""
    calibrations = by_worker.values()
    return CalibrationRecord(
        floor_ns=_worst(calibration.floor_ns for calibration in calibrations),
        lag_ns=_worst(calibration.lag_ns for calibration in calibrations),
        table=[
            row.model_copy(update={"worker": name})
            for name, calibration in by_worker.items()
            for row in calibration.table
        ],
    )


def _worst(of_workers: Iterable[Mapping[str, int]]) -> dict[str, int]:
    worst: dict[str, int] = {}
    for times in of_workers:
        for percent, value in times.items():
            worst[percent] = max(value, worst.get(percent, value))
    return worst


def worker_record(worker: Worker, number: int, count: int, names: Sequence[str]) -> WorkerRecord:
    """What run.json reports of worker `number` of `count`; `names` are those of the workloads."""
    where = worker.where
    results = [part.result for part in worker.parts.values() if part.result is not None]
    return WorkerRecord(
        name=worker.name,
        host=where.host if where else None,
        pid=where.pid if where else None,
        segment=[number, count] if worker.parts else None,
        workloads={
            names[index]: [part.segment.number + 1, part.segment.count]
            for index, part in worker.parts.items()
        },
        clock=worker.clock.record() if worker.clock.before else None,
        floor_ns=worker.calibration.floor_ns if worker.calibration else None,
        idle_ratio=round(min(result.idle_ratio for result in results), 4) if results else None,
        planned=sum(int(result.taken.sum()) for result in results),
        late_windows=worker.late_windows,
        lost=worker.lost_because,
    )


def late_joiner(name: str, at_ns: int) -> Anomaly:
    """A worker that came `at_ns` after run zero."""
    message = f"worker {name} joined {_seconds(at_ns)} and took no part"
    return _anomaly("worker_joined_late", "invalid", message, "start every worker before the run")


def anomalies_of(worker: Worker, start_ns: int, *, is_logged: bool) -> Iterator[Anomaly]:
    """What was wrong with a worker; `is_logged`: recoveries are seen in the operation log."""
    clock = worker.clock
    if worker.is_lost:
        under_way = worker.under_way
        unknown = f"; what became of {under_way} arrivals under way is not known" if under_way else ""
        yield _anomaly(
            "worker_lost",
            "invalid",
            f"{worker.words} was lost {_seconds(worker.lost_ns - start_ns)}: {worker.lost_because}; "
            f"its part of the load is missing from then on{unknown}",
            "check that worker's log, and run again",
        )
    elif worker.late_windows:
        yield _anomaly(
            "worker_late",
            "invalid",
            f"{worker.words} did not keep up: {worker.late_windows} of its windows came late, "
            f"the first at {format_duration_ns(worker.first_late_ns)} into the run",
            "free that host of other work, or bring it nearer",
        )
    if not worker.parts and not worker.is_lost:
        yield _anomaly(
            "worker_idle",
            "note",
            f"{worker.words} had nothing to do: the load cannot be cut into more segments",
            "use more lanes or fewer workers; pub/sub, client libraries and Locust are not cut",
        )
    if clock.before and clock.uncertainty_ns + abs(clock.drift_ns) > UNCERTAIN_NS:
        yield _anomaly(
            "clock_uncertain",
            "inconclusive" if is_logged else "note",
            f"{worker.words}: its clock is known to {clock.uncertainty_ns / 1e6:.1f} ms and drifted by "
            f"{clock.drift_ns / 1e6:.1f} ms in the run; latencies are its own, but edges of outages move",
            "bring the workers nearer to the coordinator",
        )


def _anomaly(code: str, severity: str, message: str, advice: str) -> Anomaly:
    return Anomaly(code=code, severity=severity, message=message, advice=advice)


def _seconds(ns: int) -> str:
    return f"{ns / 1e9:.1f} s into the run" if ns >= 0 else "before the run began"
