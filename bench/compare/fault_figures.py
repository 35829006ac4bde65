"""What a run with faults says: time to recover and to detect, from one value for each fault."""

from __future__ import annotations

import math
from statistics import fmean
from typing import TYPE_CHECKING

from bench.compare.difference import median
from bench.compare.estimate import DETECTION, RECOVERY, Estimate, Kind, Reading, Unknown
from bench.judge.faults.times import detection, recovery
from bench.judge.observation import Unmeasurable
from bench.judge.repeats import KNOWN, NEVER, SLOW
from bench.scenario.rules.fault_metrics import DETECTORS
from bench.scenario.rules.grammar import Metric

if TYPE_CHECKING:
    from bench.judge.observation import Observation
    from bench.judge.repeats import Repeat
    from bench.results.reader import Run

STAMPS = ("recovery.first", "recovery.stable")
ASSUMED_REPEATS = 4
LEAST_NS = 1_000_000.0
"""No stamp of a fault is compared below a millisecond; and of 0 there is no logarithm."""
REPEAT_SPREAD = {"recovery": 0.15, "detection": 0.4}
"""Standard deviation of single repeats on the logarithmic scale, until enough of them show it."""


def fault_figures(run: Run) -> dict[str, tuple[Kind, Reading]]:
    """By metric, as rules name it; empty for a run without faults."""
    if not run.record.get("faults"):
        return {}
    found: dict[str, tuple[Kind, Reading]] = {}
    for entry in run.workloads:
        for stamp in STAMPS:
            metric = Metric((entry["name"],), stamp)
            found[str(metric)] = (RECOVERY, _reading(run, metric))
    seen = {one["detector"] for one in run.record.get("detections", [])}
    for detector in DETECTORS:
        if detector in seen:
            metric = Metric((), f"detection.{detector}")
            found[str(metric)] = (DETECTION, _reading(run, metric))
    return found


def _reading(run: Run, metric: Metric) -> Reading:
    family = metric.name.partition(".")[0]
    try:
        seen: Observation = (recovery if family == "recovery" else detection)(run, metric)
    except Unmeasurable as reason:
        return Unknown(reason.because)
    repeats: tuple[Repeat, ...] = seen.repeats or ()
    if any(repeat.kind in (NEVER, SLOW) for repeat in repeats):
        return Estimate(math.inf, math.inf, 0.0, 0.0, len(repeats), never=True)
    values = [float(repeat.value) for repeat in repeats if repeat.kind == KNOWN]
    if not values:
        return Unknown("it was cut short in every repeat")
    places = [math.log(max(value, LEAST_NS)) for value in values]
    middle = fmean(places)
    scatter = sum((place - middle) ** 2 for place in places)
    freedom = ASSUMED_REPEATS + len(values) - 1
    single = (ASSUMED_REPEATS * REPEAT_SPREAD[family] ** 2 + scatter) / freedom
    return Estimate(median(values), middle, math.sqrt(single / len(values)), _resolution(run), len(values))


def _resolution(run: Run) -> float:
    """How well the edges of an outage are known: between two arrivals, and when the fault took effect."""
    gaps = [float(entry.get("resolution_ns") or 0) for entry in run.record.get("recoveries", [])]
    doubts = [float(fault.get("uncertainty_ns") or 0) for fault in run.record["faults"]]
    return max([LEAST_NS, *gaps, *doubts])
