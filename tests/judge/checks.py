"""Runs made by hand, judged by one rule."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from bench.core import histogram
from bench.core.outcome import OUTCOMES
from bench.judge.judge import judge
from bench.judge.verdict import Check
from bench.results import layout
from bench.results.layout import run_name
from bench.results.reader import Run
from bench.results.writer import RunWriter
from tests.helpers.run_records import record_of
from tests.helpers.synthetic_run import SyntheticRun

OK = "cache/get/response/ok"
SERVICE = "cache/get/service/ok"
S = 1_000_000_000
MS = 1_000_000


def only(tmp_path, **fields):
    """The single check of a run with a single rule."""
    verdict = judge(SyntheticRun(**fields).load(tmp_path))
    (check,) = verdict.checks
    assert verdict.status is check.status
    return check


class Ends:
    """What ended in which second: (second, kind, outcome, value in ns, how often)."""

    def __init__(self, seconds: int, *ends: tuple[int, str, str, int, int]) -> None:
        self.seconds, self.ends = seconds, ends

    def write(self, out: Path, rules: list[str], log: np.ndarray | None = None) -> list[Check]:
        phase = {"name": "s", "measured": True, "start_ns": 0, "end_ns": self.seconds * S}
        phases = [phase | {"cycles": None, "rest": None}]
        outcomes = {one.label: 0 for one in OUTCOMES}
        with RunWriter(out, run_name("x")) as writer:
            writer.outline(record_of({"phases": phases}))
            for second, kind, outcome, value_ns, count in self.ends:
                counts = histogram.empty()
                counts[histogram.bucket_of(value_ns)] = count
                writer.histogram(f"cache/get/{kind}/{outcome}", second * S, (second + 1) * S, counts)
                if kind == "response":
                    outcomes[outcome] += count
            planned = sum(outcomes.values())
            row = {"operation": "get", "phase": "s", "measured": True}
            counted = [row | {"planned": planned, "outcomes": outcomes}]
            workload: dict[str, Any] = {"name": "cache", "driver": "redis", "operations": ["get"]}
            workload |= {"counts": counted, "counters": {}, "errors": []}
            record = {
                "scenario": {"name": "x"}, "sla": rules, "phases": phases, "duration_ns": self.seconds * S,
                "measured_ns": self.seconds * S, "workloads": [workload],
                "totals": {"planned": planned, "outcomes": outcomes}, "anomalies": [],
            }  # fmt: skip
            path = writer.finish(record_of(record))
        if log is not None:
            np.save(path / layout.OPERATIONS, log)
        return [check for check in judge(Run.load(path)).checks if check.is_rule]
