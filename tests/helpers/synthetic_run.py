"""Small runs made by the real writer: literal numbers in, a run folder out."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.core import histogram
from bench.core.clock import WallLabel
from bench.core.outcome import OUTCOMES
from bench.results.reader import Run
from bench.results.writer import RunWriter
from tests.helpers.run_records import record_of

ZERO = WallLabel(monotonic_ns=1_000_000_000, wall_ns=1_770_000_000_000_000_000)
NAME = "20260202t024000z-redis_latency-0a1b2c"
MS = 1_000_000
S = 1_000_000_000


def counts_of(*values_ns: int | tuple[int, int]) -> histogram.Counts:
    """A histogram of values; a pair is (value, how often)."""
    counts = histogram.empty()
    for value in values_ns:
        value_ns, times = value if isinstance(value, tuple) else (value, 1)
        counts[histogram.bucket_of(value_ns)] += times
    return counts


def outcomes(**ends: int) -> dict[str, int]:
    return {outcome.label: ends.get(outcome.label, 0) for outcome in OUTCOMES}


def resource_rows(
    source: str, memory_bytes: Callable[[float], float], **columns: Any
) -> list[dict[str, Any]]:
    """A sample every 100 ms of warm-up and measured time; memory by the seconds since run zero."""
    rows = []
    for tenth in range(111):
        at_s = tenth / 10
        row = {"pid": 100, "processes": 1, "cores": 2, "cpu_s": round(0.3 * at_s, 3), "fds": 20, "threads": 4}
        row |= {"rss_bytes": round(memory_bytes(at_s)), **columns}
        phase = "warmup" if at_s < 1 else "steady"
        rows.append({"at_ns": tenth * S // 10, "phase": phase, "source": source, **row})
    return rows


@dataclass
class SyntheticRun:
    """One workload `cache` with one operation `get`, measured for 10 s after 1 s of warm-up.

    `samples` maps a tag to (value, times) pairs; response times set the counts of the record.
    """

    sla: list[str] = field(default_factory=list)
    samples: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    workload: dict[str, Any] = field(default_factory=dict)
    record: dict[str, Any] = field(default_factory=dict)
    interrupted: bool = False
    windows: int = 1
    resources: list[dict[str, Any]] = field(default_factory=list)
    answers: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By operation what its answers brought, as run.json has it."""

    def write(self, out: Path, name: str = NAME) -> Path:
        writer = RunWriter(out, name, ZERO)
        length_ns = 10 * S // self.windows
        for tag, pairs in self.samples.items():
            for index in range(self.windows):
                # What does not divide evenly goes into the last window.
                share = [
                    (
                        value,
                        times // self.windows + (times % self.windows if index == self.windows - 1 else 0),
                    )
                    for value, times in pairs
                ]
                start_ns = S + index * length_ns
                writer.histogram(tag, start_ns, start_ns + length_ns, counts_of(*share))
        for second in range(2):
            writer.series({"start_s": second, "end_s": second + 1, "planned": 500, "ok": 500})
        for row in self.resources:
            writer.resources(row)
        writer.event(0, "phase", name="warmup")
        writer.event(S, "phase", name="steady")
        return writer.finish(record_of(self.full_record()), interrupted=self.interrupted)

    def load(self, out: Path) -> Run:
        return Run.load(self.write(out))

    def full_record(self) -> dict[str, Any]:
        operations: dict[str, dict[str, int]] = {}
        for tag, pairs in self.samples.items():
            _, operation, kind, outcome = tag.split("/")
            if kind == "response" and not tag.startswith("unmeasured:"):
                ends = operations.setdefault(operation, outcomes())
                ends[outcome] += sum(times for _, times in pairs)
        counts = [
            {
                "operation": operation,
                "phase": "steady",
                "measured": True,
                "planned": sum(ends.values()),
                "outcomes": ends,
                **self.answers.get(operation, {}),
            }
            for operation, ends in operations.items()
        ]
        workload = {
            "name": "cache",
            "driver": "redis",
            "engine": "wire",
            "target": "redis",
            "lanes": 4,
            "arrivals": "poisson",
            "rate_per_s": 100.0,
            "deadline_ns": S,
            "operations": list(operations),
            "counts": counts,
            "counters": {},
            "errors": [],
            **self.workload,
        }
        arriving = [c for c in workload["counts"] if c["operation"] != "deliver"]
        total = {label: sum(c["outcomes"][label] for c in arriving) for label in outcomes()}
        base: dict[str, Any] = {
            "holdfast": "0.1.0",
            "scenario": {
                "name": "redis_latency",
                "purpose": "Redis answers reads and writes within its latency SLA at the planned rate",
                "text": "scenario: redis_latency\n",
                "digest": "d" * 64,
                "path": "scenarios/redis_latency.yaml",
            },
            "sla": self.sla,
            "plan": {"digest": "p" * 64, "seed": 1, "quick": False, "overrides": [], "segment": [1, 1]},
            "started": {
                "utc": "2026-02-02T02:40:00Z",
                "monotonic_ns": ZERO.monotonic_ns,
                "wall_ns": ZERO.wall_ns,
            },
            "duration_ns": 11 * S,
            "measured_ns": 10 * S,
            "stack": {
                "kind": "embedded",
                "targets": [
                    {"name": "redis", "kind": "redis", "address": "127.0.0.1:7000", "version": "valkey 9.1.0"}
                ],
            },
            "versions": {"python": "3.11.7"},
            "environment": {"key": {"cpu": "Example CPU", "cores": 2}, "facts": {}},
            "calibration": {
                "floor_ns": {"p50": 50_000, "p95": 80_000, "p99": 130_000, "p99.9": 400_000},
                "lag_ns": {"p50": 100, "p95": 200, "p99": 1_000, "p99.9": 5_000},
                "table": [],
            },
            "phases": [
                {"name": "warmup", "measured": False, "start_ns": 0, "end_ns": S},
                {"name": "steady", "measured": True, "start_ns": S, "end_ns": 11 * S},
            ],
            "workloads": [workload],
            "totals": {"planned": sum(total.values()), "outcomes": total},
            "generator": {"idle_ratio": 0.93, "saturated": False},
            "pool": {},
            "anomalies": [],
        }
        return copy.deepcopy({**base, **self.record})
