"""The metrics of resources: memory_growth, memory_slope, fd_growth and cpu, of one source or of all
targets.

Alone they are about the targets: a growth and a slope are those of the target with the largest, CPU is
that of all targets together as a share of the machine's.

CPU is measured under load: CPU seconds / (seconds x cores), over the measured phases without their
rests; the cores are those of the machine, or what the control group of the source may use. Between two
samples on both sides of an edge the middle decides; edges of loads have samples of their own.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from bench.core import units
from bench.core.clock import NS_PER_S
from bench.core.units import spaced
from bench.judge.observation import Observation, Unmeasurable
from bench.judge.resources.growth import (
    Series,
    Times,
    by_memory,
    growth,
    refuse_restarts,
    series_of,
    slope,
    targets_of,
    times_of,
    within,
)
from bench.registry import instances_of
from bench.results.reader import Run
from bench.scenario.rules.grammar import Metric

LEAST_COVERED = 0.5
"""Share of the load's time that the samples must cover."""


@dataclass(frozen=True)
class Cpu:
    """Cores in use on average, and how many there are for the source."""

    cores_used: float
    cores: float
    samples: int

    @property
    def share(self) -> float:
        """1.0 is all of them; the kernel counts in ticks, which can come to a little more."""
        return min(self.cores_used / self.cores, 1.0)


def cpu(series: Series, times: Times) -> Cpu:
    """What the source used under load. Raises Unmeasurable when the samples do not say."""
    at_ns, used_s = series.known("cpu_s")
    if len(at_ns) < 2:
        raise Unmeasurable(
            f"the CPU of {series.source} is not known: its processes are not on this machine, or not known",
            "judge machine.cpu where it runs on this machine, or let the stack start it",
        )
    rows = np.isin(series.at_ns, at_ns)
    pids = series.columns["pid"][rows] if "pid" in series.columns else np.full(len(at_ns), np.nan)
    cores = series.columns["cores"][rows] if "cores" in series.columns else np.full(len(at_ns), np.nan)
    middle = (at_ns[1:] + at_ns[:-1]) // 2
    same = (pids[1:] == pids[:-1]) | (np.isnan(pids[1:]) & np.isnan(pids[:-1]))
    chosen = within(middle, times.loads) & same
    wall_s = float(np.diff(at_ns)[chosen].sum()) / NS_PER_S
    load_s = sum(end - start for start, end in times.loads) / NS_PER_S
    if wall_s < LEAST_COVERED * load_s or wall_s == 0:
        raise Unmeasurable(
            f"the samples of {series.source} cover {wall_s:.1f} s of {load_s:.1f} s under load",
            "look into events.jsonl for when it was away",
        )
    used = float(np.maximum(np.diff(used_s)[chosen], 0).sum())
    known_cores = cores[~np.isnan(cores)]
    return Cpu(
        used / wall_s, float(known_cores[-1]) if len(known_cores) else 1.0, int(np.count_nonzero(chosen))
    )


def machine_cores(run: Run) -> float | None:
    """The cores of the machine, by the run's record or its samples."""
    recorded = run.record.resources.cores
    if recorded:
        return float(recorded)
    known = [row.get("cores") for row in run.resources() if row.get("source") == "machine"]
    return next((float(cores) for cores in known if isinstance(cores, float)), None)


GENERATOR, MACHINE = "generator", "machine"


def cpu_share(run: Run, metric: Metric) -> Observation:
    """A ratio of all cores. Raises Unmeasurable, ResultError for a damaged run."""
    times = times_of(run)
    sources = sources_of(run, metric)
    found = [(source, cpu(series_of(run, source), times)) for source in sources]
    if len(found) == 1 and metric.scope:
        share, cores = found[0][1].share, found[0][1].cores
    else:
        # A control group's limit is not the machine's: together they are a share of the machine.
        cores = machine_cores(run) or max(use.cores for _, use in found)
        share = sum(use.cores_used for _, use in found) / cores
    parts = ", ".join(f"{source} {use.cores_used:.2f}" for source, use in found)
    samples = min(use.samples for _, use in found)
    basis = f"{parts} of {cores:g} cores in use under load, in {spaced(samples)} samples"
    return Observation(round(share, 4), "ratio", samples, basis=basis)


def _unbroken(run: Run, source: str) -> tuple[Series, Times]:
    """The samples of a source that was not restarted, and the times of the run."""
    series, times = series_of(run, source), times_of(run)
    refuse_restarts(series, times)
    return series, times


def _memory_growth_of(run: Run, source: str) -> Observation:
    series, times = _unbroken(run, source)
    found, name = by_memory(series, lambda column: growth(series, times, column))
    basis = (
        f"{source} by {name}, {units.format_bytes(found.first)} after warm-up, "
        f"{units.format_bytes(found.last)} at the end, in {spaced(found.samples)} samples"
    )
    return Observation(found.value, "bytes", found.samples, basis=basis)


def _memory_slope_of(run: Run, source: str) -> Observation:
    series, times = _unbroken(run, source)
    found, name = by_memory(series, lambda column: slope(series, times, column))
    basis = (
        f"{source} by {name}, between {units.format_growth(found.low)} and "
        f"{units.format_growth(found.high)}, by the least of {spaced(found.points)} windows"
    )
    return Observation(
        found.value,
        "bytes_per_s",
        found.points,
        basis=basis,
        interval=(found.low, found.high),
        goes_on=found.goes_on,
    )


def _fd_growth_of(run: Run, source: str) -> Observation:
    series, times = _unbroken(run, source)
    if not len(series.known("fds")[0]):
        raise Unmeasurable(
            f"the open files of {source} are not known: it runs under another user, or not on this machine",
            "let the stack start it, or run as the same user",
        )
    found = growth(series, times, "fds")
    basis = f"{source} {found.first:g} after warm-up, {found.last:g} at the end"
    return Observation(found.value, "count", found.samples, basis=basis)


def _largest(run: Run, metric: Metric, of_source: Callable[[Run, str], Observation]) -> Observation:
    """Of the scope's source, or of the target in which it is largest.

    Raises Unmeasurable, ResultError for a damaged run.
    """
    found: list[Observation] = []
    missing: Unmeasurable | None = None
    for source in sources_of(run, metric):
        try:
            found.append(of_source(run, source))
        except Unmeasurable as reason:
            missing = missing or reason
    if not found:
        assert missing is not None
        raise missing
    worst = max(found, key=lambda seen: seen.value)
    return replace(worst, missing=missing)


def sources_of(run: Run, metric: Metric) -> tuple[str, ...]:
    """The sources that a metric is about, instances one by one. Raises Unmeasurable."""
    others = (GENERATOR, MACHINE) if metric.name == "cpu" else (GENERATOR,)
    targets = targets_of(run)
    if not metric.scope:
        if not targets:
            raise Unmeasurable("the run has no target", f"judge generator.{metric.name}")
        return targets
    known = (*targets, *others)
    if len(metric.scope) > 1 or metric.scope[0] not in known:
        wanted = ".".join(metric.scope)
        raise Unmeasurable(f"the run has no source {wanted}", f"its sources are: {', '.join(known)}")
    return (metric.scope[0], *instances_of(metric.scope[0], targets))


MEASURES: dict[str, Callable[[Run, Metric], Observation]] = {
    "memory_growth": partial(_largest, of_source=_memory_growth_of),
    "memory_slope": partial(_largest, of_source=_memory_slope_of),
    "fd_growth": partial(_largest, of_source=_fd_growth_of),
    "cpu": cpu_share,
}
