"""Small runs with windows: what `SyntheticRun` holds, and rows of series.csv that fit its histograms."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.results.reader import Run
from bench.results.writer import RunWriter
from tests.helpers.run_records import record_of
from tests.helpers.synthetic_run import MS, NAME, ZERO, S, SyntheticRun, counts_of, outcomes, resource_rows


@dataclass
class WindowedRun:
    """Workloads with one operation `get`: 1 s of warm-up in 10 windows, then 10 s measured in `windows`."""

    workloads: tuple[str, ...] = ("cache",)
    windows: int = 40
    sla: list[str] = field(default_factory=lambda: ["cache.response.p95 < 10ms warn 8ms"])
    record: dict[str, Any] = field(default_factory=dict)
    response_ns: Callable[[int], int] = lambda window: (1 + window % 3) * MS
    """Of every answer of a window."""
    failed: dict[int, dict[str, int]] = field(default_factory=dict)
    """Window -> ends other than OK."""
    resources: bool = True

    def write(self, out: Path) -> Path:
        writer = RunWriter(out, NAME, ZERO)
        for window in range(10):
            self._window(writer, window, window * S // 10, (window + 1) * S // 10, "warmup")
        for window in range(self.windows):
            start_ns, end_ns = (S + place * 10 * S // self.windows for place in (window, window + 1))
            self._window(writer, window, start_ns, end_ns, "steady")
        if self.resources:
            for row in resource_rows("redis", lambda s: 60e6 + 1e5 * s):
                writer.resources(row)
        return writer.finish(record_of(self._record()), interrupted=False)

    def load(self, out: Path) -> Run:
        return Run.load(self.write(out))

    def _ends(self, window: int, phase: str) -> dict[str, int]:
        return outcomes(ok=100, **(self.failed.get(window, {}) if phase == "steady" else {}))

    def _window(self, writer: RunWriter, window: int, start_ns: int, end_ns: int, phase: str) -> None:
        prefix = "" if phase == "steady" else "unmeasured:"
        for name in self.workloads:
            ends = self._ends(window, phase)
            for outcome, count in ends.items():
                response_ns = self.response_ns(window) if outcome == "ok" else S
                if count:
                    tag = f"{prefix}{name}/get/response/{outcome}"
                    writer.histogram(tag, start_ns, end_ns, counts_of((response_ns, count)))
            service = counts_of((self.response_ns(window) // 2, 100))
            writer.histogram(f"{prefix}{name}/get/service/ok", start_ns, end_ns, service)
            writer.histogram(f"{prefix}{name}/get/lag/ok", start_ns, end_ns, counts_of((300, 100)))
            row = {"start_ns": start_ns, "end_ns": end_ns, "workload": name, "phase": phase}
            writer.series({**row, "planned": sum(ends.values()), **ends})

    def _record(self) -> dict[str, Any]:
        base = SyntheticRun(sla=self.sla).full_record()
        total = outcomes(ok=100 * self.windows)
        for ends in self.failed.values():
            for outcome, count in ends.items():
                total[outcome] += count
        counts: dict[str, Any] = {"operation": "get", "phase": "steady", "measured": True}
        counts |= {"planned": sum(total.values()), "outcomes": total}
        entries = [
            {**base["workloads"][0], "name": name, "operations": ["get"], "counts": [counts]}
            for name in self.workloads
        ]
        all_ends = {outcome: ended * len(entries) for outcome, ended in total.items()}
        totals = {"planned": sum(all_ends.values()), "outcomes": all_ends}
        return {**base, "workloads": entries, "totals": totals, **self.record}
