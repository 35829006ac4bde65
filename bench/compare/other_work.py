"""What else the machine was busy with during a run: a reason to be slow that is not the target's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.judge.observation import Unmeasurable
from bench.judge.resource_cpu import cpu, machine_cores
from bench.judge.resource_measures import GENERATOR, MACHINE
from bench.judge.resource_series import series_of, targets_of, times_of

if TYPE_CHECKING:
    from bench.run_folder.reader import Run

MOST = 0.95


def other_work(run: Run) -> float:
    """The share of the machine's CPU that neither generator nor targets used, up to 0.95; 0 where unknown.

    Unknown is also a target that was not sampled: what it used would count as others'. Raises ResultError
    for a damaged run.
    """
    try:
        times = times_of(run)
        used = {
            source: cpu(series_of(run, source), times).cores_used
            for source in (MACHINE, GENERATOR, *targets_of(run))
        }
    except Unmeasurable:
        return 0.0
    cores = machine_cores(run)
    if not cores:
        return 0.0
    others = used.pop(MACHINE) - sum(used.values())
    return min(MOST, max(0.0, others / cores))


def slower_by(share: float) -> float:
    """How many times slower that alone can make something that needs the CPU: all of it against the rest."""
    return 1 / (1 - share)
