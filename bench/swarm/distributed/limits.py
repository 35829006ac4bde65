"""What a worker's part of the load cannot exceed, by its plan. Pure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.plan.plan import Segment, WorkloadPlan

MOST_OF_A_LANE_PER_S = 100_000_000
"""Arrivals of a closed loop: beyond what any loop makes on one lane."""
MOST_COUNTED = 2**53
DELIVERY = "deliver"
"""The operation of a pub/sub workload that holds end-to-end times: no arrival of the plan's."""


def most_arrivals(plan: WorkloadPlan, segment: Segment, duration_ns: int) -> int:
    """What no segment can exceed in a whole run: of a Poisson plan, eight deviations above its mean."""
    if plan.is_closed:
        return int(plan.workload.lanes * MOST_OF_A_LANE_PER_S * (duration_ns / 1e9 + 60))
    lanes = plan.workload.lanes
    expected = plan.expected_arrivals * -(-lanes // segment.count) / lanes  # arrivals go by lanes
    spread = 8 * math.sqrt(expected) if plan.workload.arrivals == "poisson" else 0.0
    return int(expected + spread) + 16
