"""What run.json says of workers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench.core.units import format_duration_ns

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from bench.swarm.distributed.worker import Worker

UNCERTAIN_NS = 10_000_000
"""A clock that is known worse than this cannot time an outage that others see too."""


def worst_calibration(found: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """The section `calibration` for several workers: by percentile the worst of them, and every table."""
    worst: dict[str, Any] = {"floor_ns": {}, "lag_ns": {}, "table": []}
    for name, calibration in found.items():
        for section in ("floor_ns", "lag_ns"):
            for percent, value in calibration[section].items():
                worst[section][percent] = max(value, worst[section].get(percent, value))
        worst["table"] += [{**row, "worker": name} for row in calibration["table"]]
    return worst


def add_workers(
    record: dict[str, Any],
    workers: Collection[Worker],
    start_ns: int,
    late_joiners: Iterable[tuple[str, int]],
    *,
    is_logged: bool,
) -> None:
    """Add `workers` and the anomalies about them; late joiners are names with times on our clock, in ns."""
    names = [workload["name"] for workload in record["workloads"]]
    record["workers"] = [
        _entry(worker, number, len(workers), names) for number, worker in enumerate(workers, 1)
    ]
    for worker in workers:
        record["anomalies"] += _anomalies(worker, start_ns, is_logged=is_logged)
    for name, at_ns in late_joiners:
        record["anomalies"].append(
            _anomaly(
                "worker_joined_late",
                "invalid",
                f"worker {name} joined {_seconds(at_ns - start_ns)} and took no part",
                "start every worker before the run",
            )
        )


def _entry(worker: Worker, number: int, count: int, names: list[str]) -> dict[str, Any]:
    where = worker.where
    results = [part.result for part in worker.parts.values() if part.result is not None]
    return {
        "name": worker.name,
        "host": where.host if where else None,
        "pid": where.pid if where else None,
        "segment": [number, count] if worker.parts else None,
        "workloads": {
            names[index]: [part.segment.number + 1, part.segment.count]
            for index, part in worker.parts.items()
        },
        "clock": worker.clock.facts() if worker.clock.before else None,
        "floor_ns": worker.calibration["floor_ns"] if worker.calibration else None,
        "idle_ratio": round(min(result.idle_ratio for result in results), 4) if results else None,
        "planned": sum(int(result.taken.sum()) for result in results),
        "late_windows": worker.late_windows,
        "lost": worker.lost_because,
    }


def _anomalies(worker: Worker, start_ns: int, *, is_logged: bool) -> list[dict[str, Any]]:
    found = []
    if worker.is_lost:
        under_way = worker.under_way
        unknown = f"; what became of {under_way} arrivals under way is not known" if under_way else ""
        found.append(
            _anomaly(
                "worker_lost",
                "invalid",
                f"{worker.words} was lost {_seconds(worker.lost_ns - start_ns)}: {worker.lost_because}; "
                f"its part of the load is missing from then on{unknown}",
                "look into that worker's log, and run again",
            )
        )
    elif worker.late_windows:
        found.append(
            _anomaly(
                "worker_late",
                "invalid",
                f"{worker.words} did not keep up: {worker.late_windows} of its windows came late, "
                f"the first at {format_duration_ns(worker.first_late_ns)} into the run",
                "free that host of other work, or bring it nearer",
            )
        )
    if not worker.parts and not worker.is_lost:
        found.append(
            _anomaly(
                "worker_idle",
                "note",
                f"{worker.words} had nothing to do: the load cannot be cut into more segments",
                "use more lanes or fewer workers; pub/sub, client libraries and Locust are not cut",
            )
        )
    if worker.clock.before and worker.clock.uncertainty_ns + abs(worker.clock.drift_ns) > UNCERTAIN_NS:
        clock = worker.clock
        found.append(
            _anomaly(
                "clock_uncertain",
                "inconclusive" if is_logged else "note",
                f"{worker.words}: its clock is known to {clock.uncertainty_ns / 1e6:.1f} ms and drifted by "
                f"{clock.drift_ns / 1e6:.1f} ms in the run; latencies are its own, but edges of outages move",
                "bring the workers nearer to the coordinator",
            )
        )
    return found


def _anomaly(code: str, severity: str, message: str, advice: str) -> dict[str, Any]:
    return {"code": code, "severity": severity, "message": message, "advice": advice}


def _seconds(ns: int) -> str:
    return f"{ns / 1e9:.1f} s into the run" if ns >= 0 else "before the run began"
