"""Samples of a machine, of its generator and of a target, of which the truth is known."""

from typing import Any

S = 1_000_000_000


def rows(
    machine: float = 0.0,
    generator: float = 0.0,
    redis: float = 0.0,
    *,
    waits: dict[str, float] | None = None,
    seconds: int = 10,
    **more: float,
) -> list[dict[str, Any]]:
    """Samples twice a second; figures are seconds used, or waited, per second."""
    waits = {"generator": 0.0, "redis": 0.0} | (waits or {})
    found = []
    for half in range(2 * seconds + 1):
        at_s = half / 2
        found += [
            {
                "at_ns": half * S // 2,
                "source": "machine",
                "cores": 2,
                "cpu_s": machine * at_s,
                "steal_s": more.get("steal", 0.0) * at_s,
            },
            {
                "at_ns": half * S // 2,
                "source": "generator",
                "cpu_s": generator * at_s,
                "run_queue_worst_s": waits["generator"] / 2 if half else 0.0,
                "throttled_s": more.get("throttled", 0.0) * at_s,
            },
            {
                "at_ns": half * S // 2,
                "source": "redis",
                "cpu_s": redis * at_s,
                "processes": more.get("processes", 1),
                "run_queue_s": waits["redis"] * at_s,
            },
        ]
    return found
