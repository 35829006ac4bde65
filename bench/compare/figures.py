"""Every figure of a run that is compared: load, growth of memory, times to recover and to detect."""

import math
from statistics import fmean

from bench.compare.difference import (
    DETECTION,
    MEMORY_GROWTH,
    RECOVERY,
    Estimate,
    Kind,
    Reading,
    Unknown,
    median,
)
from bench.compare.load_figures import load_figures
from bench.judge.faults.times import detection, recovery
from bench.judge.observation import KNOWN, NEVER, SLOW, Observation, Repeat, Unmeasurable
from bench.judge.resources.growth import by_memory, growth
from bench.judge.resources.series import refuse_restarts, series_of, targets_of, times_of
from bench.results.reader import Run
from bench.scenario.rules.grammar import Metric
from bench.scenario.rules.metric_facts import DETECTORS

SPREAD = 0.005
RESOLUTION_BYTES = 4 * 2**20
"""Allocators take and give back memory in such pieces."""


def memory_figures(run: Run) -> dict[str, tuple[Kind, Reading]]:
    """By metric, as rules name it. Raises ResultError for a damaged run."""
    return {
        f"{target}.memory_growth": (MEMORY_GROWTH, _memory_reading(run, target)) for target in targets_of(run)
    }


def _memory_reading(run: Run, target: str) -> Reading:
    times = times_of(run)
    try:
        series = series_of(run, target)
        refuse_restarts(series, times)
        found, name = by_memory(series, lambda column: growth(series, times, column))
    except Unmeasurable as reason:
        return Unknown(reason.because)
    if found.first <= 0 or found.last <= 0:
        return Unknown(f"{target} has no memory by its samples")
    place = math.log(found.last / found.first)
    return Estimate(found.value, place, SPREAD, RESOLUTION_BYTES, found.samples, basis=name)


STAMPS = ("recovery.first", "recovery.stable")
ASSUMED_REPEATS = 4
LEAST_NS = 1_000_000.0
"""No stamp of a fault is compared below a millisecond; and of 0 there is no logarithm."""
REPEAT_SPREAD = {"recovery": 0.15, "detection": 0.4}
"""Standard deviation of single repeats on the logarithmic scale, until enough of them show it."""


def fault_figures(run: Run) -> dict[str, tuple[Kind, Reading]]:
    """By metric, as rules name it; empty for a run without faults."""
    if not run.record.faults:
        return {}
    found: dict[str, tuple[Kind, Reading]] = {}
    for entry in run.workloads:
        for stamp in STAMPS:
            metric = Metric((entry.name,), stamp)
            found[str(metric)] = (RECOVERY, _fault_reading(run, metric))
    seen = {one.detector for one in run.record.detections}
    for detector in DETECTORS:
        if detector in seen:
            metric = Metric((), f"detection.{detector}")
            found[str(metric)] = (DETECTION, _fault_reading(run, metric))
    return found


def _fault_reading(run: Run, metric: Metric) -> Reading:
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
    gaps = [float(entry.resolution_ns or 0) for entry in run.record.recoveries]
    doubts = [float(fault.uncertainty_ns or 0) for fault in run.record.faults]
    return max([LEAST_NS, *gaps, *doubts])


def figures(run: Run) -> dict[str, tuple[Kind, Reading]]:
    """In the order of a report. Raises ResultError for a damaged run."""
    return {**load_figures(run), **memory_figures(run), **fault_figures(run)}
