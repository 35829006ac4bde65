"""What the engines of one workload on several workers are together. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING

from bench.core.answers import Answers
from bench.core.error_kinds import ErrorKinds
from bench.core.outcome import OUTCOME_COUNT
from bench.engine.api import EngineResult, EngineStats
from bench.engine.board import sum_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.plan.plan import WorkloadPlan
    from bench.swarm.distributed.worker import RemotePart


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
        one.name: sum(getattr(look, one.name) for look in looks)
        for one in fields(EngineStats)
        if one.name not in ("outcomes", "answers", "pool_in_use", "idle_ns", "elapsed_ns")
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
            errors.add(error["operation"], error["text"], error["count"], error.get("example"))
    return EngineResult(
        taken=sum_of([result.taken for result in only]),
        tallies=sum_of([result.tallies for result in only]),
        idle_ratio=min(result.idle_ratio for result in only),
        run_delay_ns=max(result.run_delay_ns for result in only),
        phase_idle_ratios=[min(ratios) for ratios in zip(*idles, strict=True)] or None,
        phase_lag_p50_ns=[
            max((lag for lag in one if lag is not None), default=None) for one in zip(*lags, strict=True)
        ]
        or None,
        answers={
            row: Answers.total(result.answers.get(row, Answers()) for result in only)
            for row in sorted({row for result in only for row in result.answers})
        },
        busy_ns=None if None in busy else sum(one for one in busy if one is not None),
        counters=counters,
        errors=errors.entries(),
        pool=next((result.pool for result in only if result.pool is not None), None),
        anomalies=[
            (code, severity, f"{message} (worker {name})" if are_several else message, *advice)
            for name, result in results
            for code, severity, message, *advice in result.anomalies
        ],
    )
