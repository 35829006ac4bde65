"""CPU under load: the share of all cores that a source used while the plan asked for load.

CPU seconds / (seconds x cores), over the measured phases without their rests; the cores are those of
the machine, or what the source's control group may use. Between two samples that lie on both sides of
an edge the middle decides; edges of loads have samples of their own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bench.judge.observation import Unmeasurable
from bench.judge.resources.series import Series, Times, within

if TYPE_CHECKING:
    from bench.results.reader import Run

LEAST_COVERED = 0.5
"""Share of the load's time that the samples must cover."""
NS_PER_S = 1_000_000_000


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
    recorded = run.record.get("resources", {}).get("cores")
    if recorded:
        return float(recorded)
    known = [row.get("cores") for row in run.resources() if row.get("source") == "machine"]
    return next((float(cores) for cores in known if isinstance(cores, float)), None)
