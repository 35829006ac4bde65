"""Plans for the tests of the planner: small scenarios, compiled."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.plan.compile import compile_plan
from bench.plan.plan import Plan, Segment
from bench.plan.walk import first_arrivals
from bench.scenario.model import Scenario

STEADY = ({"name": "steady", "for": "10s"},)
GET = {"get": {"command": ["GET", "{key}"]}}


def plan_of(
    phases: tuple[dict[str, Any], ...] = STEADY,
    seed: int | None = None,
    segment: Segment | None = None,
    **workload: Any,
) -> Plan:
    given = {"arrivals": "constant", "rate": "1000/s", "keys": {"count": 1000}, "operations": GET} | workload
    if given["arrivals"] == "closed":
        del given["rate"]
    scenario = Scenario.model_validate(
        {
            "scenario": "planned",
            "purpose": "a plan to look at",
            "workloads": [{"name": "cache", "target": "redis", "driver": "redis", "lanes": 64, **given}],
            "phases": list(phases),
        }
    )
    return compile_plan(scenario, seed, segment)


def arrivals(plan: Plan, count: int = 1 << 20, shard: int = 0, shards: int = 1) -> NDArray[np.int64]:
    """Rows of planned_ns, phase, operation, key, index."""
    workload = plan.workloads[0]
    found = first_arrivals(workload, workload.seed, count, shard=shard, shards=shards)
    return np.array([found.planned_ns, found.phase, found.operation, found.key, found.index]).T


PLANNED, PHASE, OPERATION, KEY, INDEX = range(5)
