"""Small runs with faults: the sections of run.json that chaos writes, as literals."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bench.core.outcome import Outcome
from bench.results.logs import OPERATION
from bench.results.reader import Run
from tests.helpers.synthetic_run import MS, S, SyntheticRun

BASELINE = {
    "from_ns": S,
    "until_ns": 2 * S,
    "samples": 1000,
    "p99_ns": 400_000,
    "band_ns": 1_500_000,
    "stall_ns": 100 * MS,
    "ok_per_s": 1000.0,
    "harmed_ratio": 0.0,
    "planned_per_s": 1000.0,
}


def fault(number: int, at_s: float, kind: str = "kill", target: str = "redis", **more: Any) -> dict[str, Any]:
    at_ns = round(at_s * S)
    return {
        "number": number,
        "kind": kind,
        "target": target,
        "how": f"SIGKILL to pid {100 + number} by us; restarted by the supervisor",
        "planned_ns": at_ns,
        "asked_ns": at_ns,
        "effective_ns": at_ns + MS // 5,
        "returned_ns": at_ns + MS,
        "heal_asked_ns": None,
        "healed_ns": at_ns + 300 * MS,
        "proof": f"pid {100 + number} died; a new one, {101 + number}, answers",
        "took_effect": True,
        "healed": True,
        "uncertainty_ns": MS,
        **more,
    }


def recovery(
    number: int,
    at_s: float,
    first_s: float | None = 0.3,
    stable_s: float | None = None,
    full_s: float | None = None,
    workload: str = "cache",
    until_s: float = 11,
    **more: Any,
) -> dict[str, Any]:
    """First failure 0.4 ms after a fault at `at_s`; the other stamps in seconds after that failure."""
    t0 = round(at_s * S) + MS // 5
    t1 = t0 + 2 * MS // 5

    def stamp(after_s: float | None) -> int | None:
        return None if after_s is None else t1 + round(after_s * S)

    stable_s = first_s if stable_s is None else stable_s
    full_s = stable_s if full_s is None else full_s
    until_ns = round(until_s * S)
    down = until_ns - t1 if first_s is None else round(first_s * S)
    return {
        "fault": number,
        "workload": workload,
        "clean": True,
        "state": "never" if first_s is None else "recovered",
        "effective_ns": t0,
        "until_ns": until_ns,
        "waited_ns": until_ns - t0,
        "first_failure_ns": t1,
        "first_success_ns": stamp(first_s),
        "stable_ns": stamp(stable_s),
        "full_ns": stamp(full_s),
        "quiet_since_ns": None,
        "slow_from_ns": None,
        "full_cut_short": False,
        "downtime_ns": down,
        "failed": 300,
        "outcomes": {"refused": 299, "reset": 1},
        "stalled": 0,
        "failed_after_stable": 0,
        "planned_in_outage": down // MS,
        "brown_out_ns": 3 * S,
        "brown_out": {"before_ns": 0, "outage_ns": 2 * S, "after_ns": S},
        "drained_ns": stamp(first_s),
        "resolution_ns": MS,
        "closed": False,
        "baseline": BASELINE,
        "criteria": {"quiet_ns": S, "arrivals": 100, "window_ns": S},
        "reconnects": {"count": 4, "p50_ns": 299 * MS, "max_ns": 310 * MS},
        **more,
    }


def unaffected(number: int, at_s: float, **more: Any) -> dict[str, Any]:
    stamps = dict.fromkeys(("first_failure_ns", "first_success_ns", "stable_ns", "full_ns", "drained_ns"))
    nothing = {"downtime_ns": 0, "failed": 0, "outcomes": {}, "planned_in_outage": 0, "brown_out_ns": 0}
    return recovery(number, at_s) | stamps | nothing | {"state": "unaffected", **more}


def unclean(number: int, at_s: float, workload: str = "cache") -> dict[str, Any]:
    """60 % of its arrivals failed before the fault; after it none was answered for five seconds."""
    return recovery(number, at_s, 5.0, workload=workload) | {
        "state": "no_clean_baseline",
        "stable_ns": None,
        "full_ns": None,
        "baseline": BASELINE | {"harmed_ratio": 0.6},
    }


def detection(number: int, detector: str, at_s: float | None) -> dict[str, Any]:
    at_ns = None if at_s is None else round(at_s * S)
    return {"fault": number, "detector": detector, "at_ns": at_ns, "detail": ""}


def integrity(lost: int | None = 0, **more: Any) -> dict[str, Any]:
    return {
        "check": "acknowledged_writes",
        "workload": "cache",
        "acknowledged": 5000,
        "found": None if lost is None else 5000 - lost,
        "lost": lost,
        "unexpected": 0,
        "unknown_survived": 2,
        "oldest_lost_age_ns": 180 * MS if lost else None,
        "bound": None if lost else "0 of 5000 lost: at most 0.06 % with 95 % confidence",
        "examples": [],
        "inconclusive": "not checked: redis was away" if lost is None else None,
        **more,
    }


@dataclass
class FaultRun:
    """A measured workload `cache` with five kills, a second apart from 2 s on, unless said otherwise."""

    sla: list[str] = field(default_factory=list)
    faults: list[dict[str, Any]] = field(default_factory=lambda: [fault(n, 2 + n) for n in range(5)])
    recoveries: list[dict[str, Any]] = field(
        default_factory=lambda: [
            recovery(n, 2 + n, first_s) for n, first_s in enumerate([0.31, 0.29, 0.5, 0.3, 0.33])
        ]
    )
    detections: list[dict[str, Any]] = field(default_factory=list)
    record: dict[str, Any] = field(default_factory=dict)
    operations: list[tuple[str, float, float]] = field(default_factory=list)
    """Outcome, planned and done in ms."""
    late_ns: int = 0
    """The generator's own lateness, of every arrival."""
    net: list[tuple[int, int]] = field(default_factory=list)
    """Times without that lateness, spread over the run."""
    resources: list[dict[str, Any]] = field(default_factory=list)

    def write(self, out: Path) -> Path:
        sections = {
            "faults": self.faults,
            "recoveries": self.recoveries,
            "detections": self.detections,
            "false_alarms": [],
            **self.record,
        }
        samples = {"cache/get/response/ok": [(MS, 5000)], "cache/get/response/refused": [(S, 1500)]}
        if self.late_ns:
            samples["cache/get/late/ok"] = [(self.late_ns, 5000)]
        samples |= {"cache/get/net/ok": self.net} if self.net else {}
        run = SyntheticRun(
            sla=self.sla, samples=samples, record=sections, resources=self.resources, windows=10
        )
        folder = run.write(out)
        if self.operations:
            log = np.zeros(len(self.operations), dtype=OPERATION)
            for place, (outcome, planned, done) in enumerate(self.operations):
                log[place]["planned_ns"], log[place]["done_ns"] = round(planned * MS), round(done * MS)
                log[place]["outcome"] = Outcome[outcome.upper()]
            np.save(folder / "operations.npy", log)
        return folder

    def load(self, out: Path) -> Run:
        return Run.load(self.write(out))
