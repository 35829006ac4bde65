"""Whether the generator was the bottleneck: then the run says nothing about the target.

An open plan was kept to when its arrivals were sent as planned. If they were not, the reason is the
target (lanes were busy, or away) as long as the generator still had idle time; a generator that never
idled cannot tell. In a closed loop the generator may be busy all the time, but the time in the lanes
must add up (Little's law): throughput x mean response = busy lanes. A gap is time that nobody saw.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench.outcome import Outcome

if TYPE_CHECKING:
    from bench.engine.engine import Engine, EngineResult
    from bench.plan.plan import Plan

LEAST_IDLE_RATIO = 0.02
LEAST_KEPT_RATIO = 0.99
"""An open plan counts as kept when this share of it was sent."""

LONGEST_LAG_NS = 1_000_000
"""A plan whose median arrival is sent later than this was not kept either."""

LITTLE_TOLERANCE = 0.03


def saturation(
    plan: Plan, results: list[tuple[Engine, EngineResult]]
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The record's `generator` section and what is to be said of it as anomalies."""
    idle = min((result.idle_ratio for _, result in results), default=1.0)
    generator: dict[str, Any] = {"idle_ratio": round(idle, 4), "saturated": False}
    anomalies: list[dict[str, Any]] = []
    for engine, result in results:
        if engine.plan.is_closed:
            ratio = littles_ratio(plan, engine, result)
            if ratio is None:
                continue
            generator.setdefault("littles_law", {})[engine.plan.name] = round(ratio, 4)
            if abs(ratio - 1) > LITTLE_TOLERANCE and not result.counters.get("lost_connections"):
                anomalies.append(
                    {
                        "code": "littles_law",
                        "severity": "inconclusive",
                        "message": f"{engine.plan.name}: throughput x mean service time is {ratio:.3f} of "
                        "the busy lanes: time was spent that no histogram holds",
                        "advice": "look at lost connections and at the generator's idle time",
                    }
                )
            continue
        kept = kept_ratio(result)
        is_behind = kept < LEAST_KEPT_RATIO or (result.lag_p50_ns or 0) > LONGEST_LAG_NS
        if is_behind and result.idle_ratio < LEAST_IDLE_RATIO:
            generator["saturated"] = True
            anomalies.append(
                {
                    "code": "generator_saturated",
                    "severity": "invalid",
                    "message": f"{engine.plan.name}: the generator was idle {result.idle_ratio * 100:.1f} % "
                    f"of the time, sent {kept * 100:.1f} % of the plan, half of it more than "
                    f"{(result.lag_p50_ns or 0) / 1e6:.1f} ms late: it was the bottleneck, not the target",
                    "advice": "lower the rate, add threads, or free the machine of other work",
                }
            )
    return generator, anomalies


def kept_ratio(result: EngineResult) -> float:
    """Share of planned arrivals that were sent at all."""
    planned = int(result.taken.sum())
    unsent = int(result.tallies[:, [Outcome.REFUSED, Outcome.DROPPED]].sum())
    return 1.0 if planned == 0 else max(0.0, (planned - unsent) / planned)


def littles_ratio(plan: Plan, engine: Engine, result: EngineResult) -> float | None:
    """Throughput x mean response / lanes in flight, over the whole run; None without a sample.

    Every lane is busy from run zero to the end of the plan, so 1 means that no time is hidden.
    """
    total = int(result.tallies.sum())
    if total == 0 or result.busy_ns is None:
        return None
    workload = engine.plan.workload
    return result.busy_ns / (plan.duration_ns * workload.lanes * workload.pipeline)
