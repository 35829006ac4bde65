"""The metrics of resources: memory_growth, memory_slope, fd_growth and cpu, of one source or of all targets.

Alone they are about the targets: a growth and a slope are those of the target with the largest, CPU is
that of all targets together as a share of the machine's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.core import units
from bench.judge.observation import Observation, Unmeasurable
from bench.judge.outcome_counts import spaced
from bench.judge.resources.cpu import cpu, machine_cores
from bench.judge.resources.growth import by_memory, growth
from bench.judge.resources.series import refuse_restarts, series_of, targets_of, times_of
from bench.judge.resources.slope import slope

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.results.reader import Run
    from bench.scenario.rules.grammar import Metric

GENERATOR, MACHINE = "generator", "machine"


def memory_growth(run: Run, metric: Metric) -> Observation:
    """In bytes. Raises Unmeasurable, ResultError for a damaged run."""
    return _largest(run, metric, _memory_growth_of)


def memory_slope(run: Run, metric: Metric) -> Observation:
    """In bytes per second, with its bounds. Raises Unmeasurable, ResultError for a damaged run."""
    return _largest(run, metric, _memory_slope_of)


def fd_growth(run: Run, metric: Metric) -> Observation:
    """Open files. Raises Unmeasurable, ResultError for a damaged run."""
    return _largest(run, metric, _fd_growth_of)


def cpu_share(run: Run, metric: Metric) -> Observation:
    """A ratio of all cores. Raises Unmeasurable, ResultError for a damaged run."""
    times = times_of(run)
    sources = _sources(run, metric, others=(GENERATOR, MACHINE))
    found = [(source, cpu(series_of(run, source), times)) for source in sources]
    if metric.scope:
        share, cores = found[0][1].share, found[0][1].cores
    else:
        # A control group's limit is not the machine's: together they are a share of the machine.
        cores = machine_cores(run) or max(use.cores for _, use in found)
        share = sum(use.cores_used for _, use in found) / cores
    parts = ", ".join(f"{source} {use.cores_used:.2f}" for source, use in found)
    samples = min(use.samples for _, use in found)
    basis = f"{parts} of {cores:g} cores in use under load, in {spaced(samples)} samples"
    return Observation(round(share, 4), "ratio", samples, basis=basis)


def _memory_growth_of(run: Run, source: str) -> Observation:
    times, series = times_of(run), series_of(run, source)
    refuse_restarts(series, times)
    found, name = by_memory(series, lambda column: growth(series, times, column))
    basis = (
        f"{source} by {name}, {units.format_bytes(found.first)} after warm-up, "
        f"{units.format_bytes(found.last)} at the end, in {spaced(found.samples)} samples"
    )
    return Observation(found.value, "bytes", found.samples, basis=basis)


def _memory_slope_of(run: Run, source: str) -> Observation:
    times, series = times_of(run), series_of(run, source)
    refuse_restarts(series, times)
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
    times, series = times_of(run), series_of(run, source)
    refuse_restarts(series, times)
    if not len(series.known("fds")[0]):
        raise Unmeasurable(
            f"the open files of {source} are not known: it runs under another user, or not on this machine",
            "let the stack start it, or run as the same user",
        )
    found = growth(series, times, "fds")
    basis = f"{source} {found.first:g} after warm-up, {found.last:g} at the end"
    return Observation(found.value, "count", found.samples, basis=basis)


def _largest(run: Run, metric: Metric, of_source: Callable[[Run, str], Observation]) -> Observation:
    """Of the scope's source, or of the target in which it is largest."""
    found: list[Observation] = []
    missing: Unmeasurable | None = None
    for source in _sources(run, metric, others=(GENERATOR,)):
        try:
            found.append(of_source(run, source))
        except Unmeasurable as reason:
            missing = missing or reason
    if not found:
        assert missing is not None
        raise missing
    worst = max(found, key=lambda seen: seen.value)
    return Observation(
        worst.value,
        worst.unit,
        worst.samples,
        basis=worst.basis,
        interval=worst.interval,
        goes_on=worst.goes_on,
        missing=missing,
    )


def _sources(run: Run, metric: Metric, others: tuple[str, ...]) -> tuple[str, ...]:
    targets = targets_of(run)
    if not metric.scope:
        if not targets:
            raise Unmeasurable("the run has no target", f"judge generator.{metric.name}")
        return targets
    known = (*targets, *others)
    if len(metric.scope) > 1 or metric.scope[0] not in known:
        wanted = ".".join(metric.scope)
        raise Unmeasurable(f"the run has no source {wanted}", f"its sources are: {', '.join(known)}")
    return metric.scope[:1]


MEASURES: dict[str, Callable[[Run, Metric], Observation]] = {
    "memory_growth": memory_growth,
    "memory_slope": memory_slope,
    "fd_growth": fd_growth,
    "cpu": cpu_share,
}
