"""Hand-written histories of arrivals, in milliseconds, and what was usual before the fault."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from bench.core.outcome import Outcome
from bench.results.fault_records import ReconnectsRecord, RecoveryRecord
from bench.results.logs import OPERATION
from chaos.recovery.baseline import Arrivals, Baseline
from chaos.recovery.outage import Criteria
from chaos.recovery.recovery import recovery_of

MS = 1_000_000
Row = tuple[str, float, float | None, float]
"""Outcome, planned, sent (None: never), done."""

BEFORE = Baseline(
    from_ns=0,
    until_ns=100 * MS,
    samples=1000,
    p99_ns=MS,
    band_ns=2 * MS,
    stall_ns=10 * MS,
    ok_per_s=1000.0,
    harmed_ratio=0.0,
    planned_per_s=1000.0,
)
OF = {
    "fault": 0,
    "workload": "cache",
    "clean": True,
    "lanes": ReconnectsRecord(count=0, p50_ns=None, max_ns=None),
}
"""What a recovery is of."""
SHORT = Criteria(quiet_ns=5 * MS, arrivals=3, window_ns=5 * MS)


def log_of(rows: Iterable[Row], workload: int = 0) -> np.ndarray:
    """The rows as an operation log."""
    rows = list(rows)
    log = np.zeros(len(rows), dtype=OPERATION)
    for place, (outcome, planned, sent, done) in enumerate(rows):
        log[place]["planned_ns"] = round(planned * MS)
        log[place]["sent_ns"] = -1 if sent is None else round(sent * MS)
        log[place]["done_ns"] = round(done * MS)
        log[place]["outcome"] = Outcome[outcome.upper()]
        log[place]["workload"] = workload
    return log


def steady(start: int, end: int, response: float = 0.5) -> list[Row]:
    """An OK arrival every millisecond of [start, end)."""
    return [("ok", at, at, at + response) for at in range(start, end)]


def lost(outcome: str, start: int, end: int, deadline: float = 20) -> list[Row]:
    """An arrival every millisecond of [start, end) that ends at its deadline."""
    sent = outcome == "timeout"
    return [(outcome, at, at if sent else None, at + deadline) for at in range(start, end)]


def after(
    rows: Iterable[Row],
    effective: float = 100,
    until: float = 200,
    baseline: Baseline = BEFORE,
    criteria: Criteria = SHORT,
    closed: bool = False,
    asked: float | None = None,
) -> RecoveryRecord:
    """The recovery after a fault at `effective`, watched to `until`, in ms."""
    return recovery_of(
        replace(Arrivals.of(log_of(rows)), closed=closed),
        baseline,
        round(effective * MS),
        round(until * MS),
        criteria,
        None if asked is None else round(asked * MS),
        **OF,
    )


def ms(stamp_ns: int | None) -> float | None:
    """In milliseconds, to be read beside the histories."""
    return None if stamp_ns is None else stamp_ns / MS
