"""Which worker runs which segment of which workload. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.plan.plan import Segment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.plan.plan import Plan
    from bench.scenario.model import Workload


def segments_of(plan: Plan, workers: Sequence[str]) -> list[dict[str, Segment]]:
    """For each workload of the plan: worker -> its segment, in the order of the segments.

    A workload is cut into as many segments as there are workers, but each engine thread of each segment
    has a lane at least. One that is a whole (see `is_a_whole`) runs on one worker. What does not need
    every worker begins with the one after the last that was given something.
    """
    found: list[dict[str, Segment]] = []
    turn = 0
    for entry in plan.workloads:
        workload = entry.workload
        count = 1 if is_a_whole(workload) else min(len(workers), max(workload.lanes // workload.threads, 1))
        chosen = [workers[(turn + number) % len(workers)] for number in range(count)]
        found.append({name: Segment(number, count) for number, name in enumerate(chosen)})
        turn += count
    return found


def is_a_whole(workload: Workload) -> bool:
    """Whether a workload cannot be cut: its subscribers know all publishers, its pool is one application's,
    its users are one crowd.
    """
    return workload.is_pubsub or workload.engine != "wire"
