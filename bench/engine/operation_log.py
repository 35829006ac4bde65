"""The raw operation log of one engine thread: room for every arrival, mapped into memory."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from bench.core.disk import RAW_LOG_PREFIX, free_bytes, reserve
from bench.engine.wire import layout

if TYPE_CHECKING:
    from pathlib import Path

    from bench.plan.plan import Plan, WorkloadPlan

CLOSED_LOG_RECORDS = 20_000_000
"""A closed loop plans no number of arrivals. The file is sparse: room that is not used takes no space."""

CLOSED_LOG_SHARE = 0.25
"""Of what is free on the disk, the most that the logs of a closed loop may come to be."""


def open_log(
    plan: Plan, workload: WorkloadPlan, number: int, threads: int, folder: Path
) -> tuple[Path, np.memmap[Any, Any]]:
    """Path and records (int64 words, layout.LOG_WORDS to a record) for log `number` of `threads`
    equally large ones.

    Raises ResultError where the disk has no room for the arrivals that are planned.
    """
    share = workload.expected_arrivals / threads / plan.segment.count
    # Poisson: six deviations above the expectation is room for every run that will ever be made.
    records = int(share + 6 * share**0.5 + 1000)
    path = folder / f"{RAW_LOG_PREFIX}{workload.name}-{number}"
    if workload.is_closed:
        room = int(CLOSED_LOG_SHARE * free_bytes(folder) / threads / layout.LOG_RECORD.itemsize)
        records = max(min(CLOSED_LOG_RECORDS, room), 1)
    else:
        # Twice: at the end the logs are copied into one file, and then is late to find no room for it.
        reserve(path, 2 * records * layout.LOG_RECORD.itemsize)
        os.truncate(path, records * layout.LOG_RECORD.itemsize)
    mode: Literal["w+", "r+"] = "w+" if workload.is_closed else "r+"
    return path, np.memmap(path, dtype=np.int64, mode=mode, shape=(records, layout.LOG_WORDS))
