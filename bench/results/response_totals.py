"""The percentiles of a whole run, kept up to date while it is written.

They are also in windows.hlog; but to decode that takes a second or so, and a page over hundreds of runs
wants no more of each than its run.json.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench.core import histogram
from bench.results.reader import DELIVERY

if TYPE_CHECKING:
    from bench.core.histogram import Counts
    from bench.results.histogram_log import Tag

PERCENTS = (50, 95, 99)


class ResponseTotals:
    """The measured response times of every operation, all outcomes together, as one histogram each.

    `spans`: the measured phases as (start, end) in ns; until they are known nothing is counted as done.
    """

    def __init__(self) -> None:
        self.spans: list[tuple[int, int]] = []
        self._sums: dict[tuple[str, str], Counts] = {}
        self._done: dict[tuple[str, str], int] = {}

    def add(self, tag: Tag, start_ns: int, end_ns: int, counts: Counts) -> None:
        """Take in the samples of one window; whatever is no response is passed over."""
        if tag.kind != "response":
            return
        key = (tag.workload, tag.operation)
        if tag.outcome == "ok" and self._is_measured((start_ns + end_ns) / 2):
            # Whatever phase it was planned in: done in this time is done in this time.
            self._done[key] = self._done.get(key, 0) + int(counts.sum())
        if not tag.measured:
            return
        if key in self._sums:
            self._sums[key] += counts
        else:
            self._sums[key] = counts.copy()

    def figures(self, workloads: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The section `response` of run.json: for each workload its operations, then all of them together.

        `workloads`: their entries in run.json. Deliveries of a pub/sub workload stand by themselves.
        """
        found = []
        for entry in workloads:
            name = entry["name"]
            arrivals = []
            for (workload, operation), counts in sorted(self._sums.items()):
                if workload != name:
                    continue
                found.append(self._figures(name, operation, counts))
                if operation != DELIVERY or entry.get("driver") != "redis_pubsub":
                    arrivals.append(operation)
            if arrivals:
                found.append(self._together(name, arrivals))
        return found

    def _is_measured(self, at_ns: float) -> bool:
        return any(start_ns <= at_ns < end_ns for start_ns, end_ns in self.spans)

    def _together(self, workload: str, operations: list[str]) -> dict[str, Any]:
        whole = sum((self._sums[workload, operation] for operation in operations), histogram.empty())
        return self._figures(workload, None, whole, operations)

    def _figures(
        self, workload: str, operation: str | None, counts: Counts, operations: list[str] | None = None
    ) -> dict[str, Any]:
        done = sum(self._done.get((workload, one), 0) for one in operations or [operation or ""])
        return {
            "workload": workload,
            "operation": operation,
            "samples": int(counts.sum()),
            **{f"p{percent}_ns": histogram.percentile_ns(counts, percent) for percent in PERCENTS},
            "max_ns": histogram.max_ns(counts),
            "done": done if self.spans else None,
        }
