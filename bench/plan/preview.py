"""The first arrivals of a workload, computed without running it: for `bench plan` and for the digest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.plan.walk import Arrivals, PlanWalk

if TYPE_CHECKING:
    from bench.plan.plan import WorkloadPlan

__all__ = ["Arrivals", "first_arrivals"]


def first_arrivals(
    plan: WorkloadPlan, seed: int, count: int, *, shard: int = 0, shards: int = 1, lanes: int | None = None
) -> Arrivals:
    """The first `count` arrivals of one shard of a workload's plan; all of them where there are fewer."""
    return PlanWalk(plan, seed, shard, shards, lanes).next_chunk(count)
