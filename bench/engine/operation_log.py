"""The raw operation log of one engine thread: room for every arrival, mapped into memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bench.engine import layout

if TYPE_CHECKING:
    from pathlib import Path

    from bench.plan.plan import Plan, WorkloadPlan

CLOSED_LOG_RECORDS = 20_000_000
"""A closed loop plans no number of arrivals. The file is sparse: room that is not used takes no space."""


def open_log(
    plan: Plan, workload: WorkloadPlan, number: int, threads: int, folder: Path
) -> tuple[Path, np.memmap[Any, Any]]:
    """Path and records (int64 words, layout.LOG_WORDS to a record) for thread `number` of `threads`."""
    share = workload.expected_arrivals / threads / plan.segment.count
    # Poisson: six deviations above the expectation is room for every run that will ever be made.
    records = CLOSED_LOG_RECORDS if workload.is_closed else int(share + 6 * share**0.5 + 1000)
    path = folder / f".operations-{workload.name}-{number}"
    return path, np.memmap(path, dtype=np.int64, mode="w+", shape=(records, layout.LOG_WORDS))
