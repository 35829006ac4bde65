"""operations.npy: every single arrival of a run, where the scenario asked for it.

The engines write raw logs of their own while the run goes on (memory-mapped, fixed-size records);
here they become one array, which `numpy.load` reads.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.core.disk import reserve

if TYPE_CHECKING:
    from pathlib import Path

OPERATION = np.dtype(
    [
        ("planned_ns", "<i8"),
        ("sent_ns", "<i8"),
        ("done_ns", "<i8"),
        ("arrival", "<i8"),
        ("key", "<i8"),
        ("workload", "<i2"),
        ("operation", "<i2"),
        ("phase", "<i2"),
        ("lane", "<i2"),
        ("outcome", "<i2"),
    ]
)
"""One arrival: times in ns from run zero, sent_ns and lane -1 where it was never sent, key -1 where it has
none; workload, operation and phase are positions in run.json's lists, outcome is that of bench.core.outcome.
"""

CHUNK = 1 << 18
HEADER_BYTES = 4096
"""More than the header of a .npy file takes."""


@dataclass(frozen=True)
class RawLog:
    """What one engine thread wrote: the first `length` records of `path`, of dtype `record`."""

    workload: int
    path: Path
    length: int
    first_key: int = 0
    """Engines count keys from 0; what is added to each."""


def merge(logs: list[RawLog], record: np.dtype[Any], to: Path) -> int:
    """Write all records to `to` and delete the raw logs; return how many there are. Memory stays small.

    Raises ResultError where the disk has no room for them.
    """
    total = sum(log.length for log in logs)
    reserve(to, HEADER_BYTES + total * OPERATION.itemsize)
    merged = np.lib.format.open_memmap(to, mode="w+", dtype=OPERATION, shape=(total,))
    reserve(to, to.stat().st_size)  # numpy has cut the file to nothing and let it grow again
    at = 0
    for log in logs:
        if log.length:
            raw = np.memmap(log.path, dtype=record, mode="r")[: log.length]
            for first in range(0, log.length, CHUNK):
                part = raw[first : first + CHUNK]
                into = merged[at : at + len(part)]
                for name in record.names or ():
                    into[name] = part[name]
                into["workload"] = log.workload
                into["key"][into["key"] >= 0] += log.first_key
                at += len(part)
        log.path.unlink()
    merged.flush()
    return total
