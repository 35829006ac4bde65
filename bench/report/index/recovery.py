"""The longest recovery in a run with faults, by one workload: the figure that stands for all of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.core import units
from bench.judge.faults.times import NOTHING, is_clean

if TYPE_CHECKING:
    from bench.results.reader import Run

NEVER, CUT_SHORT = "never", "cut_short"


@dataclass(frozen=True)
class Recovery:
    """From the first failure to stable, of the slowest fault; `value_ns` None: not known or never."""

    value_ns: int | None
    faults: int
    """How many faults the workload has lived through."""
    never: bool

    @property
    def shown(self) -> str:
        """As in "310 ms", "never", "?" where the watch ended too early, "unaffected"."""
        if self.never:
            return "never"
        if self.value_ns is None:
            return "?"
        return units.format_duration_ns(self.value_ns) if self.value_ns else "unaffected"


def recovery_of(run: Run, workload: str) -> Recovery | None:
    """None for a run without faults, and where no arrival tells anything about them."""
    nothing = {fault["number"] for fault in run.record.get("faults", []) if fault["kind"] == NOTHING}
    found = [
        one
        for one in run.record.get("recoveries", [])
        if one["workload"] == workload and one["state"] != "unseen" and one["fault"] not in nothing
    ]
    if not found:
        return None
    never = any(one["state"] == NEVER for one in found)
    hit = [one for one in found if one["first_failure_ns"] is not None]
    times = [one["stable_ns"] - one["first_failure_ns"] for one in hit if one["stable_ns"] is not None]
    known = len(times) == len(hit) and all(is_clean(one) for one in found)
    return Recovery(max(times, default=0) if known else None, len(found), never)
