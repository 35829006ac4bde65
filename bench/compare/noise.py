"""What else the machine was busy with during a run: a reason to be slow that is not the target's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.judge.machine_guards import CARRIED_OVER, LEAST_SHARE, starvation_of
from bench.judge.observation import Unmeasurable
from bench.judge.resources.cpu import cpu, machine_cores
from bench.judge.resources.measures import GENERATOR, MACHINE
from bench.judge.resources.series import series_of, targets_of, times_of

if TYPE_CHECKING:
    from bench.compare.estimate import Kind
    from bench.results.reader import Run

MOST = 0.95
FULL = 0.95
"""Of a machine: nothing is left for who comes next, and how long that one waits no share of CPU says."""
CROWDED = 0.25
"""Others' part of a full machine from which on they are the reason."""
AFFECTED = {"p50": 0.5, "p95": 0.05, "p99": 0.01}
"""The share of arrivals that must be late to move a percentile."""


@dataclass(frozen=True)
class HeldUp:
    """A run that waited for processors which others had."""

    share: float
    """Of the measured time."""
    sentence: str

    def explains(self, kind: Kind) -> bool:
        """Whether what waited can have moved a figure of this kind: a median needs more of it than a tail."""
        return self.share * CARRIED_OVER >= AFFECTED.get(kind.name, LEAST_SHARE)


def held_up(run: Run) -> HeldUp | None:
    """What others did to a run, by what it says of waiting; of an older run, by a machine that was full."""
    found = starvation_of(run)
    if found.share >= LEAST_SHARE:
        return HeldUp(found.share, found.sentence())
    says_who_waited = any(row.get("run_queue_worst_s") is not None for row in run.resources())
    busy, others = _shares(run)
    if says_who_waited or busy < FULL or others < CROWDED:
        return None
    return HeldUp(1.0, f"others had {others * 100:.0f} % of a machine that had nothing left")


def other_work(run: Run) -> float:
    """The share of the machine's CPU that neither generator nor targets used, up to 0.95; 0 where unknown.

    Unknown is also a target that was not sampled: what it used would count as others'. Raises ResultError
    for a damaged run.
    """
    return min(MOST, _shares(run)[1])


def _shares(run: Run) -> tuple[float, float]:
    """Of the machine's CPU: what was used, and what neither generator nor targets used; 0 where unknown."""
    try:
        times = times_of(run)
        used = {
            source: cpu(series_of(run, source), times).cores_used
            for source in (MACHINE, GENERATOR, *targets_of(run))
        }
    except Unmeasurable:
        return 0.0, 0.0
    cores = machine_cores(run)
    if not cores:
        return 0.0, 0.0
    busy = used.pop(MACHINE)
    return busy / cores, max(0.0, (busy - sum(used.values())) / cores)


def slower_by(share: float) -> float:
    """How many times slower that alone can make something that needs the CPU: all of it against the rest."""
    return 1 / (1 - share)
